"""The parts of a file that a client asks for (RFC 9110 section 14). Pure.

A client that resumes a download asks for one range, a video player for one after the other, a
reader of large archives for several at once. Hundreds of ranges, or ranges that overlap, are
nobody's wish but an attacker's: each costs a header and a seek, and their sum may be many times the
file (CVE-2011-3192, "Apache Killer"). So ranges that overlap or nearly touch become one, as section
15.3.7.2 allows, and where more than `MOST_PARTS` are left the field is ignored and the whole file
sent: that is never wrong (section 14.2).
"""

import re
from typing import Final, NamedTuple

MOST_PARTS: Final = 16
"""Parts of one response."""
LONGEST_RANGE: Final = 4_096
"""Bytes of a Range field that are looked at; a longer one is ignored."""
JOINED_GAP: Final = 80
"""Bytes between two ranges that are cheaper to send than a part's own header."""

_RANGE: Final = re.compile(rb"[ \t]*(\d{0,18})-(\d{0,18})[ \t]*")


class Part(NamedTuple):
    """Bytes of a file, from `start` up to but without `stop`."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start

    def content_range(self, size: int) -> bytes:
        """The value of Content-Range for this part of a file of `size` bytes."""
        return b"bytes %d-%d/%d" % (self.start, self.stop - 1, size)


def parts_of(field: bytes, size: int) -> list[Part] | None:
    """The parts that a Range field asks for of a file of `size` bytes, in the order of the first
    byte of each; an empty list if none of them is in the file (416). None if the field is not to be
    honoured: another unit, no valid list, or more than is reasonable."""
    unit, equals, ranges = field.partition(b"=")
    if not equals or unit.strip().lower() != b"bytes" or len(field) > LONGEST_RANGE:
        return None
    found: list[Part] = []
    for text in ranges.split(b","):
        if not text.strip():
            continue  # an empty member of a list (section 5.6.1.2)
        match = _RANGE.fullmatch(text)
        if match is None or text.strip() == b"-":
            return None
        first, last = match.groups()
        if not first:  # the last so many bytes
            part = Part(max(size - int(last), 0), size)
        elif last and int(last) < int(first):
            return None  # section 14.1.1: such a set is invalid as a whole
        else:
            part = Part(int(first), min(int(last) + 1, size) if last else size)
        if part.start < part.stop:
            found.append(part)
    if b"-" not in ranges:
        return None
    parts = _joined(found)
    return parts if len(parts) <= MOST_PARTS else None


def _joined(parts: list[Part]) -> list[Part]:
    """The parts in order, those that overlap or nearly touch as one."""
    joined: list[Part] = []
    for part in sorted(parts):
        if joined and part.start <= joined[-1].stop + JOINED_GAP:
            last = joined.pop()
            part = Part(last.start, max(last.stop, part.stop))
        joined.append(part)
    return joined


class Multipart(NamedTuple):
    """A body of type multipart/byteranges (RFC 9110 section 14.6)."""

    boundary: bytes
    heads: tuple[bytes, ...]
    """What stands before each part."""
    end: bytes
    """What stands behind the last one."""

    @property
    def content_type(self) -> bytes:
        return b"multipart/byteranges; boundary=" + self.boundary


def multipart(parts: list[Part], size: int, content_type: bytes, boundary: bytes) -> Multipart:
    """Frames several parts of a file of `size` bytes. The boundary must not be in the file: a long
    number by chance is not."""
    head = b"\r\n--%b\r\nContent-Type: %b\r\nContent-Range: %b\r\n\r\n"
    heads = tuple(head % (boundary, content_type, part.content_range(size)) for part in parts)
    return Multipart(boundary, heads, b"\r\n--%b--\r\n" % boundary)
