"""The ramp of a fresh worker's weight, alone and in a pool."""

import pytest
from propylon.gateway.pool.slow_start import ramp

from .linked import LinkedMember, pool, submit


@pytest.mark.parametrize(
    ("age", "seconds", "part"),
    [
        (0.0, 0.0, 1.0),
        (0.0, 10.0, 0.1),
        (0.99, 10.0, 0.1),
        (2.0, 10.0, 0.2),
        (9.99, 10.0, 0.9),
        (10.0, 10.0, 1.0),
        (99.0, 10.0, 1.0),
    ],
)
def test_the_ramp(age: float, seconds: float, part: float) -> None:
    assert ramp(age, seconds) == part


def test_a_fresh_worker_comes_to_its_share_by_and_by() -> None:
    p = pool(slow_start=10.0)
    p.sweep(100.0)
    old = LinkedMember(p, slots=999)
    p.sweep(120.0)
    for _ in range(20):
        submit(p)
    fresh = LinkedMember(p, slots=999)
    assert old.weight == 1.0
    runs: list[int] = []
    for now in (120.0, 122.0, 125.0, 130.0):
        p.sweep(now)
        for _ in range(20):
            submit(p)
        runs.append(fresh.running)
        assert fresh.running <= fresh.weight * old.running + 1
    assert runs[0] == 4, "a tenth of forty"
    assert runs == sorted(runs)
    assert runs[-1] > 40, "now it is the least loaded"
    assert fresh.weight == 1.0


def test_one_that_hung_is_fresh_again() -> None:
    p = pool(slow_start=10.0)
    p.sweep(100.0)
    one, two = LinkedMember(p, slots=9), LinkedMember(p, slots=9)
    p.sweep(110.0)
    assert one.weight == two.weight == 1.0
    one.graded("hung")
    one.graded("punctual")
    assert one.weight == 0.1
    p.sweep(120.0)
    assert one.weight == 1.0


def test_without_it_a_fresh_worker_is_the_least_loaded() -> None:
    p = pool()
    p.sweep(100.0)
    LinkedMember(p, slots=99)
    for _ in range(5):
        submit(p)
    fresh = LinkedMember(p, slots=99)
    for _ in range(5):
        submit(p)
    assert fresh.running == 5


def test_weights_of_workers_from_elsewhere() -> None:
    p = pool()
    big, small = LinkedMember(p, slots=99), LinkedMember(p, slots=99)
    big.who["weight"] = 3
    small.who["weight"] = "heavy"  # of whatever version it is
    p.changed()
    for _ in range(40):
        submit(p)
    assert (big.running, small.running) == (30, 10)


@pytest.mark.parametrize("said", [None, 0, -1, 101, 2**70, 1.5, True, "7", [3]])
def test_a_weight_that_is_none_is_one(said: object) -> None:
    member = LinkedMember(pool())
    member.who["weight"] = said
    assert member.share == 1.0
