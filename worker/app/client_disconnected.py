"""The error that an app gets when its client is gone, and how to recognise it again.

An app that fails because its client has left is not at fault, so no traceback is logged.
"""

from typing import Final, cast

_NAMES: Final = frozenset({"ClientDisconnect", "ClientDisconnected", "WebSocketDisconnect"})
"""Exceptions that Starlette, FastAPI, Litestar and Werkzeug raise in an app when the client has
left. They are recognised by name, because no framework is imported here."""
_DEPTH: Final = 20


class ClientDisconnected(OSError):
    """The client is gone: nothing can be sent to it or read from it. A subclass of OSError, as ASGI
    HTTP & WebSocket 2.4 asks ("Disconnected Client - send exception")."""


def is_disconnect(error: BaseException | None) -> bool:
    """Whether an error was caused by a client that has left. Frameworks raise errors of their own
    from ours, so causes and contexts are looked at too."""
    seen = 0
    while error is not None and seen < _DEPTH:
        if isinstance(error, ClientDisconnected) or type(error).__name__ in _NAMES:
            return True
        if isinstance(error, BaseExceptionGroup):
            group = cast("BaseExceptionGroup[BaseException]", error)
            return all(map(is_disconnect, group.exceptions))
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False
