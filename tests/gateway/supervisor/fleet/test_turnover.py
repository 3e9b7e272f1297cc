"""What is counted of the processes that were replaced, and why."""

import pytest
from propylon.gateway.supervisor.fleet.controller import FleetController
from propylon.gateway.supervisor.fleet.events import (
    Alive,
    Exited,
    FleetEvent,
    Linked,
    NotReady,
    Ready,
    Recycle,
    RollOut,
    ScalePool,
    StopAll,
    Tick,
    read_recycle_kind,
)

from .test_controller import W1, W2, G, serving, told

LINKED = Linked(1, "default", frozenset({2, 3, 4}))


def counts(fleet: FleetController) -> dict[tuple[str, str], int]:
    turnover = fleet.fleet.context.turnover
    both = (*turnover.restarts.items(), *turnover.recycles.items())
    return {(str(replica_id), reason): count for (replica_id, reason), count in both}


ENDS: list[tuple[list[FleetEvent], dict[tuple[str, str], int]]] = [
    ([Exited(2, "exited with code 1")], {(str(W1), "crash"): 1}),
    ([Exited(2, "was killed by SIGKILL", kind="killed")], {(str(W1), "killed"): 1}),
    ([Exited(2, "", clean=True, kind="exited")], {(str(W1), "exited"): 1}),
    ([Exited(1, "exited with code 1")], {(str(G), "crash"): 1}),
    ([Exited(2, ""), NotReady(4, "no")], {(str(W1), "crash"): 1, (str(W1), "start_failed"): 1}),
    ([Exited(2, ""), Exited(4, "")], {(str(W1), "crash"): 1, (str(W1), "start_failed"): 1}),
    ([Alive(2, stuck=1), Alive(2, stuck=1)], {(str(W1), "stuck"): 1}),
    ([Alive(2, stuck=1), Ready(4), LINKED], {(str(W1), "stuck"): 1}),
    ([Recycle(2, "old", "lifetime")], {}),
    ([Recycle(2, "old", "lifetime"), Ready(4), LINKED], {(str(W1), "lifetime"): 1}),
    ([Recycle(2, "?"), Ready(4), LINKED], {(str(W1), "asked"): 1}),
    # It dies before its replacement is there: a failure after all.
    ([Recycle(2, "old", "memory"), Exited(2, "")], {(str(W1), "crash"): 1}),
    ([ScalePool("default", 1), Exited(3, "")], {}),
    ([StopAll(), Exited(2, "was killed by SIGKILL", kind="killed")], {}),
]


@pytest.mark.parametrize(("events", "counted"), ENDS)
def test_reasons(events: list[FleetEvent], counted: dict[tuple[str, str], int]) -> None:
    fleet = serving()
    fleet.tell(Linked(1, "default", frozenset({2, 3})), 0)
    told(fleet, *((1 + at, event) for at, event in enumerate(events)))
    assert counts(fleet) == counted


def test_a_worker_that_hangs_is_counted_once() -> None:
    fleet = serving(heartbeat_timeout=5.0)
    told(fleet, (1, Linked(1, "default", frozenset({2, 3}))), (4, Alive(3)), (4, Alive(1)))
    told(fleet, (6, Tick()), (7, Ready(4)), (8, LINKED))
    assert counts(fleet) == {(str(W1), "hung"): 1}


def test_a_reload_counts_each_worker_once_whatever_it_has_wished() -> None:
    fleet = serving()
    replicas = frozenset({G, W1, W2})
    told(
        fleet,
        (1, Linked(1, "default", frozenset({2, 3}))),
        (1, RollOut(generation=2, replicas=replicas)),
        (2, Recycle(2, "old", "lifetime")),
        (3, Ready(4)),
        (4, LINKED),
    )
    assert counts(fleet) == {(str(W1), "reload"): 1}


@pytest.mark.parametrize("end", [[NotReady(4, "no")], [Exited(4, "")], [Ready(4), Exited(4, "")]])
def test_a_reload_that_fails_restarts_nothing(end: list[FleetEvent]) -> None:
    fleet = serving()
    told(
        fleet,
        (1, Linked(1, "default", frozenset({2, 3}))),
        (1, RollOut(generation=2, replicas=frozenset({G, W1, W2}))),
        *((2, event) for event in end),
    )
    assert fleet.rollout is None
    assert counts(fleet) == {}


def test_a_word_of_another_version_is_asked() -> None:
    assert [read_recycle_kind(word) for word in ("memory", "", "bored")] == [
        "memory", "asked", "asked",
    ]  # fmt: skip
