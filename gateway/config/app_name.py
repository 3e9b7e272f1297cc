"""Other ways to name an app: those of other servers, and the path of a file."""

import ast
import os
from typing import Final

USUAL: Final = ("app", "application", "create_app", "make_app")
"""The names that an app or its factory usually has, the likeliest first."""


def in_our_words(app: str) -> dict[str, str | bool]:
    """The fields of a pool that an app's name decides: `app`, and perhaps `factory` (the name ends
    in parentheses, as for gunicorn) and `interface` (it begins with one, as for hypercorn)."""
    said: dict[str, str | bool] = {}
    prefix, _, rest = app.partition(":")
    if prefix in ("asgi", "wsgi") and ":" in rest:  # hypercorn's way to name an interface
        app, said["interface"] = rest, prefix
    if app.endswith("()"):  # gunicorn's way to name a factory
        app, said["factory"] = app.removesuffix("()"), True
    return said | {"app": app}


def meant_by_path(text: str) -> str:
    """A hint such as `for src/pkg/main.py that is: --app-dir src pkg.main:app`. `text` is a path,
    perhaps followed by `:attribute`. The files are looked at, and none is run."""
    path, _, attribute = text.partition(":")
    path = path.rstrip("/")
    folder, file = os.path.split(os.path.normpath(path))
    names = [file.removesuffix(".py")]
    while folder not in ("", "/", ".", "..") and _is_part_of_package(folder):
        folder, name = os.path.split(folder)
        names.insert(0, name)
    if names[-1] == "__init__" and len(names) > 1:
        names.pop()
    attribute = attribute or attribute_in(path) or "app"
    factory = " --factory" if attribute in USUAL[2:] else ""
    where = f"--app-dir {folder} " if folder not in ("", ".") else ""
    return f"for {path} that is: {where}{'.'.join(names)}:{attribute}{factory}"


def _is_part_of_package(folder: str) -> bool:
    """Whether a module's name begins with this folder's: in a folder `src` it does not, in any
    other folder it does, with an __init__.py or without."""
    return os.path.basename(folder) != "src" and ".." not in folder.split("/")


def attribute_in(path: str) -> str:
    """The global of a Python file whose name looks most like an app's; "" if none does. The file is
    parsed and not run."""
    try:
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read(1_000_000))
    except (OSError, ValueError, SyntaxError, RecursionError):
        return ""
    names: set[str] = set()
    for node in tree.body:
        match node:
            case ast.Assign(targets=targets):
                names.update(one.id for one in targets if isinstance(one, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case _:
                pass
    return next((name for name in USUAL if name in names), "")
