import pytest
from propylon.gateway.exchange.exchange import Account, Exchange, Request
from propylon.gateway.metrics.failures import (
    LONGEST_PATH,
    MOST_FAILURES,
    MOST_OF_CLIENTS,
    Failures,
    is_failure,
)
from propylon.protocol.supervision.messages import FailedRequest

from ...fakes.exchange_sides import FakeClient, FakeSource


@pytest.mark.parametrize(
    ("status", "end", "failed"),
    [
        (200, "", False),
        (404, "", False),
        (500, "", True),  # the app's own
        (503, "gateway_queue_full", True),
        (499, "client_left_app", True),
        (200, "worker_died_response", True),
        (200, "client_left_response", True),
        (0, "gateway_cut", True),
        (200, "a word of another version", False),
        (400, "client_malformed", False),
        (505, "client_unsupported", False),
        (404, "gateway_no_route", False),
        (308, "gateway_redirect", False),
        (101, "", False),
        (101, "client_left_websocket", False),
        (101, "client_closed_websocket", False),
        (101, "gateway_restart", False),
        (101, "worker_died_response", True),
    ],
)
def test_what_is_failure(status: int, end: str, failed: bool) -> None:
    assert is_failure(status, end) is failed


def ended(
    path: bytes, method: str = "GET", reason: str = "", source: FakeSource | None = None
) -> Exchange:
    exchange = Exchange(Request(method, path, "1.1"), FakeClient(), opened=10.0)
    if source is not None:
        exchange.connect(source, 10.0)
    exchange.identify("7f")
    exchange.give_reason(reason)
    exchange.complete(502, (), 0, 12.5)
    return exchange


def test_what_is_kept_of_it() -> None:
    failures = Failures(lambda: 1_000_012.5)
    exchange = ended(b"/", "PUT", "It has died.", FakeSource(has_done=Account("api", 3, 0.0, 2)))
    exchange.give_end("worker_died")
    failures.add(exchange)
    failures.add(ended(b"/a"))
    assert failures.report() == (
        FailedRequest(
            id="7f",
            at=1_000_012.5,
            method="PUT",
            path="/",
            status=502,
            end="worker_died",
            reason="It has died.",
            pool="api",
            worker=3,
            duration=2.5,
        ),
        FailedRequest(
            id="7f", at=1_000_012.5, method="GET", path="/a", status=502, end="ok", duration=2.5
        ),
    )


def test_only_the_last_ones_are_kept() -> None:
    failures = Failures(lambda: 1_000_012.5)
    for number in range(MOST_FAILURES + 20):
        failures.add(ended(b"/%d" % number))
    paths = [failed.path for failed in failures.report()]
    assert paths == [f"/{number}" for number in range(20, MOST_FAILURES + 20)]


def test_clients_that_leave_push_nothing_else_out() -> None:
    seconds = iter(range(1_000))
    failures = Failures(lambda: next(seconds))
    for number in range(MOST_FAILURES + 2):
        exchange = ended(b"/%d" % number)
        exchange.give_end("worker_died" if number == 1 else "client_left_app")
        failures.add(exchange)
    ends = [failed.end for failed in failures.report()]
    assert ends == ["worker_died", *MOST_OF_CLIENTS * ["client_left_app"]]


def test_whatever_a_client_sends_is_shown_as_printable_ascii() -> None:
    failures = Failures(lambda: 1_000_012.5)
    failures.add(ended(b"/secret?token=1#x"))
    failures.add(ended(b"/\xff\x00\n\x1b[31m", "G\x7fT", "caf\u00e9 \u2028"))
    failures.add(ended(b"/" + b"x" * 100_000, "Y" * 100_000, "z" * 100_000))
    one, odd, long = failures.report()
    assert one.path == "/secret"
    assert odd.path == r"/\xff\x00\n\x1b[31m"
    assert odd.method == r"G\x7fT"
    assert odd.reason == r"caf\xe9 \u2028"
    assert len(long.path) == LONGEST_PATH
    assert len(long.method) + len(long.reason) < 400
