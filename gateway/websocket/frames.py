"""The frames of a WebSocket, without its socket (RFC 6455, RFC 7692). The adapter for wsproto.

wsproto reads and writes every frame that is not quite plain. This module adds the bounds that
wsproto lacks: the size of a message, measured after decompression and enforced while decompressing,
and the memory of a compressor.

**Small frames.** A frame may have a payload of one byte, or of none, and 64 KiB that were received
at once hold eleven thousand of these. An object and a call of wsproto for each would take a tenth
of a second, in which no other client is heard. So three things are done about them.

- What a small frame says is read here, without wsproto: a whole message, a ping, a pong.
- Fragments that follow each other are put together first. RFC 6455 section 5.4 gives their borders
  no meaning, and RFC 7692 section 6.1 none to those of a compressed message. So a run of fragments
  is a whole message, or wsproto gets it as one frame.
- One `read` handles `MOST_FRAMES` at most. The rest waits for the connection's next turn.

Fragments that come one by one, each in a `read` of its own, would still cost the link and the
worker a message each. So pieces of a message are held here until they are `LEAST_PIECE` bytes
together, or the message ends. The app gets whole messages only, so nobody waits for them.

**Compressed frames.** A frame of 16 KiB may be 16 MiB, which take zlib and all behind it a tenth of
a second. wsproto can't stop in the middle of that, so compressed messages are read here, without
it: `inflate.py` takes the compression off step by step, and a `read` ends behind `MOST_PLAIN`
bytes. The next goes on where it was.
"""

import codecs
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.extensions import Extension, PerMessageDeflate
from wsproto.frame_protocol import CloseReason, RsvBits

from ...protocol.link import utf8_size
from ..settings import WebSocketSettings
from .inflate import Inflater
from .masking import apply_mask

NORMAL: Final = 1000
NO_STATUS: Final = 1005
"""The peer's close frame had no code. This code is never on the wire."""
PROTOCOL_ERROR: Final = 1002
ABNORMAL: Final = 1006
"""The connection ended without a close frame. This code is never on the wire."""
BAD_DATA: Final = 1007
POLICY_VIOLATION: Final = 1008
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012

_FIN: Final = 0x80
_CONTROL: Final = 0x08
_MASKED: Final = 0x80
_TEXT: Final = _FIN | 1
_BINARY: Final = _FIN | 2
_PING: Final = _FIN | 9
_PONG: Final = _FIN | 10
_WHOLE: Final = frozenset({_TEXT, _BINARY})
_FRAGMENTS: Final = frozenset({0, 1, 2, _FIN})
"""First bytes of fragments that are not compressed themselves; those that begin a message have an
opcode."""
_OPCODE: Final = 0x0F
_RESERVED: Final = 0x70
_COMPRESSED: Final = 0x40
"""The reserved bit on the first frame of a message that is compressed (RFC 7692 section 6)."""
_HEAD: Final = 6
"""Bytes before the payload of a small frame: first byte, size, mask."""
_SMALL: Final = 125
"""Bytes of payload whose number is in the frame's second byte."""

MOST_FRAMES: Final = 256
"""Frames that one `read` handles at most. That is half a millisecond of the gateway's time if they
are small, and pays for one `send` to the worker and one to the client."""

MOST_PLAIN: Final = 131_072
"""Plain bytes of frames that wsproto reads, or that were compressed, behind which a `read` ends: a
third of a millisecond. With half as many, large compressed messages would cost 2 % more."""
LEAST_PIECE: Final = 4_096
"""Bytes, or characters, that a piece has which is not a message's last one. Less would cost more on
its way to the app than its bytes do; more would be held for each WebSocket."""
_STEP_COST: Final = 1_024
"""Plain bytes that a step of zlib, and what is done about it, is worth."""
_FRAME_COST: Final = 4_096
"""Plain bytes that a frame which wsproto reads is worth: it takes 11 us, however small it is."""
_MOST_HELD: Final = 64
"""Small pieces that are held one by one, until they are put together."""

