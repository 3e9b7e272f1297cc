"""The gateway's own engine, the default one. Pure.

A request is two or three frames in and out. What a library makes of each of them (an object with a
set of flags, an input of a state machine, a list of events) takes many times as long as what is
left of it here: the numbers of a frame's header, an entry of a dict, and the bytes. Field
compression is hpack's (RFC 7541), with what `field_compression` remembers.

**The states of streams** (RFC 9113 section 5.1), as they are kept:

    idle                   above `last_stream`
    open                   in `_sending` and in `_receiving`
    half-closed (remote)   in `_sending`: the client has said everything, and we have not
    half-closed (local)    in `_receiving`: the other way round
    closed                 in `_ended`, which has the last `MOST_ENDED_STREAMS`, and how each ended
    left out               never opened, below `last_stream` and above `_forgotten` (section 5.1.1)
    forgotten              closed before those that `_ended` has, or left out below them

and what a frame of the client gives where it may not send HEADERS or DATA any more, or not yet:

                    idle      half-closed  closed by   closed by   closed  left      forgotten
                              (remote)     both sides  the client  by us   out
    HEADERS         opens it  stream       CLOSED      stream      -       PROTOCOL  -
    DATA            PROTOCOL  stream       CLOSED      stream      -       PROTOCOL  -
    RST_STREAM      PROTOCOL  closes it    -           -           -       -         -
    WINDOW_UPDATE   PROTOCOL  counts       -           -           -       -         -

The connection ends with PROTOCOL_ERROR, or with STREAM_CLOSED; or the stream does with
STREAM_CLOSED, and is one that was closed by us from then on, so that there is one answer and no
more; or the frame is dropped (-). HEADERS are decompressed unless the connection ends, and DATA
that is dropped is given back to the connection's window.
"""

from collections.abc import Callable
from struct import Struct
from typing import ClassVar, Final

from hpack.exceptions import HPACKError, OversizedHeaderListError

from ..http.rules import Fields
from ..settings import LARGEST_WINDOW, Http2Settings
from .engine import (
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
    StreamFailed,
    Trailers,
)
from .field_compression import BlockDecoder, FieldEncoder
from .frames import (
    ACK,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    FRAME_HEADER,
    HEADER,
    LARGEST_FRAME_SIZE,
    LEAST_FRAME_SIZE,
    MOST_ENDED_STREAMS,
    PADDED,
    PRIORITY,
    STREAM_BITS,
    FrameKind,
    HeadBounds,
    Setting,
    announced_settings,
    connection_frame,
    settings_frame,
)
from .receive_window import ReceiveWindow

_U32: Final = Struct(">I")
_SETTING: Final = Struct(">HI")
_DATA: Final = FrameKind.DATA.value
_HEADERS: Final = FrameKind.HEADERS.value
_RST_STREAM: Final = FrameKind.RST_STREAM.value
_SETTINGS: Final = FrameKind.SETTINGS.value
_PING: Final = FrameKind.PING.value
_GOAWAY: Final = FrameKind.GOAWAY.value
_WINDOW_UPDATE: Final = FrameKind.WINDOW_UPDATE.value
_CONTINUATION: Final = FrameKind.CONTINUATION.value
_NOT_PLAIN: Final = END_HEADERS | PADDED | PRIORITY
"""Flags of HEADERS of which most have the first only."""
_PRIORITY_SIZE: Final = 5
"""Bytes of PRIORITY, and of the same in HEADERS (section 6.3)."""

_BY_BOTH: Final = 0
"""Both sides have said everything."""
_BY_CLIENT: Final = 1
"""The client has reset it."""
_BY_US: Final = 2
"""We have."""


class _Block:
    """A header block that is not whole."""

    __slots__ = ("flags", "pieces", "stream")

    def __init__(self, stream: int, flags: int, first: bytes) -> None:
        self.stream, self.flags, self.pieces = stream, flags, [first]


