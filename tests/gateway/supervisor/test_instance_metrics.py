import logging

import pytest
from propylon.gateway.control.status import MOST_FAILED, PoolStatus, StatusReport
from propylon.gateway.json_texts import decode, encode
from propylon.gateway.metrics.exposed import ExposedFamily, Sample
from propylon.gateway.metrics.families import LATENCY
from propylon.gateway.settings import TlsSettings
from propylon.gateway.supervisor.fleet.controller import FleetController
from propylon.gateway.supervisor.fleet.events import FleetSettings, ReloadEnded
from propylon.gateway.supervisor.instance_metrics import InstanceMetrics
from propylon.gateway.supervisor.upgrade.saved_state import SavedMetrics
from propylon.protocol.supervision.messages import FailedRequest, GatewayMetrics, Vitals

from .fleet.test_controller import serving

REPORT = StatusReport(version="1.2.3", ready=True, pools=(PoolStatus(name="default", wanted=2),))
GATEWAY, WORKER = 1, 2
"""Numbers of processes of the fleet that `serving` makes."""


def metrics(saved: SavedMetrics | None = None) -> InstanceMetrics:
    return InstanceMetrics(serving(), {}, saved)


def reported(count: int, *failed: FailedRequest) -> GatewayMetrics:
    labels = ["default", "/", "GET", "200", "ok"]
    return GatewayMetrics(1, {"propylon_requests_total": [[labels, count]]}, failed)


async def shown(of: InstanceMetrics) -> dict[str, float]:
    """Name and labels of each series -> its value."""
    families = await of.families(lambda: REPORT, lambda: 20.0)
    return {
        f"{name}{list(labels.values())}": value
        for family in families
        for name, labels, value in family.samples
    }


async def test_all_that_an_instance_counts_is_shown() -> None:
    of = metrics()
    of.gateway_reported(GATEWAY, reported(3), 15.0)
    of.worker_reported(WORKER, "default", Vitals(cpu=2.5))
    of.reload_ended(ReloadEnded(2, committed=False, since=1.0), 4.0)
    found = await shown(of)
    assert found["propylon_requests_total['default', '/', 'GET', '200', 'ok']"] == 3
    assert found["propylon_worker_cpu_seconds_total['default']"] == 2.5
    assert found["propylon_gateway_snapshot_age_seconds['1']"] == 5
    assert found["propylon_reloads_total['aborted']"] == 1
    assert found["propylon_last_reload_successful[]"] == 0
    assert found["propylon_scrapes_total['ok']"] == 1
    assert found["propylon_workers_wanted['default']"] == 2
    assert found["propylon_worker_restarts_total['default', 'crash']"] == 0


async def test_who_has_ended_is_counted_on_and_shown_no_more() -> None:
    of = metrics()
    of.gateway_reported(GATEWAY, reported(3), 15.0)
    of.worker_reported(WORKER, "default", Vitals(cpu=2.5))
    of.ended(GATEWAY)
    of.ended(WORKER)
    found = await shown(of)
    assert found["propylon_requests_total['default', '/', 'GET', '200', 'ok']"] == 3
    assert found["propylon_worker_cpu_seconds_total['default']"] == 2.5
    assert "propylon_gateway_snapshot_age_seconds['1']" not in found


async def test_an_upgrade_goes_on_from_there() -> None:
    before = metrics()
    before.gateway_reported(GATEWAY, reported(3), 15.0)
    before.reload_ended(ReloadEnded(2, committed=False, since=1.0), 4.0)
    counted = await shown(before)
    after = metrics(decode(encode(before.save()), SavedMetrics))
    found = await shown(after)
    assert found.pop("propylon_start_time_seconds[]") == counted["propylon_start_time_seconds[]"]
    for name in ("requests_total['default', '/', 'GET', '200', 'ok']", "reloads_total['aborted']"):
        assert found[f"propylon_{name}"] == counted[f"propylon_{name}"]
    assert found["propylon_last_reload_successful[]"] == 0
    after.gateway_reported(GATEWAY, reported(5), 16.0)
    after.ended(GATEWAY)
    assert (await shown(after))["propylon_requests_total['default', '/', 'GET', '200', 'ok']"] == 5


