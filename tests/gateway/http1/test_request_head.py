"""What a request's head says of what its client can take beside a plain response."""

import pytest
from propylon.gateway.http1.machine import HttpContext, HttpMachine
from propylon.gateway.http1.request_head import choose_parser
from propylon.gateway.http1.response_head import ResponseHeads
from propylon.gateway.settings import EarlyHints, HttpSettings
from propylon.protocol.messages import TAKES_HINTS, TAKES_TRAILERS


def takes(fields: bytes, hinted: EarlyHints = "auto", version: bytes = b"1.1") -> set[int]:
    """Asked twice on one connection, since a head is cached."""
    heads = ResponseHeads(b"", 0.0)
    settings = HttpSettings(early_hints=hinted)
    machine = HttpMachine(HttpContext(settings, choose_parser("auto"), heads))
    found = set()
    for _ in range(2):
        machine.receive(b"GET / HTTP/%b\r\nHost: h\r\n%b\r\n" % (version, fields))
        request = machine.next_request()
        assert request is not None
        found.add(request.takes)
    return found


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        (b"", False),
        (b"TE: trailers\r\n", True),
        (b"te: gzip;q=0.5 , Trailers\r\nConnection: TE\r\n", True),
        (b"TE: gzip\r\nTE: trailers\r\n", True),
        (b"TE: gzip\r\n", False),
        (b"TE: trailers;q=0\r\n", False),
        (b"TE: notrailers\r\n", False),
        (b"X-TE: trailers\r\n", False),
    ],
)
def test_trailers_are_for_who_asks_for_them(fields: bytes, taken: bool) -> None:
    assert takes(fields) == {TAKES_TRAILERS if taken else 0}
    assert takes(fields, version=b"1.0") == {0}


@pytest.mark.parametrize("fields", [b"", b"Sec-Fetch-Mode: navigate\r\n"])
def test_early_hints_are_for_clients_of_whom_the_operator_says_so(fields: bytes) -> None:
    """Not every client of HTTP/1.1 reads an interim response, and those that do ignore it."""
    assert takes(fields) == takes(fields, "off") == {0}
    assert takes(fields, "all") == {TAKES_HINTS}
    assert takes(fields, "all", b"1.0") == {0}
    assert takes(fields + b"TE: trailers\r\n", "all") == {TAKES_HINTS | TAKES_TRAILERS}
