"""Who may import whom: parts, rooms, leaves, the one adapter of each library, and no circles.

The arrows go one way, from what drives to what is driven, so that a room can be read, tested and
replaced with what stands below it and nothing else.
"""

import pytest

from .source import (
    Import,
    all_imports,
    imports_of,
    modules,
    package_modules,
    room,
    top,
    unknown_names,
)

LEAVES = {f"gateway.{name}" for name in ("directories", "json_texts", "peers", "settings")}
"""Files at the gateway's top that every room may import, and that import each other only."""
REQUEST_PATH = {
    "buffering",
    "exchange",
    "files",
    "handlers",
    "http",
    "http1",
    "http2",
    "listen",
    "observe",
    "pool",
    "serve",
    "tls",
    "transport",
    "websocket",
}
"""The rooms that a gateway process is made of."""
MAY_IMPORT = {
    # room of the gateway, or file at its top -> rooms (and such files) that it may import
    "exchange": set[str](),
    "buffering": {"exchange"},
    "http": {"exchange"},
    "http1": {"http", "exchange"},
    "http2": {"http", "exchange"},
    "websocket": {"http", "exchange"},
    "tls": set[str](),
    "listen": set[str](),
    "transport": {"tls"},
    "pool": {"buffering", "exchange", "files", "transport"},
    # A pool reaches a route as something that answers exchanges, not as an import.
    "files": {"exchange"},
    "handlers": {"exchange", "files", "http", "observe"},
    "serve": REQUEST_PATH - {"buffering", "files", "pool", "serve"},
    "observe": {"exchange"},
    "metrics": {"exchange"},
    "trace": {"exchange"},
    # It serves HTTP by the rooms that serve the clients; what it shows, the supervisor hands in.
    "admin": REQUEST_PATH - {"buffering", "files", "pool"} | {"config", "control", "metrics"},
    "config": {"listen", "observe", "tls"},
    "control": {"config", "listen", "metrics", "observe", "transport"},
    "supervisor": {"admin", "config", "control", "listen", "metrics", "observe", "tls"},
    "cli": {"config", "control", "supervisor"},
    "program": {"cli", "config"},
}
ASSEMBLERS = {
    # The files at its top that make a process of the rooms -> what they may import
    "assemble": REQUEST_PATH | {"config", "metrics", "trace"},
    "process": {"assemble", "metrics", "observe", "pool", "supervisor", "tls"},
}
INNER_ROOMS = {
    # A room within a room -> what it may import of the gateway besides itself and the leaves.
    "gateway.supervisor.fleet": {"gateway.control.durations"},
}
WORKER_ROOMS = {
    # room of the worker -> rooms that it may import, besides the file `settings`
    "process": set[str](),
    "app": {"process"},
    "host": {"app", "process"},
    "asgi": {"app", "host", "process"},
    "wsgi": {"app", "host", "process"},
}
PACKAGE_MAY_IMPORT = {"gateway.cli", "gateway.program", "gateway.control.healthcheck"}
ADAPTERS = {"h11", "httptools", "msgpack", "wsproto", "h2", "ssl", "prometheus_client"}
"""Third-party protocol libraries (and ssl): one file of the house imports each."""
WORKER_MAY_USE = {"msgpack", "uvloop"}
STANDARD_LIBRARY = frozenset(__import__("sys").stdlib_module_names)


# -- the rules: each gives a sentence for each import that breaks it ---------------------------


def own_code_is_imported_relatively(one: Import) -> str | None:
    if one.ours and not one.relative:
        return "own code is imported relatively"
    return None


def parts_keep_apart(one: Import) -> str | None:
    allowed = {"protocol": {"protocol"}, "worker": {"worker", "protocol"}}
    package = {name for name, _ in package_modules()}
    allowed |= {name: package | {"gateway"} for name in package}
    reach = allowed.get(top(one.of), {"gateway", "protocol"})
    if one.ours and top(one.name) not in reach:
        return f"{top(one.of)} may import {' and '.join(sorted(reach))} only"
    return None


def the_package_knows_its_entrances(one: Import) -> str | None:
    package = {name for name, _ in package_modules()}
    if one.ours and one.of in package and one.name not in PACKAGE_MAY_IMPORT | package:
        return f"propylon itself imports {' and '.join(sorted(PACKAGE_MAY_IMPORT))} only"
    return None


def rooms_know_their_neighbours(one: Import) -> str | None:
    if not one.ours or not one.name.startswith("gateway.") or not one.of.startswith("gateway."):
        return None
    if one.name in LEAVES:
        return None
    here, there = room(one.of), room(one.name)
    if one.of in LEAVES:
        return "a leaf imports leaves only"
    if here != there and there not in (MAY_IMPORT | ASSEMBLERS).get(here, set()):
        return f"{here} may not import {there}"
    return None


