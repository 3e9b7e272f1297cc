"""The PROXY protocol, versions 1 and 2: a load balancer that passes bytes on names its client.
Pure.

Its specification is https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, called "spec"
below. The header stands in front of everything else on a connection, even of a TLS hello. What
follows it is not looked at.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, Literal

from ...protocol.messages import Address

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
WORD: Final = b"PROXY "
LONGEST_V1: Final = 107
"""Bytes of a version 1 header at most, with its CRLF (spec 2.1)."""
LONGEST_HEADER: Final = 4_096
"""Bytes of a version 2 header at most. Addresses need 232, and the rest are extensions, which no
known sender makes longer. The protocol itself would allow 65,551."""

_FIXED: Final = 16
_PORT: Final = rb"(0|[1-9][0-9]{0,4})"
_V1: Final = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*+)?|(TCP[46]) ([0-9A-Fa-f:.]{2,39}) ([0-9A-Fa-f:.]{2,39}) "
    + _PORT
    + rb" "
    + _PORT
    + rb")\r\n"
)
_TLS: Final = 0x20
"""The extension PP2_TYPE_SSL, which describes the client's TLS (spec 2.2.6)."""
_OVER_TLS: Final = 0x01
"""PP2_CLIENT_SSL, a bit of that extension's first byte: the client's connection came over TLS."""
_ADDRESSES: Final = {0x11: 12, 0x21: 36, 0x31: 216}
"""Family and protocol -> bytes of the addresses: TCP over IPv4, TCP over IPv6, Unix stream. The
families for datagrams make no sense on a stream."""


class ProxyProtocolError(Exception):
    """The bytes are not a PROXY header. The connection is closed."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    length: int
    """How many bytes the header has."""
    client: Address | None = None
    """The client's address. None if the header names none: the proxy checks our health (LOCAL), or
    its client has no IP address (UNKNOWN, UNSPEC, a Unix socket)."""
    server: Address | None = None
    """The address that the client connected to."""
    scheme: Literal["", "https"] = ""
    """https if the proxy says that it has terminated TLS; "" if it does not mention TLS."""


def read_proxy_header(data: bytes) -> ProxyHeader | None:
    """Returns the header that `data` begins with; None if more bytes are needed. Raises
    ProxyProtocolError for bytes that cannot become a header."""
    if data.startswith(SIGNATURE[: len(data)]):
        return _version_2(data)
    if data.startswith(WORD[: len(data)]):
        return _version_1(data)
    raise ProxyProtocolError("what came first is no PROXY header, which --proxy-protocol asks for")


def _version_1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\n", 0, LONGEST_V1)
    if end < 0:
        if len(data) >= LONGEST_V1:
            raise ProxyProtocolError(f"a version 1 header is at most {LONGEST_V1} bytes")
        return None
    match = _V1.fullmatch(data, 0, end + 1)
    if match is None:
        raise ProxyProtocolError("the version 1 header is malformed")
    family, source, target, source_port, target_port = match.groups()
    if family is None:
        return ProxyHeader(end + 1)
    kind = IPv4Address if family == b"TCP4" else IPv6Address
    try:
        client = _address(kind(source.decode()), int(source_port))
        server = _address(kind(target.decode()), int(target_port))
    except ValueError:
        raise ProxyProtocolError("the version 1 header has a bad address") from None
    return ProxyHeader(end + 1, client, server)


def _version_2(data: bytes) -> ProxyHeader | None:
    if len(data) < _FIXED:
        return None
    command, family = data[12], data[13]
    if command >> 4 != 2 or command & 15 > 1:
        raise ProxyProtocolError(f"the version 2 header has the unknown command 0x{command:02x}")
    length = _FIXED + int.from_bytes(data[14:16], "big")
    if length > LONGEST_HEADER:
        raise ProxyProtocolError(
            f"the version 2 header has {length} bytes; {LONGEST_HEADER} are taken"
        )
    if command & 15 and family:
        if family not in _ADDRESSES:
            raise ProxyProtocolError(f"the version 2 header has the unknown family 0x{family:02x}")
        if length < _FIXED + _ADDRESSES[family]:
            raise ProxyProtocolError("the version 2 header is too short for its addresses")
    if len(data) < length:
        return None
    if command & 15 == 0 or family in (0x00, 0x31):
        return ProxyHeader(length)  # LOCAL: the receiver must ignore the addresses (spec 2.2)
    kind, size = (IPv4Address, 4) if family == 0x11 else (IPv6Address, 16)
    source, target, ports = _FIXED, _FIXED + size, _FIXED + 2 * size
    return ProxyHeader(
        length,
        _address(kind(data[source:target]), int.from_bytes(data[ports : ports + 2], "big")),
        _address(kind(data[target:ports]), int.from_bytes(data[ports + 2 : ports + 4], "big")),
        _scheme(data[ports + 4 : length]),
    )


def _scheme(extensions: bytes) -> Literal["", "https"]:
    """Reads the extensions (type, length, value; spec 2.2). Only the one about TLS is used."""
    scheme: Literal["", "https"] = ""
    at = 0
    while at < len(extensions):
        value = at + 3
        end = value + int.from_bytes(extensions[at + 1 : value], "big")
        if value > len(extensions) or end > len(extensions):
            raise ProxyProtocolError("the version 2 header has an extension that is cut off")
        if extensions[at] == _TLS and end > value and extensions[value] & _OVER_TLS:
            scheme = "https"
        at = end
    return scheme


def _address(address: IPv4Address | IPv6Address, port: int) -> Address:
    if port > 65_535:
        raise ValueError(port)
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise ValueError(address)
        address = address.ipv4_mapped or address
    return str(address), port
