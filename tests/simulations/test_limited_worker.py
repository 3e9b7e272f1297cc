"""The adaptive limit in simulated workers: overloaded, with steps in between, and with apps that
give wrong signs."""

import random
from collections.abc import Sequence

import pytest
from propylon.worker.host.adaptive_limit import FIRST_LIMIT

from .limited_worker import LimitedWorker, Scenario, Second, Step


def mean(rng: random.Random, seconds: float) -> float:
    return rng.expovariate(1 / seconds)


def done(seconds: Sequence[Second]) -> float:
    """Calls done a second."""
    return sum(one.done for one in seconds) / len(seconds)


def limits(seconds: Sequence[Second]) -> list[int]:
    return sorted(one.limit for one in seconds)


def median(values: list[int]) -> int:
    return values[len(values) // 2]


@pytest.mark.parametrize(
    ("waits", "computes", "low", "high"), [(0.0, 0.01, 4, 25), (0.2, 0.004, 50, 150)]
)
def test_overload_finds_the_number_that_fills_the_loop(
    waits: float, computes: float, low: int, high: int
) -> None:
    def steps(at: float, rng: random.Random) -> list[Step]:
        half = mean(rng, computes / 2)
        return [("computes", half), ("waits", mean(rng, waits) if waits else 0), ("computes", half)]

    seconds = LimitedWorker(Scenario(rate=lambda _: 2.5 / computes, steps=steps)).run(90)
    assert done(seconds[30:]) >= 0.93 / computes, "of what the loop could do at most"
    assert low <= median(limits(seconds[30:])) <= high


def behind(at: float, rng: random.Random) -> list[Step]:
    return [("computes", 0.0005), ("behind", mean(rng, 0.1)), ("computes", 0.0005)]


def test_a_bottleneck_behind_the_app_is_found_by_latency_and_followed_down_and_up() -> None:
    places = (20, 5, 20)
    scenario = Scenario(
        rate=lambda _: 300, steps=behind, behind=lambda at: places[min(int(at // 90), 2)]
    )
    seconds = LimitedWorker(scenario).run(270)
    for number, most in enumerate(places):
        part = seconds[90 * number + 45 : 90 * number + 90]
        assert done(part) >= 0.85 * most / 0.1
        assert most / 2 <= median(limits(part)) <= 4 * most, number


@pytest.mark.parametrize("gateways", [1, 3, 4, 8])
def test_gateways_that_share_the_limit_find_the_same_bottleneck(gateways: int) -> None:
    scenario = Scenario(rate=lambda _: 100, steps=behind, behind=lambda _: 5, gateways=gateways)
    seconds = LimitedWorker(scenario).run(120)
    assert done(seconds[40:]) >= 0.9 * 5 / 0.1
    assert 4 <= median(limits(seconds[40:])) <= 40
    assert limits(seconds[40:])[-1] <= 120, "it never runs away"


@pytest.mark.parametrize(
    ("polls", "lasts", "gateways"), [(150, 20.0, 1), (150, 10.0, 1), (50, 20.0, 4)]
)
def test_calls_that_wait_for_news_shut_nothing_out_for_long(
    polls: int, lasts: float, gateways: int
) -> None:
    """Long polling beside short requests: a poll is answered at its end, or when there is news."""

    def steps(at: float, rng: random.Random) -> list[Step]:
        if rng.random() < polls / lasts / (polls / lasts + 40):
            return [("waits", min(mean(rng, lasts), 25.0))]
        return [("computes", 0.001), ("waits", mean(rng, 0.03))]

    rate = polls / lasts + 40
    scenario = Scenario(rate=lambda _: rate, steps=steps, patience=60.0, gateways=gateways)
    waited = [one.waited for seed in (1, 2) for one in LimitedWorker(scenario, seed).run(120)]
    assert max(waited) <= 2.5
    assert sum(each > 0.1 for each in waited) <= 24, "and that seldom"


def test_other_calls_that_take_longer_do_not_hold_the_limit_down() -> None:
    def steps(at: float, rng: random.Random) -> list[Step]:
        return [("computes", 0.0003), ("waits", 0.005 if at < 20 else 0.3)]

    seconds = LimitedWorker(Scenario(rate=lambda at: 50 if at < 20 else 300, steps=steps)).run(80)
    assert done(seconds[50:]) >= 0.95 * 300
    assert limits(seconds[50:])[0] > 90


def test_a_few_slow_calls_among_fast_ones_are_no_crowd() -> None:
    def steps(at: float, rng: random.Random) -> list[Step]:
        return [("computes", 0.0005), ("waits", 3.0 if rng.random() < 0.05 else 0.05)]

    seconds = LimitedWorker(Scenario(rate=lambda _: 200, steps=steps)).run(120)
    assert done(seconds[20:]) >= 0.95 * 200


def test_calls_that_block_the_loop_leave_it_busy_all_the_same() -> None:
    def steps(at: float, rng: random.Random) -> list[Step]:
        return [("computes", 0.2 if rng.random() < 0.05 else 0.001), ("waits", 0.05)]

    seconds = LimitedWorker(Scenario(rate=lambda _: 140, steps=steps)).run(300)
    assert sum(one.busy for one in seconds[20:]) / 280 >= 0.7


def test_a_worker_that_is_not_busy_keeps_its_limit() -> None:
    def steps(at: float, rng: random.Random) -> list[Step]:
        return [("computes", 0.001), ("waits", mean(rng, 0.05))]

    seconds = LimitedWorker(Scenario(rate=lambda _: 60, steps=steps)).run(120)
    assert set(limits(seconds)) == {FIRST_LIMIT}
