import json
from dataclasses import replace

from propylon.gateway.admin.history import COLUMNS, KEPT, History
from propylon.gateway.control.status import StatusReport, TrafficStatus

FIRST = StatusReport(
    pid=7,
    uptime=10.0,
    latency_bounds=(0.1, 0.2),
    traffic=(
        TrafficStatus(pool="web", latency=(0, 0, 0), slots=8, running=3, queued=1, app_seconds=3.0),
    ),
)


def later(report: StatusReport, seconds: float, requests: int) -> StatusReport:
    (web,) = report.traffic
    counts = (web.latency[0] + requests, 0, 0)
    web = replace(
        web,
        requests=web.requests + requests,
        latency=counts,
        sent=web.sent + 512,
        app_seconds=web.app_seconds + 0.2 * requests,
    )
    return replace(report, uptime=report.uptime + seconds, traffic=(web,))


def test_a_sample_is_made_of_two_reports() -> None:
    history = History()
    history.record(FIRST)
    assert history.since()["samples"] == []
    history.record(later(FIRST, 2.0, 20))
    data = json.loads(json.dumps(history.since()))
    ((at, pools),) = data["samples"]
    assert at == 12.0
    assert dict(zip(data["columns"], pools["web"], strict=True)) == {
        "requests": 10,
        "client_errors": 0,
        "server_errors": 0,
        "p50": 0.05,
        "p95": 0.095,
        "p99": 0.099,
        "queued": 1,
        "running": 3,
        "slots": 8,
        "received": 0,
        "sent": 256,
        "queue_time": 0,
        "app_time": 0.2,
    }


def test_a_second_without_requests_has_no_latency() -> None:
    history = History()
    history.record(FIRST)
    history.record(later(FIRST, 1.0, 0))
    ((_, pools),) = history.since()["samples"]
    sample = dict(zip(COLUMNS, pools["web"], strict=True))
    assert (sample["requests"], sample["p50"], sample["p99"]) == (0, None, None)


def test_it_keeps_the_last_minutes_only() -> None:
    history, report = History(), FIRST
    for _ in range(KEPT + 20):
        history.record(report)
        report = later(report, 1.0, 1)
    samples = history.since()["samples"]
    assert len(samples) == KEPT
    assert samples[-1][0] - samples[0][0] == KEPT - 1


def test_a_viewer_gets_what_is_newer_than_what_it_has() -> None:
    history, report = History(), FIRST
    for _ in range(5):
        history.record(report)
        report = later(report, 1.0, 1)
    assert [at for at, _ in history.since(12.0)["samples"]] == [13.0, 14.0]
    assert history.since(14.0)["samples"] == []


def test_another_instance_begins_anew() -> None:
    history = History()
    history.record(FIRST)
    history.record(later(FIRST, 1.0, 1))
    other = replace(FIRST, uptime=0.5)
    history.record(other)
    assert history.since()["samples"] == []
    history.record(later(other, 1.0, 1))
    assert [at for at, _ in history.since()["samples"]] == [1.5]


def test_a_pool_that_is_new_is_in_the_next_sample() -> None:
    history = History()
    history.record(FIRST)
    second = later(FIRST, 1.0, 1)
    second = replace(second, traffic=(*second.traffic, TrafficStatus(pool="api")))
    history.record(second)
    history.record(replace(second, uptime=12.0))
    assert [sorted(pools) for _, pools in history.since()["samples"]] == [["web"], ["api", "web"]]
