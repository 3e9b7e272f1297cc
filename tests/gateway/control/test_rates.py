from dataclasses import replace

import pytest
from propylon.gateway.control.rates import rates
from propylon.gateway.control.status import (
    PoolStatus,
    StatusReport,
    TrafficStatus,
    WorkerStatus,
)

BEFORE = StatusReport(
    pid=7,
    uptime=100.0,
    latency_bounds=(0.1, 0.2),
    traffic=(
        TrafficStatus(
            pool="web",
            requests=1_000,
            client_errors=10,
            server_errors=5,
            received=500,
            sent=10_000,
            latency=(900, 90, 10),
            queue_seconds=3.0,
            app_seconds=50.0,
        ),
    ),
    pools=(PoolStatus(name="web", workers=(WorkerStatus(number=1, pid=9, requests=1_000),)),),
)
(WEB,) = BEFORE.traffic


def after(
    traffic: TrafficStatus = WEB, uptime: float = 102.0, pid: int = 7, requests: int = 1_000
) -> StatusReport:
    pools = (PoolStatus(name="web", workers=(WorkerStatus(number=1, pid=9, requests=requests),)),)
    return replace(BEFORE, uptime=uptime, pid=pid, traffic=(traffic,), pools=pools)


def test_what_was_done_between_two_reports() -> None:
    traffic = replace(
        WEB,
        requests=1_200,
        client_errors=14,
        server_errors=7,
        retries=2,
        received=900,
        sent=30_000,
        latency=(1_000, 190, 10),
        queue_seconds=5.0,
        app_seconds=70.0,
    )
    found = rates(BEFORE, after(traffic, requests=1_150))
    assert found is not None
    web = found.pools["web"]
    assert (web.requests, web.client_errors, web.server_errors, web.retries) == (100, 2, 1, 1)
    assert (web.received, web.sent) == (200, 10_000)
    assert (web.p50, web.p95, web.p99) == pytest.approx((0.1, 0.19, 0.198))
    assert (web.queue_time, web.app_time) == pytest.approx((0.01, 0.1))
    assert found.workers == {9: 75.0}
    assert found.seconds == 2.0


def test_nothing_was_done() -> None:
    found = rates(BEFORE, after())
    assert found is not None
    web = found.pools["web"]
    assert (web.requests, web.p50, web.p99, web.queue_time) == (0, None, None, None)


@pytest.mark.parametrize(
    "later",
    [
        after(pid=8),
        after(uptime=3.0),
        after(uptime=100.0),
        after(replace(WEB, requests=999)),
        after(replace(WEB, sent=9_999)),
        after(replace(WEB, latency=(899, 91, 10))),
    ],
    ids=["pid", "uptime", "at once", "requests", "sent", "latency"],
)
def test_another_instance_begins_anew(later: StatusReport) -> None:
    assert rates(BEFORE, later) is None


def test_the_first_report() -> None:
    assert rates(None, BEFORE) is None


def test_a_pool_that_is_new_and_a_pool_that_has_gone() -> None:
    found = rates(BEFORE, after(replace(WEB, pool="api")))
    assert found is not None
    assert found.pools == {}


def test_a_worker_that_has_the_pid_of_an_earlier_one() -> None:
    found = rates(BEFORE, after(requests=3))
    assert found is not None
    assert found.workers == {}


def test_an_older_instance_that_says_nothing_of_its_traffic() -> None:
    older = replace(BEFORE, traffic=(), latency_bounds=())
    found = rates(older, replace(older, uptime=101.0))
    assert found is not None
    assert found.pools == {}


def test_buckets_that_are_others_after_an_upgrade() -> None:
    found = rates(replace(BEFORE, latency_bounds=(0.3, 0.4)), after())
    assert found is not None
    assert found.pools == {}


def test_a_first_latency() -> None:
    """Before the first request a pool may have no buckets yet."""
    before = replace(BEFORE, traffic=(replace(WEB, requests=0, latency=()),))
    found = rates(before, after(replace(WEB, requests=10, latency=(10, 0, 0))))
    assert found is not None
    assert found.pools["web"].p50 == pytest.approx(0.05)
