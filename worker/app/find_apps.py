"""Guesses where an app is, for an operator who has named it wrongly. Files are read, and none is
run.
"""

import os
import re
from collections.abc import Iterator
from typing import Final

MOST_FILES: Final = 300
MOST_BYTES: Final = 200_000
MOST_NAMED: Final = 5

_APP = re.compile(
    r"^(\w+)(?:\s*:\s*[\w.]+)?\s*=\s*(?:await\s+)?(?:\w+\.)*"
    r"(FastAPI|Flask|Starlette|Quart|Litestar|Sanic|Falcon|Bottle|Blacksheep|Application|ASGIApp"
    r"|ProtocolTypeRouter|get_wsgi_application|get_asgi_application|create_app|make_app"
    r"|default_app|App)\s*\(",
    re.MULTILINE,
)
_FACTORY = re.compile(r"^(?:async\s+)?def\s+(create_app|make_app|get_app|init_app)\s*\(", re.M)
_CALLABLE = re.compile(
    r"^(?:async\s+)?def\s+(app|application)\s*\(\s*(?:scope|environ|env)\b", re.MULTILINE
)
_LEFT_OUT: Final = ("node_modules", "venv", "env", "tests", "test", "docs", "build", "dist")


def apps_in(folder: str) -> list[str]:
    """Names of what looks like an app in the folder's modules and packages, MOST_NAMED at most:
    apps as `module:attribute`, then factories as `module:create_app --factory`."""
    apps: list[str] = []
    factories: list[str] = []
    for index, (module, path) in enumerate(_modules(folder, "", 2)):
        if index >= MOST_FILES:
            break
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = file.read(MOST_BYTES)
        except OSError:
            continue
        found = [match[1] for match in (*_APP.finditer(text), *_CALLABLE.finditer(text))]
        apps += [f"{module}:{name}" for name in dict.fromkeys(found)]
        if not found:
            factories += [f"{module}:{match[1]} --factory" for match in _FACTORY.finditer(text)]
    return (apps + factories)[:MOST_NAMED]


def folder_of(module: str, folder: str) -> str:
    """A directory in `folder` from which the module's first part can be imported, such as "src";
    ".." if `folder` is that package itself; "" if none is found."""
    top = module.partition(".")[0]
    if os.path.basename(folder) == top and _holds_python(folder):
        return ".."
    names = [name for name in _entries(folder) if not _is_left_out(name)]
    for name in sorted(names, key=lambda name: (name != "src", name)):
        path = os.path.join(folder, name)
        if not os.path.isfile(os.path.join(path, "__init__.py")) and (
            os.path.isfile(os.path.join(path, f"{top}.py"))
            or _holds_python(os.path.join(path, top))
        ):
            return name
    return ""


def _modules(folder: str, prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    for name in _entries(folder):
        path = os.path.join(folder, name)
        stem, dot, ending = name.partition(".")
        if dot and ending == "py" and stem.isidentifier() and not stem.startswith("test_"):
            module = prefix.removesuffix(".") if stem == "__init__" else prefix + stem
            if module:
                yield module, path
        elif depth and name.isidentifier() and not _is_left_out(name) and _holds_python(path):
            yield from _modules(path, f"{prefix}{name}.", depth - 1)


def _entries(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _holds_python(folder: str) -> bool:
    return any(name.endswith(".py") for name in _entries(folder))


def _is_left_out(name: str) -> bool:
    return name.startswith((".", "_")) or name in _LEFT_OUT
