"""The grammar of requests as compiled patterns: a strict subset of RFC 9110 and RFC 9112. Pure.

One `fullmatch` over the raw head refuses, at C speed, what the two parsers would let through in
different ways: controls, bare CR, bare LF, blanks before a colon, folded lines. Every quantifier
over a class is possessive, so the time is linear in the input. Two traps of Python are avoided:
numbers match `[0-9]` before `int()` sees them, because `int()` takes signs, underscores and other
scripts' digits; and `strip` and `split` always name their characters, because without an argument
they take other controls for blanks.
"""

import re
from functools import lru_cache
from typing import Final

from ..exchange.errors import RequestError

# No group is repeated possessively: Python before 3.11.5 goes on from where the last, failed turn
# of such a group stopped (cpython gh-106052). A single class is safe. No text here matches a group
# in two ways, so a refusal takes linear time as well.
_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]"

LINE: Final = re.compile(_TOKEN + rb"++ ([\x21-\x7e]++) (HTTP/[0-9]\.[0-9])")
"""A request line without its CRLF."""

HEAD: Final = re.compile(
    LINE.pattern + rb"\r\n((?:"
    rb"" + _TOKEN + rb"++:" + _VALUE + rb"*+\r\n)*)\r\n"
)  # fmt: skip
"""A whole request head, CRLF CRLF included. Groups: target, version, fields."""

FIELD_LINE: Final = re.compile(rb"(" + _TOKEN + rb"++):(" + _VALUE + rb"*+)\r\n")
TOKEN: Final = re.compile(_TOKEN + rb"++")
_PLAIN: Final = rb"[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]*+"
QUOTED_TEXT: Final = _PLAIN + rb"(?:\\[\t\x20-\x7e\x80-\xff]" + _PLAIN + rb")*"
"""The text between the quotes of a quoted-string."""
QUOTED: Final = re.compile(rb'"' + QUOTED_TEXT + rb'"')
"""A quoted-string (RFC 9110 section 5.6.4), quotes included."""
FIELD_NAME: Final = TOKEN
FIELD_VALUE: Final = re.compile(_VALUE + rb"*+")
DECIMAL: Final = re.compile(rb"[0-9]{1,18}")
"""A Content-Length. 18 digits are below 2**63 and far above any body."""

_HOST: Final = re.compile(
    rb"(\[[0-9A-Fa-f:.]{2,45}\]|[0-9A-Za-z\-._~!$&'()*+;=%]{1,255})(?::([0-9]{1,5})?)?"
)
# Beginnings of parts, for a head that has not arrived whole; each may be empty.
TOKEN_SO_FAR: Final = re.compile(_TOKEN + rb"*+")
TARGET_SO_FAR: Final = re.compile(rb"[\x21-\x7e]*+")
VALUE_SO_FAR: Final = re.compile(_VALUE + rb"*+")

HTTP2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client of HTTP/2 begins with (RFC 9113 section 3.4). HTTP/1 reads it as a head."""
PLAIN_PATH: Final = rb"/[\x21\x22\x24\x26-\x3e\x40-\x7e]*+"
"""A path without percent-encoding; it ends before a query."""
PLAIN_QUERY: Final = rb"[\x21\x22\x24-\x7e]*+"

_ABSOLUTE: Final = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?#]++)(/[^?]*+)?(\?.*+)?")
_SEGMENT: Final = re.compile(rb"/|%2[fF]|\\|%5[cC]")


@lru_cache(maxsize=1024)
def host_name(value: bytes) -> str:
    """The host in a Host field or an authority, in lower case and without its port (RFC 9110
    section 7.2).

    Raises RequestError 400 for an empty value, a list, userinfo, a path, a port that is too large,
    and a broken IPv6 literal.
    """
    match = _HOST.fullmatch(value)
    if match is None or int(match[2] or 0) > 65_535 or not _ipv6_is_whole(match[1]):
        raise RequestError(400, "The Host field is not one host with an optional port.")
    return match[1].decode("ascii").lower()


def _ipv6_is_whole(host: bytes) -> bool:
    """Whether a host in brackets has the shape of an IPv6 address; one without brackets passes."""
    if not host.startswith(b"["):
        return True
    groups = host[1:-1].split(b":")
    if b"." in groups[-1]:  # an IPv4 tail stands for two groups
        octets = groups[-1].split(b".")
        if len(octets) != 4 or not all(o.isdigit() and int(o) < 256 for o in octets):
            return False
        groups[-1:] = [b"0", b"0"]
    if any(len(group) > 4 or b"." in group for group in groups):
        return False
    gaps = host.count(b"::")
    if gaps:
        return gaps == 1 and b":::" not in host and len(groups) <= 9
    return len(groups) == 8 and all(groups)


def split_target(method: str, target: bytes) -> tuple[bytes, bytes, bytes | None]:
    """Splits a request target into raw path, query, and authority or None (RFC 9112 section 3.2).

    Raises RequestError 400 for authority form, relative targets, fragments, `%00`, and a path that
    climbs out of its root.
    """
    authority = None
    if target[:1] == b"/":
        path, _, query = target.partition(b"?")
    elif target == b"*":
        if method != "OPTIONS":
            raise RequestError(400, "The target * goes with OPTIONS only.")
        return b"*", b"", None
    else:
        match = _ABSOLUTE.fullmatch(target)
        if match is None:
            raise RequestError(400, "The request target is neither a path nor an http URL.")
        authority, path, query = match[1], match[2] or b"/", (match[3] or b"?")[1:]
    if b"#" in target:
        raise RequestError(400, "A request target has no fragment.")
    if b"%00" in target:
        raise RequestError(400, "The request target has an encoded NUL.")
    if (b".." in path or b"%2" in path) and climbs_out(path):
        raise RequestError(400, "The path climbs out of its root.")
    return path, query, authority


def climbs_out(path: bytes) -> bool:
    """Whether `..` segments, encoded or not, lead above the root at any point of the path."""
    depth = 0
    for segment in _SEGMENT.split(path)[1:]:
        plain = segment.replace(b"%2e", b".").replace(b"%2E", b".")
        if plain == b"..":
            depth -= 1
            if depth < 0:
                return True
        elif plain not in (b"", b"."):
            depth += 1
    return False
