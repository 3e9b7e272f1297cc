"""How it looks in an app when its client is gone, and that this is no fault of the app's."""

from typing import Final, cast

_NAMES: Final = frozenset({"ClientDisconnect", "ClientDisconnected", "WebSocketDisconnect"})
"""What frameworks raise in an app that reads from a client which has left: Starlette, FastAPI,
Litestar, Werkzeug. Known by name, as none of them is imported here."""
_DEPTH: Final = 20


class ClientDisconnected(OSError):
    """The client is gone: nobody gets what is sent, nothing more is to be read. A subclass of
    OSError as ASGI HTTP & WebSocket 2.4 has it ("Disconnected Client - send exception")."""


def is_disconnect(error: BaseException | None) -> bool:
    """Whether a client's leaving is behind it: frameworks raise errors of their own from ours."""
    seen = 0
    while error is not None and seen < _DEPTH:
        if isinstance(error, ClientDisconnected) or type(error).__name__ in _NAMES:
            return True
        if isinstance(error, BaseExceptionGroup):
            group = cast("BaseExceptionGroup[BaseException]", error)
            return all(map(is_disconnect, group.exceptions))
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False
