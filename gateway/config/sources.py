"""The sources of values: flags, environment, TOML. Values are taken as they were written, each with
its origin.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, cast

from ..settings import StaticSettings
from .faults import Fault, nearest, shown
from .migrate_names import GUNICORN, HYPERCORN
from .option import Option
from .options import names, table
from .peers_options import PEERS_OPTIONS
from .values import is_many

DEFAULT_FILE: Final = "propylon.toml"
"""The configuration file that is read from the current directory unless -c names another."""

PEERS_FIELDS: Final = tuple(name.replace("-", "_") for name in PEERS_OPTIONS)
"""Options of other servers, with underscores."""

THEIR_KEYS: Final = {
    theirs.replace("_", "-"): option
    for theirs, option in (*GUNICORN.items(), *HYPERCORN.items())
    if option
}
"""Name of an option in other servers' configuration files -> its name here."""

POOL_KEYS: Final = tuple(field for field, row in table().items() if row.per_pool)
"""The options that a pool may set for itself, by field."""
STATIC_KEYS: Final = (
    "static",
    *(f"static_{each.name}" for each in fields(StaticSettings) if each.name != "folder"),
)
ROUTE_KEYS: Final = (
    "host", "prefix", "path", "pool", "root_path", "priority", "limit_concurrency",
    "max_request_body_size", *STATIC_KEYS,
)  # fmt: skip

