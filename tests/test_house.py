"""The house rules, checked by reading the source: who may import whom, and what lies where.

Each rule has snippets that break it; the last tests prove that they are caught.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARTS = ("gateway", "worker", "protocol")
PACKAGE = "package"
"""The folder of what `propylon` itself has: modules directly below that name."""

FREE_OF_IO = {"trio", "asyncio", "socket", "ssl", "threading", "time", "os"}
PURE = {
    # A folder means all that is in it.
    "protocol",
    "gateway.control.commands",
    "gateway.control.durations",
    "gateway.control.status",
    "gateway.control.status_text",
    "gateway.exchange",
    "gateway.http",
    "gateway.http1",
    "gateway.listen.activation",
    "gateway.listen.address",
    "gateway.listen.proxy_protocol",
    "gateway.observe.formats",
    "gateway.peers",
    "gateway.pool.balance",
    "gateway.pool.clip_text",
    "gateway.pool.departures",
    "gateway.pool.health",
    "gateway.pool.load",
    "gateway.pool.pool_member",
    "gateway.pool.queue",
    "gateway.pool.retry",
    "gateway.pool.workers_report",
    "gateway.serve.log_throttle",
    "gateway.supervisor.fleet",
    "gateway.websocket",
    "worker.wsgi.leader_policy",
}
ADAPTERS = {"h11", "httptools", "msgpack", "wsproto", "h2", "ssl"}
"""Third-party protocol libraries (and ssl): one file of the house imports each."""
LEAVES = {f"gateway.{name}" for name in ("directories", "json_texts", "peers", "settings")}
ASSEMBLERS = {"gateway.assemble", "gateway.process"}
MAY_IMPORT = {
    # room of the gateway -> rooms (or files at its top, leaves aside) that it may import
    "exchange": set[str](),
    "http": {"exchange"},
    "http1": {"http", "exchange"},
    "websocket": {"http", "exchange"},
    "tls": set[str](),
    "listen": set[str](),
    "transport": {"tls"},
    "pool": {"exchange", "transport"},
    "handlers": {"exchange", "observe", "pool"},
    "serve": {
        "exchange",
        "handlers",
        "http",
        "http1",
        "listen",
        "observe",
        "tls",
        "transport",
        "websocket",
    },
    "observe": {"exchange"},
    "config": {"listen", "observe", "tls"},
    "control": {"config", "listen", "observe", "transport"},
    "supervisor": {"config", "control", "listen", "observe"},
    "cli": {"config", "control", "supervisor"},
    "program": {"cli", "config"},
}
WORKER_ROOMS = {
    # room of the worker -> rooms that it may import; files at its top are `settings` and `run`
    "process": set[str](),
    "app": {"process"},
    "host": {"app", "process"},
    "asgi": {"app", "host", "process"},
    "wsgi": {"app", "host", "process"},
}
WORKER_MAY_USE = {"msgpack", "uvloop"}
STANDARD_LIBRARY = frozenset(__import__("sys").stdlib_module_names)


@dataclass(frozen=True)
class Import:
    """One import, as dotted names below `propylon` for our own code."""

    of: str
    """The importing module: "gateway.pool.link_member"."""
    name: str
    """What is imported: "gateway.pool" or "trio"."""
    ours: bool
    relative: bool


def imports_of(module: str, source: str, package: bool = False) -> Iterator[Import]:
    """Every import in the source, wherever it stands: functions, TYPE_CHECKING."""
    here = module.split(".") if package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield _import(module, alias.name, relative=False)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield _import(module, node.module or "", relative=False)
        elif isinstance(node, ast.ImportFrom):
            # One dot is the package itself; `..x` from a file at the top reaches another part.
            base = ["propylon", *here][: len(here) + 2 - node.level]
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                name = ".".join([*base, alias.name])
                # `from .room import name`: a module if there is such a file, else its attribute.
                known = name.removeprefix("propylon.") in modules()
                yield _import(module, name if known else ".".join(base), relative=True)


def _import(module: str, name: str, *, relative: bool) -> Import:
    ours = name == "propylon" or name.startswith("propylon.")
    return Import(module, name.removeprefix("propylon."), ours, relative)


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name below `propylon`."""
    found: dict[str, Path] = {}
    for part in PARTS:
        for path in (ROOT / part).rglob("*.py"):
            names = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(names[:-1] if names[-1] == "__init__" else names)] = path
    for path in (ROOT / PACKAGE).glob("*.py"):
        found[path.stem] = path
    return found


