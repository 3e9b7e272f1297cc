"""An engine over ngh2, which is libnghttp2 (C) under a layer of Cython: what curl, Node.js and
Apache speak, to compare ours with. It is no option of the gateway's, since it is slower than the
builtin engine, and alpha.

libnghttp2 answers a client's faults by itself, with RST_STREAM or GOAWAY, and ngh2 has no event
that says so in time. But whatever libnghttp2 wants to say after it has read is in its output, which
is where this engine looks (`told_faults`). Our own RST_STREAMs must not be among them then, which
is why `reset` has them written at once. That also keeps the order of calls: libnghttp2 alone would
send RST_STREAM before DATA that was given earlier, and drop the DATA.

What differs from libnghttp2 here, and why:

- GOAWAY bypasses it, the client's and ours. It would refuse streams, which the driver decides.
- One stream too many: the driver refuses it (RFC 9113 section 5.1.2), so libnghttp2 is not told how
  many there may be.
- PRIORITY_UPDATE bypasses it: it would make a stream of each, and keep it.
- PRIORITY bypasses it, and is checked (section 6.3): libnghttp2 looks at none.
- What comes on a stream behind its end is refused (section 5.1), as is a stream below the last one
  (section 5.1.1). libnghttp2 forgets streams that have ended and drops such frames, so that the
  last `MOST_ENDED_STREAMS` are remembered here.

What remains different from ours, because ngh2 offers no way to change it:

- libnghttp2 checks what fields mean (section 8) and counts the body against content-length. What is
  malformed is a `StreamFailed` with PROTOCOL_ERROR instead of a `Head`, a `Trailers` or a `Data`:
  a request is reset where the gateway would else have answered with a page.
- DATA is cut at 16 KiB, and an empty one that ends a stream waits for room in its window.
- Padding is given back to the windows at once: `Data.size` is the length of the bytes.
- A `StreamFailed` comes behind the events of all frames that were given together.
"""

from collections.abc import Callable
from typing import Final, cast

import ngh2
from propylon.gateway.http.grammar import HTTP2_PREFACE
from propylon.gateway.http.rules import Fields
from propylon.gateway.http2.engine import (
    ConnectionFailed,
    Data,
    ErrorCode,
    Event,
    GoingAway,
    Head,
    Pong,
    PriorityUpdate,
    Reset,
    Room,
    Trailers,
)
from propylon.gateway.http2.frames import (
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    FRAME_HEADER,
    LEAST_FRAME_SIZE,
    MOST_ENDED_STREAMS,
    STREAM_BITS,
    UNLIMITED,
    FrameKind,
    HeadBounds,
    Setting,
    announced_settings,
    connection_frame,
    settings_frame,
)
from propylon.gateway.http2.told_faults import told_faults
from propylon.gateway.settings import Http2Settings

_HEADERS: Final = FrameKind.HEADERS.value
_PRIORITY: Final = FrameKind.PRIORITY.value
_RST_STREAM: Final = FrameKind.RST_STREAM.value
_SETTINGS: Final = FrameKind.SETTINGS.value
_GOAWAY: Final = FrameKind.GOAWAY.value
_CONTINUATION: Final = FrameKind.CONTINUATION.value
_PRIORITY_UPDATE: Final = FrameKind.PRIORITY_UPDATE.value
_ON_STREAMS: Final = frozenset({FrameKind.DATA.value, _HEADERS, _RST_STREAM})
"""Frames that open, use or end a stream."""
_ASIDE: Final = frozenset({_PRIORITY, _GOAWAY, _PRIORITY_UPDATE})
"""Frames that libnghttp2 does not get to see."""
_NO_RATE: Final = (2**62, 2**62)
_Fault = tuple[ErrorCode, str]
"""What ends the connection: GOAWAY's code, and a sentence."""


