"""Frames of HTTP/2 as bytes, and what RFC 9113 says of wrong ones: a case for each row of its error
handling, for whatever reads frames (an engine, a server).

Fields are encoded as literals that nobody remembers (RFC 7541 section 6.2.2), so that bytes can be
made, cut and sent in any order, and no case depends on another one.
"""

import struct
from collections.abc import Iterable
from enum import Flag, auto
from typing import NamedTuple

from propylon.gateway.http.grammar import HTTP2_PREFACE
from propylon.gateway.http2.engine import ErrorCode
from propylon.gateway.http2.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    PADDED,
    FrameKind,
    Setting,
)

PREFACE = HTTP2_PREFACE
Kind = FrameKind
WITH_PRIORITY = 0x20


# -- frames --------------------------------------------------------------------------------------


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Whatever is asked for: nothing is checked."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


class Heard(NamedTuple):
    """A frame that has come."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def size(self) -> int:
        """Its bytes, with those of its header."""
        return 9 + len(self.payload)

    @property
    def code(self) -> ErrorCode:
        """Of RST_STREAM and GOAWAY."""
        at = 0 if self.kind == Kind.RST_STREAM else 4
        return ErrorCode(int.from_bytes(self.payload[at : at + 4], "big"))

    @property
    def number(self) -> int:
        """The last stream of a GOAWAY; the bytes of a WINDOW_UPDATE."""
        return int.from_bytes(self.payload[:4], "big")


def heard_at(data: bytes | bytearray, at: int = 0) -> Heard | None:
    """The frame that begins there; None if it has not come to its end."""
    end = at + 9 + int.from_bytes(data[at : at + 3], "big")
    if len(data) < max(end, at + 9):
        return None
    stream = int.from_bytes(data[at + 5 : at + 9], "big") & 0x7FFF_FFFF
    return Heard(data[at + 3], data[at + 4], stream, bytes(data[at + 9 : end]))


def string(text: bytes) -> bytes:
    """A string literal without Huffman coding (RFC 7541 section 5.2)."""
    if len(text) < 127:
        return bytes([len(text)]) + text
    left, octets = len(text) - 127, bytearray([127])
    while left >= 128:
        octets.append(left % 128 + 128)
        left //= 128
    octets.append(left)
    return bytes(octets) + text


def block(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Fields as literals without indexing."""
    return b"".join(b"\0" + string(name) + string(value) for name, value in fields)


