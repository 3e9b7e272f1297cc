"""Generations, replacements and those that hang, as the children table sees them."""

from collections.abc import Iterable

import pytest
from propylon.gateway.supervisor.fleet.controller import FleetController
from propylon.gateway.supervisor.fleet.events import (
    Alive,
    Answered,
    DrainProcess,
    Exited,
    FleetCommand,
    Kill,
    Linked,
    NotReady,
    Ready,
    Recycle,
    ReloadEnded,
    ReplicaId,
    RollOut,
    Say,
    ScalePool,
    ShowStacks,
    Spawn,
    StopAll,
    Tick,
)
from propylon.gateway.supervisor.fleet.replica import (
    APP_SHUTDOWN,
    FAILED_GRACE,
    HUNG_GRACE,
)
from propylon.gateway.supervisor.fleet.rollout import EXIT_PATIENCE, SUSPICIOUS

from .test_controller import KILLED, W1, W2, G, done, said, serving, told

W3 = ReplicaId("worker", 3, "default")
ALL = frozenset((G, W1, W2))
GONE = "exited with code 0"


def reload(places: Iterable[ReplicaId] = ALL, generation: int = 2, **more: object) -> RollOut:
    return RollOut(generation=generation, replicas=frozenset(places), **more)  # type: ignore[arg-type]


def linked(*workers: int, gateway: int = 1) -> Linked:
    return Linked(gateway, "default", frozenset(workers))


def fleet(**settings: object) -> FleetController:
    """Gateway 1 and workers 2 and 3, linked."""
    children = serving(**settings)
    children.tell(linked(2, 3), 0)
    return children


def committed(children: FleetController, generation: int = 2) -> ReloadEnded:
    assert children.rollout is None
    return ReloadEnded(generation, committed=True)


# Reload.


def test_a_canary_first_and_then_one_at_a_time() -> None:
    children = fleet()
    assert children.tell(reload(observe=1), 10) == [Spawn(4, W1, 2, replaces=True)]
    assert children.tell(Ready(4), 11) == []
    [observed] = children.tell(linked(2, 3, 4), 11)
    assert said([observed]) == [
        "Reloading: generation 2: it serves beside the old one, watched for 1 s"
    ]
    assert children.next_tick == 12
    assert done(children.tell(Tick(), 12)) == [DrainProcess(2)]
    assert children.tell(linked(3, 4), 12) == []  # worker 2 still has something to finish
    assert children.tell(Exited(2, GONE), 14) == [Spawn(5, W2, 2, replaces=True)]
    assert done(told(children, (15, Ready(5)), (15, linked(3, 4, 5)))) == [DrainProcess(3)]
    # New requests may still go to the old one: clients do not see the new code only, yet.
    decisions = children.tell(linked(4, 5), 15)
    assert said(decisions) == ["Reloaded: generation 2 serves"]
    assert done(decisions) == [committed(children)]
    told(children, (16, Exited(3, GONE)))
    assert Spawn(6, W1, 2) in children.tell(Exited(4, *KILLED), 40)


def test_a_long_download_does_not_hold_up_the_roll() -> None:
    children = fleet()
    told(children, (10, reload()), (11, Ready(4)), (11, linked(2, 3, 4)))
    assert children.tell(Tick(), 11 + EXIT_PATIENCE - 0.1) == []
    assert children.tell(Tick(), 11 + EXIT_PATIENCE) == [Spawn(5, W2, 2, replaces=True)]


def test_in_development_all_are_replaced_together() -> None:
    children = fleet()
    decisions = children.tell(reload(at_once=True), 10)
    assert decisions == [Spawn(4, W1, 2, replaces=True), Spawn(5, W2, 2, replaces=True)]
    assert told(children, (11, Ready(4)), (11, linked(2, 3, 4)), (12, Ready(5))) == []
    assert done(children.tell(linked(2, 3, 4, 5), 12)) == [DrainProcess(2), DrainProcess(3)]
    assert done(children.tell(linked(4, 5), 12)) == [committed(children)]


def test_every_pool_has_a_canary() -> None:
    other = ReplicaId("worker", 1, "other")
    children = serving(G, W1, W2, other)
    decisions = children.tell(reload((G, W1, W2, other)), 10)
    assert decisions == [Spawn(5, W1, 2, replaces=True), Spawn(6, other, 2, replaces=True)]


