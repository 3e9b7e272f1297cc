from itertools import pairwise

import pytest
from propylon.worker.wsgi.leader_policy import (
    LONGEST,
    SAMPLE,
    SHORTEST,
    TOLERANCE,
    WORTH_IT,
    LeaderPolicy,
    better_in_parallel,
)


def test_it_is_tried_at_once() -> None:
    assert LeaderPolicy().may_promote(100.0)


def test_failures_in_a_row_are_farther_and_farther_apart() -> None:
    policy, now, pauses = LeaderPolicy(), 100.0, []
    policy.failed(now)
    for _ in range(10):
        began = now
        while not policy.may_promote(now):
            now += SHORTEST / 4
            assert now - began <= LONGEST + SHORTEST
        pauses.append(now - began)
        policy.failed(now)
    assert pauses[0] == pytest.approx(SHORTEST, rel=0.3)
    assert all(later >= earlier for earlier, later in pairwise(pauses))
    assert pauses[-1] == pytest.approx(LONGEST, rel=0.01)


def test_a_failure_after_a_good_time_costs_the_shortest_pause() -> None:
    policy, now = LeaderPolicy(), 100.0
    for _ in range(10):
        policy.failed(now)
        now += LONGEST
    policy.failed(now + WORTH_IT)
    assert policy.may_promote(now + WORTH_IT + SHORTEST)


@pytest.mark.parametrize(
    ("computed", "waited", "parallel"),
    [
        (SAMPLE * 0.000_3, 0.0, False),
        (SAMPLE * 0.000_3, SAMPLE * TOLERANCE, False),
        (SAMPLE * 0.000_3, SAMPLE * 0.000_5, True),  # a database close by
        (SAMPLE * 0.000_8, SAMPLE * 0.000_2, False),  # other threads had the interpreter
        (SAMPLE * 0.000_02, SAMPLE * 0.000_2, True),
        (0.0, -0.001, False),  # clocks differ
    ],
)
def test_what_is_better_in_parallel(computed: float, waited: float, parallel: bool) -> None:
    assert better_in_parallel(SAMPLE, computed, waited) is parallel
