"""The table of a replica's processes, walked; and each pair of a stage and an event, on a fleet."""

from collections.abc import Callable
from typing import get_args

import pytest
from propylon.gateway.supervisor.fleet.controller import FleetController
from propylon.gateway.supervisor.fleet.events import (
    Alive,
    Answered,
    Draining,
    DrainProcess,
    Exited,
    FleetEvent,
    Linked,
    NotReady,
    Ready,
    Recycle,
    ReplicaId,
    RollOut,
    ScalePool,
    Spawn,
    Spawned,
    StopAll,
    Tick,
)
from propylon.gateway.supervisor.fleet.replica import (
    MOVES,
    SHOWN,
    Event,
    FleetContext,
    FleetSettings,
    IllegalMove,
    Process,
    Replica,
    Stage,
)

from .test_controller import KILLED, W1, W2, G, serving

ORDERS = {"promote", "drain", "stop now"}
HAPPENINGS = set(get_args(Event)) - ORDERS
STAGES = [stage for stage in get_args(Stage) if stage != "gone"]


@pytest.mark.parametrize("stage", STAGES)
def test_whatever_happens_is_in_the_table(stage: Stage) -> None:
    assert MOVES[stage].keys() >= HAPPENINGS
    assert set(MOVES[stage]) <= set(get_args(Event))
    assert set(MOVES[stage].values()) <= set(get_args(Stage))


def test_the_table_has_every_stage() -> None:
    assert MOVES.keys() == SHOWN.keys() == set(get_args(Stage))
    assert MOVES["gone"] == {}


def reachable(stage: Stage) -> set[Stage]:
    found: set[Stage] = {stage}
    while more := {after for one in found for after in MOVES[one].values()} - found:
        found |= more
    return found


def test_every_stage_can_be_reached_and_every_process_ends() -> None:
    assert reachable("starting") | reachable("joining") == set(get_args(Stage))
    assert all("gone" in reachable(stage) for stage in get_args(Stage))


def test_who_leaves_does_not_come_back() -> None:
    assert reachable("draining") == {"draining", "killed", "gone"}
    assert reachable("killed") == {"killed", "gone"}


def test_only_a_current_process_serves() -> None:
    """And a replacement becomes one by a promotion, and by nothing else."""
    for stage in ("joining", "standby"):
        ways = {event for event, after in MOVES[stage].items() if after in ("starting", "serving")}
        assert ways == {"promote"}


@pytest.mark.parametrize("stage", ["starting", "serving", "draining", "killed"])
def test_an_order_that_does_not_fit_is_a_fault(stage: Stage) -> None:
    replica = Replica(W1, FleetContext(FleetSettings(), 1), proven=True)
    with pytest.raises(IllegalMove):
        Process(replica, 1, 1, stage, 0.0).move("promote")


def test_orders_for_processes_that_are_not_there_are_faults() -> None:
    replica = Replica(W1, FleetContext(FleetSettings(), 1), proven=True)
    with pytest.raises(IllegalMove):
        replica.promote(0.0)
    replica.fill(1, 0.0)
    with pytest.raises(IllegalMove):
        replica.fill(1, 0.0)


# -- the pairs, on a fleet ---------------------------------------------------------------------


def starting() -> FleetController:
    fleet = serving()
    fleet.tell(Exited(2, *KILLED), 0)
    return fleet


def recycling() -> FleetController:
    fleet = serving()
    fleet.tell(Linked(1, "default", frozenset({2, 3})), 0)
    fleet.tell(Recycle(2, "old"), 0)
    return fleet


def standing_by() -> FleetController:
    fleet = recycling()
    fleet.tell(Ready(4), 0)
    return fleet


def draining() -> FleetController:
    fleet = standing_by()
    fleet.tell(Linked(1, "default", frozenset({2, 3, 4})), 0)
    return fleet


def killed() -> FleetController:
    fleet = draining()
    fleet.tell(Tick(), 100)
    return fleet


ROADS: dict[Stage, tuple[Callable[[], FleetController], int]] = {
    "starting": (starting, 4),
    "serving": (serving, 2),
    "joining": (recycling, 4),
    "standby": (standing_by, 4),
    "draining": (draining, 2),
    "killed": (killed, 2),
}
"""Stage -> a fleet with a process of it, and the number of that process."""


