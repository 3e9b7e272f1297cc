"""What a server that breaks a sentence would do, put between it and the app or the client."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Scope = dict[str, Any]
Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
WsgiApp = Callable[..., Iterable[bytes]]


@dataclass(frozen=True, kw_only=True)
class Fault:
    scope: Mapping[str, Any] | Callable[[Scope], Any] | None = None
    """Entries that replace the server's, or what makes another scope of it."""
    received: Callable[[Event], Event | None] | None = None
    """Makes another event of one for the app; None: it never comes."""
    sent: Callable[[Event], Event | None] | None = None
    """Makes another event of the app's; None: nothing is sent."""
    deaf: bool = False
    """Whether the errors that `send` raises are kept from the app."""
    late: bool = False
    """Whether all that the app sends waits until it has ended."""
    around: Callable[[Any], Any] | None = None
    """Whatever else, around the whole app: an ASGI or a WSGI one."""
    environ: Mapping[str, Any] | Callable[[dict[str, Any]], Any] | None = None
    wire: Callable[[bytes], bytes] | None = field(default=None)
    """Makes other bytes of what the client has received."""


def broken_asgi(app: AsgiApp, fault: Fault) -> AsgiApp:
    """The app as it would be called by a server that has this fault."""

    async def called(scope: Scope, receive: Receive, send: Send) -> None:
        if callable(fault.scope):
            scope = fault.scope(scope)
        elif fault.scope is not None:
            scope = {**scope, **fault.scope}
        kept: list[Event] = []

        async def wrong_receive() -> Event:
            while True:
                event = await receive()
                other = event if fault.received is None else fault.received(event)
                if other is not None:
                    return other

        async def wrong_send(event: Event) -> None:
            other = event if fault.sent is None else fault.sent(event)
            if other is None:
                return
            if fault.late:
                kept.append(other)
                return
            try:
                await send(other)
            except Exception:
                if not fault.deaf:
                    raise

        try:
            await app(scope, wrong_receive, wrong_send)
        finally:
            for event in kept:
                await send(event)

    return fault.around(called) if fault.around else called


def broken_wsgi(app: WsgiApp, fault: Fault) -> WsgiApp:
    def called(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if callable(fault.environ):
            environ = fault.environ(environ)
        elif fault.environ is not None:
            environ.update(fault.environ)
        return app(environ, start_response)

    return fault.around(called) if fault.around else called


def without(*keys: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Takes entries out of a scope, an event or an environ."""

    def other(entries: dict[str, Any]) -> dict[str, Any]:
        for key in keys:
            entries.pop(key, None)
        return entries

    return other


def changed(kind: str, **changes: Any) -> Callable[[Event], Event]:
    """Events of this type, with other entries."""
    return lambda event: {**event, **changes} if event["type"] == kind else event


def dropped(*kinds: str) -> Callable[[Event], Event | None]:
    """Events of these types never arrive."""
    return lambda event: None if event["type"] in kinds else event
