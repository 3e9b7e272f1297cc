"""HTTP/2 as a client writes and reads it: for the rows of `exchange_rows`, and for tests that look
at its frames. What it reads it checks: whatever happens, a server may send no frame out of place,
none that is too long, and nothing beyond a window."""

from dataclasses import dataclass, field
from typing import Final

from hpack import Decoder, Encoder
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.http.grammar import HTTP2_PREFACE
from propylon.gateway.http2.engine import ErrorCode
from propylon.gateway.http2.frames import ACK, END_HEADERS, END_STREAM, FrameKind
from propylon.gateway.serve.begin import HttpVersions
from propylon.gateway.serve.service_state import ServiceState
from propylon.gateway.transport.transport import Transport

from ...http2_frames import Heard, data, frame, heard_at
from .http1_framing import Pairs, Response

Fields = list[tuple[bytes, bytes]]

WIDE: Final = 2**31 - 1
FIRST_WINDOW: Final = 65_535
"""Of a stream and of the connection, before anybody says more (RFC 9113 section 6.9.2)."""
LEAST_FRAME: Final = 16_384

MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 3, 4, 5
UPGRADE: Final = (b"Upgrade", b"websocket")


@dataclass
class ClientStream:
    number: int
    method: str
    room: int
    """Bytes of DATA that it may be sent."""
    left: int | None = 0
    """Bytes of the request's body that are to come; None: that is not told."""
    asked: bool = False
    """Whether the request is all sent."""
    ended: bool = False
    """Whether its response is."""
    reset: ErrorCode | None = None
    """With which code the server has reset it."""
    response: Response | None = None
    interim: list[int] = field(default_factory=list[int])
    hints: Fields = field(default_factory=Fields)
    sizes: list[int] = field(default_factory=list[int])
    """Of its DATA frames."""

    @property
    def body(self) -> bytes:
        return b"" if self.response is None else self.response.body