def head(
    path: bytes = b"/", *more: tuple[bytes, bytes], method: bytes = b"GET"
) -> list[tuple[bytes, bytes]]:
    return [
        (b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", b"h"), *more,
    ]  # fmt: skip


def headers(
    stream: int, fields: Iterable[tuple[bytes, bytes]], flags: int = END_HEADERS | END_STREAM
) -> bytes:
    return frame(Kind.HEADERS, flags, stream, block(fields))


def get(stream: int, path: bytes = b"/", *more: tuple[bytes, bytes]) -> bytes:
    """A whole request."""
    return headers(stream, head(path, *more))


def post(stream: int, path: bytes = b"/", *more: tuple[bytes, bytes]) -> bytes:
    """A request whose body follows."""
    return headers(stream, head(path, *more, method=b"POST"), END_HEADERS)


def data(stream: int, body: bytes, *, end: bool = False) -> bytes:
    return frame(Kind.DATA, END_STREAM if end else 0, stream, body)


def padded(kind: int, flags: int, stream: int, payload: bytes, pad: int) -> bytes:
    """With so many bytes of padding."""
    return frame(kind, flags | PADDED, stream, bytes([pad]) + payload + bytes(pad))


def settings(*pairs: tuple[int, int]) -> bytes:
    payload = b"".join(struct.pack(">HI", name, value) for name, value in pairs)
    return frame(Kind.SETTINGS, 0, 0, payload)


SETTINGS = settings()
SETTINGS_ACK = frame(Kind.SETTINGS, ACK, 0)
BEGINNING = PREFACE + SETTINGS
PING = frame(Kind.PING, 0, 0, bytes(8))


def small_get(stream: int, *, end: bool = True) -> bytes:
    """GET / of http://a, in six bytes of fields."""
    return raw_head(b"\x82\x84\x86\x41\x01a", stream, end=end)


def reset(stream: int, code: int = ErrorCode.CANCEL) -> bytes:
    return frame(Kind.RST_STREAM, 0, stream, struct.pack(">I", code))


def window_update(stream: int, size: int) -> bytes:
    return frame(Kind.WINDOW_UPDATE, 0, stream, struct.pack(">I", size))


def ping(text: bytes = b"12345678") -> bytes:
    return frame(Kind.PING, 0, 0, text)


def priority(stream: int, on: int, weight: int = 15) -> bytes:
    """RFC 7540's, which RFC 9113 section 6.3 keeps as a frame without a meaning."""
    return frame(Kind.PRIORITY, 0, stream, struct.pack(">IB", on, weight))


def priority_update(stream: int, value: bytes, on: int = 0) -> bytes:
    return frame(Kind.PRIORITY_UPDATE, 0, on, struct.pack(">I", stream) + value)


def go_away(last: int = 0, code: int = 0, debug: bytes = b"") -> bytes:
    return frame(Kind.GOAWAY, 0, 0, struct.pack(">II", last, code) + debug)


# -- cases ---------------------------------------------------------------------------------------


class End(Flag):
    """What a case may end. A server may treat any stream error as one of the connection (RFC 9113
    section 5.4.2); where that is sensible both stand there."""

    NOTHING = auto()
    """It is ignored, or allowed."""
    STREAM = auto()
    """Stream 1, with RST_STREAM; an error page may come before it (section 8.1.1)."""
    PAGE = auto()
    """Stream 1, with an error page and nothing else: its request was well-formed, and wrong."""
    CONNECTION = auto()
    """With GOAWAY, and nothing behind it."""


class Case(NamedTuple):
    """Bytes behind the preface and both sides' SETTINGS."""

    where: str
    """The section of RFC 9113, or of another one."""
    sent: bytes
    ends: End
    codes: tuple[ErrorCode, ...] = ()


NOTHING, STREAM, PAGE, CONNECTION = End.NOTHING, End.STREAM, End.PAGE, End.CONNECTION
PROTOCOL = (ErrorCode.PROTOCOL_ERROR,)
SIZE = (ErrorCode.FRAME_SIZE_ERROR,)
UNREAD = (*PROTOCOL, ErrorCode.NO_ERROR)
"""The latter behind a page, as what follows is not read (RFC 9113 section 8.1)."""
FLOW = (ErrorCode.FLOW_CONTROL_ERROR,)
CLOSED = (ErrorCode.STREAM_CLOSED,)
COMPRESSION = (ErrorCode.COMPRESSION_ERROR,)
MOST_WINDOW = 2**31 - 1
FIELDS = block(head())
HANG = b"/swallow"
"""A path whose request is not answered before its body has come (tests/apps/asgi_raw.py)."""
HANGING = post(1, HANG)


def fragments(stream: int, *pieces: bytes, end: int = END_STREAM) -> bytes:
    """A field block in HEADERS and CONTINUATIONs."""
    frames = [frame(Kind.HEADERS, end, stream, pieces[0])]
    frames += [frame(Kind.CONTINUATION, 0, stream, piece) for piece in pieces[1:-1]]
    return b"".join([*frames, frame(Kind.CONTINUATION, END_HEADERS, stream, pieces[-1])])


def raw_head(fields: bytes, stream: int = 1, *, end: bool = True) -> bytes:
    """A request with a field block of these bytes."""
    return frame(Kind.HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, fields)


FRAMES: dict[str, Case] = {
    # -- frames in general
    "an unknown type": Case("4.1", frame(0xBA, 0xFF, 0, b"grease") + frame(0xBB, 1, 1), NOTHING),
    "an unknown type on an open stream": Case("5.5", HANGING + frame(0xBA, 0, 1, b"x"), NOTHING),
    "undefined flags": Case("4.1", frame(Kind.PING, 0xFE, 0, bytes(8)), NOTHING),
    "the reserved bit": Case("4.1", frame(Kind.PING, 0, 1 << 31, bytes(8)), NOTHING),
    "DATA that is too long": Case(
        "4.2", HANGING + data(1, bytes(16_385)), STREAM | CONNECTION, SIZE
    ),
    "HEADERS that are too long": Case(
        "4.2", raw_head(block(head(b"/", (b"a", bytes(17_000))))), CONNECTION, SIZE
    ),
    "SETTINGS that are too long": Case(
        "4.2", settings(*[(Setting.ENABLE_PUSH, 0)] * 2_731), CONNECTION, SIZE
    ),
    "an unknown type that is too long": Case(
        "4.2", frame(0xBA, 0, 0, bytes(16_385)), NOTHING | CONNECTION, SIZE
    ),
    # -- field compression
    "an index beyond the tables": Case(
        "4.3", raw_head(FIELDS + b"\xff\x40"), CONNECTION, COMPRESSION
    ),
    "index 0": Case("4.3", raw_head(FIELDS + b"\x80"), CONNECTION, COMPRESSION),
    "an integer without end": Case(
        "4.3", raw_head(FIELDS + b"\xff" + b"\xff" * 20), CONNECTION, COMPRESSION
    ),
    "a string that is longer than the block": Case(
        "4.3", raw_head(FIELDS + b"\0\x01a\x7e"), CONNECTION, COMPRESSION
    ),
    "a block that ends in a field": Case(
        "4.3", raw_head(FIELDS + b"\0\x01"), CONNECTION, COMPRESSION
    ),
    "Huffman padding with zeros": Case(
        "4.3", raw_head(FIELDS + b"\0\x01a\x81\x18"), CONNECTION, COMPRESSION
    ),
    "Huffman padding of a whole octet": Case(
        "4.3", raw_head(FIELDS + b"\0\x01a\x82\x1f\xff"), CONNECTION, COMPRESSION
    ),
    "the end-of-string symbol": Case(
        "4.3", raw_head(FIELDS + b"\0\x01a\x84\xff\xff\xff\xff"), CONNECTION, COMPRESSION
    ),
    "a table larger than allowed": Case(
        "4.3", raw_head(b"\x3f\xe1\xff\x07" + FIELDS), CONNECTION, COMPRESSION
    ),
    "a change of the table behind a field": Case(
        "4.3", raw_head(FIELDS + b"\x20"), CONNECTION, COMPRESSION
    ),
    "a change of the table": Case("4.3", raw_head(b"\x20\x3f\x61" + FIELDS), NOTHING),
    # -- a field block is contiguous
    "a block in many fragments": Case(
        "4.3", fragments(1, FIELDS[:10], b"", FIELDS[10:20], FIELDS[20:]), NOTHING
    ),
    "another frame within a block": Case(
        "4.3", frame(Kind.HEADERS, END_STREAM, 1, FIELDS) + ping(), CONNECTION, PROTOCOL
    ),
    "an unknown type within a block": Case(
        "5.5", frame(Kind.HEADERS, END_STREAM, 1, FIELDS) + frame(0xBA, 0, 1), CONNECTION, PROTOCOL
    ),
    "PRIORITY within a block": Case(
        "4.3", frame(Kind.HEADERS, END_STREAM, 1, FIELDS) + priority(1, 3), CONNECTION, PROTOCOL
    ),
    "DATA within a block": Case(
        "4.3", frame(Kind.HEADERS, 0, 1, FIELDS) + data(1, b"x"), CONNECTION, PROTOCOL
    ),
    "RST_STREAM within a block": Case(
        "4.3", frame(Kind.HEADERS, 0, 1, FIELDS) + reset(1), CONNECTION, PROTOCOL
    ),
    "HEADERS within a block": Case(
        "4.3", frame(Kind.HEADERS, END_STREAM, 1, FIELDS) + get(1), CONNECTION, PROTOCOL
    ),
    "another stream's HEADERS within a block": Case(
        "6.2", frame(Kind.HEADERS, END_STREAM, 1, FIELDS) + get(3), CONNECTION, PROTOCOL
    ),
    "another stream's CONTINUATION": Case(
        "6.10",
        frame(Kind.HEADERS, END_STREAM, 1, FIELDS) + frame(Kind.CONTINUATION, END_HEADERS, 3),
        CONNECTION,
        PROTOCOL,
    ),
    "CONTINUATION behind a block": Case(
        "6.10", HANGING + frame(Kind.CONTINUATION, END_HEADERS, 1, FIELDS), CONNECTION, PROTOCOL
    ),
    "CONTINUATION behind a continued block": Case(
        "6.10",
        fragments(1, FIELDS[:9], FIELDS[9:], end=0) + frame(Kind.CONTINUATION, END_HEADERS, 1),
        CONNECTION,
        PROTOCOL,
    ),
    "CONTINUATION behind DATA": Case(
        "6.10",
        HANGING + data(1, b"x") + frame(Kind.CONTINUATION, END_HEADERS, 1),
        CONNECTION,
        PROTOCOL,
    ),
    "CONTINUATION on stream 0": Case(
        "6.10", frame(Kind.CONTINUATION, END_HEADERS, 0, FIELDS), CONNECTION, PROTOCOL
    ),
    # -- streams that have not begun
    "DATA on an idle stream": Case("5.1", data(1, b"x"), CONNECTION, PROTOCOL),
    "RST_STREAM on an idle stream": Case("5.1", reset(1), CONNECTION, PROTOCOL),
    "WINDOW_UPDATE on an idle stream": Case("5.1", window_update(1, 1), CONNECTION, PROTOCOL),
    "CONTINUATION on an idle stream": Case(
        "5.1", frame(Kind.CONTINUATION, END_HEADERS, 1, FIELDS), CONNECTION, PROTOCOL
    ),
    "PRIORITY on an idle stream": Case("5.1", priority(9, 3), NOTHING),
    "an even stream": Case("5.1.1", get(2), CONNECTION, PROTOCOL),
    "a stream below the last one": Case("5.1.1", get(5) + get(3), CONNECTION, (*PROTOCOL, *CLOSED)),
    "streams that are left out": Case("5.1.1", get(1) + get(31), NOTHING),
    # -- streams that have ended
    "DATA behind the end": Case("5.1", get(1, HANG) + data(1, b"x"), STREAM | CONNECTION, CLOSED),
    "HEADERS behind the end": Case("5.1", get(1, HANG) + get(1), STREAM | CONNECTION, CLOSED),
    "CONTINUATION behind the end": Case(
        "5.1",
        get(1, HANG) + frame(Kind.CONTINUATION, END_HEADERS, 1, FIELDS),
        CONNECTION,
        (*PROTOCOL, *CLOSED),
    ),
    "DATA behind RST_STREAM": Case(
        "5.1", HANGING + reset(1) + data(1, b"x"), STREAM | CONNECTION, CLOSED
    ),
    "HEADERS behind RST_STREAM": Case(
        "5.1", HANGING + reset(1) + get(1), STREAM | CONNECTION, CLOSED
    ),
    "WINDOW_UPDATE behind RST_STREAM": Case(
        "5.1", HANGING + reset(1) + window_update(1, 9), NOTHING
    ),
    "WINDOW_UPDATE behind the end": Case("5.1", get(1, HANG) + window_update(1, 9), NOTHING),
    "PRIORITY behind the end": Case("5.1", get(1) + priority(1, 3), NOTHING),
    "RST_STREAM behind the end": Case("5.1", get(1, HANG) + reset(1), NOTHING),
    "RST_STREAM twice": Case("5.1", HANGING + reset(1) + reset(1), NOTHING | CONNECTION, CLOSED),
    # -- DATA
    "DATA on stream 0": Case("6.1", data(0, b"x"), CONNECTION, PROTOCOL),
    "DATA with padding": Case("6.1", HANGING + padded(Kind.DATA, 0, 1, b"x", 100), NOTHING),
    "DATA of padding alone": Case("6.1", HANGING + padded(Kind.DATA, 0, 1, b"", 255), NOTHING),
    "DATA shorter than its padding": Case(
        "6.1", HANGING + frame(Kind.DATA, PADDED, 1, b"\x05abcd"), CONNECTION, PROTOCOL
    ),
    "DATA as long as its padding": Case(
        "6.1", HANGING + frame(Kind.DATA, PADDED, 1, b"\x04abc"), CONNECTION, PROTOCOL
    ),
    "DATA without its padding's length": Case(
        "6.1", HANGING + frame(Kind.DATA, PADDED, 1), CONNECTION, (*PROTOCOL, *SIZE)
    ),
    # -- HEADERS
    "HEADERS on stream 0": Case("6.2", get(0), CONNECTION, PROTOCOL),
    "HEADERS with padding and priority": Case(
        "6.2",
        padded(
            Kind.HEADERS,
            END_HEADERS | END_STREAM | WITH_PRIORITY,
            1,
            struct.pack(">IB", 1 << 31, 7) + FIELDS,
            20,
        ),
        NOTHING,
    ),
    "HEADERS shorter than their padding": Case(
        "6.2",
        frame(Kind.HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\xff" + FIELDS),
        CONNECTION,
        PROTOCOL,
    ),
    "HEADERS without their priority": Case(
        "6.2",
        frame(Kind.HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, 1, b"\0\0"),
        CONNECTION,
        (*PROTOCOL, *SIZE),
    ),
    "HEADERS that depend on themselves": Case(
        "RFC 7540 5.3.1",
        frame(
            Kind.HEADERS,
            END_HEADERS | END_STREAM | WITH_PRIORITY,
            1,
            struct.pack(">IB", 1, 7) + FIELDS,
        ),
        STREAM | CONNECTION,
        PROTOCOL,
    ),
    # -- PRIORITY
    "PRIORITY on stream 0": Case("6.3", priority(0, 3), CONNECTION, PROTOCOL),
    "PRIORITY of another length": Case(
        "6.3", HANGING + frame(Kind.PRIORITY, 0, 1, bytes(4)), STREAM | CONNECTION, SIZE
    ),
    "PRIORITY that depends on itself": Case(
        "RFC 7540 5.3.1", HANGING + priority(1, 1), STREAM | CONNECTION, PROTOCOL
    ),
    # -- RST_STREAM
    "RST_STREAM on stream 0": Case("6.4", reset(0), CONNECTION, PROTOCOL),
    "RST_STREAM of another length": Case(
        "6.4", HANGING + frame(Kind.RST_STREAM, 0, 1, bytes(3)), CONNECTION, SIZE
    ),
    "RST_STREAM with an unknown code": Case("7", HANGING + reset(1, 0xABCDEF), NOTHING),
    # -- SETTINGS
    "SETTINGS on a stream": Case("6.5", frame(Kind.SETTINGS, 0, 1), CONNECTION, PROTOCOL),
    "SETTINGS' ACK with a payload": Case(
        "6.5", frame(Kind.SETTINGS, ACK, 0, b"x"), CONNECTION, SIZE
    ),
    "SETTINGS of another length": Case(
        "6.5", frame(Kind.SETTINGS, 0, 0, bytes(5)), CONNECTION, SIZE
    ),
    "an unknown setting": Case("6.5.2", settings((0xFFFF, 7)), NOTHING),
    "a setting twice": Case(
        "6.5.3",
        settings((Setting.MAX_FRAME_SIZE, 1 << 15), (Setting.MAX_FRAME_SIZE, 1 << 14)),
        NOTHING,
    ),
    "ENABLE_PUSH of 2": Case("6.5.2", settings((Setting.ENABLE_PUSH, 2)), CONNECTION, PROTOCOL),
    "INITIAL_WINDOW_SIZE above the most": Case(
        "6.5.2", settings((Setting.INITIAL_WINDOW_SIZE, MOST_WINDOW + 1)), CONNECTION, FLOW
    ),
    "MAX_FRAME_SIZE below the least": Case(
        "6.5.2", settings((Setting.MAX_FRAME_SIZE, 16_383)), CONNECTION, PROTOCOL
    ),
    "MAX_FRAME_SIZE above the most": Case(
        "6.5.2", settings((Setting.MAX_FRAME_SIZE, 1 << 24)), CONNECTION, PROTOCOL
    ),
    "an INITIAL_WINDOW_SIZE that bursts a window": Case(
        "6.9.2",
        HANGING + window_update(1, 1 << 30) + settings((Setting.INITIAL_WINDOW_SIZE, MOST_WINDOW)),
        CONNECTION,
        FLOW,
    ),
    "NO_RFC7540_PRIORITIES of 2": Case(
        "RFC 9218 2.1.1", settings((Setting.NO_RFC7540_PRIORITIES, 2)), CONNECTION, PROTOCOL
    ),
    # -- PUSH_PROMISE
    "PUSH_PROMISE": Case(
        "6.6",
        HANGING + frame(Kind.PUSH_PROMISE, END_HEADERS, 1, struct.pack(">I", 2) + FIELDS),
        CONNECTION,
        PROTOCOL,
    ),
    # -- PING
    "PING": Case("6.7", ping(), NOTHING),
    "PING's ACK that nobody waits for": Case("6.7", frame(Kind.PING, ACK, 0, bytes(8)), NOTHING),
    "PING on a stream": Case("6.7", frame(Kind.PING, 0, 1, bytes(8)), CONNECTION, PROTOCOL),
    "PING of another length": Case("6.7", frame(Kind.PING, 0, 0, bytes(6)), CONNECTION, SIZE),
    # -- GOAWAY
    "GOAWAY on a stream": Case("6.8", frame(Kind.GOAWAY, 0, 1, bytes(8)), CONNECTION, PROTOCOL),
    "GOAWAY that is too short": Case("6.8", frame(Kind.GOAWAY, 0, 0, bytes(7)), CONNECTION, SIZE),
    # -- WINDOW_UPDATE
    "WINDOW_UPDATE of 0": Case("6.9", HANGING + window_update(1, 0), STREAM | CONNECTION, PROTOCOL),
    "the connection's WINDOW_UPDATE of 0": Case("6.9", window_update(0, 0), CONNECTION, PROTOCOL),
    "WINDOW_UPDATE of another length": Case(
        "6.9", frame(Kind.WINDOW_UPDATE, 0, 0, bytes(3)), CONNECTION, SIZE
    ),
    "a stream's window above the most": Case(
        "6.9.1", HANGING + window_update(1, MOST_WINDOW), STREAM | CONNECTION, FLOW
    ),
    "the connection's window above the most": Case(
        "6.9.1", window_update(0, MOST_WINDOW), CONNECTION, FLOW
    ),
    # -- PRIORITY_UPDATE
    "PRIORITY_UPDATE": Case("RFC 9218 7.1", priority_update(1, b"u=1, i") + get(1), NOTHING),
    "PRIORITY_UPDATE that cannot be read": Case(
        "RFC 9218 4", priority_update(1, b"\xff;;=") + get(1), NOTHING
    ),
    "PRIORITY_UPDATE on a stream": Case(
        "RFC 9218 7.1", HANGING + priority_update(1, b"u=1", on=1), CONNECTION, PROTOCOL
    ),
    "PRIORITY_UPDATE that is too short": Case(
        "RFC 9218 7.1", frame(Kind.PRIORITY_UPDATE, 0, 0, bytes(3)), CONNECTION, (*SIZE, *PROTOCOL)
    ),
    "PRIORITY_UPDATE of stream 0": Case(
        "RFC 9218 7.1", priority_update(0, b"u=1"), CONNECTION, PROTOCOL
    ),
}
"""What a reader of frames finds by itself."""


TRAILERS = block([(b"x-digest", b"abc")])


def upload(*more: tuple[bytes, bytes]) -> bytes:
    """The head of a request to which three bytes of body follow."""
    return post(1, HANG, *more)


def without(name: bytes) -> bytes:
    return headers(1, [field for field in head() if field[0] != name])


def with_value(name: bytes, value: bytes) -> bytes:
    return headers(1, [(key, value if key == name else old) for key, old in head()])


MESSAGES: dict[str, Case] = {
    # -- a message's shape
    "trailers that do not end the stream": Case(
        "8.1",
        HANGING + frame(Kind.HEADERS, END_HEADERS, 1, TRAILERS),
        STREAM | CONNECTION,
        PROTOCOL,
    ),
    "a pseudo-field in trailers": Case(
        "8.1",
        HANGING + frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, block([(b":method", b"GET")])),
        STREAM,
        PROTOCOL,
    ),
    "an upper-case name in trailers": Case(
        "8.2.1",
        HANGING + frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, block([(b"X-Digest", b"")])),
        STREAM,
        PROTOCOL,
    ),
    "trailers": Case(
        "8.1",
        post(1) + data(1, b"abc") + frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, TRAILERS),
        NOTHING,
    ),
    "a body shorter than its length": Case(
        "8.1.1", upload((b"content-length", b"4")) + data(1, b"abc", end=True), STREAM, PROTOCOL
    ),
    "a body longer than its length": Case(
        "8.1.1", upload((b"content-length", b"2")) + data(1, b"abc", end=True), STREAM, PROTOCOL
    ),
    "a body longer than its length before its end": Case(
        "8.1.1", upload((b"content-length", b"2")) + data(1, b"abc"), STREAM, PROTOCOL
    ),
    "a length without a body": Case(
        "8.1.1", headers(1, head(b"/", (b"content-length", b"1"), method=b"POST")), STREAM, PROTOCOL
    ),
    "a body cut short by trailers": Case(
        "8.1.1",
        upload((b"content-length", b"4"))
        + data(1, b"abc")
        + frame(Kind.HEADERS, END_HEADERS | END_STREAM, 1, TRAILERS),
        STREAM,
        PROTOCOL,
    ),
    "lengths that differ": Case(
        "8.1.1", upload((b"content-length", b"3"), (b"content-length", b"4")), STREAM | PAGE, UNREAD
    ),
    "a length that is no number": Case(
        "8.1.1", upload((b"content-length", b"+3")), STREAM | PAGE, UNREAD
    ),
    "a negative length": Case("8.1.1", upload((b"content-length", b"-1")), STREAM | PAGE, UNREAD),
    "a length with padding beside it": Case(
        "8.1.1",
        post(1, b"/", (b"content-length", b"3")) + padded(Kind.DATA, END_STREAM, 1, b"abc", 9),
        NOTHING,
    ),
    # -- fields
    "an upper-case name": Case("8.2.1", get(1, b"/", (b"X-a", b"b")), STREAM, PROTOCOL),
    "an empty name": Case("8.2.1", get(1, b"/", (b"", b"b")), STREAM, PROTOCOL),
    "a space in a name": Case("8.2.1", get(1, b"/", (b"x a", b"b")), STREAM, PROTOCOL),
    "a colon in a name": Case("8.2.1", get(1, b"/", (b"x:a", b"b")), STREAM, PROTOCOL),
    "an octet above 127 in a name": Case("8.2.1", get(1, b"/", (b"x\xe9", b"b")), STREAM, PROTOCOL),
    "DEL in a name": Case("8.2.1", get(1, b"/", (b"x\x7f", b"b")), STREAM, PROTOCOL),
    "NUL in a value": Case("8.2.1", get(1, b"/", (b"x", b"a\0b")), STREAM, PROTOCOL),
    "CR in a value": Case("8.2.1", get(1, b"/", (b"x", b"a\rb")), STREAM, PROTOCOL),
    "LF in a value": Case("8.2.1", get(1, b"/", (b"x", b"a\nb")), STREAM, PROTOCOL),
    "a request in a value": Case(
        "10.3", get(1, b"/", (b"x", b"a\r\n\r\nGET /admin HTTP/1.1\r\nhost: h")), STREAM, PROTOCOL
    ),
    "a space before a value": Case("8.2.1", get(1, b"/", (b"x", b" a")), STREAM, PROTOCOL),
    "a tab behind a value": Case("8.2.1", get(1, b"/", (b"x", b"a\t")), STREAM, PROTOCOL),
    "an empty value": Case("8.2.1", get(1, b"/", (b"x", b"")), NOTHING),
    "octets above 127 in a value": Case("8.2.1", get(1, b"/", (b"x", b"\xff\xe9")), NOTHING),
    # -- fields of a connection
    "connection": Case("8.2.2", get(1, b"/", (b"connection", b"close")), STREAM, PROTOCOL),
    "keep-alive": Case("8.2.2", get(1, b"/", (b"keep-alive", b"5")), STREAM, PROTOCOL),
    "proxy-connection": Case("8.2.2", get(1, b"/", (b"proxy-connection", b"x")), STREAM, PROTOCOL),
    "transfer-encoding": Case(
        "8.2.2", upload((b"transfer-encoding", b"chunked")), STREAM, PROTOCOL
    ),
    "upgrade": Case("8.2.2", get(1, b"/", (b"upgrade", b"websocket")), STREAM, PROTOCOL),
    "te: gzip": Case("8.2.2", get(1, b"/", (b"te", b"gzip")), STREAM, PROTOCOL),
    "te: trailers, gzip": Case("8.2.2", get(1, b"/", (b"te", b"trailers, gzip")), STREAM, PROTOCOL),
    "te: trailers": Case("8.2.2", get(1, b"/", (b"te", b"trailers")), NOTHING),
    "cookies in crumbs": Case(
        "8.2.3", get(1, b"/", (b"cookie", b"a=b"), (b"x", b"y"), (b"cookie", b"c=d")), NOTHING
    ),
    # -- pseudo-fields
    "no :method": Case("8.3.1", without(b":method"), STREAM, PROTOCOL),
    "no :scheme": Case("8.3.1", without(b":scheme"), STREAM, PROTOCOL),
    "no :path": Case("8.3.1", without(b":path"), STREAM, PROTOCOL),
    "an empty :path": Case("8.3.1", with_value(b":path", b""), STREAM, PROTOCOL),
    "an empty :method": Case("8.3.1", with_value(b":method", b""), STREAM | PAGE, PROTOCOL),
    "a :method that is no token": Case(
        "8.3.1", with_value(b":method", b"GE T"), STREAM | PAGE, PROTOCOL
    ),
    "a request line in :method": Case(
        "10.3", with_value(b":method", b"GET / HTTP/1.1\r\nx:"), STREAM, PROTOCOL
    ),
    "a request line in :path": Case(
        "10.3", with_value(b":path", b"/ HTTP/1.1\r\nx: y\r\n"), STREAM, PROTOCOL
    ),
    "LF in :authority": Case("10.3", with_value(b":authority", b"h\nx"), STREAM, PROTOCOL),
    "LF in :scheme": Case("10.3", with_value(b":scheme", b"http\n"), STREAM, PROTOCOL),
    ":method twice": Case("8.3.1", headers(1, [(b":method", b"GET"), *head()]), STREAM, PROTOCOL),
    ":scheme twice": Case("8.3.1", headers(1, [(b":scheme", b"http"), *head()]), STREAM, PROTOCOL),
    ":path twice": Case("8.3.1", headers(1, [(b":path", b"/"), *head()]), STREAM, PROTOCOL),
    ":authority twice": Case(
        "8.3.1", headers(1, [(b":authority", b"h"), *head()]), STREAM, PROTOCOL
    ),
    "a pseudo-field behind a field": Case(
        "8.3", headers(1, [(b"x", b"y"), *head()]), STREAM, PROTOCOL
    ),
    "an unknown pseudo-field": Case(
        "8.3", headers(1, [(b":test", b"x"), *head()]), STREAM, PROTOCOL
    ),
    "a response's pseudo-field": Case(
        "8.3", headers(1, [(b":status", b"200"), *head()]), STREAM, PROTOCOL
    ),
    ":protocol without CONNECT": Case(
        "RFC 8441 4", headers(1, [(b":protocol", b"websocket"), *head()]), STREAM, PROTOCOL
    ),
    "host and :authority alike": Case("8.3.1", get(1, b"/", (b"host", b"h")), NOTHING),
}
"""Malformed requests (section 8.1.1), of which a reader of frames need not know, and some that only
look like one."""
