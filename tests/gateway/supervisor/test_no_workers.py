"""When a pool without workers is a problem, and what is said of it."""

from propylon.gateway.supervisor.no_workers import (
    NO_FIRST_WORKER_AFTER,
    NO_WORKER_AFTER,
    NoWorkers,
)
from propylon.protocol.supervision.problems import REMEDIES


def said(no_workers: NoWorkers, now: float) -> list[str]:
    return [one.what for one in no_workers.at(now)]


def test_it_is_one_after_a_while_and_until_a_worker_is_there() -> None:
    pools = NoWorkers("/run/p", with_workers=False)
    pools.look({"web": True, "api": True}, [], 99.0)
    pools.look({"web": False, "api": True}, [], 100.0)
    pools.look({"web": False, "api": True}, [], 105.0)
    assert said(pools, 99.9 + NO_WORKER_AFTER) == []
    (one,) = pools.at(100.0 + NO_WORKER_AFTER)
    assert (one.kind, one.subject) == ("no worker", "web")
    assert one.what == "pool web has no worker that is ready: none is connected at /run/p/web"
    assert one.remedy == REMEDIES["no worker"]
    pools.look({"web": True, "api": True}, ["web"], 111.0)
    assert said(pools, 111.0) == []
    pools.look({"web": False, "api": True}, ["web"], 112.0)
    assert said(pools, 112.0) == [], "it begins anew"


def test_the_first_worker_may_take_longer() -> None:
    pools = NoWorkers("/run/p", with_workers=False)
    pools.look({"web": False}, [], 0.0)
    assert said(pools, NO_FIRST_WORKER_AFTER - 0.1) == []
    assert len(said(pools, NO_FIRST_WORKER_AFTER)) == 1


def test_one_that_has_gone_from_the_configuration_is_none() -> None:
    pools = NoWorkers("/run/p", with_workers=False)
    pools.look({"web": False, "old": False}, [], 0.0)
    pools.look({"web": True}, [], 70.0)
    assert said(pools, 70.0) == []


def test_the_remedy_depends_on_who_starts_workers_and_whether_there_are_some() -> None:
    linked = NoWorkers("/run/p", with_workers=False)
    linked.look({"web": False}, ["web"], 0.0)
    (one,) = linked.at(NO_FIRST_WORKER_AFTER)
    assert one.what == "pool web has no worker that is ready, though some are connected"
    assert one.remedy == "look at their log: they start, or they hang"
    ours = NoWorkers("/run/p", with_workers=True)
    ours.look({"web": False}, [], 0.0)
    (one,) = ours.at(NO_FIRST_WORKER_AFTER)
    assert one.what == "pool web has no worker that is ready"
    assert "`propylon reload`" in one.remedy