SERVICE_LINK: Final = re.compile(
    r"PROPYLON(_[A-Z0-9]+)*?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?"
    r"|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
"""Names of variables that Kubernetes gives every container for each Service of its namespace, here
one whose name begins with "propylon". Source: "Accessing the Service" in Kubernetes' documentation;
a pod with `enableServiceLinks: false` has none."""

DEFAULT, FILE, ENVIRONMENT, FLAG = range(4)
"""The layers of values. A higher one wins."""


@dataclass(frozen=True, slots=True)
class Found:
    """A value as it was written, and the place where it was written."""

    value: Any
    origin: str
    layer: int = DEFAULT

    @property
    def is_text(self) -> bool:
        """Whether the value is a text still to be read. Flags and variables are; TOML has types."""
        return self.layer in (FLAG, ENVIRONMENT)


Sources = dict[str, Found]
"""Field name -> what was found."""


@dataclass(frozen=True, slots=True)
class Section:
    """One [[pools]] or [[routes]] entry. `where` is its key path, and `values` are by field."""

    where: str
    values: Sources


@dataclass(slots=True)
class TomlFile:
    broken: bool = False
    """Whether the file could not be read; a fault says why."""
    values: Sources = field(default_factory=dict[str, Found])
    pools: list[Section] = field(default_factory=list[Section])
    routes: list[Section] = field(default_factory=list[Section])


def from_flags(flags: Mapping[str, Any], faults: list[Fault]) -> Sources:
    """The flags that were given. `flags` is by field, alias or another server's option; a value of
    None or () was not given."""
    found: Sources = {}
    for name, value in flags.items():
        if value is None or value == ():
            continue
        row = names().get(name.replace("_", "-"))
        field_name = name if row is None else row.field
        origin = "argument" if name == "app" else f"--{name.replace('_', '-')}"
        before = found.get(field_name)
        if before is None:
            found[field_name] = Found(value, origin, FLAG)
        elif isinstance(value, tuple) and isinstance(before.value, tuple):
            together = cast("tuple[str, ...]", (*before.value, *value))
            found[field_name] = Found(together, before.origin, FLAG)
        else:
            faults.append(Fault(origin, f"given twice: also as {before.origin}"))
    return found


def from_environ(environ: Mapping[str, str], notes: list[str]) -> Sources:
    found: Sources = {}
    known = {"PROPYLON_CONFIG"}
    for row in table().values():
        known.update(row.variables)
        for variable in row.variables:
            text = environ.get(variable, "")
            if text and not _is_port_link(variable, text) and row.field not in found:
                found[row.field] = Found(_of_text(row, text), variable, ENVIRONMENT)
    for name in PEERS_FIELDS:
        variable = f"PROPYLON_{name.upper()}"
        known.add(variable)
        text = environ.get(variable, "")
        if text and not _is_port_link(variable, text):
            found[name] = Found(text, variable, ENVIRONMENT)
    for variable in sorted(environ):
        # A PROPYLON_* variable may belong to another program: only a likely typing error is noted.
        if variable.startswith("PROPYLON_") and variable not in known:
            if SERVICE_LINK.fullmatch(variable) or _is_port_link(variable, environ[variable]):
                continue
            hint = nearest(variable, known, likeness=0.85)
            if hint:
                notes.append(f"{variable} is not a variable that is read{hint}")
    return found


def _is_port_link(variable: str, text: str) -> bool:
    """Whether Kubernetes has set it: for a Service "propylon" PROPYLON_PORT is tcp://ADDRESS:PORT,
    and for "propylon-metrics" PROPYLON_METRICS_PORT. An address to listen at has that form too, so
    only a variable that is called a port is meant."""
    return variable.endswith("PORT") and text.startswith(("tcp://", "udp://", "sctp://"))


def _of_text(row: Option, text: str) -> Any:
    if is_many(row.type):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def from_toml(path: str, faults: list[Fault]) -> TomlFile:
    """Reads the file. Unknown keys and wrong shapes are added to `faults`."""
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            text = handle.read()
    except UnicodeDecodeError:
        faults.append(Fault(path, f"not TOML: not UTF-8{_another_kind(path, '')}"))
        return TomlFile(broken=True)
    except OSError as exc:
        faults.append(Fault(path, f"cannot be read: {exc.strerror}"))
        return TomlFile(broken=True)
    return of_text(path, text, faults)


def of_text(path: str, text: str, faults: list[Fault]) -> TomlFile:
    """Does what `from_toml` does, with `text` as the content of the file `path`."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        faults.append(Fault(path, f"not TOML: {exc}{_another_kind(path, str(exc))}"))
        return TomlFile(broken=True)
    except RecursionError:
        faults.append(Fault(path, "nested too deeply"))
        return TomlFile(broken=True)
    file = TomlFile()
    for key, sections, keys in (
        ("pools", file.pools, ("name", *_with_aliases(POOL_KEYS))),
        ("routes", file.routes, ROUTE_KEYS),
    ):
        entries: list[Any] = _entries(path, key, content.pop(key, []), faults)
        for index, entry in enumerate(entries):
            where = f"{path}: {key}[{index}]"
            values = _keys(f"{where}.", entry, keys, faults)
            sections.append(Section(where, values))
    known = [*_with_aliases(table()), *PEERS_FIELDS]
    file.values = _keys(f"{path}: ", content, known, faults, also=("pools", "routes"))
    return file


def _another_kind(path: str, problem: str) -> str:
    """A hint for a file that is not TOML: what it may be instead, or the mistake that is made most
    often; "" if nothing suggests itself."""
    if path.endswith((".ini", ".cfg", ".py")):
        return f"; to carry another server's file over: propylon migrate {path} > propylon.toml"
    if path.endswith(".toml") and ("after a statement" in problem or "Invalid value" in problem):
        return '; a text stands in quotes, as in bind = "127.0.0.1:8000"'
    return ""


def _with_aliases(fields: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for key in fields for name in table()[key].names)


def _entries(path: str, key: str, value: Any, faults: list[Fault]) -> list[Any]:
    if isinstance(value, list) and all(isinstance(x, dict) for x in cast("list[Any]", value)):
        return cast("list[Any]", value)
    faults.append(
        Fault(f"{path}: {key}", f"found {shown(cast('object', value))}; expected [[{key}]] tables")
    )
    return []


def _keys(
    where: str,
    content: Mapping[str, Any],
    known: Iterable[str],
    faults: list[Fault],
    also: tuple[str, ...] = (),
) -> Sources:
    dashed = [name.replace("_", "-") for name in known]
    found: Sources = {}
    spelled: dict[str, str] = {}
    for key, value in content.items():
        name = key.replace("_", "-")
        if name == "pool" and also and isinstance(value, (list, dict)):
            problem = f"found {shown(cast('object', value))}; it is written [[pools]]"
            faults.append(Fault(f"{where}{key}", problem))
            continue
        if name not in dashed:
            hint = nearest(name, [*dashed, *also])
            if f"{name}s" in also:
                hint = f"; it is written [[{name}s]]"
            elif isinstance(value, dict) and also:
                hint = f"; there is no table [{key}]: options stand at the top of the file, as in "
                hint += 'bind = "127.0.0.1:8000"'
            elif name in THEIR_KEYS and also:
                hint = f"; here it is called {THEIR_KEYS[name]}"
            faults.append(Fault(f"{where}{key}", f"there is no such key{hint}"))
            continue
        row = names().get(name)
        field_name = row.field if row is not None else name.replace("-", "_")
        if field_name in found:
            faults.append(Fault(f"{where}{key}", f"given twice: also as {spelled[field_name]}"))
            continue
        if row is not None and is_many(row.type) and isinstance(value, str):
            value = [value]
        spelled[field_name] = key
        found[field_name] = Found(value, f"{where}{key}", FILE)
    return found
