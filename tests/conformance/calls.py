"""What the app's side of a check has to hand: its call, what it has noted, what the client lets go.

What an app saw after its response cannot be told in it. The app notes such things under the visit's
key, and the client asks for them with a request of its own (`/notes`). The other way round, an app
that must not go on yet waits until the client has released its key (`/release`). Both need one
worker process.
"""

import ast
import asyncio
import time
from typing import Any

from .faults import Event, Receive, Scope, Send

KEY = b"x-key"
WAIT = 5.0
"""Seconds that an app waits for the client's release, and a client for a note."""
NOTES: dict[str, list[str]] = {}
RELEASED: set[str] = set()


def plain(value: Any) -> Any:
    """Exact built-in types as they are, so that `repr` can be read again; others in words."""
    if value is None or type(value) in (bool, int, float, str, bytes):
        return value
    if type(value) is dict:
        return {plain(key): plain(entry) for key, entry in value.items()}
    if type(value) is list:
        return [plain(entry) for entry in value]
    if type(value) is tuple:
        return tuple(plain(entry) for entry in value)
    other = isinstance(value, (type, str, bytes, dict, bytearray)) or hasattr(value, "write")
    if hasattr(value, "__iter__") and not hasattr(value, "read") and not other:
        return [plain(entry) for entry in value]
    return f"<{type(value).__name__} {value!r}>"


def written(value: Any) -> bytes:
    return repr(plain(value)).encode("ascii", "backslashreplace")


def read(data: bytes) -> Any:
    return ast.literal_eval(data.decode())


async def pause(seconds: float) -> None:
    """On whichever event loop this is."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        import trio

        await trio.sleep(seconds)
    else:
        await asyncio.sleep(seconds)


class AsgiCall:
    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        fields = scope.get("headers", ())
        self.key = next((value.decode() for name, value in fields if name.lower() == KEY), "")

    async def body(self) -> bytes:
        """The request's, to its end."""
        body = b""
        while True:
            event = await self.receive()
            body += event.get("body", b"")
            if not event.get("more_body", False):
                return body

    async def start(self, *headers: tuple[bytes, bytes], status: int = 200, **more: Any) -> None:
        await self.send(
            {"type": "http.response.start", "status": status, "headers": list(headers), **more}
        )

    async def piece(self, body: bytes, more: bool = True) -> None:
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def answer(self, body: bytes = b"", *headers: tuple[bytes, bytes], status: int = 200):
        length = (b"content-length", b"%d" % len(body))
        await self.start(length, *headers, status=status)
        await self.piece(body, more=False)

    async def tell(self, value: Any) -> None:
        """Answers with what the client is to judge."""
        await self.answer(written(value))

    async def raises(self, event: Event) -> str:
        """What `send` raises for this event, "" if nothing."""
        try:
            await self.send(event)
        except Exception as error:
            return type(error).__name__
        return ""

    def note(self, what: str) -> None:
        NOTES.setdefault(self.key, []).append(what)

    async def released(self) -> bool:
        """Waits for the client's word. Returns whether it came."""
        until = time.monotonic() + WAIT
        while self.key not in RELEASED and time.monotonic() < until:
            await pause(0.01)
        return self.key in RELEASED


class WsgiCall:
    def __init__(
        self, environ: dict[str, Any], start_response: Any, *, positional: bool = True
    ) -> None:
        self.environ, self.start_response = environ, start_response
        self.key = environ.get("HTTP_X_KEY", "")
        self.positional = positional
        """Whether the app was called as PEP 3333 says."""

    def start(self, *headers: tuple[str, str], status: str = "200 OK") -> Any:
        return self.start_response(status, [("Content-Type", "text/plain"), *headers])

    def tell(self, value: Any) -> list[bytes]:
        body = written(value)
        self.start(("Content-Length", str(len(body))))
        return [body]

    def note(self, what: str) -> None:
        NOTES.setdefault(self.key, []).append(what)

    def released(self) -> bool:
        until = time.monotonic() + WAIT
        while self.key not in RELEASED and time.monotonic() < until:
            time.sleep(0.01)
        return self.key in RELEASED