def events(child: int) -> list[FleetEvent]:
    order = RollOut(generation=2, replicas=frozenset((G, W1, W2)))
    return [
        Tick(),
        Spawned(child, 7),
        Ready(child),
        NotReady(child, "no"),
        Exited(child, "exited with code 1"),
        Exited(child, "exited with code 0", clean=True),
        Linked(1, "default", frozenset({child})),
        Answered(1, child, 9, 9),
        Alive(child),
        Alive(child, stuck=1),
        Draining(child),
        Recycle(child, "old"),
        order,
        ScalePool("default", 1),
        ScalePool("default", 3),
        StopAll(),
        StopAll(now=True),
    ]


def check(fleet: FleetController) -> None:
    """What a replica has is what the stages say."""
    for process in fleet.fleet.processes.values():
        replica = process.replica
        roles = {
            "starting": "current",
            "serving": "current",
            "joining": "replacement",
            "standby": "replacement",
        }
        role = roles.get(process.stage, "leaving")
        assert replica.role(process) == role
        assert (process in replica.leaving) == (role == "leaving")
        assert process.stage != "gone"


@pytest.mark.parametrize("stage", STAGES)
def test_each_event_at_each_stage(stage: Stage) -> None:
    """None is a fault, and each does to the stage what the table says."""
    road, child = ROADS[stage]
    words: dict[type, Event] = {Ready: "ready", NotReady: "not ready", Exited: "exited"}
    for event in events(child):
        fleet = road()
        process = fleet.fleet.processes[child]
        assert process.stage == stage
        check(fleet)
        fleet.tell(event, 0.5)
        check(fleet)
        if word := words.get(type(event)):
            assert process.stage == MOVES[stage][word], event
        elif isinstance(event, Spawned | Alive | Answered | Draining | Recycle):
            assert process.stage == stage, event


def test_a_replica_that_was_removed_is_known_until_its_last_process_has_ended() -> None:
    fleet = serving()
    fleet.tell(ScalePool("default", 1), 1)
    process = fleet.fleet.processes[3]
    assert process.replica.leaving == [process]
    assert W2 not in fleet.fleet.replicas
    fleet.tell(ScalePool("default", 2), 2)  # the same name, and somebody else
    assert fleet.fleet.replicas[W2] is not process.replica
    assert fleet.tell(Exited(3, *KILLED), 3) == []
    assert process.stage == "gone"


def test_two_that_hang_at_once_one_of_them_already_leaving() -> None:
    """The first ends a rollout, and with it the second has been told to go: it is not replaced."""
    other = ReplicaId("worker", 3, "default")
    fleet = serving(heartbeat_timeout=5.0)
    fleet.tell(Linked(1, "default", frozenset({2, 3})), 0)
    order = RollOut(generation=2, replicas=frozenset((G, W1, W2, other)), at_once=True)
    fleet.tell(order, 0)
    fleet.tell(Ready(4), 0.1)
    fleet.tell(Ready(5), 0.1)
    for now in (1, 2, 3, 4, 5):
        fleet.tell(Alive(2), now)
        fleet.tell(Alive(3), now)
    fleet.tell(Tick(), 5.2)
    assert {fleet.fleet.processes[number].stage for number in (4, 5)} == {"draining"}
    assert fleet.fleet.replicas[W1].wants == "nothing"
    assert other not in fleet.fleet.replicas


def test_a_reload_does_not_wait_for_who_still_starts_with_the_old_code() -> None:
    fleet = serving(W1)
    fleet.tell(Exited(1, *KILLED), 20)  # replaced by 2, which starts
    order = RollOut(generation=2, replicas=frozenset({W1}))
    assert fleet.tell(order, 21) == [DrainProcess(2), Spawn(3, W1, 2)]
    fleet.tell(Ready(3), 22)
    assert fleet.rollout is None
    assert fleet.fleet.replicas[W1].current is fleet.fleet.processes[3]


def test_who_is_ready_and_linked_in_time_may_wait_for_others() -> None:
    fleet = serving(G, W1, W2)
    fleet.tell(Linked(1, "default", frozenset({2, 3})), 0)
    order = RollOut(generation=2, replicas=frozenset({G, W1, W2}), observe=1000)
    fleet.tell(order, 10)
    fleet.tell(Ready(4), 11)
    fleet.tell(Linked(1, "default", frozenset({2, 3, 4})), 11)
    assert fleet.tell(Tick(), 70) == []
    assert fleet.fleet.processes[4].stage == "standby"
    assert fleet.next_tick == 1011
