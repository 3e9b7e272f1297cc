"""The report that `propylon check` prints: every value, and the place where it was written."""

from collections.abc import Iterator

from .faults import shown
from .flags import SECTIONS
from .http2 import versions_of
from .load import Loaded
from .options import table


def report(loaded: Loaded) -> str:
    return "\n".join(_lines(loaded))


def _lines(loaded: Loaded) -> Iterator[str]:
    sections = dict.fromkeys((*SECTIONS, *(row.section for row in table().values())))
    for section in sections:
        yield SECTIONS.get(section, section.capitalize())
        for name, row in table().items():
            if row.section != section or (name == "worker_class" and name not in loaded.origins):
                continue
            found = loaded.origins.get(name)
            origin = found.origin if found is not None else "default"
            value = getattr(loaded.options, name)
            text = "(set)" if row.secret and value else _value(value, name)
            yield _line(row.name, text, origin)
        yield ""
    yield "Listens on"
    for address in loaded.config.addresses:
        yield f"  {address.url} ({versions_of(loaded.options, address)})"
    yield ""
    yield "Believes"
    trust = loaded.config.trust
    who = ", ".join(trust.forwarded_allow_ips)
    yield f"  {who}: {', '.join(trust.forwarded_fields)}" if who else "  nobody"
    yield ""
    yield "Pools"
    for pool in loaded.config.pools:
        yield (
            f"  {pool.name}: {pool.app or '(no app)'}, {pool.workers_text}, "
            f"interface {pool.for_workers['interface']}, loop {pool.for_workers['loop']}"
            f"{_memory(pool.for_workers['workers_max_rss'])}"
        )
    yield ""
    yield "Routes"
    for route in loaded.config.routes:
        how = "" if route.root_path is None else f", as root_path {route.root_path or '/'}"
        how += ", before others" if route.priority == "high" else ""
        files = [] if route.static is None else [f"files of {route.static.folder}"]
        answers = ", else ".join([*files, route.pool] if route.pool else files)
        yield f"  {route.host or '*'}{route.prefix or '/'} -> {answers}{how}"


def _memory(size: int) -> str:
    return f", each replaced at {size // 2**20} MB" if size else ""


def _value(value: object, name: str) -> str:
    if value is None or value in ("", ()):
        return "-"
    if isinstance(value, tuple):
        return ", ".join(str(part) for part in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, bool):
        return shown(value)
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:03o}" if name == "umask" and isinstance(value, int) else str(value)


def _line(name: str, value: str, origin: str) -> str:
    return f"  {name:<26} {value:<28} {origin}"