def inner_rooms_know_their_neighbours(one: Import) -> str | None:
    for inner, others in INNER_ROOMS.items():
        inside = f"{one.of}.".startswith(f"{inner}.")
        if not inside or not one.name.startswith("gateway.") or one.name in LEAVES | others:
            continue
        if not f"{one.name}.".startswith(f"{inner}."):
            return f"{inner} may not import {one.name}"
    return None


def worker_rooms_know_their_neighbours(one: Import) -> str | None:
    here, there = room(one.of), room(one.name)
    if top(one.of) != "worker" or not one.name.startswith("worker.") or here not in WORKER_ROOMS:
        return None
    if there not in {here, "settings"} | WORKER_ROOMS[here]:
        return f"{here} may not import {there}"
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
    the_package_knows_its_entrances,
    rooms_know_their_neighbours,
    inner_rooms_know_their_neighbours,
    worker_rooms_know_their_neighbours,
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
    ("__init__", "from .worker.run import main", parts_keep_apart),
    ("__main__", "from .gateway.supervisor.run import x", the_package_knows_its_entrances),
    ("gateway.handlers.route", "from ..pool.pool import Pool", rooms_know_their_neighbours),
    ("gateway.handlers.route", "from ..http1.machine import X", rooms_know_their_neighbours),
    ("gateway.handlers.route", "from ..serve import connection", rooms_know_their_neighbours),
    ("gateway.handlers.route", "def f():\n  from .. import pool", rooms_know_their_neighbours),
    ("gateway.http1.machine", "from ..websocket import x", rooms_know_their_neighbours),
    ("gateway.http1.machine", "from ..serve import x", rooms_know_their_neighbours),
    ("gateway.websocket.frames", "from ..http1 import x", rooms_know_their_neighbours),
    ("gateway.http.trust", "from ..http1 import x", rooms_know_their_neighbours),
    ("gateway.exchange.exchange", "from ..pool import x", rooms_know_their_neighbours),
    ("gateway.exchange.exchange", "from ..http import x", rooms_know_their_neighbours),
    ("gateway.transport.poller", "from ..serve import x", rooms_know_their_neighbours),
    ("gateway.serve.service", "from ..pool.pool import Pool", rooms_know_their_neighbours),
    ("gateway.control.verbs", "from ..supervisor import x", rooms_know_their_neighbours),
    ("gateway.supervisor.run", "from ..pool.pool import Pool", rooms_know_their_neighbours),
    ("gateway.supervisor.run", "from ..assemble import x", rooms_know_their_neighbours),
    ("gateway.assemble", "from .supervisor import x", rooms_know_their_neighbours),
    ("gateway.settings", "from .http1.machine import x", rooms_know_their_neighbours),
    ("gateway.settings", "from .peers_of_others import x", rooms_know_their_neighbours),
    (
        "gateway.supervisor.fleet.rollout",
        "from ..process.child import x",
        inner_rooms_know_their_neighbours,
    ),
    (
        "gateway.supervisor.fleet.rollout",
        "from ...control.commands import x",
        inner_rooms_know_their_neighbours,
    ),
    ("worker.app.load", "from ..host import x", worker_rooms_know_their_neighbours),
    ("worker.host.host", "from ..asgi.call import x", worker_rooms_know_their_neighbours),
    ("worker.asgi.call", "from ..wsgi.call import x", worker_rooms_know_their_neighbours),
    ("worker.process.zygote", "from ..run import x", worker_rooms_know_their_neighbours),
    ("worker.asgi.asyncio_host", "import trio", workers_stay_light),
    ("worker.wsgi.call", "def f():\n  import msgspec", workers_stay_light),
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
    ("gateway.supervisor.fleet.rollout", "from ...control.durations import x\nfrom . import fleet"),
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


# -- circles ---------------------------------------------------------------------------------


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


# -- rules name what is there, and what is there has a rule ------------------------------------


def test_rules_name_what_is_there() -> None:
    table = MAY_IMPORT | ASSEMBLERS
    rooms = {name for rooms in table.values() for name in rooms} | table.keys()
    inner = {name for names in INNER_ROOMS.values() for name in names} | INNER_ROOMS.keys()
    named = LEAVES | PACKAGE_MAY_IMPORT | inner | {f"gateway.{name}" for name in rooms}
    assert not unknown_names(named | {f"worker.{name}" for name in WORKER_ROOMS})


def test_a_rule_for_a_file_that_is_not_there_is_caught() -> None:
    assert unknown_names({"gateway.sundry", "gateway.pool"}) == {"gateway.sundry"}


def test_every_room_has_a_rule() -> None:
    ruled = {f"gateway.{name}" for name in MAY_IMPORT | ASSEMBLERS} | LEAVES
    ruled |= {f"worker.{name}" for name in WORKER_ROOMS}
    ruled |= {f"worker.{name}" for name in ("__main__", "command_line", "run", "settings")}
    ruled.add("worker.older_flags")
    there = {
        name for name in modules() if name.count(".") == 1 and top(name) in ("gateway", "worker")
    }
    assert there <= ruled
