"""The engine over h2, a library in pure Python. The one file that imports it. Pure.

h2 knows the protocol's states and windows. What differs from it here, and why:

- It checks and changes no fields (see `engine`), which also halves what a request costs.
- What it takes for the end of a connection, and is not, bypasses it. A client's GOAWAY: h2 forgets
  what is yet to be sent, and sends nothing more, while the client waits for its responses (RFC 9113
  section 6.8). One stream too many: the driver refuses that stream (section 5.1.2), so h2 is not
  told how many there may be.
- What it lets pass is refused: anything before SETTINGS (section 3.4), RST_STREAM for a stream that
  never began (section 6.4), NO_RFC7540_PRIORITIES of 2 (RFC 9218 section 2.1.1).
- It counts a body against its content-length, and ends the connection for one byte that lacks. That
  is decided above (RFC 9113 section 8.1.1), and ends a stream.
- It answers a frame behind RST_STREAM with another RST_STREAM, and has no event for that, nor for
  the same fault of a stream that has ended. So they are read from its output (`told_faults`).
- A head that cannot be decompressed ends the connection with COMPRESSION_ERROR (section 4.3), which
  h2 calls PROTOCOL_ERROR.
- It keeps every stream's end in memory, 65,536 of them. `MOST_ENDED_STREAMS` are enough to tell
  a late frame from a wrong one.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, cast

from h2 import events as h2_events
from h2.config import H2Configuration
from h2.connection import AllowedStreamIDs, H2Connection
from h2.exceptions import ProtocolError, StreamClosedError
from h2.settings import SettingCodes, Settings
from h2.stream import H2Stream, StreamClosedBy
from hpack.exceptions import HPACKError
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, RstStreamFrame

from ..http.grammar import HTTP2_PREFACE
from ..http.rules import Fields
from ..settings import Http2Settings
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
    FRAME_HEADER,
    MOST_ENDED_STREAMS,
    STREAM_BITS,
    UNLIMITED,
    FrameKind,
    HeadBounds,
    Setting,
    announced_settings,
    settings_frame,
)
from .told_faults import told_faults

SCAN_AT: Final = 64
"""Streams in memory at which the ended ones are looked for."""

_GOAWAY_SIZE: Final = FRAME_HEADER + 8
"""Bytes of a GOAWAY without a text."""
_HEADERS: Final = FrameKind.HEADERS.value
_RST_STREAM: Final = FrameKind.RST_STREAM.value
_SETTINGS: Final = FrameKind.SETTINGS.value
_GOAWAY: Final = FrameKind.GOAWAY.value
_CONTINUATION: Final = FrameKind.CONTINUATION.value
_SPECIAL: Final = frozenset({_RST_STREAM, _SETTINGS, _GOAWAY, FrameKind.PRIORITY_UPDATE.value})
"""Types of frames that are not left to h2, or not always."""


class _H2Connection(H2Connection):
    """h2's connection, which checks less, forgets sooner and compresses faster."""

    MAX_CLOSED_STREAMS = MOST_ENDED_STREAMS

    def __init__(self, settings: dict[int, int], bounds: HeadBounds) -> None:
        """`settings` are those that the client will be told of."""
        super().__init__(
            H2Configuration(
                client_side=False,
                header_encoding=None,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        known = {
            SettingCodes(code): value
            for code, value in settings.items()
            if code != Setting.NO_RFC7540_PRIORITIES  # h2 does not know it
        }
        known[SettingCodes.MAX_CONCURRENT_STREAMS] = UNLIMITED
        self.local_settings = Settings(client=False, initial_values=known)
        self.max_inbound_frame_size = known[SettingCodes.MAX_FRAME_SIZE]
        self.encoder = FieldEncoder()
        self.decoder = BlockDecoder(bounds)
        self._scan_at = SCAN_AT
        """Streams in memory at which the ended ones are forgotten."""

    @property
    def open_inbound_streams(self) -> int:
        """How many streams are open, as far as h2 has to know: the driver counts them. h2 also
        forgets the ended ones here, at each new stream, in which it looks at all of them."""
        if len(self.streams) < self._scan_at:
            return 0
        count = super().open_inbound_streams
        self._scan_at = SCAN_AT + 2 * count
        return count

    def _receive_frame(self, frame: Frame) -> list[h2_events.Event]:
        """As h2 does it, but for a text of all of a DATA frame's bytes, which h2 makes for a log
        that is off: it takes as long as everything else."""
        if isinstance(frame, DataFrame):
            frames, events = self._receive_data_frame(frame)
            self._prepare_for_sending(frames)
            return events
        return super()._receive_frame(frame)

    def _handle_data_on_closed_stream(
        self, events: list[h2_events.Event], exc: StreamClosedError, frame: DataFrame
    ) -> tuple[list[Frame], list[h2_events.Event]]:
        """DATA that was on its way when we have reset its stream is dropped (RFC 9113 section 5.1),
        and not answered with a further RST_STREAM. There are events if h2 resets it only now."""
        frames, events = super()._handle_data_on_closed_stream(events, exc, frame)
        closed_by = self._stream_closed_by(frame.stream_id)
        if not events and closed_by == StreamClosedBy.SEND_RST_STREAM:
            frames = [one for one in frames if not isinstance(one, RstStreamFrame)]
        return frames, events

    def _begin_new_stream(self, stream_id: int, allowed_ids: AllowedStreamIDs) -> H2Stream:
        stream = super()._begin_new_stream(stream_id, allowed_ids)
        vars(stream)["_initialize_content_length"] = _read_no_length
        return stream


def _read_no_length(headers: object) -> None:
    """Instead of what a stream of h2 makes of content-length."""


class H2Engine:
    """An `Engine`."""

    def __init__(self, settings: Http2Settings, bounds: HeadBounds) -> None:
        """`bounds` of the heads that are read."""
        announced = announced_settings(settings, bounds.size)
        self._h2 = connection = _H2Connection(announced, bounds)
        self._in_block = False
        """Whether a head has begun, and is not whole."""
        self._settings_received = False
        """Whether the client's SETTINGS have come."""
        self._failed = False
        self._reset = deque[int](maxlen=MOST_ENDED_STREAMS)
        """The last streams that we have reset."""
        connection.initiate_connection()
        connection.clear_outbound_data_buffer()
        self._own = [settings_frame(announced)]
        """Frames that h2 does not know of."""
        window = settings.connection_window
        if window > DEFAULT_WINDOW:
            connection.increment_flow_control_window(window - DEFAULT_WINDOW)
        connection.receive_data(HTTP2_PREFACE)

    # -- in ----------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        start = at = 0
        while at < len(data) and not self._failed:
            kind, size = data[at + 3], int.from_bytes(data[at : at + 3], "big")
            end = at + FRAME_HEADER + size
            if kind in _SPECIAL and self._settings_received and not self._in_block:
                if start < at:
                    self._feed(data[start:at], events)
                if not self._failed:
                    self._special(kind, data[at:end], events)
                start = end
            elif not self._settings_received:
                self._settings_received = kind == _SETTINGS and not data[at + 4] & ACK
                if not self._settings_received:
                    self._fail(ErrorCode.PROTOCOL_ERROR, "SETTINGS have to come first", events)
            elif kind in (_HEADERS, _CONTINUATION):
                self._in_block = not data[at + 4] & END_HEADERS
            at = end
        if start < len(data) and not self._failed:
            self._feed(data if not start else data[start:], events)
        return events

    def _special(self, kind: int, frame: bytes, events: list[Event]) -> None:
        """A whole frame that h2 would take for something else."""
        stream = int.from_bytes(frame[5:FRAME_HEADER], "big") & STREAM_BITS
        if kind == _RST_STREAM:
            if stream > self._h2.highest_inbound_stream_id:
                self._fail(ErrorCode.PROTOCOL_ERROR, "RST_STREAM for an idle stream", events)
            else:
                self._feed(frame, events)
        elif stream:
            self._fail(ErrorCode.PROTOCOL_ERROR, "the frame belongs to no stream", events)
        elif kind == _SETTINGS:
            if frame[4] & ACK and len(frame) > FRAME_HEADER:
                self._fail(ErrorCode.FRAME_SIZE_ERROR, "an ACK of SETTINGS has no payload", events)
            elif _has_invalid_priorities_setting(frame[FRAME_HEADER:]):
                self._fail(ErrorCode.PROTOCOL_ERROR, "NO_RFC7540_PRIORITIES is 0 or 1", events)
            else:
                self._feed(frame, events)
        elif len(frame) < FRAME_HEADER + (8 if kind == _GOAWAY else 4):
            self._fail(ErrorCode.FRAME_SIZE_ERROR, "the frame is too short", events)
        elif kind == _GOAWAY:
            events.append(GoingAway(int.from_bytes(frame[13:17], "big")))
        else:
            stream = int.from_bytes(frame[FRAME_HEADER:13], "big") & STREAM_BITS
            if stream % 2:
                events.append(PriorityUpdate(stream, frame[13:]))
            else:
                self._fail(ErrorCode.PROTOCOL_ERROR, "no stream of the client", events)

    def _feed(self, data: bytes, events: list[Event]) -> None:
        try:
            heard = self._h2.receive_data(data)
        except ProtocolError as error:
            # Its own GOAWAY is the last of what it sends; the code may be a better one.
            self._own.append(self._h2.data_to_send()[:-_GOAWAY_SIZE])
            code = ErrorCode(int(error.error_code))
            if isinstance(error.__cause__, HPACKError) and code == ErrorCode.PROTOCOL_ERROR:
                code = ErrorCode.COMPRESSION_ERROR
            # Not what h2 says: that has the client's bytes in it, all of them.
            self._fail(code, type(error).__name__, events)
            return
        for event in heard:
            become = _EVENTS.get(type(event))
            found = become(event) if become is not None else None
            if found is not None:
                events.append(found)
        answer = self._h2.data_to_send()
        if answer:
            self._own.append(answer)
            events += (one for one in told_faults(answer) if not self._was_reset(one))

    def _was_reset(self, fault: Event) -> bool:
        """Whether it is a frame that was under way when we have reset its stream: no fault (RFC
        9113 section 5.1)."""
        return isinstance(fault, StreamFailed) and fault.stream in self._reset

    def _fail(self, code: ErrorCode, sentence: str, events: list[Event]) -> None:
        self.go_away(self.last_stream, code)
        self._failed = True
        events.append(ConnectionFailed(code, sentence))

    # -- out ---------------------------------------------------------------------------------

    def output(self) -> bytes:
        data = self._h2.data_to_send()
        if self._own:
            # What h2 has was said before, but for the first SETTINGS, which have to be the first.
            own, self._own = b"".join(self._own), []
            data = own + data
        return data

    @property
    def frame_size(self) -> int:
        return self._h2.max_outbound_frame_size

    @property
    def last_stream(self) -> int:
        return self._h2.highest_inbound_stream_id

    def room(self, stream: int) -> int:
        if not stream:
            return self._h2.outbound_flow_control_window
        found = self._h2.streams.get(stream)
        if found is None or found.closed:
            return 0
        return min(self._h2.outbound_flow_control_window, found.outbound_flow_control_window)

    @property
    def has_output(self) -> bool:
        return True  # h2 does not say

    def respond(self, stream: int, fields: Fields, body: bytes) -> bool:
        if len(body) > min(self.room(stream), self.frame_size):
            return False
        self.head(stream, fields, False)
        self.body(stream, body, True)
        return True

    def head(self, stream: int, fields: Fields, ended: bool) -> None:
        if self._is_open(stream):
            self._h2.send_headers(stream, fields, ended)

    def body(self, stream: int, data: bytes, ended: bool) -> None:
        if self._is_open(stream):
            self._h2.send_data(stream, data, ended)

    def trailers(self, stream: int, fields: Fields) -> None:
        self.head(stream, fields, True)

    def reset(self, stream: int, code: int) -> None:
        if self._is_open(stream):
            self._h2.reset_stream(stream, code)
            self._own.append(self._h2.data_to_send())  # so that it is no answer of h2's
            self._reset.append(stream)

    def _is_open(self, stream: int) -> bool:
        found = self._h2.streams.get(stream)
        return found is not None and not found.closed and not self._failed

    def taken(self, stream: int, size: int) -> None:
        if size and not self._failed:
            self._h2.acknowledge_received_data(size, stream)

    def ping(self, data: bytes) -> None:
        if not self._failed:
            self._h2.ping(data)

    def go_away(self, last: int, code: int, debug: bytes = b"") -> None:
        if not self._failed:
            frame = GoAwayFrame(0, last_stream_id=last, error_code=code, additional_data=debug)
            self._own += [self._h2.data_to_send(), frame.serialize()]


# -- what h2's events are --------------------------------------------------------------------


def _head(event: h2_events.RequestReceived) -> Event:
    return Head(event.stream_id, cast(Fields, event.headers), event.stream_ended is not None)


def _trailers(event: h2_events.TrailersReceived) -> Event:
    return Trailers(event.stream_id, cast(Fields, event.headers), True)


def _data(event: h2_events.DataReceived) -> Event:
    ended = event.stream_ended is not None
    return Data(event.stream_id, event.data, event.flow_controlled_length, ended)


def _reset(event: h2_events.StreamReset) -> Event | None:
    if not event.remote_reset:
        return None  # it is among the answers
    return Reset(event.stream_id, int(event.error_code or 0))


def _room(event: h2_events.WindowUpdated) -> Event:
    return Room(event.stream_id)


def _settings(event: h2_events.RemoteSettingsChanged) -> Event:
    return Room(0)


def _pong(event: h2_events.PingAckReceived) -> Event:
    return Pong(event.ping_data)


_EVENTS: Final = cast(
    dict[type, Callable[[h2_events.Event], Event | None]],
    {
        h2_events.RequestReceived: _head,
        h2_events.TrailersReceived: _trailers,
        h2_events.DataReceived: _data,
        h2_events.StreamReset: _reset,
        h2_events.WindowUpdated: _room,
        h2_events.RemoteSettingsChanged: _settings,
        h2_events.PingAckReceived: _pong,
    },
)


def _has_invalid_priorities_setting(settings: bytes) -> bool:
    """Whether NO_RFC7540_PRIORITIES is neither 0 nor 1 in the payload of SETTINGS."""
    pairs = [settings[at : at + 6] for at in range(0, len(settings), 6)]
    own = Setting.NO_RFC7540_PRIORITIES.to_bytes(2)
    return any(pair[:2] == own and int.from_bytes(pair[2:]) > 1 for pair in pairs)
