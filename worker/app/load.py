"""Loads an app by its name `module:attribute`, or raises a sentence that says why it cannot be
loaded.
"""

import difflib
import importlib
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final, Literal

from ..process import own_log
from ..settings import Interface, WorkerSettings
from .find_apps import apps_in, folder_of
from .interface import interface_of
from .tracebacks import app_traceback, strip_frames, summary

logger = logging.getLogger("propylon.worker")

DEFAULT_ATTRIBUTES: Final = ("app", "application")


class AppLoadError(Exception):
    """The app cannot be served. `step` says what failed ("settings", "log-config", "import",
    "attribute", "factory", "interface", "lifespan", "warm-up"), `message` is one sentence, and
    `detail` is the app's traceback or ""."""

    def __init__(self, step: str, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.step = step
        self.message = message
        self.detail = detail


@dataclass(frozen=True, slots=True)
class LoadedApp:
    app: Callable[..., Any]
    name: str
    """`module:attribute`, as the app was found."""
    interface: Interface


def load_app(settings: WorkerSettings) -> LoadedApp:
    app_dir = os.path.abspath(settings.app_dir or os.getcwd())
    if app_dir not in sys.path[:1]:
        sys.path.insert(0, app_dir)
    for place, path in enumerate(map(os.path.abspath, settings.pythonpath), start=1):
        if path not in sys.path:
            sys.path.insert(place, path)
    module_name, _, attribute = settings.app.partition(":")
    if not module_name or settings.app.endswith(":"):
        raise AppLoadError("import", f"{settings.app!r} is not of the form module:attribute")
    if settings.log_config:
        _configure_logging(settings.log_config)
    module = _import(module_name, app_dir)
    app, attribute = _find(module, attribute, app_dir)
    name = f"{module_name}:{attribute}"
    if settings.factory:
        app = _build(app, name)
    if not callable(app) and settings.factory:
        problem = f"the factory {name} gave {_article(app)}, which cannot be called"
        if inspect.iscoroutine(app):
            app.close()
            problem = f"the factory {name} is async, and is called without await: make it a def"
        raise AppLoadError("factory", problem)
    if isinstance(app, ModuleType):
        raise AppLoadError("attribute", f"{name} is a module{_app_instead(app, app_dir)}")
    if not callable(app):
        raise AppLoadError(
            "attribute",
            f"{name} is {_article(app)}, which cannot be called" + _found_instead(module),
        )
    return LoadedApp(app, name, _interface(app, name, settings.interface))


def _configure_logging(config: str) -> None:
    try:
        own_log.configure(config)
    except Exception as error:  # a handler's class may raise anything
        why = summary(error.__cause__ or error)
        raise AppLoadError("log-config", f"--log-config cannot be used: {why}") from None


def _import(name: str, app_dir: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if strip_frames(error).__traceback__ is None and (
            missing == name or name.startswith(missing + ".")
        ):
            raise AppLoadError("import", _no_module(name, missing, app_dir)) from None
        raise AppLoadError(
            "import",
            f"module {name} was found, but imports {missing!r}, which is not installed here"
            + (_one_up(name, missing, app_dir) or _beside(name, missing, app_dir)),
            app_traceback(error),
        ) from None
    except (Exception, SystemExit) as error:
        if isinstance(error, (TypeError, ValueError)) and strip_frames(error).__traceback__ is None:
            raise AppLoadError("import", f"{name!r} is no module name: {error}") from None
        raise AppLoadError(
            "import",
            f"module {name} raised {summary(error)}{_import_hint(error, name, app_dir)}",
            app_traceback(error),
        ) from None


def _no_module(name: str, missing: str, app_dir: str) -> str:
    if taken := _taken(name, app_dir):
        return f"there is no module {missing!r}{taken}"
    holder, _, last = name.rpartition(".")
    if missing == name and hasattr(sys.modules.get(holder), last):
        return f"there is no module {missing!r}; did you mean {holder}:{last}?"
    message = f"there is no module {missing!r} in {app_dir} nor among the installed packages"
    top = missing.partition(".")[0]
    if top == missing and (where := folder_of(missing, app_dir)):
        if where == "..":
            return f"{message}; that is the directory itself: go one up, or say --app-dir .."
        return f"{message}; {where}/ has it: say --app-dir {where}"
    if "/" in name or name.endswith(".py"):
        stem = name.removesuffix(".py").strip("./").replace("/", ".")
        return f"{message}; a module is named with dots and without .py: {stem}"
    try:
        entries = sorted(os.listdir(app_dir))
    except OSError as error:
        return f"{message}; the directory cannot be read: {error.strerror}"
    modules = [
        entry.removesuffix(".py")
        for entry in entries
        if entry.endswith(".py") or os.path.isfile(os.path.join(app_dir, entry, "__init__.py"))
    ]
    near = difflib.get_close_matches(missing, modules, 3)
    if not near and (apps := apps_in(app_dir)):
        return f"{message}; apps found there: {', '.join(apps)}"
    near = near or modules[:5]
    return f"{message}; found there: {', '.join(near)}" if near else message


def _taken(name: str, app_dir: str) -> str:
    """The end of a sentence if a module of the app cannot be imported because another of its name
    was imported before, such as the standard library's site or queue; else ""."""
    top = name.partition(".")[0]
    place = os.path.join(app_dir, top)
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    if top not in sys.modules or file.startswith((place + os.sep, place + ".")):
        return ""
    if not os.path.isfile(f"{place}.py") and not os.path.isdir(place):
        return ""
    own = "Python's own" if top in sys.stdlib_module_names else "an installed"
    return f": {top} is {own} module, which is imported already; give {place} another name"


def _one_up(name: str, missing: str, app_dir: str) -> str:
    """A hint for a module that was named from inside of its package, as Django's wsgi in mysite/;
    else ""."""
    if missing.partition(".")[0] != os.path.basename(app_dir):
        return ""
    return f": that is the directory itself; go one up, and say {missing.partition('.')[0]}.{name}"


def _beside(name: str, missing: str, app_dir: str) -> str:
    """A hint for a module that imports its neighbour as if its own folder were on sys.path; else
    ""."""
    folder = name.rpartition(".")[0].replace(".", "/")
    top = missing.partition(".")[0]
    place = os.path.join(app_dir, folder, top)
    if not folder or not (os.path.isfile(f"{place}.py") or os.path.isdir(place)):
        return ""
    return (
        f"; {folder}/ has it: import it as {folder.replace('/', '.')}.{top}, or start with "
        f"--app-dir {folder} and without that prefix"
    )


def _import_hint(error: BaseException, name: str, app_dir: str) -> str:
    """A hint for an ImportError that has another cause than a missing module; else ""."""
    if not isinstance(error, ImportError):
        return ""
    if "attempted relative import" in str(error):
        return (
            f"; it is part of a package: go one directory up, and say "
            f"{os.path.basename(app_dir)}.{name}"
        )
    file = error.path or ""
    imports_itself = "partially initialized module" in str(error) or any(
        os.path.realpath(frame.filename) == os.path.realpath(file)
        for frame in traceback.extract_tb(error.__traceback__)[-1:]
    )
    if imports_itself and file == os.path.join(app_dir, f"{error.name}.py"):
        return f"; {file} hides the package {error.name}: give that file another name"
    return ""


def _app_instead(module: ModuleType, app_dir: str, wanted: str = "") -> str:
    """A hint for a module or package without the app, such as `; did you mean mysite.wsgi?`: its
    own apps if there are any, else its callables and the apps of other modules. `wanted` is the
    attribute that is missing, which may be the name of a module in the package."""
    name = module.__name__
    folders = list(getattr(module, "__path__", ()))
    if wanted.isidentifier() and any(
        os.path.isfile(os.path.join(folder, f"{wanted}.py")) for folder in folders
    ):
        return f"; did you mean {name}.{wanted}?"
    apps = apps_in(app_dir)
    held = [app for app in apps if app.startswith((f"{name}.", f"{name}:"))]
    if held:
        return f"; did you mean {' or '.join(held)}?"
    instead = _found_instead(module)
    return f"{instead}; apps found here: {', '.join(apps)}" if apps else instead


def _find(module: ModuleType, attribute: str, app_dir: str) -> tuple[object, str]:
    if not attribute:
        for candidate in DEFAULT_ATTRIBUTES:
            if hasattr(module, candidate):
                return getattr(module, candidate), candidate
        raise AppLoadError(
            "attribute",
            f"module {module.__name__} has neither 'app' nor 'application'"
            + (_taken(module.__name__, app_dir) or _app_instead(module, app_dir)),
        )
    found: object = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            names = [n for n in dir(found) if not n.startswith("_")]
            near = difflib.get_close_matches(part, names, 3)
            if taken := _taken(module.__name__, app_dir):
                hint = taken
            elif part.endswith("()"):
                hint = f"; a factory is named so: {module.__name__}:{attribute[:-2]} --factory"
            elif near:
                hint = f"; did you mean {' or '.join(near)}?"
            else:
                hint = _app_instead(module, app_dir, part)
            where = f"module {module.__name__}" if found is module else attribute
            raise AppLoadError("attribute", f"{where} has no attribute {part!r}{hint}") from None
    return found, attribute


def _found_instead(module: ModuleType) -> str:
    """A hint that lists a module's callables, those that it defines itself first."""
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and callable(value)
        and getattr(value, "__module__", module.__name__) in (module.__name__, None)
    ]
    others = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and name not in own
        and callable(value)
        and not isinstance(value, type)
    ]
    names = (own + others)[:5]
    return f"; its callables are: {', '.join(names)}" if names else "; it has no callables"


