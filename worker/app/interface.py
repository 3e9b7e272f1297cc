"""Recognises the interface of an app, ASGI or WSGI, by how it can be called."""

import inspect
from collections.abc import Callable
from functools import partial
from types import CellType, FunctionType, MethodWrapperType
from typing import Any, Final, Literal, cast

Kind = Literal["asgi", "wsgi", "asgi2", "factory", "unknown"]

_MOST_STEPS: Final = 20
"""Steps from an object to the function behind it. No working app needs as many."""
_NAMES_OF_INNER: Final = (
    "app", "application", "_app", "inner", "wrapped", "__wrapped__", "wsgi_app", "asgi_app",
)  # fmt: skip
"""Attributes in which decorating objects keep what they decorate."""


def interface_of(app: Callable[..., object], *, behind: int = 5) -> Kind:
    """The interface of an app. A coroutine function, or three positional parameters, mean ASGI 3;
    two parameters mean WSGI, and one means ASGI 2.

    A class is judged by the call that makes an instance, because that is what the server calls. A
    decorator with a signature that says nothing (`*args`) has the interface of the app behind it;
    `behind` says how many decorators are looked through.
    """
    if inspect.isclass(app):
        return _class_kind(app)
    target = _what_runs(app)
    takes = _positional(target)
    signed = target
    if takes is None:  # functools.update_wrapper puts a signature on the object itself
        takes, signed = _positional(app), app
    if inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(app):
        return "asgi" if takes is None or 3 in takes else "unknown"
    if takes is None:
        return _kind_of_decorated(app, target, behind - 1) if behind else "unknown"
    if 3 in takes and 2 in takes:
        return "wsgi" if _first_name(signed) in ("environ", "env") else "asgi"
    if 3 in takes:
        return "asgi"
    if 2 in takes:
        return "wsgi"
    if 0 in takes:
        return "factory"
    return "asgi2" if 1 in takes else "unknown"


def _what_runs(app: Any) -> Any:
    """The function or bound method that a call of this object runs.

    Python looks `__call__` up in the type. There it may be any descriptor: a slot that each
    instance fills (Sentry's ASGI middleware), a partialmethod, a property, or another callable
    object.
    """
    for _ in range(_MOST_STEPS):
        if isinstance(app, partial):
            part = cast("partial[object]", app)
            return partial(_what_runs(part.func), *part.args, **part.keywords)
        if inspect.isroutine(app):
            return app
        found = inspect.getattr_static(cast("object", type(app)), "__call__", None)
        try:
            called = found.__get__(app, type(app)) if hasattr(found, "__get__") else found
        except Exception:  # a property has failed, or a slot is empty
            return app
        if called is None or isinstance(called, MethodWrapperType):
            return app
        app = called
    return app


def _kind_of_decorated(app: object, target: object, behind: int) -> Kind:
    """The interface of a decorated app, judged by the callables that the decorator holds: a
    function in its closure, an object in its attributes. They must agree."""
    held: list[object] = []
    if isinstance(target, FunctionType) and target.__closure__:
        held = [cell.cell_contents for cell in target.__closure__ if _is_filled(cell)]
    elif target is not app:
        held = [getattr(app, name, None) for name in _NAMES_OF_INNER]
    kinds = {interface_of(each, behind=behind) for each in held if callable(each)}
    if ("asgi" in kinds) == ("wsgi" in kinds):
        return "unknown"
    return "asgi" if "asgi" in kinds else "wsgi"


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _class_kind(app: type) -> Kind:
    takes = _positional(app)
    if takes is None:
        return "unknown"
    if 3 in takes and hasattr(app, "__await__"):
        return "asgi"
    if 2 in takes and hasattr(app, "__iter__"):
        return "wsgi"
    if 1 in takes and hasattr(app, "__call__"):  # noqa: B004 - asks about its instances
        call: Any = vars(app).get("__call__")
        if call is not None and inspect.iscoroutinefunction(call):
            return "asgi2"
    return "factory" if 0 in takes else "unknown"


def _positional(app: Callable[..., object]) -> range | None:
    """How many positional arguments a call may have; None if the signature does not say."""
    try:
        parameters = inspect.signature(app).parameters.values()
    except Exception:  # TypeError, ValueError; or any other, from a `__call__` that is a property
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return None
    if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        return None
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(p.default is p.empty for p in places)
    return range(needed, len(places) + 1)


def _first_name(app: Callable[..., object]) -> str:
    return next(iter(inspect.signature(app).parameters), "")