def test_workers_alone_know_of_no_links() -> None:
    children = serving(W1)
    told(children, (10, reload((W1,))))
    decisions = children.tell(Ready(2), 11)
    assert done(decisions) == [DrainProcess(1), committed(children)]


def test_a_gateway_is_replaced_when_its_successor_is_linked_to_every_worker() -> None:
    children = fleet()
    order = reload(replaced=frozenset({"gateway"}))
    assert children.tell(order, 10) == [Spawn(4, G, 2, replaces=True)]
    assert told(children, (11, Ready(4)), (11, linked(2, gateway=4))) == []
    decisions = children.tell(linked(2, 3, gateway=4), 11)
    assert done(decisions) == [DrainProcess(1), committed(children)]


def test_a_pool_that_is_new_needs_a_gateway_that_knows_it() -> None:
    other = ReplicaId("worker", 1, "other")
    children = fleet()
    order = reload((*ALL, other), replaced=frozenset({"gateway"}))
    assert done(children.tell(order, 10)) == [
        Spawn(4, other, 2),
        Spawn(5, G, 2, replaces=True),
    ]
    told(children, (11, Ready(4)), (11, Ready(5)), (11, linked(2, 3, gateway=5)))
    decisions = children.tell(Linked(5, "other", frozenset({4})), 12)
    assert done(decisions) == [DrainProcess(1), committed(children)]


def test_a_pool_that_is_gone_goes_last() -> None:
    other = ReplicaId("worker", 1, "other")
    children = serving(G, W1, other)
    told(children, (0, linked(2)), (0, Linked(1, "other", frozenset({3}))))
    order = reload((G, W1), replaced=frozenset({"gateway"}))
    told(children, (10, order), (11, Ready(4)), (11, linked(2, gateway=4)))
    assert children.rollout is None
    assert other not in children.fleet.replicas
    assert children.fleet.processes[3].state == "stopping"


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        (
            [(11, NotReady(4, "SyntaxError", "Traceback ..."))],
            "worker 1 of pool default could not start: SyntaxError",
        ),
        (
            [(11, Exited(4, "exited with code 1"))],
            "worker 1 of pool default exited with code 1 before it was ready",
        ),
        ([(70, Tick())], "worker 1 of pool default was not ready within 60 s (--startup-timeout)"),
        (
            [(11, Ready(4)), (70, Tick())],
            "worker 1 of pool default was not linked to all that use it within 60 s",
        ),
        (
            [(11, Ready(4)), (11, linked(2, 3, 4)), (12, Exited(4, *KILLED))],
            "worker 1 of pool default was killed by SIGKILL after 1 s (out of memory?)",
        ),
        (
            [
                (11, Ready(4)),
                (11, linked(2, 3, 4)),
                (11, Answered(1, 2, 50, 1)),
                (12, Answered(1, 4, SUSPICIOUS, SUSPICIOUS)),
            ],
            "all 5 answers of worker 1 of pool default were errors (5xx)",
        ),
    ],
)
def test_new_code_that_fails_leaves_the_old_as_it_was(steps: list, why: str) -> None:  # type: ignore[type-arg]
    children = fleet()
    decisions = told(children, (10, reload(observe=5)), *steps)
    [ended] = [decision for decision in decisions if isinstance(decision, ReloadEnded)]
    assert (ended.committed, ended.why) == (False, why)
    assert said(decisions)[-1] == f"{why}; not reloaded, the old serve on"
    assert {c.id: c.state for c in children.fleet.processes.values() if c.id < 4} == {
        1: "ready",
        2: "ready",
        3: "ready",
    }
    assert all(c.state == "stopping" for c in children.fleet.processes.values() if c.id == 4)
    assert children.fleet.replicas[W1].replacement is None
    # What crashes later is replaced by the old generation.
    assert Spawn(5, W1, 1) in children.tell(Exited(2, *KILLED), 90)


def test_errors_of_both_generations_say_nothing_about_the_new_one() -> None:
    children = fleet()
    told(children, (10, reload(observe=5)), (11, Ready(4)), (11, linked(2, 3, 4)))
    told(children, (12, Answered(1, 2, 9, 9)), (12, Answered(1, 4, 9, 9)))
    assert children.rollout is not None