class Http2Framing:
    """A client that takes whatever comes, unless it is told otherwise."""

    def __init__(self, window: int = WIDE, connection: int = WIDE, **settings: int) -> None:
        """`window` of each stream, and of the `connection`. `settings`: its others, by their
        numbers as s1, s2..."""
        self._settings = {INITIAL_WINDOW_SIZE: window}
        self._settings |= {int(name[1:]): value for name, value in settings.items()}
        self._connection = connection
        self._begun = False
        self._encoder, self._decoder = Encoder(), Decoder()
        self._at = 0
        self._block = b""
        self._in_block = 0
        """The stream whose header block is not whole; 0: none."""
        self.room = FIRST_WINDOW
        """Bytes of DATA that the connection may be sent."""
        self.streams: dict[int, ClientStream] = {}
        self.frames: list[Heard] = []
        """All that have come."""
        self.last = -1
        """The stream that was asked for last."""

    def begin(self, state: ServiceState, transport: Transport, endpoint: Endpoint) -> None:
        HttpVersions(state).begin(transport, endpoint, "h2")

    # -- out ---------------------------------------------------------------------------------

    def beginning(self) -> bytes:
        """The preface, if it was not sent yet, and what belongs to it."""
        if self._begun:
            return b""
        self._begun = True
        # It has read the server's SETTINGS, so that these hold from here on.
        out = HTTP2_PREFACE + self.set(self._settings) + frame(FrameKind.SETTINGS, ACK, 0)
        if self._connection > FIRST_WINDOW:
            out += self.allow(0, self._connection - FIRST_WINDOW)
        return out

    def set(self, settings: dict[int, int]) -> bytes:
        """SETTINGS. They hold at once: the server hears them before what it sends next."""
        before = self._settings.get(INITIAL_WINDOW_SIZE, FIRST_WINDOW)
        self._settings |= settings
        change = self._settings[INITIAL_WINDOW_SIZE] - before
        for stream in self.streams.values():
            stream.room += change
        entries = [
            key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in settings.items()
        ]
        return frame(FrameKind.SETTINGS, 0, 0, b"".join(entries))

    def allow(self, stream: int, count: int) -> bytes:
        """WINDOW_UPDATE."""
        if stream:
            self.streams[stream].room += count
        else:
            self.room += count
        return frame(FrameKind.WINDOW_UPDATE, 0, stream, count.to_bytes(4, "big"))

    def reset(self, stream: int, code: ErrorCode = ErrorCode.CANCEL) -> bytes:
        return frame(FrameKind.RST_STREAM, 0, stream, code.to_bytes(4, "big"))

    def answer_pings(self) -> bytes:
        """The answers to all that have come until now and were not answered."""
        pings = [one for one in self.frames if one.kind == FrameKind.PING and not one.flags & ACK]
        answered, self._answered = self._answered, len(pings)
        return b"".join(frame(FrameKind.PING, ACK, 0, one.payload) for one in pings[answered:])

    _answered = 0

    def head(self, fields: Fields, *, ended: bool, stream: int = 0, flags: int = 0) -> bytes:
        """HEADERS with the fields as they are, on the next stream unless it is told."""
        block = self._encoder.encode(fields)
        if not stream:
            stream = self.last = self.last + 2
            told = dict(fields)
            room = self._settings.get(INITIAL_WINDOW_SIZE, FIRST_WINDOW)
            one = ClientStream(stream, told.get(b":method", b"").decode(), room)
            one.left = int(told[b"content-length"]) if b"content-length" in told else None
            self.streams[stream] = one
        self.streams[stream].asked = ended
        return self.beginning() + frame(
            FrameKind.HEADERS, END_HEADERS | (END_STREAM if ended else 0) | flags, stream, block
        )

    def ask(
        self, method: str, path: str, fields: Pairs, body: bytes, size: int | None, last: bool
    ) -> bytes:
        if UPGRADE in fields:
            return self.connect(path)
        out: Fields = [(b":method", method.encode()), (b":scheme", b"http")]
        out += [(b":authority", b"h"), (b":path", path.encode()), *fields]
        if size is None:
            return self.head(out, ended=False) + self.upload(body, last)
        if not (size or body):
            return self.head(out, ended=True)
        out.append((b"content-length", b"%d" % (size or len(body))))
        return self.head(out, ended=False) + (self.upload(body, last and size <= len(body)))

    def connect(self, path: str = "/", fields: Pairs = ()) -> bytes:
        """A WebSocket's handshake (RFC 8441)."""
        out: Fields = [(b":method", b"CONNECT"), (b":protocol", b"websocket")]
        out += [(b":scheme", b"http"), (b":authority", b"h"), (b":path", path.encode())]
        out += [(b"sec-websocket-version", b"13"), *fields]
        return self.head(out, ended=False)

    def upload(self, data: bytes, last: bool) -> bytes:
        return self.send(self.last, data, last=last)

    def send(self, stream: int, body: bytes, *, last: bool = False) -> bytes:
        """DATA of any size, in as many frames as it takes."""
        one = self.streams[stream]
        if one.left is not None:
            one.left -= len(body)
            last = last or one.left == 0
        pieces = [body[at : at + LEAST_FRAME] for at in range(0, len(body), LEAST_FRAME)]
        if last and not pieces:
            pieces = [b""]
        one.asked = one.asked or last
        ends = [last and number == len(pieces) for number in range(1, len(pieces) + 1)]
        return b"".join(
            data(stream, piece, end=end) for piece, end in zip(pieces, ends, strict=True)
        )

    # -- in ----------------------------------------------------------------------------------

    def read(self, received: bytes, end: str) -> list[Response]:
        while (heard := heard_at(received, self._at)) is not None:
            self._at += heard.size
            self._hear(heard)
        found = [one.response for one in self.streams.values() if one.response is not None]
        for response in found:
            response.cut = response.cut or (bool(end) and not response.complete)
        return found

    def _hear(self, it: Heard) -> None:
        assert self.frames or (it.kind == FrameKind.SETTINGS and not it.flags), "SETTINGS are first"
        assert it.kind in FrameKind.__members__.values(), "a kind that there is not"
        assert len(it.payload) <= self._settings.get(MAX_FRAME_SIZE, LEAST_FRAME)
        self.frames.append(it)
        if it.kind == FrameKind.CONTINUATION or self._in_block:
            assert (it.kind, it.stream) == (FrameKind.CONTINUATION, self._in_block)
        if it.kind in (FrameKind.HEADERS, FrameKind.CONTINUATION):
            self._block += it.payload
            self._in_block = 0 if it.flags & END_HEADERS else it.stream
            if not self._in_block:
                block, self._block = self._block, b""
                self._hear_head(self._talking(it.stream), self._decoder.decode(block, raw=True))
        elif it.kind == FrameKind.DATA:
            self._hear_data(self._talking(it.stream), it)
        elif it.kind == FrameKind.RST_STREAM:
            one = self.streams[it.stream]
            assert one.reset is None, "it is reset twice"
            one.reset = it.code
            if one.response is not None and not one.ended:
                one.response.cut = True
        if it.flags & END_STREAM and it.kind in (FrameKind.HEADERS, FrameKind.DATA):
            self._hear_end(self.streams[it.stream])

    def _talking(self, stream: int) -> ClientStream:
        one = self.streams[stream]
        assert not one.ended, "there is something behind the end"
        assert one.reset is None, "there is something behind RST_STREAM"
        return one

    def _hear_head(self, one: ClientStream, fields: Fields) -> None:
        assert all(name == name.lower() for name, _ in fields)
        if one.response is not None:
            assert not any(name[:1] == b":" for name, _ in fields)
            one.response.trailers = fields
            return
        (name, status), *fields = fields
        assert name == b":status"
        assert len(fields) == len(dict(fields)) or status == b"103", "a field stands twice"
        if status[:1] == b"1":
            assert not fields or status == b"103"
            one.interim.append(int(status))
            one.hints += fields
            return
        one.response = Response(int(status), None, fields)
        one.response.interim, one.response.hints = one.interim, one.hints

    def _hear_data(self, one: ClientStream, it: Heard) -> None:
        assert one.response is not None
        assert not one.response.trailers, "there is something behind the trailers"
        size = len(it.payload)
        one.room -= size
        self.room -= size
        assert not size or (one.room >= 0 and self.room >= 0), "it has gone over a window"
        one.response.body += it.payload
        one.sizes.append(size)

    def _hear_end(self, one: ClientStream) -> None:
        one.ended = True
        assert one.response is not None
        one.response.complete = True
        told = dict(one.response.fields).get(b"content-length")
        if told is not None and one.method != "HEAD" and one.response.status != 304:
            assert len(one.response.body) == int(told), "its length is another one"
