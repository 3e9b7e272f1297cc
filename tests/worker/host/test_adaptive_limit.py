"""The rule of --limit-concurrency auto, as a table. `tests/simulations` has it in whole workers."""

from math import sqrt

import pytest
from propylon.worker.host.adaptive_limit import (
    FIRST_LIMIT,
    LATENCY_PERIODS,
    LEAST_LIMIT,
    PROBE_AFTER,
    PROBE_MOST,
    AdaptiveLimit,
)


class Clock:
    """Tells a limit of ten looks a second, all alike."""

    def __init__(self, limit: AdaptiveLimit) -> None:
        self.limit = limit
        self.now = 1_000.0
        limit.look(self.now, 0, 0.0)

    def seconds(self, count: int, waiting: int, lag: float = 0.0, latency: float = 0.0) -> int:
        """With so many calls that wait. Each takes `latency`; 0.0: none has ended."""
        for _ in range(10 * count):
            for _ in range(round(waiting * 0.1 / latency) if latency else 0):
                self.limit.responded(self.now - latency)
            self.now += 0.1
            self.limit.look(self.now + 1e-9, waiting, lag)
        return self.limit.limit


def test_it_is_doubled_while_it_is_used_and_no_sign_was_seen() -> None:
    limit = AdaptiveLimit(10_000)
    clock = Clock(limit)
    assert limit.limit == FIRST_LIMIT
    assert clock.seconds(3, FIRST_LIMIT // 2 - 1) == FIRST_LIMIT
    assert (limit.verdict, limit.is_sought) == ("stays", False)
    assert clock.seconds(1, 16) == 64
    assert limit.is_sought
    assert clock.seconds(2, 100) == 256
    assert clock.seconds(20, 10_000) == 10_000
    assert not limit.is_sought


def test_behind_a_sign_it_grows_by_its_square_root_and_then_faster() -> None:
    limit = AdaptiveLimit(10_000, first=100)
    clock = Clock(limit)
    assert [clock.seconds(1, 100) for _ in range(5)] == [110, 120, 131, 142, 166]
    assert (limit.verdict, limit.is_sought) == ("grows", True)


@pytest.mark.parametrize(
    ("waiting", "lag", "after"),
    [
        (100, 0.11, 90),
        (100, 0.2, 71),
        (100, 9.0, 50),
        (20, 9.0, 50),
        (0, 9.0, 100),
        (100, 0.09, 110),
    ],
)
def test_a_late_loop_makes_it_fall(waiting: int, lag: float, after: int) -> None:
    assert Clock(AdaptiveLimit(1_000, first=100)).seconds(1, waiting, lag) == after


def test_a_limit_that_nobody_has_reached_comes_down_from_what_was_seen_at_the_second_sign() -> None:
    clock = Clock(AdaptiveLimit(10_000, first=5_000))
    assert clock.seconds(1, 100, 0.4) == 2_500
    assert clock.seconds(1, 100, 0.4) == 50
    assert clock.limit.why == "its event loop was late by 0.40 s"


def test_one_call_that_blocks_an_idle_loop_is_no_sign() -> None:
    clock = Clock(AdaptiveLimit(1_000, first=100))
    clock.limit.look(clock.now + 0.01, 80, 8.0)
    assert clock.seconds(1, 80) == 110


def test_it_stays_within_its_bounds() -> None:
    clock = Clock(AdaptiveLimit(40))
    assert clock.seconds(20, 40) == 40
    assert clock.seconds(20, 40, 9.0) == LEAST_LIMIT
    assert AdaptiveLimit(2).limit == 2


def begin(floor: float = 0.1) -> Clock:
    """A limit of 100 whose floor is known."""
    clock = Clock(AdaptiveLimit(1_000, first=100))
    assert clock.seconds(LATENCY_PERIODS, 40, latency=floor) == 100
    return clock


def test_latency_far_above_the_floor_makes_it_fall_in_proportion() -> None:
    clock = begin()
    assert clock.seconds(LATENCY_PERIODS, 99, latency=0.25) == 79
    assert clock.limit.verdict == "latency"
    assert clock.seconds(1, 79, latency=0.25) == 79, "a cut has to be felt before the next"


def test_twice_the_floor_is_no_crowd_nor_is_little_more_of_a_fast_call() -> None:
    assert begin().seconds(LATENCY_PERIODS, 99, latency=0.2) > 100
    clock = Clock(AdaptiveLimit(1_000, first=100))
    clock.seconds(LATENCY_PERIODS, 40, latency=0.01)
    assert clock.seconds(LATENCY_PERIODS, 99, latency=0.05) > 100


def test_latency_of_a_limit_that_is_not_used_is_no_sign() -> None:
    assert begin().seconds(10, 40, latency=3.0) == 100


def test_a_probe_proves_the_crowd_and_goes_on_from_where_it_was() -> None:
    clock = begin()
    assert clock.seconds(LATENCY_PERIODS, 99, latency=0.9) == 14
    assert (clock.limit.verdict, clock.limit.is_sought) == ("probes", True)
    assert clock.seconds(1, 12, latency=0.1) == 14, "it clears"
    assert clock.seconds(LATENCY_PERIODS, 12, latency=0.1) == 55
    assert clock.limit.verdict == "latency"


def test_a_probe_without_a_difference_restores_the_limit() -> None:
    clock = begin()
    clock.seconds(LATENCY_PERIODS, 99, latency=0.9)
    assert clock.seconds(1 + LATENCY_PERIODS, 12, latency=0.9) == 110
    assert clock.limit.verdict == "restores"
    assert clock.limit.why == "with fewer calls at once it was not faster"
    assert clock.seconds(4, 100, latency=0.9) > 110, "that is the floor now"


def test_a_probe_waits_until_the_crowd_has_left_and_does_not_wait_for_ever() -> None:
    clock = begin()
    clock.seconds(LATENCY_PERIODS, 99, latency=0.9)
    for crowd in (70, 50, 36, 26, 14, 14, 14):
        assert clock.seconds(1, crowd) == 14, "nothing that has begun since then has ended"
    assert clock.seconds(1, 14) == 110
    assert clock.limit.verdict == "restores"


def test_calls_that_do_not_leave_are_no_crowd_and_come_on_top_of_a_probe() -> None:
    clock = begin()
    assert clock.seconds(LATENCY_PERIODS, 99, latency=0.9) == 14
    assert clock.seconds(1, 90) == round(90 + sqrt(90) + LEAST_LIMIT)
    assert clock.seconds(LATENCY_PERIODS, 93, latency=0.1) == round(90 + sqrt(90) + 9 / 2)
    assert clock.limit.verdict == "latency"


def test_calls_that_idle_after_a_cut_are_the_occasion_of_a_probe() -> None:
    clock = begin()
    assert clock.seconds(LATENCY_PERIODS, 99, latency=0.25) == 79
    assert clock.seconds(1, 88) == round(88 + sqrt(88) + LEAST_LIMIT)
    assert clock.limit.verdict == "probes"


def test_calls_that_idle_while_the_loop_is_punctual_again_come_on_top_of_a_cut() -> None:
    clock = Clock(AdaptiveLimit(1_000, first=100))
    assert clock.seconds(1, 100, 0.4) == 50
    assert clock.seconds(1, 64, 0.05) == 50, "it is still late"
    assert clock.seconds(1, 64) == 64 + 8 + 18
    assert clock.limit.verdict == "lag"


def test_calls_that_outlast_a_probe_say_nothing() -> None:
    clock = begin()
    assert clock.seconds(2 * LATENCY_PERIODS, 99, latency=PROBE_MOST + 1.0) > 100


def test_a_floor_is_measured_again_after_a_while() -> None:
    clock = begin()
    verdicts = set[str]()
    for second in range(PROBE_AFTER + 10):
        crowd = clock.limit.limit
        clock.seconds(1, crowd, latency=max(0.1, crowd / 450))
        verdicts.add(clock.limit.verdict)
        assert second > 40 or "probes" not in verdicts
    assert "probes" in verdicts


def test_what_few_calls_take_is_not_believed() -> None:
    clock = begin()
    clock.limit.responded(clock.now - 50.0)
    assert clock.seconds(LATENCY_PERIODS, 60) > 100