def test_what_the_old_answered_before_says_nothing_either() -> None:
    """A database is down, and the new code is to mend that."""
    children = fleet()
    told(children, (5, Answered(1, 2, 900, 0)))
    told(children, (10, reload(observe=5)), (11, Ready(4)), (11, linked(2, 3, 4)))
    told(children, (12, Answered(1, 2, 909, 9)), (12, Answered(1, 4, 9, 9)))
    assert children.rollout is not None


def test_what_had_taken_over_is_taken_back_where_the_configuration_differs() -> None:
    children = fleet()
    told(children, (10, reload(reverts=True)), (11, Ready(4)), (11, linked(2, 3, 4)))
    told(children, (12, Exited(2, GONE)))
    decisions = told(children, (13, NotReady(5, "no")), (13, Exited(5, "exited with code 3")))
    assert Spawn(6, W1, 1, replaces=True) in decisions
    told(children, (14, Ready(6)))
    assert DrainProcess(4) in children.tell(linked(3, 4, 6), 14)


def test_it_is_tried_once_to_take_it_back() -> None:
    children = fleet()
    told(children, (10, reload(reverts=True)), (11, Ready(4)), (11, linked(2, 3, 4)))
    told(children, (12, Exited(2, GONE)), (13, NotReady(5, "no")))
    decisions = told(children, (14, NotReady(6, "no")), (14, Exited(6, "exited with code 3")))
    assert said(decisions) == [
        "worker 1 of pool default could not start: no; worker 1 of pool default stays"
    ]
    assert children.next_tick == 13 + FAILED_GRACE  # of child 5, which has not exited


def test_code_on_disk_cannot_be_taken_back() -> None:
    children = fleet()
    told(children, (10, reload()), (11, Ready(4)), (11, linked(2, 3, 4)), (12, Exited(2, GONE)))
    decisions = told(children, (13, NotReady(5, "no")), (13, Exited(5, "exited with code 3")))
    assert not [decision for decision in decisions if isinstance(decision, Spawn)]


def test_one_of_the_new_that_dies_in_the_roll_ends_the_reload() -> None:
    children = fleet()
    told(children, (10, reload()), (11, Ready(4)), (11, linked(2, 3, 4)), (12, Exited(2, GONE)))
    decisions = children.tell(Exited(4, *KILLED), 13)
    assert DrainProcess(5) in decisions
    assert Spawn(6, W1, 1) in decisions
    assert children.fleet.replicas[W2].current is children.fleet.processes[3]


def test_the_latest_reload_wins() -> None:
    children = fleet()
    told(children, (10, reload()), (11, Ready(4)), (11, linked(2, 3, 4)))  # 4 took over
    decisions = children.tell(reload(generation=3), 12)
    why = "overtaken by another reload"
    assert ReloadEnded(2, committed=False, why=why, overtaken=True) in decisions
    assert Spawn(5, W1, 3, replaces=True) in decisions
    told(children, (13, Ready(5)))
    assert done(children.tell(linked(2, 3, 4, 5), 13)) == [DrainProcess(4)]


def test_a_holder_that_dies_while_a_canary_starts_has_a_successor_of_its_own() -> None:
    """The canary's fate is open, so it fills no gap."""
    children = fleet()
    told(children, (10, reload()))
    assert Spawn(5, W1, 1) in children.tell(Exited(2, *KILLED), 11)
    told(children, (12, NotReady(4, "no")), (12, Ready(5)))
    assert children.fleet.replicas[W1].current is children.fleet.processes[5]


def test_a_reload_does_not_wait_for_a_retry() -> None:
    children = serving(W1)
    told(children, (1, Exited(1, *KILLED)), (2, NotReady(2, "no")), (2, Exited(2, "x")))
    assert children.tell(reload((W1,)), 2.1) == [Spawn(3, W1, 2)]
    told(children, (3, NotReady(3, "still no")))
    assert children.next_tick is not None
    assert Spawn(4, W1, 1) in children.tell(Tick(), children.next_tick)


def test_a_stop_in_the_middle_of_a_reload() -> None:
    children = fleet()
    told(children, (10, reload(observe=5)), (11, Ready(4)), (11, linked(2, 3, 4)))
    decisions = children.tell(StopAll(), 12)
    assert decisions == [
        ReloadEnded(2, committed=False, why="Propylon stops", overtaken=True),
        DrainProcess(1),
    ]
    assert children.tell(Exited(1, GONE), 13) == [DrainProcess(2), DrainProcess(3), DrainProcess(4)]


