"""`propylon.run(app, ...)`: serves from a program instead of from the command line."""

import os
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, NoReturn, cast

from .cli import EXIT_USAGE, fail, supervise
from .config.faults import ConfigError, Fault, nearest
from .config.load import load
from .config.options import names
from .config.peers_options import PEERS_OPTIONS

_WORKER = "propylon.worker.run"
"""A module that only a worker process has imported."""


def serve(app: object, config_file: str | None, options: Mapping[str, Any]) -> None:
    """Serves, and returns when the service has stopped well; otherwise ends the program. Raises
    RuntimeError if it is called in a worker."""
    if _WORKER in sys.modules:
        raise RuntimeError(
            "propylon.run() is called by a module that is imported for its app: call it under "
            'if __name__ == "__main__":'
        )
    values = dict(options)
    if headers := values.pop("headers", None):  # uvicorn's option, a list of pairs
        values["header"] = tuple(f"{name}:{value}" for name, value in headers)
    name, app_dir = app if isinstance(app, str) else _name_of(app), ""
    if not isinstance(app, str) and name.startswith("__main__:"):
        name, app_dir = _importable_main(name.removeprefix("__main__:"))
    if name:
        values["app"] = name
    if "app_dir" not in values and (app_dir or app is not None):
        values["app_dir"] = app_dir or (sys.path[0] if os.path.isdir(sys.path[0]) else ".")

    def read() -> Any:
        return load("serve", _as_flags(values), os.environ, config_file)

    for given in list(values):
        row = names().get(given.replace("_", "-"))
        if row is not None and row.secret:  # every user can read a command line
            os.environ[row.variables[0]] = str(values.pop(given))
    before = sys.argv
    # An upgrade starts the new code with the command line of this process.
    sys.argv = ["propylon", *_command_line(values, config_file)]
    try:
        code = supervise("serve", read)
    except ConfigError as error:
        fail(error)
    finally:
        sys.argv = before
    if code:
        sys.exit(code)


def _as_flags(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options as `load` takes flags. Raises ConfigError for an unknown name."""
    flags: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, value in values.items():
        dashed = name.replace("_", "-")
        if dashed not in names() and dashed not in PEERS_OPTIONS:
            hint = nearest(name, [known.replace("-", "_") for known in (*names(), *PEERS_OPTIONS)])
            faults.append(Fault("run()", f"there is no option {name}{hint}"))
        row = names().get(dashed)
        many = row is not None and "tuple" in str(row.type)
        if isinstance(value, (list, tuple)):
            value = tuple(str(part) for part in cast("list[object]", value))
        elif isinstance(value, os.PathLike):
            value = os.fspath(cast("os.PathLike[str]", value))
        if many and isinstance(value, str):
            value = (value,)
        flags[name] = value
    if faults:
        raise ConfigError(faults)
    return flags


def _command_line(values: Mapping[str, Any], config_file: str | None) -> list[str]:
    """The arguments of `propylon` that mean the same."""
    words = ["serve", *([f"--config={config_file}"] if config_file else [])]
    for name, value in values.items():
        dashed = name.replace("_", "-")
        if name == "app":
            words.append(str(value))
        elif isinstance(value, bool):
            words.append(f"--{'' if value else 'no-'}{dashed}")
        elif isinstance(value, (list, tuple)):
            words += [f"--{dashed}={part}" for part in cast("list[object]", value)]
        elif value is not None:
            words.append(f"--{dashed}={value}")
    return words


def _name_of(app: object) -> str:
    """`module:attribute` of the global that is this object; "" for None. Ends the program if no
    module has such a global."""
    if app is None:
        return ""
    for module in _modules(app):
        for name, value in list(vars(module).items()):
            if value is app and not name.startswith("__"):
                return f"{module.__name__}:{name}"
    return _refuse(
        f"the app, {_article(app)}, is no global of a module, and workers are processes of their "
        'own that import it: name it, as in propylon.run("main:app"), or name the function that '
        'makes it, propylon.run("main:create_app", factory=True)'
    )


def _modules(app: object) -> Iterator[ModuleType]:
    """Yields all loaded modules; the program and the module of the app come first."""
    main = sys.modules.get("__main__")
    home = sys.modules.get(getattr(app, "__module__", None) or "")
    for module in (main, home, *list(sys.modules.values())):
        if isinstance(module, ModuleType):
            yield module


def _importable_main(attribute: str) -> tuple[str, str]:
    """The name of an attribute of the program itself as workers import it, and the directory from
    which they do. Ends the program if it cannot be imported."""
    main = sys.modules["__main__"]
    spec = main.__spec__
    if spec is not None:  # python -m package.module
        return f"{spec.name.removesuffix('.__main__')}:{attribute}", sys.path[0] or "."
    file: str | None = getattr(main, "__file__", None)
    if file is None:
        _refuse("an app that was made at the prompt cannot be imported by workers: use a file")
    folder, name = os.path.split(os.path.abspath(file))
    stem = name.removesuffix(".py")
    if not stem.isidentifier():
        _refuse(f"workers import the app, and {name} is no name of a module: rename it")
    return f"{stem}:{attribute}", folder


def _refuse(sentence: str) -> NoReturn:
    """Prints the sentence and ends the program."""
    print(f"propylon: {sentence}", file=sys.stderr)
    sys.exit(EXIT_USAGE)


def _article(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
