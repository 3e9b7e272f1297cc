"""Routes that send files: the keys of a [[routes]] entry that begin with `static`, and the option
`--static PREFIX=DIR`, which is such a route in one word."""

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, get_type_hints

from ..settings import RouteSettings, StaticSettings
from .faults import Fault
from .option import Option
from .reading import Reading
from .sources import Found, Section, Sources
from .values import read_root_path

_NEEDS: Final = "it says how files are sent: name their folder too, as static"

_UNUSED: Final = "it is never sent: what there is no file for is answered by the route's pool"


def _below(name: str) -> str:
    """The name of a file in the folder, from there."""
    if name.startswith("/") or ".." in name.split("/"):
        raise ValueError("it is the name of a file in the static folder, as in index.html")
    return name


def _field_value(text: str) -> str:
    if any(not " " <= letter <= "~" for letter in text):
        raise ValueError("a field's value is printable ASCII, as in public, max-age=3600")
    return text


_READ: Final = {
    "index": _below,
    "fallback": _below,
    "not_found": _below,
    "cache_control": _field_value,
}


def _rows() -> dict[str, Option]:
    """Each key of an entry but `static` itself, with how it is read."""
    types = get_type_hints(StaticSettings)
    return {
        f"static_{name}": Option(
            help="", name=f"static_{name}", type=kind, default=_default(name), read=_READ.get(name)
        )
        for name, kind in types.items()
        if name != "folder"
    }


def _default(name: str) -> Any:
    return getattr(StaticSettings(folder="/"), name)


def read_static_keys(section: Section, reading: Reading) -> StaticSettings | None:
    """The settings of an entry with `static`; None if it has none."""
    given = {key: found for key, found in section.values.items() if key.startswith("static")}
    folder = given.pop("static", None)
    if folder is None:
        reading.faults.extend(Fault(found.origin, _NEEDS) for found in given.values())
        return None
    if "pool" in section.values:
        reading.faults.extend(
            Fault(found.origin, _UNUSED)
            for key, found in given.items()
            if key in ("static_fallback", "static_not_found")
        )
    rows = _rows()
    told = {
        key.removeprefix("static_"): reading.value(rows[key], found) for key, found in given.items()
    }
    return StaticSettings(folder=_folder(folder, reading), **told)


def _folder(found: Found, reading: Reading) -> str:
    row = Option(help="", name="static", type=str, default="", read=None)
    match found.value:
        case [str(only)]:  # `--static` has several values, and one is read as a list of one
            found = replace(found, value=only)
        case _:
            pass
    before = len(reading.faults)
    text: str = reading.value(row, found)
    # An empty one would be the current directory, with the app's code and secrets.
    if len(reading.faults) == before and not os.path.isdir(text):
        problem = f"found {text!r}, which is no directory"
        reading.faults.append(Fault(found.origin, problem))
    return os.path.abspath(text)


def routes_of_option(
    texts: Iterable[str], found: Sources, routes: list[RouteSettings], reading: Reading
) -> list[RouteSettings]:
    """The routes that `--static` stands for."""
    taken = {(route.host, route.prefix) for route in routes}
    made: list[RouteSettings] = []
    for text in texts:
        prefix, _, folder = text.partition("=")
        prefix, origin = read_root_path(prefix), found["static"].origin
        if ("", prefix) in taken:
            problem = f"found {text!r}: another route has that prefix"
            reading.faults.append(Fault(origin, problem))
        taken.add(("", prefix))
        if not os.path.isdir(folder):
            problem = f"found {text!r}: {folder!r} is no directory"
            reading.faults.append(Fault(origin, problem))
        static = StaticSettings(folder=os.path.abspath(folder))
        made.append(RouteSettings(pool="", prefix=prefix, static=static))
    return made
