"""Renders response heads as bytes, and refuses what may not become one.

Most fields of a response were in an earlier one too. A field that was checked once is kept as a
ready line, so the hot path looks lines up and joins them. One `ResponseHeads` serves all
connections of a process.
"""

from email.utils import formatdate
from typing import Final

from ...protocol.messages import Pairs
from ...protocol.reason_phrases import REASONS
from ..exchange.errors import ResponseError
from ..http.grammar import FIELD_VALUE
from ..http.rules import (
    HOP_BY_HOP,
    LONGEST_REMEMBERED,
    MOST_FIELDS_REMEMBERED,
    check_field,
    check_final_status,
    check_trailer,
    interim_fields,
    response_length,
)

_LOOKED_AT: Final = HOP_BY_HOP | {b"date", b"server"}
_NOT_IN_101: Final = HOP_BY_HOP | {b"content-length"}


class ResponseHeads:
    __slots__ = (
        "_date_line",
        "_dated",
        "_lengths",
        "_lines",
        "_more",
        "_server_line",
        "_status_lines",
    )

    def __init__(self, server: bytes, now: float, *, dated: bool = True, more: Pairs = ()) -> None:
        """`server` is the value of the Server field, b"" for none; `now` is in seconds since the
        epoch; `dated` says whether there is a Date field; `more` are fields of every response,
        with names in lower case."""
        self._dated = dated
        self._more = b"".join(self._checked(*field) for field in more)
        self._server_line = b"server: " + server + b"\r\n" if server else b""
        self._server_line += self._more
        self._date_line = b""
        self._lines: dict[tuple[bytes, bytes], bytes] = {}
        self._lengths: dict[tuple[bytes, bytes], tuple[bytes, int]] = {}
        """Content-Length fields: the line and the number of bytes."""
        self._status_lines = {
            status: f"HTTP/1.1 {status} {reason}\r\n".encode()
            for status, reason in REASONS.items()
            if status >= 200
        }
        self.tick(now)

    def tick(self, now: float) -> None:
        """Sets the Date field. To be called about once a second, with seconds since the epoch."""
        if self._dated:
            self._date_line = b"date: " + formatdate(now, usegmt=True).encode() + b"\r\n"

    def lines(
        self, status: int, headers: Pairs, reason: bytes = b""
    ) -> tuple[list[bytes], int | None, bool]:
        """Returns the lines of the head, without the empty one; the Content-Length that the app has
        set; and whether the app wants the connection closed.

        Names stay as the app wrote them. The line of the Content-Length is among the lines, except
        for a 204. `reason` is the app's own reason phrase. Raises ResponseError for a field or a
        status that may not be sent.
        """
        if reason:
            out = [self._own_status_line(status, reason)]
        else:
            out = [self._status_lines.get(status) or self._unusual_status(status)]
        length: int | None = None
        closes = False
        date, server = self._date_line, self._server_line
        known, lengths = self._lines, self._lengths
        for field in headers:
            line = known.get(field)
            if line is not None:
                out.append(line)
                continue
            name, value = field
            if field in lengths or name.lower() == b"content-length":
                line, number = lengths.get(field) or self._length(field)
                if length is not None:
                    response_length(value, length)  # raises if the two differ
                    continue
                length = number
                if status != 204:
                    out.append(line)
                continue
            key = name.lower()
            if key not in _LOOKED_AT:
                out.append(self._line(field))
            elif key == b"date":
                date = self._checked(name, value)
            elif key == b"server":
                server = self._checked(name, value) + self._more
            elif key == b"upgrade" and status == 426:
                # It names the protocol that is required (RFC 9110 section 15.5.22).
                out.append(self._checked(name, value) + b"connection: upgrade\r\n")
            elif key == b"connection" and b"close" in value.lower():
                closes = closes or b"close" in [v.strip(b" \t") for v in value.lower().split(b",")]
        out.append(date)
        out.append(server)
        return out, length, closes

    def fields(self, headers: Pairs) -> list[bytes]:
        """The lines of a 101's fields, without those that belong to a body or to the connection.
        They are not kept, because a handshake's fields hardly ever come twice."""
        lines = [self._checked(*field) for field in headers if field[0].lower() not in _NOT_IN_101]
        return [*lines, self._more] if self._more else lines

    def interim(self, status: int, headers: Pairs) -> bytes:
        """The bytes of an interim response. Our own fields are not in it."""
        lines = [b"%b: %b\r\n" % field for field in interim_fields(headers)]
        reason = REASONS.get(status, "").encode()
        return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason, b"".join(lines))

    def trailers(self, headers: Pairs) -> bytes:
        """The lines of the fields behind a body."""
        for field in headers:
            check_trailer(*field)
        return b"".join([b"%b: %b\r\n" % field for field in headers])

    def _line(self, field: tuple[bytes, bytes]) -> bytes:
        """A field checked and rendered; kept if it is likely to come again."""
        line = self._checked(*field)
        if len(line) <= LONGEST_REMEMBERED:
            if len(self._lines) >= MOST_FIELDS_REMEMBERED:
                self._lines.clear()
            self._lines[field] = line
        return line

    def _length(self, field: tuple[bytes, bytes]) -> tuple[bytes, int]:
        """A Content-Length checked and rendered, and its number. It is kept: an app sends bodies
        of few lengths, or of so many that the cache is emptied now and then."""
        name, value = field
        number = response_length(value, None)
        if len(self._lengths) >= MOST_FIELDS_REMEMBERED:
            self._lengths.clear()
        self._lengths[field] = kept = b"%b: %d\r\n" % (name, number), number
        return kept

    def _checked(self, name: bytes, value: bytes) -> bytes:
        check_field(name, value)
        return name + b": " + value + b"\r\n"

    def _own_status_line(self, status: int, reason: bytes) -> bytes:
        if not 200 <= status <= 999 or FIELD_VALUE.fullmatch(reason) is None:
            raise ResponseError(f"{status} {reason!r} is no status of a final response")
        return b"HTTP/1.1 %d %b\r\n" % (status, reason)

    def _unusual_status(self, status: int) -> bytes:
        check_final_status(status)
        return b"HTTP/1.1 %d \r\n" % status