def _build(factory: object, name: str) -> object:
    if not callable(factory):
        raise AppLoadError("factory", f"{name} is {_article(factory)}, which builds no app")
    try:
        return factory()
    except (Exception, SystemExit) as error:
        detail = app_traceback(error)
        if (
            error.__traceback__ is None
            and isinstance(error, TypeError)
            and interface_of(factory) in ("asgi", "wsgi")
        ):
            message = f"{name} is an app already, and no factory: leave --factory out"
        elif error.__traceback__ is None and isinstance(error, TypeError):
            message = f"{name} cannot be called without arguments as a factory: {error}"
        else:
            message = f"the factory {name} raised {summary(error)}"
        raise AppLoadError("factory", message, detail) from None


def _interface(
    app: Callable[..., object], name: str, wanted: Literal["auto", "asgi", "wsgi"]
) -> Interface:
    found = interface_of(app)
    if found == "asgi2" and wanted != "wsgi":
        raise AppLoadError(
            "interface",
            f"{name} speaks ASGI 2 (a call with the scope alone gives the app); wrap it with "
            "asgiref.compatibility.guarantee_single_callable",
        )
    if wanted != "auto":
        if found in ("asgi", "wsgi") and found != wanted:
            logger.warning(
                "%s looks like an app for %s, and is served as %s because --interface or -k says "
                "so; without that option it would be served as what it is",
                name, found.upper(), wanted.upper(),
            )  # fmt: skip
        return wanted
    if found == "asgi" or found == "wsgi":
        return found
    if found == "factory":
        raise AppLoadError(
            "interface", f"{name} takes no arguments: if it builds the app, say --factory"
        )
    raise AppLoadError(
        "interface",
        f"{name} takes neither (scope, receive, send) nor (environ, start_response); "
        "if it is an app, say --interface asgi or --interface wsgi",
    )


def _article(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