_MEMORY_LEVEL: Final = 5
"""zlib's memLevel for messages that we send. It takes 16 KiB and the window; zlib's default takes
128 KiB."""
_NO_BITS: Final = RsvBits(False, False, False)
"""The reserved bits that frames may have which wsproto reads."""
_PARAMETER: Final = re.compile(
    rb"(server_no_context_takeover|client_no_context_takeover)"
    rb"|(server_max_window_bits)=\"?([0-9]{1,2})\"?"
    rb"|(client_max_window_bits)(?:=\"?([0-9]{1,2})\"?)?"
)


@dataclass(slots=True)
class Messages:
    """Whole messages, in their order."""

    data: list[bytes | str]


@dataclass(slots=True)
class Piece:
    """Part of a message, and whether more of it comes."""

    data: bytes | str
    more: bool


@dataclass(slots=True)
class Reply:
    """Bytes that the protocol owes the peer: a pong."""

    data: bytes


@dataclass(slots=True)
class Closed:
    """The peer has closed. `reply` holds the last bytes to send it."""

    code: int
    reason: str
    reply: bytes


@dataclass(slots=True)
class Failed:
    """The peer has broken the rules. Nothing more is read, and a close frame with this code and
    reason has to be sent (RFC 6455 section 7.1.7)."""

    code: int
    reason: str


WebSocketEvent = Messages | Piece | Reply | Closed | Failed


