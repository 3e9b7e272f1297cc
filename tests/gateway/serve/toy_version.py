"""A second HTTP version, as small as one can be: many streams on one connection.

It exists to show what a version has to bring of its own, which is this file, and what it does not:
pages, faults, logs, credit, uploads and how an exchange ends are the `ExchangeSink`'s, as they are
for HTTP/1.1. HTTP/2 has the same parts (frames, flow control by stream, a table of streams) with
more rules to each.

Both sides speak in frames: the stream's number (2 bytes), what it is (1), the payload's size (4),
the payload. A client says HEAD ("GET /path 12", the last its body's size or "-"), DATA, END, RESET,
and WINDOW: by that it takes so many bytes more of a stream's body. The server says HEAD (a status,
its reason and fields), DATA, END and RESET. "WEBSOCKET /path -" is RFC 8441's CONNECT: once it is
accepted, the WebSocket's frames are the stream's DATA, both ways.
"""

from collections.abc import Iterable, Iterator
from typing import ClassVar, Final

from propylon.gateway.exchange import end_codes
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.exchange.errors import RequestError
from propylon.gateway.exchange.exchange import Exchange, OpenFile, Request, log_app_fault
from propylon.gateway.http.rules import (
    BODILESS,
    HOP_BY_HOP,
    check_field,
    check_trailer,
    ended_before,
    ends_with_head,
    interim_fields,
    response_length,
    went_over,
)
from propylon.gateway.serve.exchange_sink import (
    BODY_LATE,
    LEFT,
    TOOK_NOTHING,
    WAS_CUT,
    ExchangeSink,
)
from propylon.gateway.serve.lingering_close import ClosingConnection, LastAct
from propylon.gateway.serve.service_state import ServiceState
from propylon.gateway.transport.client_socket import MOST_BUFFERED
from propylon.gateway.transport.file_buffer import SendableFile
from propylon.gateway.transport.poller import Watched
from propylon.gateway.transport.transport import Transport
from propylon.gateway.websocket.handshake import check_handshake
from propylon.protocol.messages import Pairs
from propylon.protocol.reason_phrases import REASONS

HEAD, DATA, END, RESET, WINDOW = b"H", b"D", b"E", b"R", b"W"
FIRST_WINDOW: Final = 1_000
"""Bytes of body that the client takes of each stream before it says more."""
PIECE: Final = 16_384
"""Bytes of one stream between which the others have their turn."""


def frame(number: int, kind: bytes, payload: bytes = b"") -> bytes:
    return number.to_bytes(2, "big") + kind + len(payload).to_bytes(4, "big") + payload


