"""How urgent a response is, as its client says (RFC 9218). Pure.

A client says so in the field `priority` of a request, and may change its mind by a PRIORITY_UPDATE
frame with the same text: a dictionary of RFC 8941, as `u=1, i`. `u` is the urgency, from 0, the
highest, to 7. `i` says that the client can use parts of the response, as those of an image, so that
it is worth to send it at the same time as others.

Wrong text is as none, and so are wrong values (RFC 9218 section 4). What else the dictionary has is
for others.

**None at all** is not the same as `u=3`, which is what it stands for in RFC 9218. A client that
knows of priorities says so with each request: browsers do. One that does not may be a proxy with
the requests of many users, and a long download of one would hold all others if it were served
first and as a whole. So a request that says nothing gets its share beside others, as in servers
without priorities (RFC 9218 section 10 leaves that to us).
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple


class PriorityParameters(NamedTuple):
    """RFC 9218 section 4."""

    urgency: int
    incremental: bool


UNSPECIFIED: Final = PriorityParameters(3, incremental=True)
"""What a request has that says nothing, or nothing that can be read."""
MOST_PRIORITY_TEXT: Final = 256
"""Bytes of a text that is read. `u=7, i` has six."""
MOST_EARLY: Final = 100
"""Updates that are kept for streams that are not open yet."""

_KEY: Final = rb"[a-z*][a-z0-9_\-.*]*"
_ITEM: Final = (
    rb"(?:-?[0-9]{1,15}(?:\.[0-9]{1,3})?"  # an integer or a decimal
    rb"|\"(?:[ !#-\[\]-~]|\\[\"\\])*\""  # a string
    rb"|[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*"  # a token
    rb"|:[A-Za-z0-9+/=]*:"  # bytes
    rb"|\?[01])"  # a boolean
)
_PARAMETERS: Final = rb"(?:; *" + _KEY + rb"(?:=" + _ITEM + rb")?)*"
_LIST: Final = rb"\( *(?:" + _ITEM + _PARAMETERS + rb"(?: +" + _ITEM + _PARAMETERS + rb")*)? *\)"
_MEMBER: Final = re.compile(
    rb"(" + _KEY + rb")(?:=(" + _ITEM + rb"|" + _LIST + rb"))?" + _PARAMETERS
)
_COMMA: Final = re.compile(rb"[ \t]*,[ \t]*")


@lru_cache(maxsize=256)
def read_priority(text: bytes) -> PriorityParameters:
    """Reads a `priority` field (several of them with commas between), or the value of a
    PRIORITY_UPDATE."""
    members = _members(text.strip(b" "))
    if not members:
        return UNSPECIFIED
    urgency, incremental = members.get(b"u", b""), members.get(b"i", b"")
    return PriorityParameters(
        int(urgency) if len(urgency) == 1 and b"0" <= urgency <= b"7" else 3,
        incremental == b"?1",
    )


def _members(text: bytes) -> dict[bytes, bytes]:
    """The members of a dictionary (RFC 8941 section 3.2), each with its value as it is written and
    without parameters; the last one counts. Empty if the text is no dictionary or too long."""
    found = dict[bytes, bytes]()
    at, size = 0, len(text)
    while 0 < size <= MOST_PRIORITY_TEXT:
        member = _MEMBER.match(text, at)
        if member is None:
            break
        found[member[1]] = member[2] or b"?1"
        at = member.end()
        if at == size:
            return found
        comma = _COMMA.match(text, at)
        if comma is None:
            break
        at = comma.end()
    return {}


class EarlyUpdates:
    """PRIORITY_UPDATEs for streams that the client has not opened yet (RFC 9218 section 7.1). A
    client can name any of a thousand million streams, so only a few are kept, the latest ones."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[int, bytes] = {}

    def keep(self, stream: int, text: bytes) -> None:
        self._kept.pop(stream, None)
        if len(text) <= MOST_PRIORITY_TEXT:
            self._kept[stream] = text
        if len(self._kept) > MOST_EARLY:
            del self._kept[next(iter(self._kept))]

    def take(self, stream: int) -> bytes:
        """Returns the update for a stream that opens now; b"" if there was none. It counts more
        than the request's own field."""
        return self._kept.pop(stream, b"") if self._kept else b""
