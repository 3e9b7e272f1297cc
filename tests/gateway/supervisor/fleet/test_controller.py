"""The children table, as a table: what it is told and what it decides."""

from collections.abc import Iterable

import pytest
from propylon.gateway.supervisor.fleet.controller import FleetController
from propylon.gateway.supervisor.fleet.events import (
    Draining,
    DrainProcess,
    Exited,
    ExitKind,
    Finish,
    FleetCommand,
    FleetEvent,
    Kill,
    Linked,
    NotReady,
    Ready,
    ReplicaId,
    RollOut,
    Say,
    ScalePool,
    Spawn,
    Spawned,
    Start,
    StopAll,
    StopNow,
    Tick,
)
from propylon.gateway.supervisor.fleet.replica import (
    APP_SHUTDOWN,
    FAILED_GRACE,
    MARGIN,
    STOP_NOW_GRACE,
    FleetSettings,
)

G = ReplicaId("gateway", 1)
W1 = ReplicaId("worker", 1, "default")
W2 = ReplicaId("worker", 2, "default")
KILLED = ("was killed by SIGKILL", "out of memory?")


def table(*places: ReplicaId, **settings: object) -> FleetController:
    """Heartbeats have tests of their own."""
    known = FleetSettings(**{"heartbeat_timeout": 0.0, **settings})  # type: ignore[arg-type]
    return FleetController(known, places or (G, W1, W2))


def serving(*places: ReplicaId, **settings: object) -> FleetController:
    """Children 1, 2, 3 hold the places, with pids 101, 102, 103."""
    children = table(*places, **settings)
    spawned = children.tell(Start(), 0)
    for decision in spawned:
        assert isinstance(decision, Spawn)
        assert children.tell(Spawned(decision.child, 100 + decision.child), 0) == []
        assert children.tell(Ready(decision.child), 0) == []
    assert children.phase == "serving"
    return children


def told(children: FleetController, *steps: tuple[float, FleetEvent]) -> list[FleetCommand]:
    """Everything that is decided in these steps."""
    return [decision for now, message in steps for decision in children.tell(message, now)]


def said(decisions: Iterable[FleetCommand]) -> list[str]:
    return [decision.text for decision in decisions if isinstance(decision, Say)]


def done(decisions: Iterable[FleetCommand]) -> list[FleetCommand]:
    return [decision for decision in decisions if not isinstance(decision, Say)]


def test_start_fills_every_place() -> None:
    assert table().tell(Start(), 0) == [Spawn(1, G, 1), Spawn(2, W1, 1), Spawn(3, W2, 1)]


def test_serving_is_when_every_place_has_been_ready() -> None:
    children = table()
    children.tell(Start(), 0)
    for child in (1, 3):
        children.tell(Ready(child), 0)
        assert children.phase == "starting"
    children.tell(Ready(2), 0)
    assert children.phase == "serving"


def test_an_app_that_cannot_boot_ends_everything_with_the_reason() -> None:
    children = table()
    decisions = told(
        children,
        (0, Start()),
        (0, Ready(1)),
        (1, NotReady(2, "there is no module 'x'", "Traceback ...")),
    )
    assert decisions[3] == DrainProcess(2)
    assert decisions[4] == Say(
        "error",
        "worker 1 of pool default could not start: there is no module 'x'",
        "Traceback ...",
    )
    assert {d.child for d in decisions if isinstance(d, DrainProcess)} == {1, 2, 3}
    # The other worker's failure is the same one, and is not said again.
    ended = told(
        children,
        (1, NotReady(3, "there is no module 'x'")),
        (1, Exited(2, "exited with code 3")),
        (1, Exited(3, "exited with code 3")),
        (1, Exited(1, "exited with code 0")),
    )
    assert ended == [Finish(3)]


@pytest.mark.parametrize(
    ("child", "code", "sentence"),
    [
        (1, 1, "gateway 1 exited with code 1 before it was ready"),
        (2, 3, "worker 1 of pool default exited with code 1 before it was ready"),
    ],
)
def test_a_first_child_that_ends_without_a_word(child: int, code: int, sentence: str) -> None:
    children = table()
    children.tell(Start(), 0)
    assert said(children.tell(Exited(child, "exited with code 1"), 1)) == [sentence]
    rest = {1, 2, 3} - {child}
    decisions = told(children, *((2, Exited(other, "exited with code 0")) for other in rest))
    assert decisions == [Finish(code)]


