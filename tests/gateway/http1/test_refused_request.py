"""What a log can tell of a request that was refused before it was read."""

import pytest
from propylon.gateway.http.head_limits import LONGEST_SHOWN
from propylon.gateway.http1.refused_request import refused_request


@pytest.mark.parametrize(
    ("head", "line"),
    [
        (b"GET /a?b HTTP/1.1\r\nHost: x", ("GET", b"/a?b", "1.1")),
        (b"\r\nGET /a HTTP/1.0\nHost: x", ("GET", b"/a", "1.0")),
        (b"GET /a HTTP/2.0\r\n", ("GET", b"/a", "2.0")),
        (b"GET /a HTT", ("-", b"GET /a HTT", "")),
        (b"GET  /a HTTP/1.1\r\n", ("-", b"GET  /a HTTP/1.1", "")),
        (b"G\x01T /a HTTP/1.1\r\n", ("-", b"G\x01T /a HTTP/1.1", "")),
        (b"GET /\xff HTTP/1.1\r\n", ("-", b"GET /\xff HTTP/1.1", "")),
        (b"\x16\x03\x01\x02", ("-", b"\x16\x03\x01\x02", "")),
        (b"", ("-", b"", "")),
        (b"\r\n", ("-", b"", "")),
        (b"GET /" + bytes(9_000), ("-", (b"GET /" + bytes(9_000))[:LONGEST_SHOWN] + b"...", "")),
    ],
)
def test_the_line(head: bytes, line: tuple[str, bytes, str]) -> None:
    request = refused_request(head)
    assert (request.method, request.target, request.http_version) == line
