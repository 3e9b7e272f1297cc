"""UUIDs of version 7: as the standard library reads them, rising, and without two alike."""

import itertools
import os
import uuid

from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.http.uuid7 import Uuid7


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def test_what_it_is() -> None:
    clock = Clock()
    made = Uuid7(clock, os.urandom).make()
    read = uuid.UUID(made)
    assert str(read) == made
    assert (read.version, read.variant) == (7, uuid.RFC_4122)
    assert read.int >> 80 == 1_700_000_000_000


@given(st.lists(st.sampled_from([0.0, 0.0, 0.0002, 0.001, 0.5, -0.4, -3_600.0]), max_size=300))
def test_they_rise_whatever_the_clock_does(steps: list[float]) -> None:
    clock = Clock()
    uuids = Uuid7(clock, os.urandom)
    made = [uuids.make()]
    for step in steps:
        clock.now += step
        made.append(uuids.make())
    assert all(one < other for one, other in itertools.pairwise(made))


def test_more_than_a_millisecond_holds() -> None:
    """The time runs ahead, and catches up."""
    clock = Clock()
    uuids = Uuid7(clock, os.urandom)
    made = [uuids.make() for _ in range(20_000)]
    assert made == sorted(set(made))
    ahead = (uuid.UUID(made[-1]).int >> 80) - 1_700_000_000_000
    assert 4 <= ahead <= 10
    clock.now += 1.0
    assert uuid.UUID(uuids.make()).int >> 80 == 1_700_000_001_000


def test_two_processes_make_no_two_alike() -> None:
    clock = Clock()
    one, other = Uuid7(clock, os.urandom), Uuid7(clock, os.urandom)
    both = {each.make() for each in (one, other) for _ in range(2_000)}
    assert len(both) == 4_000
    assert len({made[19:] for made in both}) == 2, "60 bits of it are a process's own"


def test_the_system_is_asked_for_randomness_once_in_hundreds() -> None:
    asked: list[int] = []

    def random_bytes(count: int) -> bytes:
        asked.append(count)
        return os.urandom(count)

    clock = Clock()
    uuids = Uuid7(clock, random_bytes)
    made = set()
    for _ in range(400):
        clock.now += 0.0015
        made.add(uuids.make()[19:])
    assert len(asked) == 1
    assert len(made) == 400, "each millisecond has random digits of its own"
