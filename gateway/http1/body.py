"""Finds the end of a request's body, in one way for both parsers (RFC 9112 section 7).

64 KiB can hold eleven thousand chunks of one byte. So the commonest chunk, which is whole and has
no extensions, is read in one step, and a `decode` reads `MOST_CHUNKS` at most. The rest waits for
the connection's next turn.

Chunked framing is strict: only CRLF ends a line, and sizes are plain hexadecimal digits. Extensions
are checked for their form and then ignored.
"""

import re
from typing import Final

from ..exchange.body_limit import body_too_large
from ..exchange.errors import RequestError
from ..http.grammar import FIELD_LINE, QUOTED, TOKEN, VALUE_SO_FAR
from ..http.rules import MOST_TRAILERS, check_request_trailer

_MAX_LINE: Final = 280
"""Bytes of a line with a chunk's size and extensions: 15 digits, 256 bytes of extensions, and some
room."""
_BLANK: Final = rb"[ \t]*+"
_SIZE_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,15})((?:" + _BLANK + rb";" + _BLANK + TOKEN.pattern + rb"(?:" + _BLANK
    + rb"=" + _BLANK + rb"(?:" + TOKEN.pattern + rb"|" + QUOTED.pattern + rb"))?)*)"
)  # fmt: skip
"""RFC 9112 section 7.1.1. Groups: size, extensions."""
_SIZE_SO_FAR: Final = re.compile(
    rb"(?:[0-9A-Fa-f]{1,15}+" + _BLANK + rb"(?:;" + VALUE_SO_FAR.pattern + rb")?\r?+)?"
)
_TRAILER_SO_FAR: Final = re.compile(
    rb"(?:\r|" + TOKEN.pattern + rb"(?::" + VALUE_SO_FAR.pattern + rb"\r?+)?)?"
)
_PLAIN_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
"""The first line of most chunks."""
MOST_CHUNKS: Final = 512
"""Chunks that one `decode` reads at most: half a millisecond of the gateway's time."""
_MAX_EXTENSION: Final = 256


class LengthBody:
    """A body with a Content-Length."""

    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def complete(self) -> bool:
        return self._left == 0

    @property
    def left(self) -> int:
        """Bytes of the body that are still to come, or were not asked for."""
        return self._left

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        """Returns the bytes of the body, and the bytes behind it."""
        left = self._left
        if len(data) <= left:
            self._left = left - len(data)
            return data, b""
        self._left = 0
        return data[:left], data[left:]


class ChunkedBody:
    """A body in chunks. It raises RequestError: 400 for broken framing, 413 over `limit` bytes."""

    __slots__ = ("_buffer", "_left", "_limit", "_state", "_total", "complete")

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit
        self._total = 0
        self._left = 0
        self._buffer = b""
        self._state = "size"
        """What comes next: "size" (a chunk's first line), "data", "data-end" (the CRLF behind it)
        or "trailers"."""
        self.complete = False

    def decode(self, data: bytes) -> tuple[bytes, bytes]:
        """Returns the bytes of the body, and the bytes behind it: of the next request if the body
        is complete, else of further chunks. A line that is not complete is kept."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        out: list[bytes] = []
        at = 0
        chunks = MOST_CHUNKS
        while not self.complete:
            if self._state == "size":
                if not chunks:
                    break
                chunks -= 1
                if end := self._whole_chunk(data, at, out):
                    at = end
                    continue
            if self._state == "data":
                piece = data[at : at + self._left]
                if not piece:
                    break
                out.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if self._left == 0:
                    self._state = "data-end"
                continue
            end = self._end_of_line(data, at)
            if end < 0:
                self._buffer = data[at:]
                at = len(data)
                break
            line = data[at:end]
            at = end + 2
            if self._state == "size":
                self._start_chunk(line)
            elif self._state == "data-end":
                self._state = "size"
            else:
                self._read_trailer(line)
        return out[0] if len(out) == 1 else b"".join(out), data[at:]

    def _whole_chunk(self, data: bytes, at: int, out: list[bytes]) -> int:
        """Reads the chunk at `at`, if it is plain and whole. Returns the place behind it; 0 if the
        chunk is to be read step by step."""
        match = _PLAIN_SIZE.match(data, at)
        if match is None:
            return 0
        start = match.end()
        end = start + int(match[1], 16)
        if end == start or data[end : end + 2] != b"\r\n":
            return 0
        self._count(end - start)
        out.append(data[start:end])
        return end + 2

    def _count(self, size: int) -> None:
        self._total += size
        if 0 < self._limit < self._total:
            raise body_too_large(self._limit)

    def _end_of_line(self, data: bytes, at: int) -> int:
        """The place of the line's CRLF; -1 while it may still come."""
        if self._state == "data-end":
            found = data[at : at + 2]
            if b"\r\n".startswith(found):
                return at if found == b"\r\n" else -1
            raise RequestError(400, "A chunk is not followed by CRLF.")
        longest = _MAX_LINE if self._state == "size" else MOST_TRAILERS
        end = data.find(b"\r\n", at, at + longest + 2)
        if end < 0 and len(data) - at > longest:
            raise RequestError(400, "A line of the chunked body is too long.")
        # A bare LF never ends a line. It is refused at once, without waiting for a CRLF.
        if b"\n" in data[at : end if end >= 0 else None]:
            raise RequestError(400, "A line of the chunked body ends in a bare LF.")
        if end < 0:
            # Bytes that cannot become a line are refused at once, too.
            so_far = _SIZE_SO_FAR if self._state == "size" else _TRAILER_SO_FAR
            if so_far.fullmatch(data, at) is None:
                raise RequestError(400, "A line of the chunked body is malformed.")
        return end

    def _start_chunk(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None or len(match[2]) > _MAX_EXTENSION:
            raise RequestError(400, "A chunk's size line is malformed.")
        self._left = int(match[1], 16)
        self._count(self._left)
        if self._left:
            self._state = "data"
        else:
            self._state = "trailers"
            self._total = 0  # from here on: bytes of trailers

    def _read_trailer(self, line: bytes) -> None:
        """Checks a trailer and drops it."""
        if not line:
            self.complete = True
            return
        self._total += len(line)
        match = FIELD_LINE.fullmatch(line + b"\r\n")
        if match is None:
            raise RequestError(400, "A trailer field is malformed or too long.")
        check_request_trailer(match[1].lower(), self._total)


BodyFraming = LengthBody | ChunkedBody
