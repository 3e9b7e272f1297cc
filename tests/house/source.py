"""The source as the rules see it: modules by dotted name, their syntax trees, their imports."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PARTS = ("gateway", "worker", "protocol")
PACKAGE = "package"
"""The folder of what `propylon` itself has: modules directly below that name."""


@dataclass(frozen=True)
class Import:
    """One import, as dotted names below `propylon` for our own code."""

    of: str
    """The importing module: "gateway.pool.link_member"."""
    name: str
    """What is imported: "gateway.pool" or "trio"."""
    ours: bool
    relative: bool


@cache
def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name below `propylon`."""
    found: dict[str, Path] = {}
    for part in PARTS:
        for path in (ROOT / part).rglob("*.py"):
            names = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(names[:-1] if names[-1] == "__init__" else names)] = path
    return found | dict(package_modules())


def package_modules() -> Iterator[tuple[str, Path]]:
    """The modules directly below `propylon`, `__init__` and `__main__` among them."""
    for path in (ROOT / PACKAGE).glob("*.py"):
        yield path.stem, path


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text("utf-8"))


def folder(module: str) -> str:
    """The folder of a module, slashed: "gateway/pool" of "gateway.pool.retry"."""
    return "/".join(modules()[module].relative_to(ROOT).parts[:-1])


def within(module: str, names: Iterable[str]) -> bool:
    """Whether the module is one of those named, or lies in one of them."""
    parts = module.split(".")
    return not {".".join(parts[:length]) for length in range(1, len(parts) + 1)}.isdisjoint(names)


def unknown_names(named: Iterable[str]) -> set[str]:
    """Which of the names that a rule uses are no modules of ours."""
    return set(named) - modules().keys()


def imports_of(module: str, source: str | ast.Module, package: bool = False) -> Iterator[Import]:
    """Every import in the source, wherever it stands: functions, TYPE_CHECKING."""
    here = module.split(".") if package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source) if isinstance(source, str) else source):
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
def all_imports() -> tuple[Import, ...]:
    return tuple(
        one
        for module, path in modules().items()
        for one in imports_of(
            module, tree(module), path.name == "__init__.py" and module != "__init__"
        )
    )


def top(name: str) -> str:
    """The part that a module belongs to, or the library of a foreign name."""
    return name.split(".")[0]


def room(module: str) -> str:
    """The room of a module, or the name of a file at its part's top."""
    return [*module.split("."), ""][1]
