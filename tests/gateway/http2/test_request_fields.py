import pytest
from propylon.gateway.http2.request_fields import MalformedRequest, request_of
from propylon.gateway.settings import Http2Settings, HttpSettings

GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"h"), (b":path", b"/a?b")]


def test_a_request() -> None:
    request = request_of([*GET, (b"accept", b"*/*")], True, HttpSettings(), Http2Settings())
    assert (request.method, request.path, request.query) == ("GET", b"/a", b"b")
    assert request.headers == ((b"host", b"h"), (b"accept", b"*/*"))
    assert (request.host, request.content_length) == ("h", 0)


def test_upper_case() -> None:
    with pytest.raises(MalformedRequest):
        request_of([*GET, (b"Accept", b"*/*")], True, HttpSettings(), Http2Settings())
