"""A client of WebSockets over HTTP/2 (RFC 8441): wsproto's frames in the DATA of a stream."""

from collections.abc import Iterable

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.extensions import Extension, PerMessageDeflate

from .. import http2_frames as frames
from ..http2_frames import END_HEADERS
from .http2_wire import Wire


class StreamSocket:
    """One WebSocket on a stream of `wire`."""

    def __init__(
        self,
        wire: Wire,
        path: bytes = b"/",
        *more: tuple[bytes, bytes],
        deflate: bool = False,
        subprotocols: Iterable[bytes] = (),
    ) -> None:
        self.wire = wire
        offered = PerMessageDeflate() if deflate else None
        fields = [
            (b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"http"),
            (b":path", path), (b":authority", b"h"), (b"sec-websocket-version", b"13"), *more,
        ]  # fmt: skip
        if offered is not None:
            fields.append((b"sec-websocket-extensions", b"permessage-deflate"))
        if protocols := b", ".join(subprotocols):
            fields.append((b"sec-websocket-protocol", protocols))
        self.stream = wire.open()
        wire.send(frames.headers(self.stream, fields, END_HEADERS))
        self.reply = wire.replies[self.stream]
        wire.read_until(lambda: self.reply.head, self.stream)
        extensions: list[Extension] = []
        agreed = self.reply.field(b"sec-websocket-extensions")
        if agreed is not None:
            assert offered is not None, "nothing was offered"
            offered.finalize(agreed.decode().partition(";")[2] or "")
            extensions.append(offered)
        self.compressed = bool(extensions)
        self._frames = Connection(ConnectionType.CLIENT, extensions)
        self._taken = 0
        self._events: list[Event] = []

    def say(self, *events: Event) -> None:
        data = b"".join(self._frames.send(event) for event in events)
        self.wire.upload(self.stream, data, end=False)

    def send(self, message: str | bytes) -> None:
        self.say(TextMessage(message) if isinstance(message, str) else BytesMessage(message))

    def event(self) -> Event | None:
        """The next one, PINGs answered; None: the stream has ended."""
        body = self.reply.body
        while not self._events:
            if self._taken == len(body):
                self.wire.read_until(lambda: len(body) > self._taken, self.stream)
                if self._taken == len(body):
                    return None
            self._frames.receive_data(bytes(body[self._taken :]))
            self._taken = len(body)
            self._events += self._frames.events()
        event = self._events.pop(0)
        if isinstance(event, Ping):
            self.say(event.response())
            return self.event()
        return event

    def receive(self) -> str | bytes:
        """The next whole message."""
        pieces: list[str | bytes] = []
        while isinstance(event := self.event(), TextMessage | BytesMessage):
            pieces.append(event.data)
            if event.message_finished:
                return "".join(pieces) if isinstance(event, TextMessage) else b"".join(pieces)  # type: ignore[arg-type]
        raise AssertionError(f"{event} instead of a message; {self.reply.reset}")

    def close(self, code: int = 1000, reason: str = "") -> int:
        """The closing handshake. Returns the code of the answer."""
        self.say(CloseConnection(code, reason))
        return self.end()

    def end(self) -> int:
        """The code that the server closes with, when all before it has been read."""
        while (event := self.event()) is not None:
            if isinstance(event, CloseConnection):
                if self._frames.state.name != "CLOSED":
                    self.say(event.response())
                return event.code
        raise AssertionError(f"it ended without a close frame: {self.reply.reset}")
