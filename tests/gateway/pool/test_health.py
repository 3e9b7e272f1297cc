"""When a worker is late or hung, and when that is only our own lag."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.pool.health import LATE_AFTER, LONGEST_STEP, PING_EVERY, AwakeClock, Health

SWEEP = 0.25


class Watch:
    """A gateway that looks every quarter of a second at one worker."""

    def __init__(self, timeout: float = 30.0) -> None:
        self.now = 1_000.0
        self.awake = AwakeClock()
        self.awake.look(self.now)
        self.health = Health(self.awake, timeout)
        self.pings: list[int] = []

    def pass_time(self, seconds: float, *, answers: bool = False, step: float = SWEEP) -> None:
        for _ in range(round(seconds / step)):
            self.now += step
            self.awake.look(self.now)
            token = self.health.ping()
            if token is not None:
                self.pings.append(token)
                if answers:
                    self.pong()
            self.health.look()

    def pong(self, **vitals: object) -> None:
        self.awake.look(self.now)
        self.health.pong(self.pings[-1], vitals)


def test_one_ping_a_second() -> None:
    watch = Watch()
    watch.pass_time(10, answers=True)
    assert len(watch.pings) == 10
    assert watch.health.grade == "punctual"


def test_one_ping_is_outstanding_at_most() -> None:
    watch = Watch()
    watch.pass_time(20)
    assert watch.pings == [1]


def test_silence_is_late_and_then_hung_and_a_pong_heals() -> None:
    watch = Watch(timeout=5)
    watch.pass_time(SWEEP)
    assert watch.pings, "the first goes out at once"
    watch.pass_time(LATE_AFTER)
    assert watch.health.grade == "punctual"
    watch.pass_time(SWEEP)
    assert watch.health.grade == "late"
    watch.pass_time(5)
    assert watch.health.grade == "hung"
    watch.pong()
    assert watch.health.grade == "late", "it answers, but took its time"
    watch.pass_time(SWEEP)
    watch.pong()
    assert watch.health.grade == "punctual"


def test_without_a_time_out_nobody_hangs() -> None:
    watch = Watch(timeout=0)
    watch.pass_time(10_000, step=0.5)
    assert watch.health.grade == "late"


@pytest.mark.parametrize(
    ("lag", "grade"),
    [(0, "punctual"), (0.9, "punctual"), (1.1, "late"), (30, "late"), ("much", "punctual")],
)
def test_a_lag_that_the_worker_tells_counts(lag: object, grade: str) -> None:
    watch = Watch()
    watch.pass_time(PING_EVERY)
    watch.pong(lag=lag)
    assert watch.health.grade == grade


def test_a_pong_that_nobody_asked_for_says_nothing() -> None:
    watch = Watch(timeout=2)
    watch.pass_time(1)
    watch.health.pong(7, {})
    watch.health.pong(0, {})
    watch.pass_time(5)
    assert watch.health.grade == "hung"


@given(stalls=st.lists(st.floats(min_value=0, max_value=600), max_size=20))
def test_a_machine_that_stands_still_makes_nobody_late(stalls: list[float]) -> None:
    """Worker and gateway stop together, for any time, at any moment; the worker says by how much
    its loop was late, and its PONG is there as soon as we look."""
    watch = Watch(timeout=2)
    for stall in stalls:
        asked = len(watch.pings)
        watch.now += stall
        watch.pass_time(SWEEP)
        if len(watch.pings) > asked or watch.health._awaits:
            watch.pong(lag=stall)
        assert watch.health.grade == "punctual"


@given(steps=st.lists(st.floats(min_value=0.001, max_value=LONGEST_STEP), min_size=1, max_size=200))
def test_while_we_are_awake_time_is_time(steps: list[float]) -> None:
    """Whatever the pace at which we look: hung exactly when the time-out has passed since PING."""
    watch = Watch(timeout=3)
    watch.pass_time(SWEEP)
    assert watch.pings
    passed = 0.0
    for step in steps:
        passed += step
        watch.now += step
        watch.awake.look(watch.now)
        watch.health.look()
        if abs(passed - 3) > 0.001:
            assert (watch.health.grade == "hung") == (passed > 3)
