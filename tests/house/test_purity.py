"""Which files are pure: they decide, and somebody else does.

A pure file does no I/O and reads no clock: what it must know it is told. Whole folders are held to
it, and besides them every file whose docstring says that it is pure. So a table of cases is all
that its tests need.
"""

import ast
import re
from collections.abc import Iterator

import pytest

from .source import Import, all_imports, imports_of, modules, top, tree, unknown_names, within

PURE = {
    # A folder means all that is in it.
    "protocol",
    "gateway.control.commands",
    "gateway.control.durations",
    "gateway.control.status",
    "gateway.exchange",
    "gateway.http",
    "gateway.http1",
    "gateway.http2",
    "gateway.json_texts",
    "gateway.observe.formats",
    "gateway.peers",
    "gateway.pool.balance",
    "gateway.pool.call",
    "gateway.pool.departures",
    "gateway.pool.health",
    "gateway.pool.load",
    "gateway.pool.pool_member",
    "gateway.pool.queue",
    "gateway.pool.retry",
    "gateway.settings",
    "gateway.supervisor.fleet",
    "gateway.websocket",
}
"""Pure whatever their docstrings say. Elsewhere a file says "Pure" of itself and is held to it."""
SAYS_IT_IS_PURE = re.compile(r"\b[Pp]ure[.:]")
DOES_IO = {
    "asyncio",
    "fcntl",
    "os",
    "pathlib",
    "random",
    "secrets",
    "select",
    "selectors",
    "shutil",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "trio",
}
OPENS = {"breakpoint", "input", "open", "print"}


def says_it_is_pure(source: ast.Module) -> bool:
    return bool(SAYS_IT_IS_PURE.search(ast.get_docstring(source) or ""))


def is_pure(module: str) -> bool:
    if within(module, PURE):
        return True
    return module in modules() and says_it_is_pure(tree(module))


def trespass(one: Import, pure: bool) -> str | None:
    """What is wrong with an import of a file that is pure; None if nothing is."""
    if pure and not one.ours and top(one.name) in DOES_IO:
        return f"{one.of}: a pure file imports no {top(one.name)}"
    if pure and one.ours and one.name in modules() and not is_pure(one.name):
        return f"{one.of}: a pure file imports no {one.name}, which is not"
    return None


def built_in_io(module: str, source: ast.Module) -> Iterator[str]:
    for node in ast.walk(source):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in OPENS:
            yield f"{module}: a pure file calls no {ast.unparse(node.func)}()"


def faults(module: str, source: ast.Module, pure: bool) -> list[str]:
    if not pure:
        return []
    package = module in modules() and modules()[module].name == "__init__.py"
    found = [trespass(one, pure) for one in imports_of(module, source, package)]
    return [fault for fault in found if fault] + list(built_in_io(module, source))


def test_pure_files_are_pure() -> None:
    found = [fault for name in modules() for fault in faults(name, tree(name), is_pure(name))]
    assert not found, "\n".join(found)


CAUGHT = [
    ("gateway.http1.parse_h11", "import time"),
    ("gateway.http1.body", "from os import path"),
    ("gateway.pool.retry", "import trio"),
    ("gateway.supervisor.fleet.rollout", "import socket"),
    ("gateway.supervisor.fleet.rollout", "def f():\n  print(1)"),
    ("gateway.exchange.exchange", "from ..transport.poller import Poller"),
    ("gateway.http.trust", "from ..directories import x"),
    ("protocol.codec", "if TYPE_CHECKING:\n  import asyncio"),
    ("gateway.observe.formats", "x = open('/etc/hostname')"),
    ("gateway.serve.upload", '"""Bytes. Pure."""\nimport os'),
    ("worker.wsgi.wait_meter", '"""Waits.\n\nPure: told the time."""\nfrom time import monotonic'),
]


@pytest.mark.parametrize(("module", "snippet"), CAUGHT)
def test_an_impure_file_is_caught(module: str, snippet: str) -> None:
    source = ast.parse(snippet)
    assert faults(module, source, within(module, PURE) or says_it_is_pure(source))


@pytest.mark.parametrize(
    ("module", "snippet"),
    [
        ("gateway.serve.service", '"""Accepts: with the pure files\' help."""\nimport socket'),
        ("gateway.http1.parse_h11", '"""Pure Python."""\nimport re'),
        ("protocol.link", "from . import calls\nimport collections.abc"),
        ("gateway.http.trust", "from ..exchange.exchange import Exchange\nfrom ..peers import x"),
    ],
)
def test_what_is_allowed_is_not_caught(module: str, snippet: str) -> None:
    source = ast.parse(snippet)
    assert not faults(module, source, within(module, PURE) or says_it_is_pure(source))


def test_rules_name_what_is_there() -> None:
    assert not unknown_names(PURE)
    assert {top(one.name) for one in all_imports() if not one.ours} >= {"os", "time", "trio"}


# -- time ------------------------------------------------------------------------------------


def users_of_trios_clock() -> set[str]:
    return {
        module
        for module in modules()
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Attribute) and node.attr == "current_time"
    }


def test_the_gateway_has_one_clock() -> None:
    """trio's starts anywhere: a deadline made of both clocks means nothing."""
    assert users_of_trios_clock() == {"gateway.supervisor.supervisor"}
