from typing import Any

import pytest
from propylon.gateway.exchange.end_codes import CLIENT_LEFT_QUEUE, END_CODES
from propylon.gateway.exchange.exchange import Account, Exchange, Observers, Request
from propylon.gateway.metrics import counters
from propylon.gateway.metrics.counters import REFUSALS, RequestCounters
from propylon.gateway.metrics.families import BY_NAME, LATENCY
from propylon.gateway.metrics.snapshot import Labels, Value

from ...fakes.exchange_sides import FakeClient, FakeSource

POOLS = {"/": "site", "/api/": "api", "*.example.com/": "site"}


def opened(
    count: RequestCounters, method: str = "GET", route: str = "/", at: float = 100.0
) -> Exchange:
    exchange = Exchange(
        Request(method, b"/", "1.1"),
        FakeClient(),
        opened=at,
        observers=Observers((), (count.ended,)),
    )
    if route:
        exchange.take_route(route)
    return exchange


def of(count: RequestCounters, family: str) -> dict[Labels, Value]:
    found: dict[Labels, Value] = dict(count.snapshot()[f"propylon_{family}"])
    labels = BY_NAME[f"propylon_{family}"].labels
    assert all(len(key) == len(labels) for key in found)
    return found


def histogram(count: RequestCounters, name: str, pool: str = "site", route: str = "/") -> Any:
    """Sum, and bucket -> how many, of those that are not empty."""
    family = BY_NAME[f"propylon_{name}_seconds"]
    value = of(count, f"{name}_seconds")[pool, route]
    assert isinstance(value, list)
    total, *buckets = value
    bounds = [*family.buckets, float("inf")]
    assert len(buckets) == len(bounds)
    return round(total, 6), {
        bound: many for bound, many in zip(bounds, buckets, strict=True) if many
    }


def test_what_an_ordinary_request_counts() -> None:
    count = RequestCounters(POOLS)
    for route in ("/", "/", "/api/"):
        exchange = opened(count, "POST", route)
        exchange.connect(FakeSource(), 100.0)
        exchange.count_received(7)
        exchange.complete(200, (), 11, 100.004)
    assert of(count, "requests_total") == {
        ("site", "/", "POST", "200", "ok"): 2,
        ("api", "/api/", "POST", "200", "ok"): 1,
    }
    assert histogram(count, "request_queue") == (0.0, {0.001: 2})
    assert histogram(count, "request_app") == (0.008, {0.005: 2})
    assert histogram(count, "request_duration") == (0.008, {0.005: 2})
    assert histogram(count, "request_duration", "api", "/api/") == (0.004, {0.005: 1})
    assert of(count, "request_body_bytes_total")["site", "/"] == 14
    assert of(count, "response_body_bytes_total")["site", "/"] == 22
    assert of(count, "requests_refused_total") == {}
    assert of(count, "websocket_duration_seconds") == {}


def test_queue_app_and_total_are_apart() -> None:
    count = RequestCounters(POOLS)
    exchange = opened(count)
    source = FakeSource(has_done=Account("site", 1, 2.0, 1))
    exchange.connect(source, 100.0)
    exchange.wait()
    exchange.start(102.0)
    exchange.begin_response(200, (), 102.3)
    exchange.end(107.0)
    assert histogram(count, "request_queue") == (2.0, {2.5: 1})
    assert histogram(count, "request_app") == (0.3, {0.5: 1})
    assert histogram(count, "request_duration") == (7.0, {10.0: 1})


def test_plain_exchanges_and_others_are_one_series() -> None:
    """A worker was free at once and the response came whole, or it came in pieces; in any order."""
    count = RequestCounters(POOLS)
    for number in range(10):
        exchange = opened(count)
        exchange.connect(FakeSource(), 100.0)
        exchange.count_received(3)
        if number % 3:
            exchange.complete(200, (), 7, 100.25)
        else:
            exchange.begin_response(200, (), 100.25)
            exchange.count_sent(7)
            exchange.end(101.25)
    assert of(count, "requests_total") == {("site", "/", "GET", "200", "ok"): 10}
    assert histogram(count, "request_queue") == (0.0, {0.001: 10})
    assert histogram(count, "request_app") == (2.5, {0.25: 10})
    assert histogram(count, "request_duration") == (6.5, {0.25: 6, 2.5: 4})
    assert of(count, "request_body_bytes_total") == {("site", "/"): 30}
    assert of(count, "response_body_bytes_total") == {("site", "/"): 70}


def test_a_retry_is_no_time_in_the_queue() -> None:
    count = RequestCounters(POOLS)
    exchange = opened(count)
    exchange.connect(FakeSource(), 100.0)
    exchange.connect(FakeSource(has_done=Account("site", 2, 0.02, 2)), 104.0)
    exchange.complete(200, (), 0, 104.5)
    assert histogram(count, "request_queue") == (0.02, {0.025: 1})
    assert histogram(count, "request_app") == (0.5, {0.5: 1})


def test_who_left_in_the_queue_had_no_app() -> None:
    count = RequestCounters(POOLS)
    exchange = opened(count)
    exchange.connect(FakeSource(has_done=Account("site", None, 70.0, 0)), 100.0)
    exchange.wait()
    exchange.give_end("client_left_queue")
    exchange.abandon("It left.", 170.0)
    assert of(count, "requests_total") == {("site", "/", "GET", "499", "client_left_queue"): 1}
    assert histogram(count, "request_queue") == (70.0, {float("inf"): 1})
    assert of(count, "request_app_seconds") == {}