def test_a_first_start_that_takes_too_long() -> None:
    children = table(startup_timeout=40)
    told(children, (0, Start()), (0, Ready(1)), (0, Ready(2)))
    assert children.next_tick == 40
    decisions = children.tell(Tick(), 40)
    assert said(decisions) == [
        "worker 2 of pool default was not ready within 40 s (--startup-timeout)"
    ]
    assert DrainProcess(3) in decisions
    assert done(children.tell(Tick(), 40 + STOP_NOW_GRACE)) == [Kill(1), Kill(2), Kill(3)]


def test_a_failed_boot_can_wait_for_new_code() -> None:
    children = table(failed_boot="wait")
    told(children, (0, Start()), (0, Ready(1)))
    [terminate, sentence] = children.tell(NotReady(2, "no"), 1)
    assert terminate == DrainProcess(2)
    assert sentence == Say(
        "error", "worker 1 of pool default could not start: no; waiting for a file to change"
    )
    assert said(children.tell(NotReady(3, "no"), 1)) == []
    told(children, (1, Exited(2, "exited with code 3")), (1, Exited(3, "exited with code 3")))
    assert children.next_tick is None
    reload = RollOut(generation=2, replicas=frozenset((G, W1, W2)))
    assert children.tell(reload, 9) == [Spawn(4, W1, 2), Spawn(5, W2, 2)]
    told(children, (9, Ready(4)), (9, Ready(5)))
    assert children.phase == "serving"
    told(children, (9, Linked(1, "default", frozenset((4, 5)))))
    assert children.rollout is None


def test_a_crash_is_replaced_at_once_with_its_reason() -> None:
    children = serving()
    assert children.tell(Exited(2, *KILLED), 12) == [
        Say(
            "error",
            "worker 1 (pid 102) of pool default was killed by SIGKILL after 12 s "
            "(out of memory?); starting another",
        ),
        Spawn(4, W1, 1),
    ]


def test_who_was_asked_to_end_is_replaced_without_a_delay() -> None:
    children = serving(W1)
    for child in range(1, 10):
        said, spawn = children.tell(Exited(child, "exited with code 0", clean=True), child)
        assert isinstance(said, Say)
        assert said.level == "info"
        assert said.text.endswith("exited with code 0 after 1 s; starting another")
        assert spawn == Spawn(child + 1, W1, 1)
        told(children, (child, Spawned(child + 1, 7)), (child, Ready(child + 1)))
    [crash, _] = children.tell(Exited(10, *KILLED), 10)
    assert isinstance(crash, Say)
    assert crash.text.endswith("; starting another"), "it does not count as a crash"


def test_a_crashed_gateway_is_replaced() -> None:
    assert serving().tell(Exited(1, "exited with code 1"), 3) == [
        Say("error", "gateway 1 (pid 101) exited with code 1 after 3 s; starting another"),
        Spawn(4, G, 1),
    ]


def test_crash_loops_back_off() -> None:
    children = serving(W1)
    child, now, waits = 1, 0.0, list[float]()
    for _ in range(12):
        now += 1  # each lives for a second
        [_, *spawn] = children.tell(Exited(child, "exited with code 1"), now)
        if not spawn:
            assert children.next_tick is not None
            waits.append(children.next_tick - now)
            assert children.tell(Tick(), children.next_tick - 0.01) == []
            now = children.next_tick
            spawn = children.tell(Tick(), now)
        child += 1
        assert spawn == [Spawn(child, W1, 1)]
        children.tell(Ready(child), now)
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    # One that lives long enough starts afresh.
    assert Spawn(child + 1, W1, 1) in children.tell(Exited(child, "exited with code 1"), now + 60)


def test_a_replacement_that_cannot_start_is_tried_again() -> None:
    children = serving(W1)
    told(children, (20, Exited(1, *KILLED)), (20, Spawned(2, 9)))
    decisions = told(children, (21, NotReady(2, "no db")), (21, Exited(2, "exited with code 3")))
    assert decisions == [
        DrainProcess(2),
        Say("error", "worker 1 of pool default could not start: no db; trying again in 0.5 s"),
    ]
    assert children.tell(Tick(), 21.5) == [Spawn(3, W1, 1)]


