"""Whose id a request has: a trusted peer's if it is well formed, else one of ours."""

import os
import uuid
from time import time

import pytest
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.exchange.exchange import Exchange, Request
from propylon.gateway.http.request_ids import RequestIds
from propylon.gateway.http.uuid7 import Uuid7
from propylon.gateway.peers import PeerSet

from ...fakes.exchange_sides import FakeClient

IDS = RequestIds(b"x-request-id", PeerSet(("127.0.0.1", "unix")), Uuid7(time, os.urandom))
PROXY = Endpoint(("127.0.0.1", 4711), None)
STRANGER = Endpoint(("192.0.2.7", 4711), None)
UNKNOWN = Endpoint(("127.0.0.1", 4711), None, is_known=False)
UNIX = Endpoint(None, ("/run/x.sock", None))


def named(endpoint: Endpoint, *told: bytes) -> Exchange:
    request = Request("GET", b"/", "1.1")
    request.headers = ((b"host", b"h"),)
    request.told_ids = told
    exchange = Exchange(request, FakeClient(), endpoint)
    IDS.identify(exchange, endpoint)
    assert request.headers == (
        (b"host", b"h"),
        (b"x-request-id", exchange.request_id.encode()),
    ), "the app gets exactly one, as the last"
    return exchange


@pytest.mark.parametrize(
    "told",
    [b"a", b"0193e2a7-1c7e-7bb4-8e1b-2d6c0a1b9f3e", b"1-67891233-abcdef012345678912345678",
     b"YWJj/+8=", b"Root=1:2@3._-", b"x" * 128],
)  # fmt: skip
@pytest.mark.parametrize("endpoint", [PROXY, UNIX])
def test_a_trusted_peer_names_it(told: bytes, endpoint: Endpoint) -> None:
    assert named(endpoint, told).request_id == told.decode()


@pytest.mark.parametrize(
    "told",
    [b"", b"x" * 129, b"a b", b"a,b", b'a"', b"a;b", b"a\\n", b"<a>", b"a\tb", b"\xc3\xa4", b"a\n"],
)
def test_a_malformed_id_is_replaced(told: bytes) -> None:
    assert uuid.UUID(named(PROXY, told).request_id).version == 7


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [(STRANGER, (b"a",)), (UNKNOWN, (b"a",)), (PROXY, (b"a", b"a")), (PROXY, (b"a", b"b")),
     (PROXY, ())],
)  # fmt: skip
def test_nobody_else_names_it(endpoint: Endpoint, told: tuple[bytes, ...]) -> None:
    assert uuid.UUID(named(endpoint, *told).request_id).version == 7


def test_a_response_has_it_unless_the_app_has_set_it() -> None:
    exchange = named(PROXY, b"abc")
    fields = ((b"x-a", b"b"),)
    assert IDS.returned(exchange, fields) == (*fields, (b"x-request-id", b"abc"))
    own = ((b"X-Request-Id", b"mine"),)
    assert IDS.returned(exchange, own) == own
