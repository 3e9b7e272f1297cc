"""What a request's head says of what its client can take beside a plain response."""

import pytest
from propylon.gateway.http1.machine import HttpContext, HttpMachine
from propylon.gateway.http1.request_head import choose_parser
from propylon.gateway.http1.response_head import ResponseHeads
from propylon.gateway.settings import EarlyHints, HttpSettings
from propylon.protocol.messages import TAKES_HINTS, TAKES_TRAILERS

NAVIGATES = b"Sec-Fetch-Mode: navigate\r\n"


def takes(fields: bytes, hinted: EarlyHints = "browsers", version: bytes = b"1.1") -> set[int]:
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


def test_early_hints_are_for_browsers_that_load_a_page() -> None:
    assert takes(NAVIGATES) == {TAKES_HINTS}
    assert takes(NAVIGATES + b"TE: trailers\r\n") == {TAKES_HINTS | TAKES_TRAILERS}
    assert takes(b"Sec-Fetch-Mode: cors\r\n") == takes(b"") == {0}
    assert takes(NAVIGATES, version=b"1.0") == {0}


def test_the_operator_may_know_better() -> None:
    assert takes(b"", "all") == takes(NAVIGATES, "all") == {TAKES_HINTS}
    assert takes(b"", "all", b"1.0") == {0}
    assert takes(NAVIGATES + b"TE: trailers\r\n", "off") == {TAKES_TRAILERS}
