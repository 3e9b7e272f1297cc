"""The tables [[pools]] and [[routes]]: entries become settings, and faults name their key path."""

from typing import Any
from urllib.parse import unquote

from ..settings import Priority, RouteSettings
from .app_name import in_our_words
from .config import PoolConfig
from .cpus import usable_cpus, workers_of
from .faults import Fault, nearest
from .option import Option
from .options import Options, table
from .reading import Reading
from .sources import POOL_KEYS, Found, Section
from .static_routes import read_static_keys
from .values import one_of, read_host, read_pool_name, read_root_path, read_route_limit

_NAME = Option(help="", name="name", type=str, default="", read=read_pool_name)
_HOST = Option(help="", name="host", type=str, default="", read=read_host)
_PREFIX = Option(help="", name="prefix", type=str, default="", read=read_root_path)
_LIMIT = Option(help="", name="limit-concurrency", type=int | str, default=0, read=read_route_limit)
_POOL = Option(help="", name="pool", type=str, default="")
_PRIORITY = Option(help="", name="priority", type=Priority, default="default")


def read_pools(sections: list[Section], options: Options, reading: Reading) -> list[PoolConfig]:
    """The pools of the file. A key that an entry leaves out has the top level's value."""
    pools: list[PoolConfig] = []
    seen: dict[str, str] = {}
    for section in sections:
        values: dict[str, Any] = {key: getattr(options, key) for key in POOL_KEYS}
        for key in POOL_KEYS:
            if key in section.values:
                values[key] = reading.value(table()[key], section.values[key])
        if "name" in section.values:
            values["name"] = reading.value(_NAME, section.values["name"])
        else:
            reading.faults.append(Fault(f"{section.where}.name", "a pool needs a name"))
            values["name"] = f"[{len(pools)}]"  # a name that no pool can have
        name: str = values["name"]
        if name and name in seen:
            problem = f"found {name!r}, which {seen[name]} is called already"
            reading.faults.append(Fault(f"{section.where}.name", problem))
        seen.setdefault(name, section.where)
        pools.append(_pool(values))
    return pools


def top_level_pool(options: Options) -> PoolConfig:
    """The only pool of a configuration without [[pools]]."""
    return _pool({key: getattr(options, key) for key in POOL_KEYS} | {"name": options.pool})


def _pool(values: dict[str, Any]) -> PoolConfig:
    complete: dict[str, Any] = values | in_our_words(values["app"])
    least, most = workers_of(complete["workers"], usable_cpus())
    complete["workers"], complete["workers_max"] = least, most if most > least else None
    told: dict[str, dict[str, Any]] = {"workers": {}, "gateways": {}}
    for row in table().values():
        if row.per_pool in told:
            told[row.per_pool][row.field] = complete.pop(row.field)
    return PoolConfig(**complete, for_workers=told["workers"], for_gateways=told["gateways"])


def read_routes(
    sections: list[Section], pools: list[PoolConfig], reading: Reading
) -> list[RouteSettings]:
    names = list(dict.fromkeys(pool.name for pool in pools if pool.name[:1] not in ("", "[")))
    routes: list[RouteSettings] = []
    seen: dict[tuple[str, str], str] = {}
    for section in sections:
        found, faults = section.values, len(reading.faults)
        if "prefix" in found and "path" in found:
            problem = "given twice: also as prefix"
            reading.faults.append(Fault(found["path"].origin, problem))
        prefix = found.get("prefix") or found.get("path")
        static = read_static_keys(section, reading)
        limit = found.get("limit_concurrency")
        share: int | str = reading.value(_LIMIT, limit) if limit else 0
        route = RouteSettings(
            pool="" if static and "pool" not in found else _pool_of(section, names, reading),
            host=reading.value(_HOST, found["host"]) if "host" in found else "",
            prefix=reading.value(_PREFIX, prefix) if prefix else "",
            root_path=_root_path_of(section, reading),
            priority=reading.value(_PRIORITY, found["priority"])
            if "priority" in found
            else "default",
            static=static,
            most_calls=share if isinstance(share, int) else 0,
            most_percent=int(share[:-1]) if isinstance(share, str) else 0,
            max_request_body_size=_body_size_of(section, reading),
        )
        routes.append(route)
        if len(reading.faults) > faults:
            continue  # a fault's default is not what was meant: do not compare it with others
        key = (route.host, route.prefix)
        if key in seen:
            reading.faults.append(Fault(section.where, f"matches the same requests as {seen[key]}"))
        seen.setdefault(key, section.where)
    return routes


def _root_path_of(section: Section, reading: Reading) -> str | None:
    """What the route's app is mounted below: a part of the prefix, as somebody has to be able to
    take it off again."""
    found = section.values.get("root_path")
    if found is None:
        return None
    root_path: str = reading.value(_PREFIX, found)
    prefix = section.values.get("prefix") or section.values.get("path")
    below = "" if prefix is None else unquote(str(prefix.value))
    if root_path and not f"{below.rstrip('/')}/".startswith(root_path + "/"):
        problem = f"found {root_path!r}; it is the prefix, {below or '/'}, or a beginning of it"
        reading.faults.append(Fault(found.origin, problem))
    return root_path


def _body_size_of(section: Section, reading: Reading) -> int | None:
    """The bytes of a request's body that the route allows; None if it says nothing of its own."""
    row = table()["max_request_body_size"]
    found = section.values.get(row.field)
    return None if found is None else reading.value(row, found)


def _pool_of(section: Section, names: list[str], reading: Reading) -> str:
    found: Found | None = section.values.get("pool")
    if found is None:
        if len(names) != 1:
            problem = f"a route needs a pool: {one_of(names)}"
            reading.faults.append(Fault(f"{section.where}.pool", problem))
        return "".join(names[:1])
    name: str = reading.value(_POOL, found)
    if name and name not in names:
        problem = f"found {name!r}, which is no pool{nearest(name, names)}"
        reading.faults.append(Fault(found.origin, problem))
    return name