def test_a_bound_belongs_to_its_bucket() -> None:
    count = RequestCounters(POOLS)
    for took in (LATENCY[0], LATENCY[0] * 1.01, LATENCY[-1], LATENCY[-1] * 1.01):
        opened(count, at=0.0).complete(200, (), 0, took)
    assert histogram(count, "request_duration")[1] == {
        LATENCY[0]: 1, LATENCY[1]: 1, LATENCY[-1]: 1, float("inf"): 1
    }  # fmt: skip


def test_a_websocket_is_no_slow_request() -> None:
    count = RequestCounters(POOLS)
    for status, method in ((101, "GET"), (200, "CONNECT")):
        exchange = opened(count, method)
        exchange.connect(FakeSource(), 100.0)
        exchange.begin_response(status, (), 100.1)
        exchange.count_sent(5)
        exchange.end(150.0)
    refused = opened(count)
    refused.connect(FakeSource(), 100.0)
    refused.complete(403, (), 0, 100.1)
    assert histogram(count, "websocket_duration") == (100.0, {60.0: 2})
    assert histogram(count, "request_duration") == (0.1, {0.1: 1})
    assert histogram(count, "request_app") == (0.1, {0.1: 1})
    assert of(count, "response_body_bytes_total") == {("site", "/"): 10}
    assert sum(float(str(many)) for many in of(count, "requests_total").values()) == 3


@pytest.mark.parametrize(
    ("end", "status", "route", "kind"),
    [
        ("client_malformed", 400, "", "malformed"),
        ("client_too_large", 413, "", "body_too_large"),
        ("client_too_large", 414, "", "head_too_large"),
        ("client_too_large", 431, "", "head_too_large"),
        ("client_head_timeout", 408, "", "head_timeout"),
        ("gateway_no_route", 404, "", "no_route"),
        ("gateway_queue_full", 503, "/", "queue_full"),
        ("gateway_route_full", 503, "/", "route_full"),
    ],
)
def test_refused_requests_by_kind(end: str, status: int, route: str, kind: str) -> None:
    count = RequestCounters(POOLS)
    for _ in range(2):
        exchange = opened(count, route=route)
        exchange.give_end(end)
        exchange.complete(status, (), 0, 100.0)
    exchange = opened(count, route=route)
    exchange.complete(status, (), 0, 100.0)  # the app's own
    assert of(count, "requests_refused_total") == {(POOLS.get(route, ""), kind): 2}


def test_labels_are_bounded_whatever_a_client_sends() -> None:
    count = RequestCounters(POOLS)
    hostile = ['X"} 1\n', "G\x00T", "geT", "É", "x" * 10_000, *(f"M{n}" for n in range(1_000))]
    for method in hostile:
        opened(count, method).complete(200, (), 1, 100.0)
    for status in (0, 99, 600, 10**9, -200):
        exchange = opened(count)
        exchange.begin_response(status, (), 100.0)
        exchange.end(100.0)
    assert of(count, "requests_total") == {
        ("site", "/", "other", "200", "ok"): len(hostile),
        ("site", "/", "GET", "other", "ok"): 5,
    }
    assert of(count, "response_body_bytes_total") == {("site", "/"): len(hostile)}
    assert not count._add, "nothing is remembered of them"


def test_the_number_of_rows_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "MOST_ROWS", 7)
    count = RequestCounters(POOLS)
    for status in range(200, 300):
        for _ in range(2):
            opened(count).complete(status, (), 1, 100.0)
    found = of(count, "requests_total")
    assert len(found) == 8
    assert found["site", "other", "other", "other", "other"] == 2 * 93
    assert len(count._add) == 7
    assert len(count._plain) == 7
    assert sum(float(str(each)) for each in of(count, "response_body_bytes_total").values()) == 200


def test_the_number_of_routes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "MOST_ROUTES", 3)
    count = RequestCounters({f"/{n}/": "many" for n in range(100)})
    for n in range(100):
        opened(count, route=f"/{n}/").complete(200, (), 1, 100.0)
    assert {route for _, route in of(count, "request_duration_seconds")} == {
        "/0/", "/1/", "/2/", "other"
    }  # fmt: skip
    assert of(count, "requests_total")["many", "other", "GET", "200", "ok"] == 97


def test_a_snapshot_stays_as_it_is() -> None:
    count = RequestCounters(POOLS)
    opened(count).complete(200, (), 1, 100.1)
    before = count.snapshot()
    kept = repr(before)
    opened(count).complete(200, (), 1, 100.1)
    assert repr(before) == kept


def test_failed_ones_are_handed_on() -> None:
    failed: list[int] = []
    count = RequestCounters(POOLS, lambda exchange: failed.append(exchange.status))
    for status in (200, 404, 500, 503, 503):
        opened(count).complete(status, (), 1, 100.1)
    assert failed == [500, 503, 503]
    assert sum(float(str(many)) for many in of(count, "requests_total").values()) == 5


def test_every_end_before_a_worker_is_a_kind_of_refusal() -> None:
    """But that of a client which did not wait."""
    before = {row.word for row in END_CODES.values() if row.phase in ("request", "queue")}
    failures = {word for word in before if END_CODES[word].is_failure}
    assert {end for end, _ in REFUSALS} == failures - {CLIENT_LEFT_QUEUE}