def frames(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The whole frames; at last, with the number -1, what is left."""
    at = 0
    while len(data) >= at + 7:
        end = at + 7 + int.from_bytes(data[at + 3 : at + 7], "big")
        if end > len(data):
            break
        yield int.from_bytes(data[at : at + 2], "big"), data[at + 2 : at + 3], data[at + 7 : end]
        at = end
    yield -1, b"", data[at:]


class ToyStream:
    """An `ExchangeStream`, and the `BodyReader` of its request."""

    accepts_with: ClassVar[int] = 200

    def __init__(self, number: int, connection: "ToyConnection") -> None:
        self.number, self.connection = number, connection
        self.received, self.body_ended = b"", True
        self.late_at = 0.0
        """When the client is late with the request's body; 0.0: never."""
        self.window = FIRST_WINDOW
        self.trailers = b""
        self.frames, self.body, self.last = b"", bytearray(), b""
        """What is to be sent: frames, then body as the window allows, then END or RESET."""
        self.has_body = True
        self.left: int | None = None
        """What the response's Content-Length promises further; None: it has none."""
        self.fault = ""
        """What the app has done wrong."""
        self.carried: StreamTransport | None = None
        """What a WebSocket stands on that has taken the stream over."""
        self.sink = ExchangeSink(self, self, connection.endpoint, connection.service)

    # -- what comes --------------------------------------------------------------------------

    def hear(self, kind: bytes, payload: bytes) -> None:
        if kind == HEAD:
            method, path, size = payload.decode().split(" ")
            request = Request(method, path.encode(), "toy")
            self.body_ended = size == "0"
            if method == "WEBSOCKET":
                request.upgrade, request.headers = "websocket", ((b"sec-websocket-version", b"13"),)
                check_handshake(request, has_key=False)
            else:
                request.content_length = None if size == "-" else int(size)
            self.connection.service.answer(self.sink.open(request))
        elif kind == WINDOW:
            self.window += int(payload)
            self.connection.flush_soon()
        elif kind == RESET:
            self.gone(LEFT)
        elif not self.body_ended:
            self.received += payload
            self.body_ended = kind == END
            if self.carried is not None:
                self.carried.has_come()
        self.push_upload()

    def push_upload(self) -> None:
        exchange = self.sink.exchange
        if exchange is not None and exchange.more_body:
            self.late_at = 0.0
            if self.sink.upload.push(exchange) == "bytes":
                self.client_has_time()

    def client_has_time(self) -> None:
        service = self.connection.service
        self.late_at = service.clock() + service.settings.body_timeout

    def body_wanted(self, exchange: Exchange) -> None:
        self.push_upload()

    @property
    def buffered(self) -> int:
        return len(self.received)

    @property
    def body_complete(self) -> bool:
        return self.body_ended and not self.received

    def next_body(self) -> tuple[bytes, bool]:
        data, self.received = self.received, b""
        return data, not self.body_complete

    def refuse(self, error: RequestError) -> None:
        self.late_at = 0.0
        self.sink.refuse(error, Request("-", b"", "toy"))

    # -- what goes ---------------------------------------------------------------------------

    def write_response(self, exchange: Exchange, status: int, fields: Pairs, body: bytes) -> None:
        named = any(name.lower() == b"content-length" for name, _ in fields)
        if not named and status not in BODILESS:
            fields = (*fields, (b"content-length", b"%d" % len(body)))
        self.render_head(exchange, status, fields)
        self.keep(body)
        self.write_end()

    def write_head(self, exchange: Exchange, status: int, fields: Pairs) -> bool:
        self.render_head(exchange, status, fields)
        return self.connection.wants_flush()

    def render_head(self, exchange: Exchange, status: int, fields: Pairs) -> None:
        told, phrase = exchange.phrase or (0, b"")
        reason = phrase if told == status else REASONS[status].encode()
        lines, length = [b"%d %b" % (status, reason)], None
        for name, value in fields:
            check_field(name, value)
            if name.lower() == b"content-length":
                length = response_length(value, length)
            if name.lower() not in HOP_BY_HOP:
                lines.append(b"%b: %b" % (name, value))
        self.has_body = not ends_with_head(exchange.request.method, status)
        self.left = length if self.has_body else None
        self.frames += frame(self.number, HEAD, b"\n".join(lines))

    def write_body(self, data: bytes) -> bool:
        if self.late_at:
            self.client_has_time()
        self.keep(data)
        return self.connection.wants_flush()

    @property
    def takes_files(self) -> bool:
        return False  # its body is framed

    def write_file(self, file: OpenFile, offset: int, count: int) -> bool:
        raise AssertionError("it takes none")

    def keep(self, data: bytes) -> None:
        if self.left is not None:
            if len(data) > self.left:
                self.fault = went_over(len(data) - self.left)
            data = data[: self.left]
            self.left -= len(data)
        self.body += data if self.has_body else b""

    def write_end(self) -> None:
        if self.left:
            self.fault = ended_before(self.left)
        if self.fault and self.sink.exchange is not None:
            self.sink.exchange.give_end(end_codes.APP_WRONG_LENGTH)
        self.last = RESET if self.left else END
        self.connection.flush_soon()

    def write_interim(self, status: int, fields: Pairs) -> None:
        lines = _lines(b"%d " % status, interim_fields(fields))
        if not self.frames:
            self.frames += frame(self.number, HEAD, lines)
            self.connection.flush_soon()

    def write_trailers(self, fields: Pairs) -> None:
        for field in fields:
            check_trailer(*field)
        self.trailers = _lines(b"trailers", fields) if self.has_body else b""

    def push(self) -> None:
        """Hands on what the client and its socket take; the rest waits here, and its source."""
        count = min(len(self.body), self.window, PIECE, self.connection.room)
        data = bytes(self.body[:count])
        del self.body[:count]
        self.window -= count
        out, self.frames = self.frames, b""
        out += frame(self.number, DATA, data) if data else b""
        is_over = self.last and not self.body
        if is_over and self.trailers and self.last == END:
            out += frame(self.number, HEAD, self.trailers)
        self.connection.transport.gather((out + frame(self.number, self.last) if is_over else out,))
        self.sink.taken(count, len(self.body))
        if self.carried is not None and count:
            self.carried.has_gone(self.body)
        if is_over:
            self.connection.forget(self)

    def flush(self) -> None:
        self.connection.flush()

    # -- the end -----------------------------------------------------------------------------

    def finished(self, exchange: Exchange, now: float) -> None:
        """What is left goes out as the client takes it."""
        if self.fault:
            log_app_fault(exchange, self.fault)

    def cut_short(self) -> None:
        self.last = RESET
        self.connection.flush_soon()

    def broken(self) -> None:
        self.connection.gone(LEFT)

    def gone(self, why: str) -> None:
        self.sink.client_gone(why)
        self.connection.forget(self)
        if self.carried is not None:
            self.body_ended = True
            self.carried.has_come()

    # -- a WebSocket -------------------------------------------------------------------------

    def write_accept(self, fields: Pairs) -> None:
        self.frames += frame(
            self.number, HEAD, b"\n".join([b"200 OK", *(b"%b: %b" % f for f in fields)])
        )
        self.connection.flush_soon()

    def hand_over(self) -> Transport:
        self.carried = StreamTransport(self)
        return self.carried


def _lines(first: bytes, fields: Pairs) -> bytes:
    return b"\n".join([first, *(b"%b: %b" % field for field in fields)])


class StreamTransport:
    """A `Transport` that is a stream's two directions."""

    sends_files: ClassVar[bool] = False

    def __init__(self, stream: ToyStream) -> None:
        self.stream = stream
        self.owner: Watched | None = None
        self.paused = self.blocked = self.closed = False
        self.send_by = 0.0
        self.fault = ""

    def has_come(self) -> None:
        """The client has said something, or its end."""
        if (
            self.owner is not None
            and not self.closed
            and not (self.paused and self.stream.received)
        ):
            self.owner.readable()

    def has_gone(self, left: bytearray) -> None:
        """The client has taken something."""
        self.blocked, self.send_by = bool(left), 0.0
        if self.owner is not None and not left:
            self.owner.writable()

    @property
    def kept(self) -> int:
        return len(self.stream.body)

    @property
    def held(self) -> int:
        return self.kept

    def join(self, owner: Watched) -> None:
        self.owner = owner

    def recv(self) -> bytes | None:
        data, more = self.stream.next_body()
        return data or (None if more else b"")

    def send(self, data: bytes) -> None:
        self.gather((data,))
        self.blocked = True
        self.stream.connection.flush_soon()

    def gather(self, buffers: Iterable[bytes]) -> bool:
        is_first = not self.kept
        self.stream.body += b"".join(buffers)
        return is_first

    def gather_file(self, file: SendableFile, offset: int, count: int) -> bool:
        raise AssertionError("it sends none")

    def send_kept(self) -> int:
        return 0  # the stream's own flush has taken what its window allows

    def moves(self) -> bool:
        return False

    def takes_too_little(self, now: float) -> bool:
        return False

    def pause(self, paused: bool = True, *, deaf: bool = False) -> None:
        self.paused = paused
        if not paused and self.stream.received:
            self.has_come()

    def shut_writing(self) -> None:
        self.stream.write_end()

    def reset(self) -> None:
        self.closed = True
        self.stream.cut_short()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.stream.write_end()


class ToyConnection(ClosingConnection):
    """A client connection with many streams."""

    protocol: ClassVar[str] = "toy"

    def __init__(self, transport: Transport, endpoint: Endpoint, service: ServiceState) -> None:
        super().__init__(transport, service)
        self.transport, self.endpoint, self.service = transport, endpoint, service
        self.streams: dict[int, ToyStream] = {}
        self.rest = b""
        self.due = self.flushing = self.drains = False

    def readable(self) -> None:
        try:
            data = self.transport.recv()
            if data:
                self.hear(data)
            elif data is not None:
                self.gone(LEFT)
        except OSError:
            self.gone(LEFT)

    def hear(self, data: bytes) -> None:
        *whole, (_, _, self.rest) = frames(self.rest + data)
        for number, kind, payload in whole:
            if kind == HEAD and not self.drains:
                self.streams[number] = ToyStream(number, self)
                self._deadline = 0.0
            stream = self.streams.get(number)
            if stream is not None:
                try:
                    stream.hear(kind, payload)
                except RequestError as error:
                    stream.refuse(error)

    def writable(self) -> None:
        self.flush_soon()

    @property
    def held(self) -> int:
        streams = self.streams.values()
        return self.transport.held + sum(
            len(one.received) + len(one.frames) + len(one.body) + one.sink.upload.waiting
            for one in streams
        )

    # -- one flush for all streams -----------------------------------------------------------

    @property
    def room(self) -> int:
        return max(0, MOST_BUFFERED - self.transport.kept)

    def wants_flush(self) -> bool:
        """Whether `flush` is to be called for what was just written: nobody has said so yet."""
        was_due, self.due = self.due, True
        return not was_due and not self.flushing

    def flush_soon(self) -> None:
        if self.wants_flush():
            self.service.poller.at_end_of_turn(self.flush)

    def flush(self) -> None:
        self.flushing = True
        try:
            while self.due and not self.transport.closed:
                self.due = False
                for stream in list(self.streams.values()):
                    stream.push()
                if self.transport.send_kept():
                    self.due = self.due or any(stream.body for stream in self.streams.values())
            if self._state == "idle" and self.drains and not (self.streams or self.transport.kept):
                self._close_gently()
        except OSError:
            self.gone(LEFT)
        finally:
            self.flushing = False

    # -- the end -----------------------------------------------------------------------------

    def forget(self, stream: ToyStream) -> None:
        if self.streams.pop(stream.number, None) is not None:
            stream.sink.release()

    def sweep(self, now: float) -> None:
        if self.transport.send_by and now >= self.transport.send_by:
            self.gone(TOOK_NOTHING)
        elif self._deadline and now >= self._deadline:
            self._close()
        for stream in list(self.streams.values()):
            if stream.late_at and now >= stream.late_at:
                stream.refuse(BODY_LATE)

    def drain(self) -> None:
        """No stream begins any more; those that there are end as they do."""
        self.drains = True
        self.flush_soon()

    def cut(self) -> None:
        self.gone(WAS_CUT)

    def gone(self, why: str) -> None:
        for stream in list(self.streams.values()):
            stream.gone(why)
        self._close()

    def _last_act(self) -> LastAct:
        return "linger"

    def _closed(self) -> None:
        """Its streams are gone before."""
