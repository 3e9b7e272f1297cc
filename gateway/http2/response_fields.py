"""Makes the fields of HEADERS frames of an app's response (RFC 9113 section 8), and refuses what
may not be sent. Pure.

An app's response is the same in every HTTP version. What HTTP/2 wants otherwise is done here: the
status is a field, names are in lower case, values have no blanks around them, and no field
describes a connection (section 8.2.2).

Most fields of a response were in an earlier one too. A field that was checked once is kept as it is
sent, so the hot path looks fields up. One `ResponseFields` serves all connections of a process.
"""

from email.utils import formatdate
from typing import Final

from ...protocol.messages import Pairs
from ...protocol.reason_phrases import REASONS
from ..exchange.errors import ResponseError
from ..http.rules import (
    HOP_BY_HOP,
    LONGEST_REMEMBERED,
    MOST_FIELDS_REMEMBERED,
    Fields,
    check_field,
    check_final_status,
    check_trailer,
    interim_fields,
    response_length,
)

_LOOKED_AT: Final = HOP_BY_HOP | {b"date", b"server"}
_LENGTH: Final = b"content-length"
MOST_HEADS: Final = 64
"""Heads that are remembered: until the date changes, or until there are so many."""
_NEVER_NAMED: Final = frozenset({b":status", _LENGTH})
"""Fields that Connection takes off in no case."""


class ResponseFields:
    """Makes the fields of all responses of a process, and remembers those that were checked."""

    __slots__ = (
        "_date", "_dated", "_heads", "_known", "_lengths", "_more", "_server", "_statuses",
    )  # fmt: skip

    def __init__(self, server: bytes, now: float, *, dated: bool = True, more: Pairs = ()) -> None:
        """`server` is the value of the Server field, b"" for none; `now` is in seconds since the
        epoch; `dated` says whether there is a Date field; `more` are fields of every response,
        with names in lower case."""
        self._dated = dated
        self._more = [_checked(field) for field in more]
        self._server: Fields = [(b"server", server)] if server else []
        self._date: Fields = []
        self._known: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}
        self._lengths: dict[tuple[bytes, bytes], int] = {}
        """Content-Length fields, and the number of bytes."""
        self._heads: dict[tuple[int, Pairs], tuple[Fields, int | None]] = {}
        """What `head` has returned of late, for what."""
        self._statuses = {
            status: (b":status", b"%d" % status) for status in REASONS if status >= 200
        }
        self.tick(now)

    def tick(self, now: float) -> None:
        """Sets the Date field. To be called about once a second, with seconds since the epoch."""
        if self._dated:
            self._heads.clear()
            self._date = [(b"date", formatdate(now, usegmt=True).encode())]

    def head(self, status: int, fields: Pairs) -> tuple[Fields, int | None]:
        """Returns the fields to send, a list that is never changed, and the Content-Length that the
        app has set. It is among the fields, except for a 204. Raises ResponseError for a field or a
        status that may not be sent."""
        asked = (status, fields)
        head = self._heads.get(asked)
        if head is not None:
            return head
        before = self.remembered
        head = self._head(status, fields)
        # Fields that were all there before are likely to come together again.
        if self.remembered == before and max(map(_size, fields), default=0) <= LONGEST_REMEMBERED:
            if len(self._heads) >= MOST_HEADS:
                self._heads.clear()
            self._heads[asked] = head
        return head

    def _head(self, status: int, fields: Pairs) -> tuple[Fields, int | None]:
        out = [self._statuses.get(status) or _unusual_status(status)]
        length: int | None = None
        date, server = self._date, self._server
        named: set[bytes] = set()
        known, lengths = self._known, self._lengths
        for field in fields:
            kept = known.get(field)
            if kept is not None:
                out.append(kept)
                continue
            name, value = field
            key = name.lower()
            if key == _LENGTH:
                number = lengths.get(field)
                if number is None:
                    number = self._length(field)
                if length is not None:
                    response_length(value, length)  # raises if the two differ
                    continue
                length = number
                if status != 204:
                    out.append((_LENGTH, b"%d" % number))
            elif key not in _LOOKED_AT:
                out.append(self._keep(field))
            elif key == b"date":
                date = [_checked(field)]
            elif key == b"server":
                server = [_checked(field)]
            elif key == b"connection":
                named.update(option.strip(b" \t") for option in value.lower().split(b","))
        if named:
            named -= _NEVER_NAMED
            out = [field for field in out if field[0] not in named]
        out += date
        out += server
        out += self._more
        return out, length

    def accept(self, fields: Pairs) -> Fields:
        """The fields of the answer that accepts a WebSocket (RFC 8441 section 5.1). Raises
        ResponseError."""
        return self.head(200, tuple([field for field in fields if field[0].lower() != _LENGTH]))[0]

    def interim(self, status: int, fields: Pairs) -> Fields:
        """The fields of an interim response. Our own are not among them. Raises ResponseError."""
        if not 100 < status < 200 or status == 101:
            # HTTP/2 has no 101 (RFC 9113 section 8.6), and a 100 is ours.
            raise ResponseError(f"{status} is no status of an interim response in HTTP/2")
        return [(b":status", b"%d" % status), *map(_lowered, interim_fields(fields))]

    def trailers(self, fields: Pairs) -> Fields:
        """The fields behind a body. Raises ResponseError."""
        for field in fields:
            check_trailer(*field)
        return list(map(_lowered, fields))

    @property
    def remembered(self) -> int:
        """Fields that are kept."""
        return len(self._known) + len(self._lengths)

    def _keep(self, field: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        """A field checked and ready to be sent; kept if it is likely to come again."""
        ready = _checked(field)
        if len(field[0]) + len(field[1]) <= LONGEST_REMEMBERED:
            if len(self._known) >= MOST_FIELDS_REMEMBERED:
                self._known.clear()
            self._known[field] = ready
        return ready

    def _length(self, field: tuple[bytes, bytes]) -> int:
        """A Content-Length checked. It is kept, as HTTP/1's is."""
        number = response_length(field[1], None)
        if len(self._lengths) >= MOST_FIELDS_REMEMBERED:
            self._lengths.clear()
        self._lengths[field] = number
        return number


def _size(field: tuple[bytes, bytes]) -> int:
    return len(field[0]) + len(field[1])


def _checked(field: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    check_field(*field)
    return _lowered(field)


def _lowered(field: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    return field[0].lower(), field[1].strip(b" \t")


def _unusual_status(status: int) -> tuple[bytes, bytes]:
    check_final_status(status)
    return b":status", b"%d" % status
