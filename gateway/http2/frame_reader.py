"""The client's bytes as whole frames, in shares of a turn (RFC 9113 sections 3.4 and 4.1). Pure.

An engine answers whatever it is given at once. 64 KiB that were received in one piece may hold
four thousand requests, each worth sixteen bytes to the client and forty microseconds to us, so that
one piece would keep all other clients waiting for more than a tenth of a second. And an engine that
was given part of a header block keeps that, and does not say how long it waits for the rest.

So the client's bytes are kept here, and the engine gets whole frames only, at most a share of them
in a turn. Each frame's header is read on the way, once, which is cheap. That is enough

- to tell the guard of floods (`flood_guard`) of each frame before anybody has worked for it;
- to end a connection whose frame is too long before that frame has come;
- to know what the connection waits for: the driver has a deadline for a head, and another one for
  a body.

The 24 bytes that a connection begins with are checked and taken off here. The engine gets frames
only.
"""

from typing import Final

from ..http.grammar import HTTP2_PREFACE
from .engine import ErrorCode
from .flood_guard import FloodGuard
from .frames import (
    END_HEADERS,
    END_STREAM,
    FRAME_HEADER,
    HEADER,
    LEAST_FRAME_SIZE,
    PADDED,
    STREAM_BITS,
    FrameKind,
)

MOST_UNITS: Final = 128
"""A share: so many small frames, or sixteen requests, which take about a millisecond. A
request counts as `HEADERS_UNITS`, and its head's bytes besides: one byte can be a whole field,
which takes as long as fifty bytes that stand for themselves (RFC 7541 section 6.1)."""
FEW_UNITS: Final = 16
"""The share of a client that wastes requests: three of them at most, so that others wait for a few
tenths of a millisecond."""
HEADERS_UNITS: Final = 7
HEAD_SHIFT: Final = 4
"""16 bytes of a head are a unit."""
MOST_SHARE: Final = 262_144
"""Bytes behind which a share ends."""

_DATA: Final = FrameKind.DATA.value
_HEADERS: Final = FrameKind.HEADERS.value
_CONTINUATION: Final = FrameKind.CONTINUATION.value
_NOTHING: Final = -1


class FrameFault(Exception):
    """The client does not speak HTTP/2, or has sent a frame that is too long: its connection
    ends."""

    def __init__(self, code: ErrorCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


class FrameReader:
    """Keeps what the client of one connection has sent, until the engine gets it."""

    __slots__ = (
        "_begun", "_data", "_guard", "_last_stream", "_most_frame", "_need", "_partial",
        "_partial_stream", "in_block",
    )  # fmt: skip

    def __init__(self, most_frame: int, guard: FloodGuard) -> None:
        """`most_frame`: bytes of the longest frame, as our SETTINGS say."""
        self._most_frame = most_frame
        self._guard = guard
        self._data: bytes | bytearray = b""
        self._begun = False
        """Whether the preface has come."""
        self._need = len(HTTP2_PREFACE)
        """How many bytes have to be there for the next frame to be whole."""
        self._partial = _NOTHING
        """The kind of the frame that is not whole, if that is known."""
        self._partial_stream = 0
        self.in_block = False
        """Whether the engine has got a part of a header block, and not its end."""
        self._last_stream = 0

    @property
    def unread(self) -> int:
        """Bytes that the engine has not got yet."""
        return len(self._data)

    @property
    def in_head(self) -> bool:
        """Whether a header block, or any frame but DATA, has begun and is not whole."""
        return self.in_block or (0 < len(self._data) < self._need and self._partial != _DATA)

    @property
    def in_data(self) -> bool:
        """Whether DATA has begun and is not whole."""
        return self._partial == _DATA and len(self._data) < self._need

    def partial_data(self, stream: int) -> int:
        """Bytes of DATA of a stream that have come, in a frame that is not whole."""
        if not self.in_data or stream != self._partial_stream:
            return 0
        return max(0, len(self._data) - FRAME_HEADER)

    def receive(self, data: bytes) -> None:
        kept = self._data
        if not kept:
            self._data = data
        elif isinstance(kept, bytearray):
            kept += data
        else:
            self._data = bytearray(kept)
            self._data += data

    def share(self, now: float) -> bytes:
        """Returns the next whole frames, at most a share; b"" if there is none. What is left has to
        wait for the next turn, even if it is whole. Raises FrameFault and Flood."""
        if not self._begun and not self._begin():
            return b""
        data = self._data
        size, at = len(data), 0
        if size < self._need:
            return b""
        unpack = HEADER.unpack_from
        limit, guard, units, heads = self._most_frame, self._guard, MOST_UNITS, 0
        self._need, self._partial = 0, _NOTHING
        if guard.has_wasted and guard.wastes(now):
            units = FEW_UNITS
        while units > 0 and at < MOST_SHARE and at < size:
            if size - at < FRAME_HEADER:
                self._need = FRAME_HEADER
                break
            upper, lower, kind, flags, stream = unpack(data, at)
            length = upper << 8 | lower
            if length > limit:
                raise FrameFault(
                    ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length:,} bytes is too long"
                )
            end = at + FRAME_HEADER + length
            if end > size:
                self._need, self._partial = end - at, kind
                self._partial_stream = stream & STREAM_BITS
                break
            if kind == _DATA:
                units -= 1
                if (
                    (not length or flags & PADDED)
                    and not flags & END_STREAM
                    and _is_empty(data, at, length)
                ):
                    guard.frame(kind, length, now)
            elif kind == _HEADERS:
                units -= HEADERS_UNITS + (length >> HEAD_SHIFT)
                if stream & STREAM_BITS > self._last_stream:
                    self._last_stream = stream & STREAM_BITS
                    heads += 1
                if not flags & END_HEADERS or length > LEAST_FRAME_SIZE:
                    self.in_block = not flags & END_HEADERS
                    guard.begin_block(length)
            elif kind == _CONTINUATION:
                units -= 1 + (length >> HEAD_SHIFT)
                guard.continue_block(length)
                if flags & END_HEADERS:
                    self.in_block = False
            else:
                units -= 1
                guard.frame(kind, length, now)
            at = end
        if heads:
            guard.opened(heads)
        if at == size and isinstance(data, bytes):
            self._data = b""
            return data
        return self._take(at)

    def _begin(self) -> bool:
        """Takes the preface off, if it has come. Returns whether it has."""
        data = self._data
        start = data[: len(HTTP2_PREFACE)]
        if start != HTTP2_PREFACE[: len(start)]:
            raise FrameFault(ErrorCode.PROTOCOL_ERROR, "the preface of HTTP/2 is missing")
        if len(start) < len(HTTP2_PREFACE):
            return False
        self._begun = True
        self._need = 0
        self._data = data[len(HTTP2_PREFACE) :]
        return True

    def _take(self, end: int) -> bytes:
        """Returns the bytes up to `end` and keeps the others."""
        data = self._data
        if end == len(data):
            self._data = b""
            return data if isinstance(data, bytes) else bytes(data)
        if isinstance(data, bytes):
            self._data = data[end:]
            return data[:end]
        taken = bytes(memoryview(data)[:end])
        del data[:end]
        return taken


def _is_empty(data: bytes | bytearray, at: int, length: int) -> bool:
    """Whether the DATA frame at `at`, which is padded or has no payload, has no data (RFC 9113
    section 6.1)."""
    return length == 0 or data[at + FRAME_HEADER] + 1 >= length