class BuiltinEngine:
    """An `Engine`."""

    __slots__ = (
        "_block", "_decoder", "_encoder", "_ended", "_failed", "_first_send_window",
        "_forgotten", "_out", "_receive_window", "_receiving", "_send_window", "_sending",
        "_settings_received", "_stream_window", "frame_size", "last_stream",
    )  # fmt: skip

    def __init__(self, settings: Http2Settings, bounds: HeadBounds) -> None:
        """`bounds` of the heads that are read."""
        self.frame_size: int = LEAST_FRAME_SIZE
        self.last_stream: int = 0
        self._sending: dict[int, int] = {}
        """Streams that we have not ended: bytes of DATA that the client takes on each; below 0
        after its SETTINGS (section 6.9.2)."""
        self._receiving: dict[int, ReceiveWindow] = {}
        """Streams that the client has not ended."""
        self._ended: dict[int, int] = {}
        """The last streams that have: `_BY_BOTH`, `_BY_CLIENT`, `_BY_US`."""
        self._forgotten = 0
        """The last stream that has been; none above it."""
        self._encoder = FieldEncoder()
        self._decoder = BlockDecoder(bounds)
        self._block: _Block | None = None
        self._settings_received = False
        """Whether the client's SETTINGS have come."""
        self._failed = False
        self._stream_window = settings.stream_window
        self._first_send_window = DEFAULT_WINDOW
        """Bytes that the client takes on a new stream."""
        self._send_window = DEFAULT_WINDOW
        self._out = [settings_frame(announced_settings(settings, bounds.size))]
        self._receive_window = ReceiveWindow(settings.connection_window)
        if settings.connection_window > DEFAULT_WINDOW:
            self._tell_window(0, settings.connection_window - DEFAULT_WINDOW)

    # -- in ----------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        at, size, unpack = 0, len(data), HEADER.unpack_from
        while at < size and not self._failed:
            upper, lower, kind, flags, stream = unpack(data, at)
            start = at + FRAME_HEADER
            at = start + (upper << 8 | lower)
            stream &= STREAM_BITS
            if self._block is not None and kind != _CONTINUATION:
                self._fail(ErrorCode.PROTOCOL_ERROR, "a header block goes on", events)
            elif not self._settings_received and (kind != _SETTINGS or flags & ACK):
                self._fail(ErrorCode.PROTOCOL_ERROR, "SETTINGS have to come first", events)
            elif kind == _DATA:
                self._receive_data(stream, flags, data[start:at], events)
            elif kind == _HEADERS:
                if flags & _NOT_PLAIN == END_HEADERS and stream > self.last_stream and stream & 1:
                    self._receive_block(stream, flags, data[start:at], events)
                else:
                    self._receive_headers(stream, flags, data[start:at], events)
            elif (act := self._ACTS.get(kind)) is not None:
                act(self, stream, flags, data[start:at], events)
        return events

    def _fail(self, code: ErrorCode, sentence: str, events: list[Event]) -> None:
        self.go_away(self.last_stream, code)
        self._failed = True
        events.append(ConnectionFailed(code, sentence))

    def _fail_stream(
        self, stream: int, code: ErrorCode, sentence: str, events: list[Event]
    ) -> None:
        self._reset(stream, code)
        events.append(StreamFailed(stream, code, sentence))

    def _reset(self, number: int, code: int) -> None:
        self._out.append(HEADER.pack(0, 4, _RST_STREAM, 0, number) + _U32.pack(code))
        self._close_at_once(number, _BY_US)

    def _close_at_once(self, number: int, how: int) -> None:
        self._sending.pop(number, None)
        self._receiving.pop(number, None)
        self._ended.pop(number, None)  # it may have been the client's to close: now it is the last
        self._closed(number, how)

    def _closed(self, number: int, how: int) -> None:
        ended = self._ended
        ended[number] = how
        if len(ended) > MOST_ENDED_STREAMS:
            oldest = next(iter(ended))
            del ended[oldest]
            if oldest > self._forgotten:
                self._forgotten = oldest

    def _is_open(self, number: int) -> bool:
        return number in self._sending or number in self._receiving

    def _is_idle(self, number: int) -> bool:
        """Whether it is a stream that has not begun, or that a client cannot begin; 0 too."""
        return number > self.last_stream or not number % 2

    def _is_left_out(self, number: int) -> bool:
        """Whether a stream that is not open, and has not ended of late, never was."""
        return number > self._forgotten or not number % 2

    # DATA

    def _receive_data(self, number: int, flags: int, payload: bytes, events: list[Event]) -> None:
        size = len(payload)
        if flags & PADDED:
            if not size or payload[0] >= size:
                code = ErrorCode.PROTOCOL_ERROR if size else ErrorCode.FRAME_SIZE_ERROR
                self._fail(code, "DATA is shorter than its padding", events)
                return
            payload = payload[1 : size - payload[0]]
        window = self._receiving.get(number)
        if window is None:
            self._refuse_data(number, events)
        if self._failed:
            return
        if not self._receive_window.take(size):
            self._fail(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is used up", events)
        elif window is None:
            self._give_back(size)
        elif not window.take(size):
            self._give_back(size)
            sentence = "its window is used up"
            self._fail_stream(number, ErrorCode.FLOW_CONTROL_ERROR, sentence, events)
        else:
            if flags & END_STREAM:
                self._client_ends(number)
            events.append(Data(number, payload, size, bool(flags & END_STREAM)))

    def _client_ends(self, number: int) -> None:
        del self._receiving[number]
        if number not in self._sending:
            self._closed(number, _BY_BOTH)

    def _refuse_data(self, number: int, events: list[Event]) -> None:
        how = self._ended.get(number)
        if number in self._sending or how == _BY_CLIENT:
            self._fail_stream(number, ErrorCode.STREAM_CLOSED, "DATA behind its end", events)
        elif how == _BY_BOTH:
            self._fail(ErrorCode.STREAM_CLOSED, "DATA behind the end of its stream", events)
        elif how is None and self._is_left_out(number):
            self._fail(ErrorCode.PROTOCOL_ERROR, "DATA on a stream that is not open", events)

    # HEADERS and CONTINUATION

    def _receive_headers(
        self, number: int, flags: int, payload: bytes, events: list[Event]
    ) -> None:
        if flags & (PADDED | PRIORITY):
            start = bool(flags & PADDED) + _PRIORITY_SIZE * bool(flags & PRIORITY)
            end = len(payload)
            if start > end:
                self._fail(ErrorCode.FRAME_SIZE_ERROR, "HEADERS are too short", events)
                return
            if flags & PADDED:
                end -= payload[0]
            if start > end:
                self._fail(ErrorCode.PROTOCOL_ERROR, "HEADERS are shorter than padding", events)
                return
            if flags & PRIORITY and _stream_at(payload, start - _PRIORITY_SIZE) == number:
                self._fail(ErrorCode.PROTOCOL_ERROR, "a stream cannot depend on itself", events)
                return
            payload = payload[start:end]
        if number <= self.last_stream or not number % 2:
            self._check_headers(number, events)
        if self._failed:
            return
        if flags & END_HEADERS:
            self._receive_block(number, flags, payload, events)
        else:
            self._block = _Block(number, flags, payload)

    def _check_headers(self, number: int, events: list[Event]) -> None:
        """HEADERS of a stream that is not new, or cannot be."""
        if number in self._receiving or number in self._sending:
            return
        how = self._ended.get(number)
        if how == _BY_BOTH:
            self._fail(ErrorCode.STREAM_CLOSED, "HEADERS behind the end of their stream", events)
        elif how is None and self._is_left_out(number):
            self._fail(ErrorCode.PROTOCOL_ERROR, "HEADERS on a stream that cannot begin", events)

    def _continue_block(self, number: int, flags: int, payload: bytes, events: list[Event]) -> None:
        block = self._block
        if block is None or block.stream != number:
            self._fail(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing", events)
            return
        block.pieces.append(payload)
        if flags & END_HEADERS:
            self._block = None
            self._receive_block(number, block.flags, b"".join(block.pieces), events)

    def _receive_block(self, number: int, flags: int, block: bytes, events: list[Event]) -> None:
        """A whole header block. It changes the decoder's table, so it is read in any case."""
        try:
            fields = self._decoder.fields(block)
        except OversizedHeaderListError:
            self._fail(ErrorCode.ENHANCE_YOUR_CALM, "the head is too large", events)
            return
        except HPACKError:
            self._fail(ErrorCode.COMPRESSION_ERROR, "the head cannot be decompressed", events)
            return
        ended = bool(flags & END_STREAM)
        if number > self.last_stream:
            self.last_stream = number
            self._sending[number] = self._first_send_window
            if not ended:
                self._receiving[number] = ReceiveWindow(self._stream_window)
            events.append(Head(number, fields, ended))
        elif number in self._receiving:
            if ended:
                self._client_ends(number)
            events.append(Trailers(number, fields, ended))
        elif number in self._sending or self._ended.get(number) == _BY_CLIENT:
            self._fail_stream(number, ErrorCode.STREAM_CLOSED, "HEADERS behind its end", events)

    # all others

    def _receive_priority(
        self, number: int, flags: int, payload: bytes, events: list[Event]
    ) -> None:
        """PRIORITY has no meaning any more, but a form (section 6.3)."""
        if not number:
            self._fail(ErrorCode.PROTOCOL_ERROR, "PRIORITY belongs to a stream", events)
        elif len(payload) != _PRIORITY_SIZE:
            self._fail(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY has 5 bytes", events)
        elif _stream_at(payload, 0) == number:
            self._fail(ErrorCode.PROTOCOL_ERROR, "a stream cannot depend on itself", events)

    def _receive_reset(self, number: int, flags: int, payload: bytes, events: list[Event]) -> None:
        if len(payload) != 4:
            self._fail(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM has 4 bytes", events)
        elif self._is_open(number):
            self._close_at_once(number, _BY_CLIENT)
            events.append(Reset(number, int.from_bytes(payload)))
        elif self._is_idle(number):
            self._fail(ErrorCode.PROTOCOL_ERROR, "RST_STREAM for an idle stream", events)

    def _receive_settings(
        self, number: int, flags: int, payload: bytes, events: list[Event]
    ) -> None:
        if number:
            self._fail(ErrorCode.PROTOCOL_ERROR, "SETTINGS belong to no stream", events)
        elif len(payload) % _SETTING.size or (flags & ACK and payload):
            self._fail(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a wrong size", events)
        elif not flags & ACK:
            window = self._first_send_window
            for name, value in _SETTING.iter_unpack(payload):
                fault = self._apply_setting(name, value)
                if fault is not None:
                    self._fail(fault, "a setting cannot have that value", events)
                    return
                if name == Setting.INITIAL_WINDOW_SIZE:
                    window = value
            if window != self._first_send_window and not self._change_windows(window):
                self._fail(ErrorCode.FLOW_CONTROL_ERROR, "a window is too large", events)
                return
            self._settings_received = True
            self._out.append(HEADER.pack(0, 0, _SETTINGS, ACK, 0))
            events.append(Room(0))

    def _apply_setting(self, name: int, value: int) -> ErrorCode | None:
        """Returns what ends the connection, if the client cannot say that (section 6.5.2)."""
        if name in _SWITCHES:
            return ErrorCode.PROTOCOL_ERROR if value > 1 else None
        if name == Setting.HEADER_TABLE_SIZE:
            self._encoder.allow(value)
        elif name == Setting.INITIAL_WINDOW_SIZE:
            return ErrorCode.FLOW_CONTROL_ERROR if value > LARGEST_WINDOW else None
        elif name == Setting.MAX_FRAME_SIZE:
            if not LEAST_FRAME_SIZE <= value <= LARGEST_FRAME_SIZE:
                return ErrorCode.PROTOCOL_ERROR
            self.frame_size = value
        return None

    def _change_windows(self, value: int) -> bool:
        """The difference counts for each open stream (section 6.9.2). It is applied once for a
        frame, however often that says it. Returns whether all windows are small enough."""
        more, sending = value - self._first_send_window, self._sending
        self._first_send_window = value
        for stream in sending:
            sending[stream] += more
        return max(sending.values(), default=0) <= LARGEST_WINDOW

    def _refuse_push(self, number: int, flags: int, payload: bytes, events: list[Event]) -> None:
        self._fail(ErrorCode.PROTOCOL_ERROR, "a client cannot push", events)

    def _receive_ping(self, number: int, flags: int, payload: bytes, events: list[Event]) -> None:
        if number:
            self._fail(ErrorCode.PROTOCOL_ERROR, "PING belongs to no stream", events)
        elif len(payload) != 8:
            self._fail(ErrorCode.FRAME_SIZE_ERROR, "PING has 8 bytes", events)
        elif flags & ACK:
            events.append(Pong(payload))
        else:
            self._out.append(HEADER.pack(0, 8, _PING, ACK, 0) + payload)

    def _receive_go_away(
        self, number: int, flags: int, payload: bytes, events: list[Event]
    ) -> None:
        if number:
            self._fail(ErrorCode.PROTOCOL_ERROR, "GOAWAY belongs to no stream", events)
        elif len(payload) < 8:
            self._fail(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY has 8 bytes or more", events)
        else:
            events.append(GoingAway(int.from_bytes(payload[4:8])))

    def _receive_window_update(
        self, number: int, flags: int, payload: bytes, events: list[Event]
    ) -> None:
        if len(payload) != 4:
            self._fail(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE has 4 bytes", events)
            return
        more = _stream_at(payload, 0)
        if not number:
            self._send_window += more
            if not more:
                self._fail(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing", events)
            elif self._send_window > LARGEST_WINDOW:
                self._fail(ErrorCode.FLOW_CONTROL_ERROR, "the window is too large", events)
            else:
                events.append(Room(0))
        elif self._is_open(number):
            window = self._sending.get(number, 0) + more
            if not more:
                sentence = "WINDOW_UPDATE of nothing"
                self._fail_stream(number, ErrorCode.PROTOCOL_ERROR, sentence, events)
            elif window > LARGEST_WINDOW:
                sentence = "its window is too large"
                self._fail_stream(number, ErrorCode.FLOW_CONTROL_ERROR, sentence, events)
            else:
                if number in self._sending:
                    self._sending[number] = window
                events.append(Room(number))
        elif self._is_idle(number):
            self._fail(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE for an idle stream", events)

    def _receive_priority_update(
        self, number: int, flags: int, payload: bytes, events: list[Event]
    ) -> None:
        if number:
            self._fail(ErrorCode.PROTOCOL_ERROR, "PRIORITY_UPDATE belongs to no stream", events)
        elif len(payload) < 4:
            self._fail(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY_UPDATE is too short", events)
        elif not (prioritized := _stream_at(payload, 0)) % 2:
            self._fail(ErrorCode.PROTOCOL_ERROR, "no stream of the client", events)
        else:
            events.append(PriorityUpdate(prioritized, payload[4:]))

    _ACTS: ClassVar[dict[int, Callable[["BuiltinEngine", int, int, bytes, list[Event]], None]]] = {
        FrameKind.PRIORITY.value: _receive_priority,
        FrameKind.RST_STREAM.value: _receive_reset,
        FrameKind.SETTINGS.value: _receive_settings,
        FrameKind.PUSH_PROMISE.value: _refuse_push,
        FrameKind.PING.value: _receive_ping,
        FrameKind.GOAWAY.value: _receive_go_away,
        FrameKind.WINDOW_UPDATE.value: _receive_window_update,
        FrameKind.CONTINUATION.value: _continue_block,
        FrameKind.PRIORITY_UPDATE.value: _receive_priority_update,
    }
    """What is done with a frame: its stream, flags, payload. A kind that is not here is ignored
    (section 4.1)."""

    # -- out ---------------------------------------------------------------------------------

    def output(self) -> bytes:
        out = self._out
        if not out:
            return b""
        self._out = []
        return b"".join(out)

    @property
    def has_output(self) -> bool:
        return bool(self._out)

    def room(self, stream: int) -> int:
        if not stream:
            return self._send_window
        return min(self._send_window, self._sending.get(stream, 0))

    def respond(self, stream: int, fields: Fields, body: bytes) -> bool:
        size, sending = len(body), self._sending
        if (
            size > sending.get(stream, -1)
            or size > self._send_window
            or size > self.frame_size
            or self._failed
        ):
            return False
        block = self._encoder.block(fields)
        length = len(block)
        if length <= self.frame_size:
            self._out += (
                HEADER.pack(length >> 8, length & 255, _HEADERS, END_HEADERS, stream),
                block,
                HEADER.pack(size >> 8, size & 255, _DATA, END_STREAM, stream),
                body,
            )
        else:
            self._send_long_block(stream, 0, block)
            self._out += (HEADER.pack(size >> 8, size & 255, _DATA, END_STREAM, stream), body)
        self._send_window -= size
        del sending[stream]
        if stream not in self._receiving:
            self._closed(stream, _BY_BOTH)
        return True

    def head(self, stream: int, fields: Fields, ended: bool) -> None:
        if stream not in self._sending or self._failed:
            return
        block, most = self._encoder.block(fields), self.frame_size
        size, flags = len(block), END_STREAM if ended else 0
        if size <= most:
            flags |= END_HEADERS
            self._out += (HEADER.pack(size >> 8, size & 255, _HEADERS, flags, stream), block)
        else:
            self._send_long_block(stream, flags, block)
        if ended:
            self._we_end(stream)

    def _send_long_block(self, stream: int, flags: int, block: bytes) -> None:
        kind, most = _HEADERS, self.frame_size
        for at in range(0, len(block), most):
            piece = block[at : at + most]
            if at + most >= len(block):
                flags |= END_HEADERS
            self._out += (
                HEADER.pack(len(piece) >> 8, len(piece) & 255, kind, flags, stream),
                piece,
            )
            kind, flags = _CONTINUATION, 0

    def body(self, stream: int, data: bytes, ended: bool) -> None:
        if stream not in self._sending or self._failed:
            return
        size = len(data)
        self._send_window -= size
        self._sending[stream] -= size
        flags = END_STREAM if ended else 0
        self._out += (HEADER.pack(size >> 8, size & 255, _DATA, flags, stream), data)
        if ended:
            self._we_end(stream)

    def trailers(self, stream: int, fields: Fields) -> None:
        self.head(stream, fields, True)

    def _we_end(self, number: int) -> None:
        del self._sending[number]
        if number not in self._receiving:
            self._closed(number, _BY_BOTH)

    def reset(self, stream: int, code: int) -> None:
        if self._is_open(stream) and not self._failed:
            self._reset(stream, code)

    def taken(self, stream: int, size: int) -> None:
        if self._failed or not size:
            return
        self._give_back(size)
        window = self._receiving.get(stream)
        if window is not None and (more := window.give_back(size)):
            self._tell_window(stream, more)

    def _give_back(self, size: int) -> None:
        if more := self._receive_window.give_back(size):
            self._tell_window(0, more)

    def _tell_window(self, stream: int, more: int) -> None:
        self._out.append(HEADER.pack(0, 4, _WINDOW_UPDATE, 0, stream) + _U32.pack(more))

    def ping(self, data: bytes) -> None:
        if not self._failed:
            self._out.append(connection_frame(_PING, data))

    def go_away(self, last: int, code: int, debug: bytes = b"") -> None:
        if not self._failed:
            self._out.append(connection_frame(_GOAWAY, _U32.pack(last) + _U32.pack(code) + debug))


_SWITCHES: Final = frozenset({
    Setting.ENABLE_PUSH.value, Setting.ENABLE_CONNECT_PROTOCOL.value,
    Setting.NO_RFC7540_PRIORITIES.value,
})  # fmt: skip
"""Settings that are 0 or 1."""


def _stream_at(payload: bytes, at: int) -> int:
    """31 bits there: a stream, or the increment of a window."""
    return int.from_bytes(payload[at : at + 4]) & STREAM_BITS