# Those that hang, and those that have served their time.


def passes(children: FleetController, since: int, until: int) -> list[FleetCommand]:
    """Time, as the supervisor sees it pass that runs all the while."""
    return told(children, *((float(now), Tick()) for now in range(since + 1, until + 1)))


def test_a_worker_that_is_silent_too_long_shows_its_stacks_and_is_succeeded() -> None:
    children = fleet(heartbeat_timeout=5.0, graceful_timeout=30)
    told(children, (1, Alive(2)), (2, Alive(2)), (3, Alive(2)), (4, Alive(3)))
    assert passes(children, 4, 7) == []
    decisions = children.tell(Tick(), 8)
    assert said(decisions)[0] == (
        "worker 1 (pid 102) of pool default: it hangs, no sign of life for 5 s; "
        "its stacks follow, and a successor"
    )
    assert done(decisions) == [ShowStacks(2), Spawn(4, W1, 1, replaces=True)]
    told(children, (8, Alive(3)), (9, Ready(4)))
    assert children.tell(linked(2, 3, 4), 9) == [DrainProcess(2)]
    told(children, (10, Alive(3)), (10, Alive(4)), (11, Tick()))
    decisions = children.tell(Tick(), 9 + HUNG_GRACE)
    assert said(decisions) == [
        "worker 1 (pid 102) of pool default did not stop in time "
        "(it hangs, no sign of life for 5 s); killing it"
    ]
    assert Kill(2) in decisions


def test_one_that_comes_round_is_given_its_time_to_drain() -> None:
    children = fleet(heartbeat_timeout=5.0, graceful_timeout=30)
    told(children, (1, Alive(3)), (2, Alive(3)), (3, Alive(3)))
    assert ShowStacks(2) in passes(children, 3, 5)
    assert said(children.tell(Alive(2), 6)) == [
        "worker 1 (pid 102) of pool default answers again",
    ]
    told(children, (6, Ready(4)), (6, linked(2, 3, 4)))
    assert children.fleet.processes[2].deadline == 6 + 30 + APP_SHUTDOWN


def test_a_gateway_that_hangs_is_succeeded_too_and_nobody_waits_for_its_links() -> None:
    children = fleet(heartbeat_timeout=5.0)
    told(children, (0, Alive(1)), *((now, Alive(child)) for now in (1, 2, 3) for child in (2, 3)))
    decisions = passes(children, 3, 5)
    assert done(decisions) == [ShowStacks(1), Spawn(4, G, 1, replaces=True)]
    told(children, (5, Alive(2)), (5, Alive(3)), (6, Ready(4)))
    assert children.tell(linked(2, 3, gateway=4), 6) == [DrainProcess(1)]


@pytest.mark.parametrize("asleep", [4.5, 5.0, 5.2, 500.0])
def test_a_machine_that_was_asleep_is_no_sign_of_a_hang(asleep: float) -> None:
    children = fleet(heartbeat_timeout=5.0)
    told(children, (1, Alive(2)), (1, Alive(3)))
    assert (
        told(children, (1 + asleep, Tick()), (1 + asleep, Alive(2)), (1 + asleep, Alive(3))) == []
    )
    assert children.next_tick == 2 + asleep


def test_calls_that_cannot_be_ended_condemn_their_worker() -> None:
    children = fleet()
    decisions = children.tell(Alive(2, stuck=2), 5)
    assert said(decisions)[0] == (
        "worker 1 (pid 102) of pool default: 2 calls are stuck in the app that nobody waits for; "
        "its stacks follow, and a successor"
    )
    assert Spawn(4, W1, 1, replaces=True) in decisions
    assert children.tell(Alive(2, stuck=2), 6) == []


def test_a_canary_that_hangs_ends_the_reload() -> None:
    children = fleet(heartbeat_timeout=5.0)
    told(children, (1, reload(observe=60)), (2, Ready(4)), (2, linked(2, 3, 4)))
    told(children, *((now, Alive(child)) for now in (3, 4, 5, 6) for child in (2, 3)))
    decisions = children.tell(Tick(), 7)
    assert done(decisions)[:2] == [ShowStacks(4), DrainProcess(4)]
    assert children.rollout is None


