"""Which file of a folder a request's path names, as far as the path tells. Pure.

A path is decoded once and taken apart. What could be read in two ways, or names what no site means
to publish, names nothing: `..` and `.`, empty segments, NUL and other control characters, a
backslash (a separator elsewhere), a hidden name. `.well-known` (RFC 8615) is made to be found. What
is left is opened below the folder (`folder`), where the kernel has the last word.
"""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

LONGEST_SEGMENT: Final = 255
"""Bytes (NAME_MAX). Longer ones can't exist, and would be an error of another kind."""
WELL_KNOWN: Final = b".well-known"
_AMBIGUOUS: Final = re.compile(rb"[\x00-\x1f\x7f\\]")


def wanted_path(raw: bytes, prefix: bytes, *, hidden: bool) -> bytes | None:
    """The path below the folder, without a slash in front; "" for the folder itself, and with a
    slash at its end if the request's has one. None if nothing can be meant. `raw` is the request's
    path as it came, which begins with the route's `prefix` when it is decoded; `hidden` says
    whether names with a dot in front are meant as well."""
    path = unquote_to_bytes(raw) if b"%" in raw else raw
    path = path[len(prefix) :].removeprefix(b"/")
    if not path:
        return b""
    for segment in path.removesuffix(b"/").split(b"/"):
        if not can_be_meant(segment):
            return None
        if segment.startswith(b".") and not hidden and segment != WELL_KNOWN:
            return None
    return path


def can_be_meant(segment: bytes) -> bool:
    """Whether a segment of a decoded path, hidden or not, is what a name in a folder can be."""
    if not segment or segment in (b".", b"..") or len(segment) > LONGEST_SEGMENT:
        return False
    return _AMBIGUOUS.search(segment) is None
