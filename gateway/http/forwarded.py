"""The syntax of forwarded fields: lists in X-Forwarded-*, and `Forwarded` (RFC 7239). Pure.

Entries are read from the right. The peer has written the right-most entry. An entry further left is
worth as much as the proxy that wrote it, so reading ends at the first proxy that is not trusted
(see `trust`).
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from ...protocol.messages import Address
from ..exchange.errors import RequestError
from .grammar import QUOTED_TEXT, host_name

_NODE: Final = re.compile(
    rb"(?:([0-9]{1,3}(?:\.[0-9]{1,3}){3})|\[([0-9A-Fa-f:.]{2,45})\]|([Uu][Nn][Kk][Nn][Oo][Ww][Nn]"
    rb"|_[A-Za-z0-9._-]{1,255}))(?::(?:([0-9]{1,5})|_[A-Za-z0-9._-]{1,255}))?"
)
"""RFC 7239 section 6. Groups: IPv4, IPv6, unknown or obfuscated, port."""
_BARE_IPV6: Final = re.compile(rb"[0-9A-Fa-f:.]{2,45}")
"""An IPv6 address as X-Forwarded-For has it: without brackets, and so without a port."""

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_PAIR: Final = re.compile(
    rb"[ \t]*+(?:(" + _TOKEN + rb")=(?:(" + _TOKEN + rb")|\"(" + QUOTED_TEXT + rb")\"))?"
    rb"[ \t]*+([;,]|\Z)"
)  # fmt: skip
_ESCAPE: Final = re.compile(rb"\\(.)")

_SCHEMES: Final = {b"http": "http", b"https": "https", b"ws": "http", b"wss": "https"}
_PREFIX: Final = re.compile(rb"(?:/[A-Za-z0-9._~!$&'()*+;=:@\-]++)+")

_LONGEST_PREFIX: Final = 2_048
"""Bytes of a prefix at most. It travels to the worker three times: alone, in front of the path, and
as the field that the proxy sent."""

Element = dict[bytes, bytes]
"""What one proxy has written into `Forwarded`: parameter in lower case -> value without quotes."""


def list_from_right(values: Sequence[bytes]) -> Iterator[bytes]:
    """Yields the entries of comma-separated fields, the last one first. Empty entries do not count
    (RFC 9110 section 5.6.1)."""
    for value in reversed(values):
        for entry in reversed(value.split(b",")):
            if stripped := entry.strip(b" \t"):
                yield stripped


def forwarded_from_right(values: Sequence[bytes]) -> Iterator[Element]:
    """Yields the elements of `Forwarded` fields, the last one first. Raises RequestError 400.

    Each field is read by itself. A client that leaves a quote open in its own field must not
    swallow the field that a proxy has added behind it.
    """
    for value in reversed(values):
        yield from reversed(_elements(value))


def _elements(value: bytes) -> list[Element]:
    elements: list[Element] = [{}]
    at, separator = 0, b","
    while separator:
        match = _PAIR.match(value, at)
        if match is None:
            raise RequestError(400, "The Forwarded field is malformed.")
        name, plain, quoted, separator = match.groups()
        if name is not None:
            name = name.lower()
            if name in elements[-1]:
                raise RequestError(400, "The Forwarded field has a parameter twice.")
            elements[-1][name] = plain if plain is not None else _ESCAPE.sub(rb"\1", quoted)
        if separator == b",":
            elements.append({})
        at = match.end()
    return [element for element in elements if element]


@lru_cache(maxsize=4096)
def node(text: bytes) -> Address | None:
    """The address and port of one hop; the port is 0 if none is named. None for a hop that is
    `unknown` or has a name that only its proxy understands (`_hidden`). Raises RequestError 400."""
    match = _NODE.fullmatch(text)
    try:
        if match is None:
            if _BARE_IPV6.fullmatch(text) is None:
                raise ValueError(text)
            return _shown(IPv6Address(text.decode())), 0
        four, six, hidden, port = match.groups()
        if int(port or 0) > 65_535:
            raise ValueError(port)
        if hidden is not None:
            return None
        address = IPv4Address(four.decode()) if four else IPv6Address(six.decode())
        return _shown(address), int(port or 0)
    except ValueError:
        raise RequestError(400, "A proxy named a client that is no address.") from None


def _shown(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return str(address)


def scheme(text: bytes) -> str:
    """The scheme, http or https; ws and wss mean the same two. Raises RequestError 400."""
    found = _SCHEMES.get(text.lower())
    if found is None:
        raise RequestError(400, "A proxy named a scheme that is neither http nor https.")
    return found


def host(text: bytes) -> tuple[str, int]:
    """A host without its port, and the port, or 0 if there is none. Raises RequestError 400."""
    try:
        name = host_name(text)
    except RequestError:
        raise RequestError(400, "A proxy named a host that is none.") from None
    return name, int(text[len(name) + 1 :] or 0)


def port(text: bytes) -> int:
    """A port from 1 to 65535. Raises RequestError 400."""
    if re.fullmatch(rb"[0-9]{1,5}", text) is None or not 0 < int(text) <= 65_535:
        raise RequestError(400, "A proxy named a port that is none.")
    return int(text)


def prefix(text: bytes) -> str:
    """A path that a proxy has taken off, without a slash at its end; "" for "/".

    Raises RequestError 400, also for `//host`, which a browser takes for another site, for `.` and
    `..`, and for characters that have to be percent-encoded.
    """
    text = text.removesuffix(b"/")
    if len(text) > _LONGEST_PREFIX:
        raise RequestError(400, f"A proxy named a prefix of more than {_LONGEST_PREFIX} bytes.")
    if text and (_PREFIX.fullmatch(text) is None or not {b".", b".."}.isdisjoint(text.split(b"/"))):
        raise RequestError(400, "A proxy named a prefix that is no plain path.")
    return text.decode("ascii")