def test_failed_requests_of_processes_that_have_ended_are_handed_over() -> None:
    before = metrics()
    for number, name in ((7, "ended"), (GATEWAY, "goes on")):
        before.gateway_reported(number, reported(0, FailedRequest(id=name, at=1.0)), 0.0)
    before.ended(7)
    after = metrics(decode(encode(before.save()), SavedMetrics))
    assert [one.id for one in after.filled(REPORT, (), TlsSettings()).failed] == ["ended"]
    after.gateway_reported(GATEWAY, reported(0, FailedRequest(id="goes on", at=2.0)), 0.0)
    found = after.filled(REPORT, (), TlsSettings()).failed
    assert [one.id for one in found] == ["goes on", "ended"]


async def test_what_the_older_code_did_not_save_begins_anew() -> None:
    found = await shown(metrics(SavedMetrics()))
    assert found["propylon_last_reload_successful[]"] == 1
    assert found["propylon_start_time_seconds[]"] > 1e9


async def test_what_is_left_out_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "propylon")
    of = metrics(
        SavedMetrics(ended={"propylon_gone_total": []}, last={7: None}, failed=[3], own=[1])
    )
    for _ in range(3):
        of.gateway_reported(GATEWAY, GatewayMetrics(1, {"propylon_requests_total": [5]}), 15.0)
    assert sorted(record.getMessage() for record in caplog.records) == [
        "Metrics of a gateway process are left out: propylon_requests_total has series that do not "
        "fit it",
        "Metrics of the code before are left out: failed requests: Expected `object`, got `int` - "
        "at `$[0]`",
        "Metrics of the code before are left out: it is no snapshot",
        "Metrics of the code before are left out: there is no family 'propylon_gone_total' in this "
        "version",
    ]
    assert await shown(of)


async def test_others_are_shown_behind_and_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    async def good() -> list[ExposedFamily]:
        return [ExposedFamily("mine", "gauge", "", [Sample("mine", {}, 1.0)])]

    async def bad() -> list[ExposedFamily]:
        raise ValueError("of the app")

    of = metrics()
    of.add(bad)
    of.add(good)
    families = await of.families(lambda: REPORT, lambda: 0.0)
    assert (await shown(of))["propylon_scrapes_total['partial']"] == 2
    assert families[-1].name == "mine"
    assert families[0].name.startswith("propylon_")
    assert "some metrics are not shown" in caplog.text


def test_a_status_report_is_filled() -> None:
    of = metrics()
    of.gateway_reported(GATEWAY, reported(3, FailedRequest(id="x", at=1.0)), 0.0)
    filled = of.filled(REPORT, ["default", "idle"], TlsSettings())
    assert filled.pools == REPORT.pools
    assert [(one.pool, one.requests) for one in filled.traffic] == [("default", 3), ("idle", 0)]
    assert filled.latency_bounds == LATENCY
    assert [one.id for one in filled.failed] == ["x"]


def test_failed_requests_of_a_process_that_has_ended_are_kept() -> None:
    of = InstanceMetrics(FleetController(FleetSettings(), ()), {})
    for number in (1, 2):
        requests = [FailedRequest(id=f"{number}", at=number * 1000.0 + at) for at in range(90)]
        of.gateway_reported(number, reported(0, *requests), 0.0)
        of.ended(number)
    of.gateway_reported(3, reported(0, FailedRequest(id="3", at=9000.0)), 0.0)
    found = [one.id for one in of.filled(REPORT, (), TlsSettings()).failed]
    assert len(found) == MOST_FAILED
    assert found[:2] == ["3", "2"]
    assert found.count("1") == MOST_FAILED - 91