@cache
def all_imports() -> tuple[Import, ...]:
    return tuple(
        one
        for module, path in modules().items()
        for one in imports_of(
            module, path.read_text("utf-8"), path.name == "__init__.py" and module != "__init__"
        )
    )


def top(name: str) -> str:
    return name.split(".")[0]


def room(module: str) -> str:
    """The room of a gateway's module, or the name of a file at its top."""
    return [*module.split("."), ""][1]


# -- the rules: each gives a sentence for each import that breaks it ---------------------------


def own_code_is_imported_relatively(one: Import) -> str | None:
    if one.ours and not one.relative:
        return "own code is imported relatively"
    return None


def parts_keep_apart(one: Import) -> str | None:
    allowed = {"protocol": {"protocol"}, "worker": {"worker", "protocol"}}
    allowed |= {name: {"__main__", "gateway"} for name in ("__init__", "__main__")}
    reach = allowed.get(top(one.of), {"gateway", "protocol"})
    if one.ours and top(one.name) not in reach:
        return f"{top(one.of)} may import {' and '.join(sorted(reach))} only"
    return None


def rooms_know_their_neighbours(one: Import) -> str | None:
    if not one.ours or not one.name.startswith("gateway.") or not one.of.startswith("gateway."):
        return None
    if one.of in ASSEMBLERS or any(one.name.startswith(leaf) for leaf in LEAVES):
        return None
    here, there = room(one.of), room(one.name)
    if one.of in LEAVES:
        return "a leaf imports leaves only"
    if here != there and there not in MAY_IMPORT.get(here, set()):
        return f"{here} may not import {there}"
    return None


def is_pure(module: str) -> bool:
    names = module.split(".")
    return any(".".join(names[:length]) in PURE for length in range(1, len(names) + 1))


def worker_rooms_know_their_neighbours(one: Import) -> str | None:
    here, there = room(one.of), room(one.name)
    if top(one.of) != "worker" or not one.name.startswith("worker.") or here not in WORKER_ROOMS:
        return None
    if there not in {here, "settings"} | WORKER_ROOMS[here]:
        return f"{here} may not import {there}"
    return None


def pure_files_are_pure(one: Import) -> str | None:
    if is_pure(one.of) and not one.ours and top(one.name) in FREE_OF_IO:
        return f"a pure file imports no {top(one.name)}"
    return None


def workers_stay_light(one: Import) -> str | None:
    if top(one.of) != "worker" or one.ours:
        return None
    extra = {"trio"} if one.of == "worker.asgi.trio_host" else set[str]()
    if top(one.name) not in STANDARD_LIBRARY | WORKER_MAY_USE | extra:
        return f"the worker lives in the user's process: no {top(one.name)}"
    return None


def protocol_stands_on_msgpack_alone(one: Import) -> str | None:
    may = STANDARD_LIBRARY | {"msgpack"}
    if top(one.of) == "protocol" and not one.ours and top(one.name) not in may:
        return f"the protocol imports no {top(one.name)}"
    return None