class Ngh2Engine:
    """An `Engine`."""

    def __init__(self, settings: Http2Settings, bounds: HeadBounds) -> None:
        """`bounds` of the heads that are read."""
        self.frame_size: int = LEAST_FRAME_SIZE
        self.last_stream: int = 0
        self._streams: dict[int, bool] = {}
        """The last streams that the client has opened: whether it has ended them."""
        self._forgotten = 0
        """The last stream that is not among them any more."""
        self._begun = False
        """Whether a first frame has come."""
        self._in_block = False
        """Whether a head has begun, and is not whole."""
        self._failed = False
        self._connection = connection = ngh2.Connection(
            ngh2.Role.SERVER,
            ngh2.Configuration(
                auto_window_update=False,
                max_send_header_block_length=UNLIMITED,
                max_outbound_ack=UNLIMITED,
                max_settings=UNLIMITED,
                stream_reset_rate_limit=_NO_RATE,
                max_continuations=UNLIMITED,
                glitch_rate_limit=_NO_RATE,
                max_inbound_header_list_size=bounds.size,
                max_inbound_header_count=bounds.fields,
            ),
        )
        announced = announced_settings(settings, bounds.size)
        told = announced | {Setting.MAX_CONCURRENT_STREAMS.value: UNLIMITED}
        connection.initiate_connection(told)
        connection.data_to_send()  # instead of which this is sent
        self._written = [settings_frame(announced)]
        """What is to be sent before what libnghttp2 has yet to write."""
        window = settings.connection_window
        if window > DEFAULT_WINDOW:
            connection.set_local_window_size(window)
        connection.receive_data(HTTP2_PREFACE)

    # -- in ----------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        start = at = 0
        while at < len(data) and not self._failed:
            end = at + FRAME_HEADER + int.from_bytes(data[at : at + 3])
            kind, flags = data[at + 3], data[at + 4]
            fault, aside = None, False
            if self._in_block:
                self._in_block = kind == _CONTINUATION and not flags & END_HEADERS
            elif kind in _ON_STREAMS:
                fault = self._follow(kind, flags, _stream(data, at))
            elif kind in _ASIDE:
                aside = self._begun  # if not, it is as wrong as any other, for libnghttp2
            if aside or fault is not None:
                if start < at:
                    self._feed(data[start:at], events)
                start = end
                if aside and not self._failed:
                    fault = _aside(kind, _stream(data, at), data[at + FRAME_HEADER : end], events)
                if fault is not None and not self._failed:
                    self._fail(*fault, events)
            self._begun = True
            at = end
        if start < len(data) and not self._failed:
            self._feed(data[start:] if start else data, events)
        return events

    def _follow(self, kind: int, flags: int, stream: int) -> _Fault | None:
        """Notes which streams begin and end. Returns what is wrong with a frame's stream, if
        libnghttp2 would not see it."""
        streams = self._streams
        if stream > self.last_stream:
            if kind == _HEADERS and stream % 2:
                self._in_block = not flags & END_HEADERS
                self.last_stream = stream
                streams[stream] = bool(flags & END_STREAM)
                if len(streams) > MOST_ENDED_STREAMS:
                    self._forgotten = next(iter(streams))
                    del streams[self._forgotten]
            return None
        ended = streams.get(stream)
        if kind == _RST_STREAM:
            if ended is False:
                streams[stream] = True
        elif ended:
            return ErrorCode.STREAM_CLOSED, "a frame behind the end of its stream"
        elif ended is False:
            if kind == _HEADERS:
                self._in_block = not flags & END_HEADERS
            streams[stream] = bool(flags & END_STREAM)
        elif stream % 2 and stream > self._forgotten:
            return ErrorCode.PROTOCOL_ERROR, "a stream below one that was opened before"
        elif kind == _HEADERS:
            self._in_block = not flags & END_HEADERS
        return None

    def _feed(self, data: bytes, events: list[Event]) -> None:
        fatal: ngh2.NGH2Error | None = None
        try:
            self._connection.receive_data(data)
        except ngh2.NGH2Error as error:
            fatal = error  # which leaves libnghttp2 without a word
        for event in self._connection.events():
            become = _EVENTS.get(type(event))
            if become is not None:
                events.append(become(event))
            elif isinstance(event, ngh2.SettingsReceived):
                self.frame_size = event.settings.get(ngh2.Setting.MAX_FRAME_SIZE, self.frame_size)
                events.append(Room(0))
        if fatal is not None:
            self._fail(_code(fatal), str(fatal), events)
        elif self._connection.want_write:
            self._read_answers(events)

    def _read_answers(self, events: list[Event]) -> None:
        """Looks for faults in what libnghttp2 wants to say after it has read."""
        written = self._connection.data_to_send()
        self._written.append(written)
        for fault in told_faults(written):
            events.append(fault)
            self._failed = self._failed or isinstance(fault, ConnectionFailed)

    def _fail(self, code: ErrorCode, sentence: str, events: list[Event]) -> None:
        self.go_away(self.last_stream, code)
        self._failed = True
        events.append(ConnectionFailed(code, sentence))

    # -- out ---------------------------------------------------------------------------------

    def output(self) -> bytes:
        if not self._written:
            return b"" if self._failed else self._connection.data_to_send()
        self._write()
        data = b"".join(self._written)
        self._written = []
        return data

    def _write(self) -> None:
        """Has libnghttp2 write all that it was given, so that what comes next stands behind it."""
        if not self._failed:
            try:
                self._written.append(self._connection.data_to_send())
            except ngh2.ConnectionStateError:
                pass  # it has given up, and has nothing more to say

    def room(self, stream: int) -> int:
        connection = self._connection
        if not stream:
            return connection.remote_window_size - connection.queued_body_size()
        try:
            window = connection.stream_remote_window_size(stream)
            in_all = connection.remote_window_size
        except ngh2.NGH2Error:
            return 0
        queued = connection.queued_body_size
        return min(window - queued(stream), in_all - queued())

    @property
    def has_output(self) -> bool:
        return True

    def respond(self, stream: int, fields: Fields, body: bytes) -> bool:
        if len(body) > min(self.room(stream), self.frame_size):
            return False
        self.head(stream, fields, False)
        self.body(stream, body, True)
        return True

    def head(self, stream: int, fields: Fields, ended: bool) -> None:
        try:
            if fields[0][1].startswith(b"1"):
                self._connection.send_informational_response(stream, fields)
            else:
                self._connection.send_response(stream, fields, end_stream=ended)
        except ngh2.NGH2Error:
            pass  # the stream has ended, or the connection has

    def body(self, stream: int, data: bytes, ended: bool) -> None:
        try:
            self._connection.send_data(stream, data, end_stream=ended)
        except ngh2.NGH2Error:
            pass

    def trailers(self, stream: int, fields: Fields) -> None:
        try:
            self._connection.send_trailers(stream, fields)
        except ngh2.NGH2Error:
            pass

    def reset(self, stream: int, code: int) -> None:
        self._write()
        try:
            self._connection.reset_stream(stream, code)
        except ngh2.NGH2Error:
            return
        self._write()

    def taken(self, stream: int, size: int) -> None:
        try:
            self._connection.acknowledge_received_data(size, stream)
        except ngh2.NGH2Error:
            pass

    def ping(self, data: bytes) -> None:
        try:
            self._connection.ping(data)
        except ngh2.NGH2Error:
            pass

    def go_away(self, last: int, code: int, debug: bytes = b"") -> None:
        if not self._failed:
            self._write()
            self._written.append(
                connection_frame(_GOAWAY, last.to_bytes(4) + code.to_bytes(4) + debug)
            )


