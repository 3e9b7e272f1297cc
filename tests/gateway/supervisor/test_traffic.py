from propylon.gateway.control.status import (
    MOST_FAILED,
    MOST_SHARES,
    RouteShareStatus,
    TrafficStatus,
)
from propylon.gateway.exchange.end_codes import (
    CLIENT_LEFT_QUEUE,
    GATEWAY_NO_WORKER,
    GATEWAY_QUEUE_FULL,
    GATEWAY_QUEUE_TIMEOUT,
    GATEWAY_ROUTE_FULL,
)
from propylon.gateway.metrics.families import LATENCY
from propylon.gateway.metrics.snapshot import Snapshot
from propylon.gateway.supervisor.traffic import (
    NEVER_RAN,
    REFUSED_ENDS,
    PoolCounts,
    failed,
    oldest_waiter,
    pool_counts,
    processes_cpu,
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
        ("web", "/"): histogram(0.25, b0=4),
        ("web", "/api"): histogram(1, b9=1),
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
        ended=17,
        refused=11,
        waits=5,
        waited=1.25,
        cpu=2.5,
        slots=8,
        running=3,
        queued=2,
        oldest_waiter=1.5,
    )
    assert processes_cpu(total) == 15.0
    nothing = pool_counts({}, "web")
    assert (nothing.ended, nothing.waited, processes_cpu({})) == (0, 0, 0)


def test_routes_with_a_share_are_the_pool_s_own_and_the_fullest_come_first() -> None:
    many = {("web", f"/{n}"): n for n in range(MOST_SHARES + 5)}
    total: Snapshot = {
        "propylon_route_running": {("web", "/calm"): 1, ("web", "/slow"): 2, ("jobs", "/j"): 3},
        "propylon_route_limit": {("web", "/calm"): 4, ("web", "/slow"): 2, ("jobs", "/j"): 9},
        "propylon_route_queue_length": {("web", "/calm"): 0, ("web", "/slow"): 30},
    }
    web, jobs = traffic(total, ["web", "jobs"])
    assert web.shares == (
        RouteShareStatus(route="/slow", running=2, limit=2, queued=30),
        RouteShareStatus(route="/calm", running=1, limit=4),
    )
    assert jobs.shares == (RouteShareStatus(route="/j", running=3, limit=9),)
    assert len(traffic({"propylon_route_running": many}, ["web"])[0].shares) == MOST_SHARES


def test_what_waits_for_a_route_s_share_waits_for_no_worker() -> None:
    total: Snapshot = {
        "propylon_requests_total": {
            ("web", "/", "GET", "200", "ok"): 6,
            ("web", "/slow", "GET", "503", "gateway_route_full"): 50,
        },
        "propylon_request_queue_seconds": {
            ("web", "/"): histogram(0.25, b0=6),
            ("web", "/slow"): histogram(900.0, b15=90),
            ("jobs", "/slow"): histogram(3.0, b3=2),
        },
        "propylon_pool_queue_length": {("web",): 40, ("jobs",): 1},
        "propylon_route_queue_length": {("web", "/slow"): 30, ("web", "/report"): 8},
    }
    web = pool_counts(total, "web")
    assert (web.ended, web.refused, web.waits, web.waited, web.queued) == (6, 0, 6, 0.25, 2)
    jobs = pool_counts(total, "jobs")
    assert (jobs.waits, jobs.waited, jobs.queued) == (2, 3.0, 1)


def test_the_ends_of_requests_without_a_slot_are_end_codes() -> None:
    assert {GATEWAY_QUEUE_FULL, GATEWAY_QUEUE_TIMEOUT} == REFUSED_ENDS
    assert {GATEWAY_ROUTE_FULL, GATEWAY_NO_WORKER, CLIENT_LEFT_QUEUE} == NEVER_RAN


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
