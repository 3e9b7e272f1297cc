"""Which interface an app speaks, judged by how it can be called."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

Kind = Literal["asgi", "wsgi", "asgi2", "factory", "unknown"]


def interface_of(app: Callable[..., object]) -> Kind:
    """A coroutine function, or three positional parameters: ASGI 3. Two: WSGI. One: ASGI 2.

    A class is judged by what makes its instances, because the server's call does that.
    """
    if inspect.isclass(app):
        return _class_kind(app)
    target: Any = app
    while isinstance(target, partial):
        target = target.func  # pyright: ignore[reportUnknownMemberType]
    if not (inspect.isfunction(target) or inspect.ismethod(target)):
        target = type(target).__call__
    takes = _positional(app)
    if inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(app):
        return "asgi" if takes is None or 3 in takes else "unknown"
    if takes is None:
        return "unknown"
    if 3 in takes and 2 in takes:
        return "wsgi" if _first_name(app) in ("environ", "env") else "asgi"
    if 3 in takes:
        return "asgi"
    if 2 in takes:
        return "wsgi"
    if 0 in takes:
        return "factory"
    return "asgi2" if 1 in takes else "unknown"


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
    except (TypeError, ValueError):
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