# -- frames that bypass libnghttp2 -----------------------------------------------------------


def _stream(data: bytes, at: int) -> int:
    """The stream of the frame that begins there."""
    return int.from_bytes(data[at + 5 : at + FRAME_HEADER]) & STREAM_BITS


def _aside(kind: int, stream: int, payload: bytes, events: list[Event]) -> _Fault | None:
    if kind == _PRIORITY:
        if stream == 0:
            return ErrorCode.PROTOCOL_ERROR, "PRIORITY belongs to a stream"
        if len(payload) != 5:
            return ErrorCode.FRAME_SIZE_ERROR, "PRIORITY has 5 bytes"
        if _stream(payload, -5) == stream:
            return ErrorCode.PROTOCOL_ERROR, "a stream cannot depend on itself"
        return None
    if stream:
        return ErrorCode.PROTOCOL_ERROR, "the frame belongs to no stream"
    if len(payload) < (8 if kind == _GOAWAY else 4):
        return ErrorCode.FRAME_SIZE_ERROR, "the frame is too short"
    if kind == _GOAWAY:
        events.append(GoingAway(int.from_bytes(payload[4:8])))
        return None
    prioritized = _stream(payload, -5)
    if not prioritized % 2:
        return ErrorCode.PROTOCOL_ERROR, "no stream of the client"
    events.append(PriorityUpdate(prioritized, payload[4:]))
    return None


# -- what ngh2's events and errors are -------------------------------------------------------


def _head(event: ngh2.RequestReceived) -> Event:
    return Head(event.stream_id, list(event.headers), event.end_stream)


def _trailers(event: ngh2.TrailersReceived) -> Event:
    return Trailers(event.stream_id, list(event.headers), True)


def _data(event: ngh2.DataReceived) -> Event:
    data = event.data
    return Data(event.stream_id, data, len(data), event.end_stream)


def _reset(event: ngh2.StreamReset) -> Event:
    return Reset(event.stream_id, event.error_code)


def _room(event: ngh2.WindowUpdated) -> Event:
    return Room(event.stream_id)


def _pong(event: ngh2.PingAcknowledged) -> Event:
    return Pong(event.opaque_data)


_EVENTS: Final = cast(
    dict[type, Callable[[ngh2.Event], Event]],
    {
        ngh2.RequestReceived: _head,
        ngh2.TrailersReceived: _trailers,
        ngh2.DataReceived: _data,
        ngh2.StreamReset: _reset,
        ngh2.WindowUpdated: _room,
        ngh2.PingAcknowledged: _pong,
    },
)
"""The others it has answered by itself, or something else says the same."""


def _code(error: ngh2.NGH2Error) -> ErrorCode:
    if isinstance(error, ngh2.DenialOfServiceError):
        return ErrorCode.ENHANCE_YOUR_CALM
    if isinstance(error, ngh2.ProtocolError):
        return ErrorCode.PROTOCOL_ERROR
    return ErrorCode.INTERNAL_ERROR
