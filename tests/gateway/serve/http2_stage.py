"""A stage for one client of HTTP/2 with many streams, looked at frame by frame."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from propylon.gateway.exchange import end_codes
from propylon.gateway.exchange.exchange import Exchange
from propylon.gateway.http2.engine import ErrorCode
from propylon.gateway.http2.frames import ACK, FrameKind
from propylon.gateway.serve.http2_connection import Http2Connection

from ...fakes.exchange_sides import FakeSource
from ...http2_frames import Heard
from .http2_framing import ClientStream, Http2Framing
from .stage import Stage, log_of, source_of

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = (
    FrameKind.DATA,
    FrameKind.HEADERS,
    FrameKind.RST_STREAM,
    FrameKind.SETTINGS,
    FrameKind.PING,
    FrameKind.GOAWAY,
    FrameKind.WINDOW_UPDATE,
)
FIRST_LAST = 2**31 - 1
"""What the first GOAWAY names."""


class Http2Stage(Stage):
    def __init__(self, framing: Http2Framing | None = None, **settings: Any) -> None:
        self.peer = framing or Http2Framing()
        super().__init__(self.peer, **settings)
        self._looked_at = 0

    # -- the client --------------------------------------------------------------------------

    def sends(self, *frames: bytes) -> None:
        self.send(self.peer.beginning() + b"".join(frames))

    def answers_pings(self) -> None:
        self.hears_goaways()
        self.sends(self.peer.answer_pings())

    def asks(
        self,
        method: str = "GET",
        path: str = "/",
        fields: tuple[tuple[bytes, bytes], ...] = (),
        *,
        body: bytes = b"",
        size: int | None = 0,
        last: bool = True,
    ) -> Exchange:
        """A request that has come through. `last`: nothing follows."""
        count = len(self.exchanges)
        self.send(self.peer.ask(method, path, fields, body, size, last))
        assert len(self.exchanges) == count + 1, "it has not come through"
        return self.exchange

    def uploads(self, *, size: int | None = None, body: bytes = b"") -> Exchange:
        """A request whose body is to come."""
        return self.asks("POST", size=size, body=body, last=False)

    def opens_websocket(self, credit: int = 100_000) -> tuple[Exchange, FakeSource]:
        """A WebSocket that the app has accepted."""
        self.credit = credit
        self.send(self.peer.connect())
        exchange = self.exchange
        assert exchange.websocket is not None
        assert exchange.websocket.accept(exchange, source_of(exchange), None, ()) == 200
        self.turn()
        return exchange, source_of(exchange)

    def stream(self, number: int = 0) -> ClientStream:
        """What the client has of a stream: the last, unless it is told which."""
        self.turn()
        self.peer.read(self.received, self.end)
        return self.peer.streams[number or self.peer.last]

    def hears(self) -> list[Heard]:
        """The frames that have come since the last look."""
        self.turn()
        self.peer.read(self.received, self.end)
        frames = self.peer.frames[self._looked_at :]
        self._looked_at = len(self.peer.frames)
        return frames

    def hears_goaways(self) -> list[tuple[int, ErrorCode]]:
        """The GOAWAYs since the beginning."""
        self.turn()
        self.peer.read(self.received, self.end)
        return [(one.number, one.code) for one in self.peer.frames if one.kind == GOAWAY]

    def is_ended(self) -> bool:
        """Whether the client has seen the end of the connection."""
        return self.until(lambda: bool(self.end))

    # -- the gateway -------------------------------------------------------------------------

    @property
    def connection(self) -> Http2Connection:
        (connection,) = [one for one in self.state.connections if isinstance(one, Http2Connection)]
        return connection

    def passes(self, seconds: float) -> None:
        """So much time, looked at twice a second, as the sweeper does."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 0.5)
            self.sweep()

    def drains(self) -> None:
        self.state.close_for("the service drains", True)
        self.state.draining = True
        for connection in list(self.state.connections):
            connection.drain()
        self.turn()


@contextmanager
def staged(framing: Http2Framing | None = None, **settings: Any) -> Iterator[Http2Stage]:
    """A client that is connected. What an exception of ours was caught by fails the test."""
    with closing(Http2Stage(framing, **settings)) as stage, log_of(stage):
        stage.open()
        yield stage
        stage.peer.read(stage.received, stage.end)
        assert not [line for line in stage.log if line.startswith("error: a")], stage.log


def pings(frames: list[Heard]) -> list[bytes]:
    """The PINGs of the server among the frames."""
    return [one.payload for one in frames if one.kind == PING and not one.flags & ACK]


def answer(exchange: Exchange, body: bytes = b"", status: int = 200, fields: Any = ()) -> None:
    exchange.sink.respond(exchange, status, fields, body)


def begin(exchange: Exchange, body: bytes = b"", fields: Any = (), status: int = 200) -> None:
    """A response that goes on."""
    exchange.sink.head(exchange, status, fields)
    if body:
        exchange.sink.body(exchange, body)


def fail(exchange: Exchange, status: int) -> None:
    """Its worker has died."""
    exchange.give_end(end_codes.WORKER_DIED)
    exchange.sink.fail(exchange, status, "It has failed.")


def updates(frames: list[Heard]) -> dict[int, int]:
    """Stream -> bytes that the server allows more, in all of these frames; 0: the connection."""
    found: dict[int, int] = {}
    for one in frames:
        if one.kind == WINDOW_UPDATE:
            found[one.stream] = found.get(one.stream, 0) + one.number
    return found
