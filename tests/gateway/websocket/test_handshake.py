"""What of a WebSocket's handshake is the same in every HTTP version."""

import pytest
from propylon.gateway.exchange.errors import RequestError, ResponseError
from propylon.gateway.exchange.exchange import Request
from propylon.gateway.websocket.handshake import (
    accept_fields,
    check_handshake,
    check_origin,
    extension_offers,
)
from propylon.protocol.messages import Pairs

KEY = (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==")
PROOF = (b"sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
"""Both are RFC 6455's example (section 1.3)."""
VERSION = (b"sec-websocket-version", b"13")


def asks(*headers: tuple[bytes, bytes], method: str = "GET", version: str = "1.1") -> Request:
    request = Request(method, b"/chat", version)
    request.headers = headers
    request.upgrade = "websocket"
    return request


def test_http_1_1_proves_it_with_a_key() -> None:
    check_handshake(asks(VERSION, KEY))
    with pytest.raises(RequestError) as refused:
        check_handshake(asks(VERSION))
    assert refused.value.status == 400
    assert accept_fields(asks(VERSION, KEY), None, b"", ()) == (PROOF,)


def test_http_2_has_no_key() -> None:
    """RFC 8441 section 5."""
    request = asks(VERSION, method="CONNECT", version="2")
    check_handshake(request, has_key=False)
    assert accept_fields(request, "chat", b"", ()) == ((b"sec-websocket-protocol", b"chat"),)
    with pytest.raises(RequestError) as refused:
        check_handshake(asks(KEY), has_key=False)
    assert refused.value.status == 426


@pytest.mark.parametrize(
    "field",
    [
        (b"origin", b"https://a.test"),
        (b"sec-websocket-protocol", b"a b"),
        (b"sec-websocket-protocol", b","),
        (b"sec-websocket-extensions", b"x; ="),
        KEY,
    ],
)
def test_a_field_that_is_malformed_or_there_twice(field: tuple[bytes, bytes]) -> None:
    with pytest.raises(RequestError) as refused:
        check_handshake(asks(VERSION, KEY, field, field))
    assert refused.value.status == 400


def test_the_app_s_own_fields_come_behind_and_decide_nothing() -> None:
    own: Pairs = ((b"X-Mine", b"1"), (b"Sec-WebSocket-Accept", b"x"), (b"set-cookie", b"a=b"))
    fields = accept_fields(asks(VERSION, KEY), "chat", b"permessage-deflate", own)
    assert fields == (
        PROOF,
        (b"sec-websocket-protocol", b"chat"),
        (b"sec-websocket-extensions", b"permessage-deflate"),
        (b"X-Mine", b"1"),
        (b"set-cookie", b"a=b"),
    )
    with pytest.raises(ResponseError):
        accept_fields(asks(VERSION, KEY), "a b", b"", ())


def test_offers_keep_their_order_over_several_fields() -> None:
    name = b"sec-websocket-extensions"
    request = asks((name, b"a; x=1 ,b"), (b"x", b"y"), (name, b"c"))
    assert extension_offers(request) == [b"a; x=1", b"b", b"c"]
    assert extension_offers(asks(VERSION)) == []


def test_a_page_s_origin() -> None:
    allowed = frozenset({b"https://a.test"})
    check_origin(asks(VERSION), allowed)
    check_origin(asks((b"origin", b"HTTPS://A.test")), allowed)
    with pytest.raises(RequestError) as refused:
        check_origin(asks((b"origin", b"https://b.test")), allowed)
    assert refused.value.status == 403
