from propylon.gateway.control.status import (
    GatewayStatus,
    PoolStatus,
    ProblemStatus,
    ScalerStatus,
    ServedCertificate,
    StatusReport,
    WorkerStatus,
)
from propylon.gateway.json_texts import decode, encode
from propylon.gateway.metrics.families import BY_NAME, SCRAPES
from propylon.gateway.supervisor.fleet.events import ReloadEnded, ReplicaId
from propylon.gateway.supervisor.fleet.turnover import Turnover
from propylon.gateway.supervisor.own_metrics import OwnCounts, present
from propylon.protocol.supervision.problems import REMEDIES

G, W = ReplicaId("gateway", 1), ReplicaId("worker", 1, "web")
RESTARTS, RECYCLES = "propylon_worker_restarts_total", "propylon_worker_recycles_total"
RELOADS, SECONDS = "propylon_reloads_total", "propylon_reload_duration_seconds"


def turnover() -> Turnover:
    made = Turnover()
    made.restarted(W, "killed")
    made.restarted(ReplicaId("worker", 2, "web"), "killed")
    made.restarted(G, "crash")
    made.recycled(W, "memory")
    made.recycled(G, "reload")
    return made


def test_the_turnover_of_replicas_is_that_of_their_pool() -> None:
    counted = OwnCounts().counted(turnover())
    assert counted[RESTARTS] == {("web", "killed"): 2}
    assert counted["propylon_gateway_restarts_total"] == {("crash",): 1}
    assert counted[RECYCLES] == {("web", "memory"): 1}


def test_counters_of_a_pool_begin_at_0() -> None:
    counted = OwnCounts().counted(Turnover(), ["web"])
    assert set(counted[RESTARTS].values()) == set(counted[RECYCLES].values()) == {0}
    assert ("web", "hung") in counted[RESTARTS]
    assert counted[RELOADS] == {("committed",): 0, ("aborted",): 0, ("overtaken",): 0}


def test_reloads_by_result_and_duration() -> None:
    own = OwnCounts()
    own.reload_ended(ReloadEnded(2, committed=True, since=10), 12)
    own.reload_ended(ReloadEnded(3, committed=False, since=10), 10.5)
    own.reload_ended(ReloadEnded(4, committed=False, overtaken=True, since=10), 10_000)
    counted = own.counted(Turnover())
    assert counted[RELOADS] == {("committed",): 1, ("aborted",): 1, ("overtaken",): 1}
    seconds = counted[SECONDS]
    assert seconds["committed",] == [2.0, 0, 0, 1, *[0] * 9]
    assert seconds["aborted",] == [0.5, 1, *[0] * 11]
    assert seconds["overtaken",] == [9990.0, *[0] * 11, 1]
    assert len(BY_NAME[SECONDS].buckets) == 11


def test_an_upgrade_goes_on_counting() -> None:
    before = OwnCounts()
    before.add(SCRAPES, ("ok",), 3)
    before.reload_ended(ReloadEnded(2, committed=True, since=10), 12)
    after = OwnCounts()
    assert after.restore(decode(encode(before.save(turnover())), dict)) == []
    assert after.counted(Turnover()) == before.counted(turnover())
    after.add(SCRAPES, ("ok",))
    assert after.counted(turnover())[RESTARTS] == {("web", "killed"): 4}
    assert after.counted(turnover())[SCRAPES.name] == {("ok",): 4, ("partial",): 0}


REPORT = StatusReport(
    version="1.2.3",
    ready=True,
    generation=7,
    gateways=(GatewayStatus(number=1, state="ready"), GatewayStatus(number=2, state="hung")),
    pools=(
        PoolStatus(
            name="web",
            wanted=2,
            scaler=ScalerStatus(least=2, most=8),
            workers=(
                WorkerStatus(
                    number=1, generation=6, state="stopping", rss=5, lag=0.5, calls=1, oldest_call=9
                ),
                WorkerStatus(number=1, generation=7, state="ready", rss=7, lag=0.25, calls=2),
                WorkerStatus(number=2, generation=7, state="starting", rss=0),
            ),
        ),
    ),
    certificates=(
        ServedCertificate(name="a", expires=50.0),
        ServedCertificate(name="a", expires=40.0),
        ServedCertificate(name="b", expires=60.0),
    ),
)


def test_what_is_now() -> None:
    found = present(REPORT, "3.11.7", began=100.0, reloaded=150.0, reload_failed=True)
    assert found == {
        "propylon_build_info": {("1.2.3", "3.11.7"): 1},
        "propylon_start_time_seconds": {(): 100},
        "propylon_generation": {(): 7},
        "propylon_ready": {(): 1},
        "propylon_last_reload_successful": {(): 0},
        "propylon_last_reload_timestamp_seconds": {(): 150},
        "propylon_gateways": {("ready",): 1, ("hung",): 1},
        "propylon_workers_wanted": {("web",): 2},
        "propylon_workers_max": {("web",): 8},
        "propylon_workers": {
            ("web", "stopping", "6"): 1,
            ("web", "ready", "7"): 1,
            ("web", "starting", "7"): 1,
        },
        "propylon_worker_resident_memory_bytes": {("web", "1"): 12},
        "propylon_worker_loop_lag_seconds": {("web", "1"): 0.5},
        "propylon_worker_calls": {("web", "1"): 3},
        "propylon_worker_oldest_call_seconds": {("web", "1"): 9},
        "propylon_certificate_expiry_timestamp_seconds": {("a",): 40, ("b",): 60},
        "propylon_problems": {(kind,): 0 for kind in REMEDIES},
    }
    assert found.keys() <= BY_NAME.keys()


def test_problems_are_counted_by_kinds_of_a_closed_list() -> None:
    kinds = ("no worker", "full volume", "full volume", "made up", "by an app")
    report = StatusReport(problems=tuple(ProblemStatus(kind=kind) for kind in kinds))
    found = present(report, "3", began=1.0, reloaded=0.0, reload_failed=False)
    counted = {kind: count for (kind,), count in found["propylon_problems"].items() if count}
    assert counted == {"no worker": 1, "full volume": 2, "other": 2}


def test_without_a_reload_the_last_one_was_well_and_has_no_time() -> None:
    found = present(StatusReport(), "3", began=1.0, reloaded=0.0, reload_failed=False)
    assert found["propylon_last_reload_successful"] == {(): 1}
    assert "propylon_last_reload_timestamp_seconds" not in found