def test_a_failed_child_that_does_not_exit_is_killed() -> None:
    children = serving(W1)
    told(children, (20, Exited(1, *KILLED)), (21, NotReady(2, "no")))
    told(children, (21.5, Tick()))
    assert Kill(2) in children.tell(Tick(), 21 + FAILED_GRACE)


# Stop.


def test_gateways_finish_first_and_then_the_workers() -> None:
    children = serving()
    assert children.tell(StopAll(), 100) == [DrainProcess(1)]
    # It is not looking for workers any more: they may hear of the end, and serve it until then.
    assert children.tell(Draining(1), 100.1) == [DrainProcess(2), DrainProcess(3)]
    assert children.tell(Exited(1, "exited with code 0"), 105) == []
    assert told(
        children,
        (106, Exited(2, "exited with code 0")),
        (106, Exited(3, "exited with code 0")),
    ) == [Finish(0)]
    assert children.phase == "ended"
    assert children.next_tick is None


def test_a_gateway_that_ends_without_a_word_frees_the_workers_too() -> None:
    children = serving()
    told(children, (100, StopAll()))
    assert children.tell(Exited(1, *KILLED), 105) == [DrainProcess(2), DrainProcess(3)]


def test_workers_alone_stop_at_once() -> None:
    assert serving(W1, W2).tell(StopAll(), 5) == [DrainProcess(1), DrainProcess(2)]


def test_a_gateway_past_the_deadline_is_asked_again_and_killed() -> None:
    children = serving(graceful_timeout=10)
    children.tell(StopAll(), 100)
    assert children.next_tick == 110 + MARGIN
    assert children.tell(Tick(), 111) == [StopNow(1)]
    assert done(children.tell(Tick(), 111 + STOP_NOW_GRACE)) == [Kill(1)]
    assert children.tell(Exited(1, *KILLED), 112) == [DrainProcess(2), DrainProcess(3)]
    assert children.next_tick == 112 + APP_SHUTDOWN


def test_a_worker_past_the_deadline_is_killed() -> None:
    children = serving(W1, graceful_timeout=10)
    children.tell(StopAll(), 100)
    assert children.next_tick is not None
    told(children, (111, Tick()))
    assert said(children.tell(Tick(), 111 + APP_SHUTDOWN)) == [
        "worker 1 (pid 101) of pool default did not stop in time; killing it"
    ]


def test_a_stop_may_become_one_at_once() -> None:
    children = serving()
    children.tell(StopAll(), 100)
    assert children.tell(StopAll(), 100.5) == [], "asked again, it goes on as it was"
    assert done(children.tell(StopAll(now=True), 101)) == [
        StopNow(1),
        DrainProcess(2),
        StopNow(2),
        DrainProcess(3),
        StopNow(3),
    ]
    assert done(children.tell(Tick(), 101 + STOP_NOW_GRACE)) == [Kill(1), Kill(2), Kill(3)]


def test_nothing_is_started_while_stopping() -> None:
    children = serving()
    told(children, (50, Exited(3, *KILLED)))  # replaced by 4, which is starting
    assert children.tell(StopAll(), 51) == [DrainProcess(1), DrainProcess(4)]
    decisions = told(
        children,
        (52, Exited(2, *KILLED)),
        (52, RollOut(generation=2, replicas=frozenset((G, W1, W2)))),
        (52, Exited(4, "exited with code 0")),
    )
    assert said(decisions) == [
        "worker 1 (pid 102) of pool default was killed by SIGKILL while stopping (out of memory?)"
    ]
    assert done(decisions) == []
    assert children.tell(Exited(1, "exited with code 0"), 53) == [Finish(0)]


@pytest.mark.parametrize(("kind", "lines"), [("oom", 1), ("killed", 0)])
def test_a_worker_that_drains_and_is_killed_for_memory_is_named(kind: ExitKind, lines: int) -> None:
    children = serving()
    told(children, (1, ScalePool("default", 1)))
    decisions = told(children, (2, Exited(3, "was killed for memory", "limit", kind=kind)))
    sentence = "worker 2 (pid 103) of pool default was killed for memory while stopping (limit)"
    assert said(decisions) == [sentence] * lines
    assert done(decisions) == []


def test_a_stop_forgets_what_was_to_be_tried_again() -> None:
    children = serving(W1)
    told(children, (1, Exited(1, *KILLED)), (2, NotReady(2, "no")), (2, Exited(2, "x")))
    assert children.tell(StopAll(), 2.1) == [Finish(0)]
    assert children.next_tick is None
