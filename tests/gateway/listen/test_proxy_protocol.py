"""PROXY headers: every cut of a good one, and garbage."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.listen.proxy_protocol import (
    LONGEST_HEADER,
    SIGNATURE,
    ProxyHeader,
    ProxyProtocolError,
    read_proxy_header,
)
from propylon.protocol.messages import Address


def v2(command: int, family: int, body: bytes = b"", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return SIGNATURE + struct.pack("!BBH", command, family, size) + body


TCP4 = bytes([192, 0, 2, 1, 10, 0, 0, 9]) + struct.pack("!HH", 4711, 443)
TCP6 = bytes.fromhex("20010db8000000000000000000000001") + bytes(15) + b"\x01" + b"\x00\x50\x00\x51"
MAPPED = (bytes(10) + b"\xff\xff\xc0\x00\x02\x01") * 2 + b"\x00\x50\x00\x51"
NOOP = b"\x04\x00\x02xx"
OVER_TLS = b"\x20\x00\x05\x01\x00\x00\x00\x00"
NOT_OVER_TLS = b"\x20\x00\x05\x06\x00\x00\x00\x00"
"""PP2_CLIENT_CERT_CONN and _SESS only."""

CLIENT: Address = ("192.0.2.1", 4711)
SERVER: Address = ("10.0.0.9", 443)
WHOLE: list[tuple[bytes, Address | None, Address | None]] = [
    (b"PROXY TCP4 192.0.2.1 10.0.0.9 4711 443\r\n", CLIENT, SERVER),
    (b"PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n", ("255.255.255.255", 65_535),
     ("0.0.0.0", 0)),
    (b"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n", ("2001:db8::1", 4711), ("::1", 443)),
    (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 4711 443\r\n", CLIENT, ("::1", 443)),
    (b"PROXY UNKNOWN\r\n", None, None),
    (b"PROXY UNKNOWN ffff::1 what it likes 65535 65535\r\n", None, None),
    (v2(0x21, 0x11, TCP4), CLIENT, SERVER),
    (v2(0x21, 0x11, TCP4 + NOOP), CLIENT, SERVER),
    (v2(0x21, 0x21, TCP6), ("2001:db8::1", 80), ("::1", 81)),
    (v2(0x21, 0x21, MAPPED), ("192.0.2.1", 80), ("192.0.2.1", 81)),
    (v2(0x21, 0x31, bytes(216)), None, None),
    (v2(0x21, 0x00), None, None),
    (v2(0x21, 0x00, b"anything"), None, None),
    (v2(0x20, 0x00), None, None),
    (v2(0x20, 0x11, TCP4), None, None),
    (v2(0x20, 0x99, b"x"), None, None),
    (v2(0x21, 0x11, TCP4 + bytes(LONGEST_HEADER - 28)), CLIENT, SERVER),
]  # fmt: skip


@pytest.mark.parametrize(("header", "client", "server"), WHOLE)
@pytest.mark.parametrize("behind", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"\r\n"])
def test_whole(
    header: bytes, client: Address | None, server: Address | None, behind: bytes
) -> None:
    assert read_proxy_header(header + behind) == ProxyHeader(len(header), client, server)


@pytest.mark.parametrize(
    ("header", "scheme"),
    [
        (v2(0x21, 0x11, TCP4), ""),
        (v2(0x21, 0x11, TCP4 + OVER_TLS), "https"),
        (v2(0x21, 0x21, TCP6 + NOOP + OVER_TLS + NOOP), "https"),
        (v2(0x21, 0x11, TCP4 + NOT_OVER_TLS), ""),
        (v2(0x21, 0x11, TCP4 + b"\x20\x00\x00"), ""),
        (v2(0x21, 0x11, TCP4 + b"\x04\x00\x08" + OVER_TLS), ""),  # within another
        (v2(0x20, 0x11, TCP4 + OVER_TLS), ""),
    ],
)
def test_whether_the_client_came_over_tls(header: bytes, scheme: str) -> None:
    read = read_proxy_header(header)
    assert read is not None
    assert read.scheme == scheme


@pytest.mark.parametrize("header", [header for header, _, _ in WHOLE])
def test_every_cut_waits_for_more(header: bytes) -> None:
    for cut in range(len(header)):
        assert read_proxy_header(header[:cut]) is None, cut


BROKEN = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00",
    b"proxy TCP4 192.0.2.1 10.0.0.9 4711 443\r\n",
    b"PROXY  TCP4 192.0.2.1 10.0.0.9 4711 443\r\n",
    b"PROXY TCP4 192.0.2.1 10.0.0.9 4711 443\n",
    b"PROXY TCP4 192.0.2.1 10.0.0.9 4711 443 \r\n",
    b"PROXY TCP4 192.0.2.1 10.0.0.9 4711\r\n",
    b"PROXY TCP4 192.0.2.1 10.0.0.9 04711 443\r\n",
    b"PROXY TCP4 192.0.2.1 10.0.0.9 +4711 443\r\n",
    b"PROXY TCP4 192.0.2.1 10.0.0.9 65536 443\r\n",
    b"PROXY TCP4 192.0.2.256 10.0.0.9 1 2\r\n",
    b"PROXY TCP4 192.0.02.1 10.0.0.9 1 2\r\n",
    b"PROXY TCP4 ::1 ::1 1 2\r\n",
    b"PROXY TCP6 192.0.2.1 10.0.0.9 1 2\r\n",
    b"PROXY TCP6 fe80::1%1 ::1 1 2\r\n",
    b"PROXY UDP4 192.0.2.1 10.0.0.9 1 2\r\n",
    b"PROXY UNKNOWNX\r\n",
    b"PROXY UNKNOWN \r \r\n",
    b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",  # 108 bytes
    b"PROXY UNKNOWN " + b"x" * 93,
    SIGNATURE[:-1] + b"\r",
    v2(0x11, 0x11, TCP4),
    v2(0x22, 0x11, TCP4),
    v2(0x21, 0x12, TCP4),
    v2(0x21, 0x22, TCP6),
    v2(0x21, 0x32, bytes(216)),
    v2(0x21, 0x41, bytes(216)),
    v2(0x21, 0x11, TCP4[:-1]),
    v2(0x21, 0x21, TCP6[:-1]),
    v2(0x21, 0x31, bytes(215)),
    v2(0x21, 0x11, TCP4 + OVER_TLS[:-1]),
    v2(0x21, 0x11, TCP4 + NOOP + b"\x04\x00"),
    v2(0x21, 0x11, length=LONGEST_HEADER),
    v2(0x20, 0x00, length=65_535),
]


@pytest.mark.parametrize("data", BROKEN)
def test_broken(data: bytes) -> None:
    with pytest.raises(ProxyProtocolError):
        read_proxy_header(data)


def test_what_is_no_header_is_known_at_its_first_byte() -> None:
    for byte in range(256):
        data = bytes([byte])
        if data in (b"P", b"\r"):
            assert read_proxy_header(data) is None
        else:
            with pytest.raises(ProxyProtocolError):
                read_proxy_header(data)


STARTS = st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"])


@given(STARTS, st.binary(max_size=300))
def test_garbage_raises_nothing_else(start: bytes, rest: bytes) -> None:
    data = start + rest
    try:
        header = read_proxy_header(data)
    except ProxyProtocolError:
        return
    if header is None:
        assert len(data) < LONGEST_HEADER
    else:
        assert 0 < header.length <= len(data)
        assert read_proxy_header(data[: header.length]) == header