def _header(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Reads the header of the frame at `at` (RFC 6455 section 5.2). Returns its first byte, the
    place of the payload and the place of its end, which may not have arrived; None if the header is
    not complete."""
    there = len(data) - at
    if there < 2:
        return None
    length = data[at + 1] & 0x7F
    start = at + 2
    if length >= 126:
        start += 2 if length == 126 else 8
        length = int.from_bytes(data[at + 2 : start], "big")
    if data[at + 1] & _MASKED:
        start += 4
    return None if start > len(data) else (data[at], start, start + length)


def _payload(data: bytes, at: int, end: int) -> bytes:
    """The payload of the small frame from `at` to `end`."""
    start = at + _HEAD
    return apply_mask(data[start:end], data[at + 2 : start]) if start < end else b""


def _fragments(data: bytes, at: int, most: int) -> tuple[int, bytes, int, int]:
    """Puts together the fragment at `at` and those that follow it, `most` frames at most, as long
    as they are small, whole, and of one message. Pongs between them are left out. Returns the first
    byte and the payload of the frame that says the same, the place behind them and the number of
    frames."""
    pieces: list[bytes] = []
    opcode, fin, size, count = data[at] & _OPCODE, 0, len(data), 0
    while count < most and not fin and size - at >= _HEAD:
        first, second = data[at], data[at + 1]
        end = at + second - (_MASKED - _HEAD)
        if not _MASKED <= second <= _MASKED + _SMALL or end > size:
            break
        if first != _PONG:
            if pieces and first & ~_FIN:
                break
            fin = first & _FIN
            pieces.append(_payload(data, at, end))
        at = end
        count += 1
    return fin | opcode, b"".join(pieces), at, count


def _frame(first: int, payload: bytes) -> bytes:
    """A client's frame whose mask changes nothing."""
    size = len(payload)
    if size <= _SMALL:
        return bytes((first, _MASKED | size, 0, 0, 0, 0)) + payload
    return b"%c\xfe%b\0\0\0\0%b" % (first, size.to_bytes(2, "big"), payload)


def _joined(pieces: list[bytes | str]) -> bytes | str:
    if isinstance(pieces[0], str):
        return "".join(cast("list[str]", pieces))
    return b"".join(cast("list[bytes]", pieces))


def _add(message: bytes | str, events: list[WebSocketEvent]) -> None:
    """Adds a whole message behind what else was read."""
    last = events[-1] if events else None
    if isinstance(last, Messages):
        last.data.append(message)
    else:
        events.append(Messages([message]))


class OutboundDeflate(PerMessageDeflate):
    """permessage-deflate for what we send, with a small compressor. What wsproto reads is plain: a
    compressed frame never gets there, and one that says so where it can't be has a reserved bit too
    many."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.finalize("permessage-deflate")

    def frame_inbound_header(self, proto: Any, opcode: Any, rsv: Any, payload_length: int) -> Any:
        return _NO_BITS

    def frame_inbound_payload_data(self, proto: Any, data: bytes) -> bytes:
        return data

    def frame_inbound_complete(self, proto: Any, fin: bool) -> None:
        return None

    def frame_outbound(self, proto: Any, opcode: Any, rsv: Any, data: bytes, fin: bool) -> Any:
        if self._compressor is None and self._compressible_opcode(opcode):
            self._compressor = zlib.compressobj(
                zlib.Z_DEFAULT_COMPRESSION,
                zlib.DEFLATED,
                -self.server_max_window_bits,
                _MEMORY_LEVEL,
            )
        return super().frame_outbound(proto, opcode, rsv, data, fin)


def negotiate_deflate(
    offers: Iterable[bytes], settings: WebSocketSettings
) -> tuple[OutboundDeflate | None, bytes]:
    """Returns the extension for the first offer of permessage-deflate that can be met, and the
    response to it. An offer with an unknown parameter is declined (RFC 7692 section 7.1)."""
    if not settings.per_message_deflate:
        return None, b""
    for offer in offers:
        name, *parameters = [part.strip(b" \t") for part in offer.split(b";")]
        if name != b"permessage-deflate":
            continue
        wanted = _read_parameters(parameters)
        if wanted is not None:
            return _meet(wanted, settings)
    return None, b""


def _read_parameters(parameters: Iterable[bytes]) -> dict[bytes, int] | None:
    wanted: dict[bytes, int] = {}
    for parameter in parameters:
        match = _PARAMETER.fullmatch(parameter)
        if match is None:
            return None
        name = match[1] or match[2] or match[4]
        bits = match[3] or match[5]
        # zlib cannot make a raw stream with a window of 8 bits.
        if name in wanted or (bits is not None and not 9 <= int(bits) <= 15):
            return None
        wanted[name] = int(bits) if bits is not None else 15
    return wanted


def _meet(wanted: dict[bytes, int], settings: WebSocketSettings) -> tuple[OutboundDeflate, bytes]:
    ours = settings.deflate_window_bits
    server_bits = min(ours, wanted.get(b"server_max_window_bits", 15))
    # A client that does not offer it cannot be told to use a smaller window.
    offered = b"client_max_window_bits" in wanted
    client_bits = min(ours, wanted[b"client_max_window_bits"]) if offered else 15
    forgets = not settings.deflate_context_takeover
    server_forgets = forgets or b"server_no_context_takeover" in wanted
    client_forgets = forgets or b"client_no_context_takeover" in wanted
    response = [b"permessage-deflate", b"server_max_window_bits=%d" % server_bits]
    if offered:
        response.append(b"client_max_window_bits=%d" % client_bits)
    if server_forgets:
        response.append(b"server_no_context_takeover")
    if client_forgets:
        response.append(b"client_no_context_takeover")
    extension = OutboundDeflate(
        server_max_window_bits=server_bits,
        client_max_window_bits=client_bits,
        server_no_context_takeover=server_forgets,
        client_no_context_takeover=client_forgets,
    )
    return extension, b"; ".join(response)


class WebSocketMachine:
    """The server's side of one WebSocket that was accepted.

    Most messages are one frame that arrives in one piece. These, and all that are compressed, are
    read here; plain ones are written here, too, which takes a tenth of the time. wsproto reads
    everything else. It gets whole frames, and none that was read here, so both agree at the border
    of each frame.
    """

    __slots__ = (
        "_at",
        "_buffer",
        "_connection",
        "_cost",
        "_decoder",
        "_deflates",
        "_ended",
        "_held",
        "_held_size",
        "_in_fragments",
        "_inflater",
        "_key",
        "_left",
        "_limit",
        "_packed",
        "_sends_fragments",
        "_size",
        "inflated",
        "unread",
    )

    def __init__(self, settings: WebSocketSettings, deflate: OutboundDeflate | None) -> None:
        extensions: list[Extension] = [] if deflate is None else [deflate]
        self._connection = Connection(ConnectionType.SERVER, extensions)
        self._deflates = deflate is not None
        self._inflater: Inflater | None = None
        if deflate is not None:
            self._inflater = Inflater(
                deflate.client_max_window_bits, forgets=deflate.client_no_context_takeover
            )
        self._limit = settings.max_size
        self._size = 0
        """Bytes of an unfinished message that have arrived, plain."""
        self._buffer = b""
        self._at = 0
        """The place up to which the buffer was read."""
        self._cost = 0
        """Plain bytes that wsproto or zlib has given in this `read`."""
        self._left = 0
        """Bytes of the current frame that have yet to be read."""
        self._key = b""
        """The rest of the mask of the current frame, if it is compressed."""
        self._packed: Literal["no", "goes on", "last frame"] = "no"
        """Whether the message that has begun is compressed, and how far it is."""
        self._decoder: codecs.IncrementalDecoder | None = None
        """For a compressed message that is text."""
        self._held: list[bytes | str] = []
        """Small pieces of a message, which wait for more of it."""
        self._held_size = 0
        self._in_fragments = False
        """Whether the frames so far leave a message unfinished."""
        self._sends_fragments = False
        self._ended = False
        self.inflated = 0
        """Bytes by which what the last `read` has decompressed is more than what it was before."""
        self.unread = False
        """Whether the last `read` has left something for the next one."""

    @property
    def held(self) -> int:
        """Bytes of the peer that were not given away yet, about: not read, compressed, or small
        pieces of a message."""
        packed = 0 if self._inflater is None else self._inflater.held
        return len(self._buffer) + packed + self._held_size

    def receive(self, data: bytes) -> None:
        """Takes bytes of the peer, for `read`."""
        self._buffer = self._buffer[self._at :] + data if self._buffer else data
        self._at = 0

    def read(self, most: int = MOST_FRAMES) -> list[WebSocketEvent]:
        """Returns what the next frames say, `most` of them, and no more behind `MOST_PLAIN`;
        `unread` tells whether more have come.
        Nothing follows a Closed or a Failed. After our own close frame, messages are dropped."""
        events: list[WebSocketEvent] = []
        data, at, frames = self._buffer, self._at, most
        size = len(data)
        is_open = self._connection.state is ConnectionState.OPEN
        self._cost = self.inflated = 0
        inflater = self._inflater
        if inflater is not None and inflater.pending:
            self._inflate(inflater, events)
            if self._cost >= MOST_PLAIN:
                frames = 0
        while at < size and frames > 0 and not self._ended:
            frames -= 1
            first, end = data[at], 0
            if not self._left and size - at >= _HEAD and is_open:
                second = data[at + 1]
                if _MASKED <= second <= _MASKED + _SMALL:
                    end = at + second - (_MASKED - _HEAD)
            if not 0 < end <= size:
                end = self._read_any(at, events)
                if end == at:
                    frames = most  # what is left is less than a header
                    break
            elif first == _PONG:
                pass  # any bytes show that the peer is there
            elif first == _PING:
                events.append(Reply(bytes((_PONG, end - at - _HEAD)) + _payload(data, at, end)))
            elif first in _WHOLE and not self._in_fragments:
                self._read_small(first, _payload(data, at, end), events)
            elif first in _FRAGMENTS and self._in_fragments is (not first & _OPCODE):
                first, payload, end, count = _fragments(data, at, frames + 1)
                frames -= count - 1
                self._read_small(first, payload, events)
            else:
                end = self._read_any(at, events)
            at = end
            if self._cost >= MOST_PLAIN:
                frames = 0
        more = at < size and not self._ended
        self.unread = (frames <= 0 and more) or (inflater is not None and inflater.pending)
        if more:
            self._at = at
        else:
            self._buffer, self._at = b"", 0
        return events

    def _read_small(self, first: int, payload: bytes, events: list[WebSocketEvent]) -> None:
        """Reads a frame of a message that is small, or was many small ones."""
        if first in _WHOLE and len(payload) <= self._limit:
            if first == _BINARY:
                _add(payload, events)
                return
            try:
                _add(payload.decode(), events)
                return
            except UnicodeDecodeError:
                pass  # wsproto says what is wrong with it
        self._in_fragments = not first & _FIN
        if self._packed == "no":
            self._read_with_wsproto(_frame(first, payload), events)
        else:
            self._unpack(payload, last=not self._in_fragments, events=events)

    def _read_any(self, at: int, events: list[WebSocketEvent]) -> int:
        """Reads a frame of any kind, or the part of it that has come. Returns the place behind it;
        `at` if not even its header has come."""
        data, size = self._buffer, len(self._buffer)
        if not self._left:
            header = _header(data, at)
            if header is None:
                return at
            first, start, end = header
            if first in _WHOLE and end <= size and not self._in_fragments:
                message = self._whole_message(data, at, start, end)
                if message is not None:
                    _add(message, events)
                    return end
            if self._is_packed(data[at : at + 2], start - at, end - start):
                return self._begin_packed(data, start, end, first, events)
            if not first & _CONTROL:
                if self._packed != "no" and first & _OPCODE:
                    self._fail(PROTOCOL_ERROR, "expected a continuation", events)
                    return end
                self._in_fragments = not first & _FIN
            self._left = end - at
        end = min(size, at + self._left)
        self._left -= end - at
        if self._key:
            self._read_packed(data[at:end], events)
        else:
            self._read_with_wsproto(data[at:end], events)
        return end

    # -- compressed messages -----------------------------------------------------------------

    def _is_packed(self, two: bytes, head: int, length: int) -> bool:
        """Whether a frame, with these first two bytes and lengths, is of a compressed message and
        has no fault that wsproto would find in its header."""
        first = two[0]
        if first & _OPCODE:
            begins = first & _OPCODE in (1, 2) and not self._in_fragments and self._deflates
            fits = begins and first & _RESERVED == _COMPRESSED
        else:
            fits = self._packed == "goes on" and not first & _RESERVED
        shortest = _HEAD if length <= _SMALL else _HEAD + (2 if length <= 0xFFFF else 8)
        return fits and two[1] >= _MASKED and head == shortest and length < 1 << 63

    def _begin_packed(
        self, data: bytes, start: int, end: int, first: int, events: list[WebSocketEvent]
    ) -> int:
        """Begins a frame of a compressed message. Returns the place up to which it was read."""
        if first & _OPCODE:
            self._packed = "goes on"
            is_text = first & _OPCODE == 1
            self._decoder = codecs.getincrementaldecoder("utf-8")() if is_text else None
        self._in_fragments = not first & _FIN
        if not self._in_fragments:
            self._packed = "last frame"
        self._left, self._key = end - start, data[start - 4 : start]
        there = min(end, len(data))
        self._left -= there - start
        self._read_packed(data[start:there], events)
        return there

    def _read_packed(self, masked: bytes, events: list[WebSocketEvent]) -> None:
        """Reads bytes of the current frame, which is of a compressed message."""
        key, count = self._key, len(masked) % 4
        self._key = key[count:] + key[:count] if self._left else b""
        last = not self._left and self._packed == "last frame"
        self._unpack(apply_mask(masked, key) if masked else b"", last=last, events=events)

    def _unpack(self, packed: bytes, *, last: bool, events: list[WebSocketEvent]) -> None:
        """Takes bytes of a compressed message. `last`: they are its last ones."""
        inflater = self._inflater
        assert inflater is not None, "it was negotiated"
        if last:
            self._packed = "last frame"
        if self._connection.state is not ConnectionState.OPEN:
            if last:
                self._packed = "no"
            return
        self.inflated -= len(packed)
        inflater.feed(packed, last)
        self._inflate(inflater, events)

    def _inflate(self, inflater: Inflater, events: list[WebSocketEvent]) -> None:
        """Takes the compression off what has come, in steps, up to this `read`'s share."""
        if self._connection.state is not ConnectionState.OPEN:
            inflater.drop()
            if self._packed == "last frame" and not self._left:
                self._packed = "no"
            return
        decoder = self._decoder
        while inflater.pending and self._cost < MOST_PLAIN:
            try:
                plain = inflater.step()
            except zlib.error:
                self._fail(BAD_DATA, "the compressed data is not valid", events)
                return
            self._cost += len(plain) + _STEP_COST
            self.inflated += len(plain)
            self._size += len(plain)
            if self._size > self._limit:
                self._fail(TOO_BIG, self._over_limit, events)
                return
            over = inflater.message_over
            piece: bytes | str = plain
            if decoder is not None:
                try:
                    piece = decoder.decode(plain, over)
                except UnicodeDecodeError as error:
                    self._fail(BAD_DATA, str(error), events)
                    return
            if over:
                self._packed = "no"
                self._size = 0
            self._add_piece(piece, not over, events)

    def _fail(self, code: int, reason: str, events: list[WebSocketEvent]) -> None:
        self._ended = True
        if self._inflater is not None:
            self._inflater.drop()
        events.append(Failed(code, reason))

    def _add_piece(self, piece: bytes | str, more: bool, events: list[WebSocketEvent]) -> None:
        """Adds a piece of a message behind what else was read, or holds a small one."""
        held = self._held
        if more:
            self._held_size += len(piece)
            if self._held_size < LEAST_PIECE:
                held.append(piece)
                if len(held) == _MOST_HELD:
                    held[:] = [_joined(held)]
                return
        self._held_size = 0
        if held:
            held.append(piece)
            piece = _joined(held)
            held.clear()
        events.append(Piece(piece, more))

    def _whole_message(self, data: bytes, at: int, start: int, end: int) -> bytes | str | None:
        """The message of one plain frame; None if the frame is unusual in any way."""
        size = end - start
        if (
            data[at + 1] < _MASKED
            or (size < 126 and start - at != _HEAD)  # its length is written in too many bytes
            or not 0 < size <= min(self._limit, 0xFFFF)
            or self._connection.state is not ConnectionState.OPEN
        ):
            return None
        message = apply_mask(data[start:end], data[start - 4 : start])
        if data[at] == _BINARY:
            return message
        try:
            return message.decode()
        except UnicodeDecodeError:
            return None

    def _read_with_wsproto(self, data: bytes, events: list[WebSocketEvent]) -> None:
        connection = self._connection
        self._cost += _FRAME_COST
        connection.receive_data(data)
        for event in connection.events():
            if isinstance(event, (TextMessage, BytesMessage)):
                if connection.state is not ConnectionState.OPEN:
                    continue
                piece = cast("bytes | str", event.data)
                size = len(piece) if isinstance(piece, bytes) else utf8_size(piece)
                self._size += size
                self._cost += size
                if self._size > self._limit:
                    self._fail(TOO_BIG, self._over_limit, events)
                    return
                if event.message_finished:
                    self._size = 0
                self._add_piece(piece, not event.message_finished, events)
            elif isinstance(event, Ping):
                if connection.state is ConnectionState.OPEN:
                    events.append(Reply(connection.send(event.response())))
            elif isinstance(event, CloseConnection):
                self._ended = True
                code, reason = int(event.code), event.reason or ""
                if connection.state is ConnectionState.OPEN:
                    events.append(Failed(code, reason))
                else:
                    events.append(Closed(code, reason, self.close(code, reason)))
                return

    @property
    def _over_limit(self) -> str:
        return f"a message is over {self._limit} bytes"

    def message(self, data: bytes | str, more: bool) -> bytes:
        """A piece of a message as a frame."""
        connection = self._connection
        if (
            more
            or self._sends_fragments
            or self._deflates
            or connection.state is not ConnectionState.OPEN
        ):
            self._sends_fragments = more
            kind = TextMessage if isinstance(data, str) else BytesMessage
            return connection.send(kind(data=cast("Any", data), message_finished=not more))
        if isinstance(data, str):
            first, data = _TEXT, data.encode()
        else:
            first = _BINARY
        size = len(data)
        if size < 126:
            return bytes((first, size)) + data
        if size <= 0xFFFF:
            return b"%c\x7e%b%b" % (first, size.to_bytes(2, "big"), data)
        return b"%c\x7f%b%b" % (first, size.to_bytes(8, "big"), data)

    def ping(self) -> bytes:
        return self._connection.send(Ping())

    def close(self, code: int, reason: str) -> bytes:
        """Our close frame; b"" if one was sent already."""
        if self._connection.state not in (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING):
            return b""
        if code == NO_STATUS:
            return self._connection.send(CloseConnection(code=CloseReason.NO_STATUS_RCVD))
        return self._connection.send(CloseConnection(code=code, reason=reason))