RULES = [
    own_code_is_imported_relatively,
    parts_keep_apart,
    rooms_know_their_neighbours,
    worker_rooms_know_their_neighbours,
    pure_files_are_pure,
    workers_stay_light,
    protocol_stands_on_msgpack_alone,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_imports(rule) -> None:
    broken = [f"{one.of} imports {one.name}: {why}" for one in all_imports() if (why := rule(one))]
    assert not broken, "\n".join(broken)


CAUGHT = [
    # module, a snippet that breaks a rule, the rule
    ("gateway.pool.link_member", "import propylon.protocol", own_code_is_imported_relatively),
    ("worker.run", "from propylon.protocol import link", own_code_is_imported_relatively),
    ("protocol.link", "from ..worker import run", parts_keep_apart),
    ("worker.run", "from ..gateway.errors import X", parts_keep_apart),
    ("gateway.pool.link_member", "from ...worker import run", parts_keep_apart),
    ("gateway.handlers.forward", "from ..http1.machine import X", rooms_know_their_neighbours),
    ("gateway.handlers.forward", "from ..serve import connection", rooms_know_their_neighbours),
    ("gateway.handlers.forward", "def f():\n  from .. import http", rooms_know_their_neighbours),
    ("gateway.supervisor.run", "from ..pool.pool import Pool", rooms_know_their_neighbours),
    ("gateway.supervisor.run", "from ..assemble import x", rooms_know_their_neighbours),
    ("gateway.http1.machine", "from ..serve import x", rooms_know_their_neighbours),
    ("gateway.exchange.exchange", "from ..pool import x", rooms_know_their_neighbours),
    ("gateway.settings", "from .http1.machine import x", rooms_know_their_neighbours),
    ("gateway.http1.parse_h11", "import time", pure_files_are_pure),
    ("gateway.http1.body", "from os import path", pure_files_are_pure),
    ("gateway.pool.retry", "import trio", pure_files_are_pure),
    ("gateway.supervisor.fleet.rollout", "import socket", pure_files_are_pure),
    ("protocol.codec", "if TYPE_CHECKING:\n  import asyncio", pure_files_are_pure),
    ("worker.asgi.asyncio_host", "import trio", workers_stay_light),
    ("worker.wsgi.call", "def f():\n  import msgspec", workers_stay_light),
    ("gateway.http1.machine", "from ..websocket import x", rooms_know_their_neighbours),
    ("gateway.websocket.frames", "from ..http1 import x", rooms_know_their_neighbours),
    ("gateway.control.verbs", "from ..supervisor import x", rooms_know_their_neighbours),
    ("worker.app.load", "from ..host import x", worker_rooms_know_their_neighbours),
    ("worker.host.host", "from ..asgi.call import x", worker_rooms_know_their_neighbours),
    ("worker.asgi.call", "from ..wsgi.call import x", worker_rooms_know_their_neighbours),
    ("protocol.codec", "import msgspec", protocol_stands_on_msgpack_alone),
]


@pytest.mark.parametrize(("module", "snippet", "rule"), CAUGHT)
def test_a_violation_is_caught(module: str, snippet: str, rule) -> None:
    assert any(rule(one) for one in imports_of(module, snippet))


ALLOWED = [
    ("worker.asgi.trio_host", "import trio\nfrom ...protocol.link import LinkMachine"),
    ("gateway.assemble", "from .http import x\nfrom .pool import y\nfrom ..protocol import z"),
    ("gateway.handlers.forward", "from ..exchange.exchange import Exchange"),
    ("gateway.serve.http1_connection", "from ..http1.machine import x\nimport trio, socket, time"),
    ("gateway.pool.link_member", "from .retry import x\nfrom ...protocol.calls import Call"),
    ("protocol.link", "from . import calls\nimport collections.abc"),
]


@pytest.mark.parametrize(("module", "snippet"), ALLOWED)
def test_what_is_allowed_is_not_caught(module: str, snippet: str) -> None:
    assert not [rule(one) for one in imports_of(module, snippet) for rule in RULES if rule(one)]


# -- one adapter -----------------------------------------------------------------------------


def importers(imports: tuple[Import, ...]) -> dict[str, set[str]]:
    return {
        library: {one.of for one in imports if not one.ours and top(one.name) == library}
        for library in ADAPTERS
    }


def test_one_adapter_for_each_protocol_library() -> None:
    several = {
        library: files for library, files in importers(all_imports()).items() if len(files) > 1
    }
    assert not several
    assert importers(all_imports())["msgpack"] == {"protocol.codec"}


def test_a_second_adapter_is_caught() -> None:
    second = (*all_imports(), *imports_of("gateway.pool.x", "from msgpack import packb"))
    assert len(importers(second)["msgpack"]) == 2


# -- cycles ----------------------------------------------------------------------------------


def cycle(imports: tuple[Import, ...]) -> list[str]:
    """The modules that are left when whatever imports nothing of the rest is taken away."""
    names = modules()
    edges = {
        module: {one.name for one in imports if one.of == module and one.name in names} - {module}
        for module in {one.of for one in imports} | set(names)
    }
    while leaves := {module for module, uses in edges.items() if not uses & edges.keys()}:
        for module in leaves:
            del edges[module]
    return sorted(edges)


def test_no_import_cycles() -> None:
    assert cycle(all_imports()) == []


def test_a_cycle_is_caught() -> None:
    back = imports_of("protocol.codec", "if TYPE_CHECKING:\n  from .link import LinkMachine")
    assert "protocol.codec" in cycle((*all_imports(), *back))


# -- time ------------------------------------------------------------------------------------


def users_of_trios_clock() -> set[str]:
    return {
        module
        for module, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "current_time"
    }


def test_the_gateway_has_one_clock() -> None:
    """trio's starts anywhere: a deadline made of both clocks means nothing."""
    assert users_of_trios_clock() == {"gateway.supervisor.supervisor"}


# -- packaging -------------------------------------------------------------------------------


def test_the_package_list_is_complete() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    listed = {
        name.removeprefix("propylon.") for name in pyproject["tool"]["setuptools"]["packages"]
    } - {"propylon"}
    assert pyproject["tool"]["setuptools"]["package-dir"]["propylon"] == PACKAGE
    packages = {
        name
        for name, path in modules().items()
        if path.name == "__init__.py" and name != "__init__"
    }
    folders = {
        ".".join(path.relative_to(ROOT).parent.parts)
        for part in PARTS
        for path in (ROOT / part).rglob("*.py")
    }
    assert listed == packages == folders


@pytest.mark.parametrize(
    "module", [name for name, path in modules().items() if path.name == "__init__.py"]
)
def test_every_room_says_its_purpose(module: str) -> None:
    assert ast.get_docstring(ast.parse(modules()[module].read_text("utf-8")))


ABSOLUTE = re.compile(r"(?<![\w.:])/(root|work|home/\w+)/[\w.]")


NOT_SOURCE = re.compile(
    r"\.(?!ci$|github$|gitignore$|dockerignore$|gitattributes$).*"
    r"|.*\.egg-info|__pycache__|build|dist|node_modules"
)
"""Files and folders that are made, not written: an archive of the source has no git to ask."""


def source_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if NOT_SOURCE.fullmatch(path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from source_files(path)
        elif path.is_file():
            yield path


def paths_of_one_machine(root: Path) -> list[str]:
    return [
        f"{path.relative_to(root)}: {match.group()}"
        for path in source_files(root)
        if path != Path(__file__)
        for match in ABSOLUTE.finditer(path.read_text("utf-8", errors="replace"))
    ]


def test_no_path_of_one_machine() -> None:
    assert Path(__file__) in source_files(ROOT)
    assert not paths_of_one_machine(ROOT)


def test_the_source_is_looked_through_without_git(tmp_path: Path) -> None:
    for name in (".venv/x.py", ".venv-ci/x.py", ".git/config", "tests/__pycache__/x.pyc"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("/root/main")
    (tmp_path / "tests/x.py").write_text("cd /work/main")
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github/ci.yml").write_text("cd /home/me/x")
    assert paths_of_one_machine(tmp_path) == [".github/ci.yml: /home/me/x", "tests/x.py: /work/m"]


@pytest.mark.parametrize("text", ["x = '/root/main'", "cd /work/main", "/home/me/x"])
def test_a_path_of_one_machine_is_caught(text: str) -> None:
    assert ABSOLUTE.search(text)


# -- rules name what is there ----------------------------------------------------------------


def unknown_names(named: set[str]) -> set[str]:
    return {name for name in named if name not in modules()}


def test_rules_name_what_is_there() -> None:
    rooms = {name for rooms in MAY_IMPORT.values() for name in rooms} | MAY_IMPORT.keys()
    named = PURE | LEAVES | ASSEMBLERS | {f"gateway.{name}" for name in rooms}
    assert not unknown_names(named | {f"worker.{name}" for name in WORKER_ROOMS})


def test_a_rule_for_a_file_that_is_not_there_is_caught() -> None:
    assert unknown_names({"gateway.metrics", "gateway.pool"}) == {"gateway.metrics"}