def test_recycling_one_at_a_time_the_replacement_first() -> None:
    children = fleet()
    decisions = told(children, (5, Recycle(2, "served 1000 requests")), (5, Recycle(3, "too")))
    assert decisions == [
        Say("info", "worker 1 (pid 102) of pool default is replaced: served 1000 requests"),
        Spawn(4, W1, 1, replaces=True),
    ]
    told(children, (6, Ready(4)))
    assert children.tell(linked(2, 3, 4), 6) == [DrainProcess(2)]
    # However long it takes to finish what it has: there is never a crowd of those that leave.
    decisions = children.tell(Exited(2, GONE), 20)
    assert done(decisions) == [Spawn(5, W2, 1, replaces=True)]


def test_a_replacement_that_fails_is_tried_again_and_the_old_one_stays() -> None:
    children = fleet()
    told(children, (5, Recycle(2, "too large")), (6, NotReady(4, "no")))
    told(children, (6, Exited(4, "x")))
    assert children.next_tick == 6.5
    assert Spawn(5, W1, 1, replaces=True) in children.tell(Tick(), 6.5)


def test_a_successor_takes_the_place_of_a_holder_that_dies() -> None:
    children = fleet()
    told(children, (5, Recycle(2, "too old")))
    decisions = children.tell(Exited(2, *KILLED), 6)
    assert said(decisions)[0].endswith("; its successor takes its place")
    assert done(decisions) == []
    assert children.fleet.replicas[W1].current is children.fleet.processes[4]


# More and fewer.


def test_scaling_up_and_down() -> None:
    children = fleet()
    assert children.tell(ScalePool("default", 3), 5) == [Spawn(4, W3, 1)]
    told(children, (6, Ready(4)))
    assert children.tell(ScalePool("default", 1), 7) == [DrainProcess(3), DrainProcess(4)]
    assert set(children.fleet.replicas) == {G, W1}
    assert told(children, (8, Exited(3, GONE)), (8, Exited(4, GONE))) == []


def test_one_more_in_the_middle_of_a_reload_becomes_new_too() -> None:
    children = fleet()
    told(children, (10, reload()), (10, ScalePool("default", 3)), (10, Ready(5)))
    told(children, (11, Ready(4)), (11, linked(2, 3, 4, 5)), (12, Exited(2, GONE)))
    told(children, (13, Ready(6)), (13, linked(3, 4, 5, 6)))
    decisions = children.tell(Exited(3, GONE), 14)
    assert done(decisions) == [Spawn(7, W3, 2, replaces=True)]


def test_scaling_in_a_reload_counts_from_both_sides() -> None:
    w4 = ReplicaId("worker", 4, "default")
    children = serving(G, W1, W2, W3, w4)
    told(children, (0, linked(2, 3, 4, 5)))
    told(children, (10, reload((G, W1, W2))), (10, ScalePool("default", 3)))  # else 2
    assert set(children.fleet.replicas) == {G, W1, W2, W3}
    told(children, (11, Ready(6)), (11, linked(2, 3, 4, 6)), (12, Exited(2, GONE)))
    told(children, (13, Ready(7)), (13, linked(3, 4, 6, 7)), (13, Exited(3, GONE)))
    told(children, (14, Ready(8)), (14, linked(4, 6, 7, 8)), (14, linked(6, 7, 8)))
    assert children.rollout is None
    assert {
        replica.current.id for replica in children.fleet.replicas.values() if replica.current
    } == {1, 6, 7, 8}


def test_scaling_a_pool_that_a_reload_removes() -> None:
    other = ReplicaId("worker", 1, "other")
    children = serving(G, W1, other)
    told(children, (0, linked(2)), (0, Linked(1, "other", frozenset({3}))))
    told(children, (10, reload((G, W1))), (10, ScalePool("other", 2)), (10, Ready(5)))
    told(children, (11, Ready(4)), (11, linked(2, 4)), (11, linked(4)))
    assert children.rollout is None
    assert set(children.fleet.replicas) == {G, W1}


def test_who_is_late_is_blamed_and_not_who_is_ready_and_waits() -> None:
    """They have the same deadline, and the one that is ready was started first."""
    children = fleet()
    told(children, (10, reload(at_once=True)), (11, Ready(4)), (11, linked(2, 3, 4)))
    (why,) = said(children.tell(Tick(), 70))
    assert why.startswith("worker 2 of pool default was not ready within 60 s")
