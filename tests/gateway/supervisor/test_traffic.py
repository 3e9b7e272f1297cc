from propylon.gateway.control.status import MOST_FAILED, TrafficStatus
from propylon.gateway.exchange.end_codes import GATEWAY_QUEUE_FULL, GATEWAY_QUEUE_TIMEOUT
from propylon.gateway.metrics.families import LATENCY
from propylon.gateway.metrics.snapshot import Snapshot
from propylon.gateway.supervisor.traffic import (
    REFUSED_ENDS,
    PoolCounts,
    failed,
    gateways_cpu,
    oldest_waiter,
    pool_counts,
    traffic,
)
from propylon.protocol.supervision.messages import FailedRequest


def histogram(total: float, **buckets: int) -> list[float]:
    counts = [0.0] * (len(LATENCY) + 1)
    for bucket, count in buckets.items():
        counts[int(bucket[1:])] = count
    return [total, *counts]


TOTAL: Snapshot = {
    "propylon_requests_total": {
        ("web", "/", "GET", "200", "ok"): 10,
        ("web", "/", "GET", "404", "ok"): 2,
        ("web", "/api", "GET", "500", "ok"): 3,
        ("web", "/api", "GET", "200", "worker_died_response"): 1,
        ("web", "/api", "GET", "200", "client_left_response"): 1,
        ("", "", "other", "400", "client_malformed"): 4,
        ("jobs", "/jobs", "GET", "200", "ok"): 100,
    },
    "propylon_request_duration_seconds": {
        ("web", "/"): histogram(0.5, b0=10, b2=2),
        ("web", "/api"): histogram(90.0, b0=4, b15=1),
        ("jobs", "/jobs"): histogram(1.0, b0=100),
    },
    "propylon_request_queue_seconds": {
        ("web", "/"): histogram(0.25),
        ("web", "/api"): histogram(1),
    },
    "propylon_request_app_seconds": {("web", "/"): histogram(0.75)},
    "propylon_retries_total": {("web", "died"): 2, ("web", "refused"): 1},
    "propylon_request_body_bytes_total": {("web", "/"): 5, ("web", "/api"): 6},
    "propylon_response_body_bytes_total": {("web", "/"): 50},
    "propylon_pool_running": {("web",): 3},
    "propylon_pool_slots": {("web",): 8},
    "propylon_pool_queue_length": {("web",): 2},
    "propylon_pool_queue_oldest_seconds": {("web",): 1.5},
    "propylon_pool_newest_first": {("web",): 1},
    "propylon_websockets": {("web",): 1},
}


def test_a_pool_is_the_sum_of_its_routes() -> None:
    web, idle, stray = traffic(TOTAL, ["web", "idle"])
    assert web == TrafficStatus(
        pool="web",
        requests=17,
        client_errors=2,
        server_errors=4,
        retries=3,
        received=11,
        sent=50,
        latency=(14, 0, 2, *[0] * 12, 1),
        queue_seconds=1.25,
        app_seconds=0.75,
        running=3,
        slots=8,
        queued=2,
        oldest_waiter=1.5,
        order="newest-first",
        websockets=1,
    )
    assert len(web.latency) == len(LATENCY) + 1
    assert idle == TrafficStatus(pool="idle", latency=(0,) * (len(LATENCY) + 1))
    assert (stray.pool, stray.requests, stray.client_errors) == ("", 4, 4)


def test_without_requests_that_had_no_pool_there_is_no_entry_for_them() -> None:
    assert [one.pool for one in traffic({}, ["web"])] == ["web"]


def test_the_oldest_waiter() -> None:
    assert (oldest_waiter(TOTAL, "web"), oldest_waiter(TOTAL, "jobs")) == (1.5, 0.0)


def test_what_an_autoscaler_asks_for() -> None:
    total: Snapshot = {
        **TOTAL,
        "propylon_requests_total": {
            **TOTAL["propylon_requests_total"],
            ("web", "/", "GET", "503", "gateway_queue_full"): 5,
            ("web", "/", "GET", "503", "gateway_queue_timeout"): 6,
        },
        "propylon_worker_cpu_seconds_total": {("web",): 2.5, ("jobs",): 9.0},
        "propylon_gateway_cpu_seconds_total": {("1",): 1.5, ("2",): 2.0},
    }
    assert pool_counts(total, "web") == PoolCounts(
        ended=17, refused=11, waited=1.25, cpu=2.5, slots=8, running=3, queued=2, oldest_waiter=1.5
    )
    assert gateways_cpu(total) == 3.5
    nothing = pool_counts({}, "web")
    assert (nothing.ended, nothing.waited, gateways_cpu({})) == (0, 0, 0)


def test_the_ends_of_requests_without_a_slot_are_end_codes() -> None:
    assert {GATEWAY_QUEUE_FULL, GATEWAY_QUEUE_TIMEOUT} == REFUSED_ENDS


def test_the_newest_failures_of_all_processes_come_first() -> None:
    first = [FailedRequest(id="b", at=20.0, worker=3), FailedRequest(id="c", at=30.0)]
    found = failed([first, [FailedRequest(id="a", at=25.0, worker="x")]], 32.0)
    assert [(one.id, one.ago, one.worker) for one in found] == [
        ("c", 2.0, ""),
        ("a", 7.0, "x"),
        ("b", 12.0, "3"),
    ]
    many = [FailedRequest(at=float(at)) for at in range(MOST_FAILED + 5)]
    assert len(failed([many], 1e9)) == MOST_FAILED
    assert failed([[FailedRequest(at=5.0)]], 3.0)[0].ago == 0.0
