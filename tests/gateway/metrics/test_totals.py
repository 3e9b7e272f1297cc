import math
from itertools import permutations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)
from propylon.gateway.json_texts import decode, encode
from propylon.gateway.metrics.families import Family
from propylon.gateway.metrics.totals import MOST_SERIES, Totals, exact

COUNT = Family("x_total", "counter", "Things.", ("pool",))
TIME = Family("t_seconds", "histogram", "Times.", ("pool",), (1.0, 2.0))
NOW = Family("n", "gauge", "Present.", ("pool",))
WORST = Family("w", "gauge", "The worst.", (), merge="max")
TABLE = {family.name: family for family in (COUNT, TIME, NOW, WORST)}


def totals() -> Totals:
    return Totals(TABLE)


def wire(count: float, *, now: float = 0, times=(0.5, 1, 0, 0), worst: float = 0):
    return {
        "x_total": [[["a"], count]],
        "t_seconds": [[["a"], list(times)]],
        "n": [[["a"], now]],
        "w": [[[], worst]],
    }


def test_processes_are_added_up_by_family() -> None:
    of = totals()
    assert of.take(1, wire(3, now=2, times=(4.5, 1, 2, 0), worst=7)) == []
    assert of.take(2, wire(4, now=5, times=(0.5, 1, 0, 0), worst=6)) == []
    assert of.total() == {
        "x_total": {("a",): 7},
        "t_seconds": {("a",): [5.0, 2, 2, 0]},
        "n": {("a",): 7},
        "w": {(): 7},
    }
    assert {name: of.series(family) for name, family in TABLE.items()} == of.total()


def test_a_later_snapshot_takes_the_place_of_the_earlier_one() -> None:
    of = totals()
    of.take(1, wire(3, now=9))
    of.take(1, wire(5, now=1))
    assert (of.total()["x_total"], of.total()["n"]) == ({("a",): 5}, {("a",): 1})


def test_what_an_ended_process_has_counted_stays_and_its_gauges_go() -> None:
    of = totals()
    of.take(1, wire(3, now=2, worst=1))
    of.take(2, wire(1))
    of.end(1)
    of.end(2)
    of.end(3)  # it has never said anything
    assert of.total() == {"x_total": {("a",): 4}, "t_seconds": {("a",): [1.0, 2, 0, 0]}}


def test_what_falls_within_a_process_is_not_believed() -> None:
    of = totals()
    of.take(1, wire(5, times=(4.0, 3, 1, 0)))
    of.take(1, {"x_total": [[["b"], 1]], "t_seconds": [[["a"], [3.0, 4, 0, 0]]]})
    assert of.total() == {
        "x_total": {("a",): 5, ("b",): 1},
        "t_seconds": {("a",): [4.0, 4, 1, 0]},
    }


def test_an_upgrade_hands_everything_over_once() -> None:
    before = totals()
    before.take(1, wire(3, now=2))
    before.end(1)
    before.take(2, wire(4, now=5))
    ended, last = before.save()
    after = totals()
    assert after.restore(*decode(encode([ended, last]), tuple[dict, dict[int, dict]])) == []
    assert after.total() == before.total()
    after.take(2, wire(6, now=1))
    after.end(2)
    assert after.total()["x_total"] == {("a",): 9}


def test_the_total_is_not_what_is_kept() -> None:
    of = totals()
    of.take(1, wire(1))
    of.end(1)
    for series in of.total().values():
        series.clear()
    of.total()["t_seconds"]["a",].append(1)  # type: ignore[union-attr]
    assert of.total()["t_seconds"] == {("a",): [0.5, 1, 0, 0]}


MALFORMED = [
    (None, "it is no snapshot"),
    ([], "it is no snapshot"),
    ({"y_total": [[[], 1]]}, "there is no family 'y_total' in this version"),
    ({7: []}, "there is no family '7' in this version"),
    ({"x_total": 5}, "x_total has no list of series, or too long a one"),
    ({"x_total": {"a": 5}}, "x_total has no list of series, or too long a one"),
    ({"x_total": [None] * (MOST_SERIES + 1)}, "x_total has no list of series, or too long a one"),
    *(
        ({"x_total": [pair]}, "x_total has series that do not fit it")
        for pair in (
            None, 5, [], [["a"]], [["a"], 1, 1], ["a", 1], [[], 1], [["a", "b"], 1], [[1], 1],
            [["a"], "1"], [["a"], None], [["a"], True], [["a"], -1], [["a"], math.nan],
            [["a"], math.inf], [["a"], [1, 1, 0, 0]], [["a"], 10**400],
        )
    ),
    *(
        ({"t_seconds": [[["a"], value]]}, "t_seconds has series that do not fit it")
        for value in (1, [], [1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 1, None], [1, 1, 1, -1])
    ),
]  # fmt: skip


@pytest.mark.parametrize(("said", "fault"), MALFORMED)
def test_what_does_not_fit_is_left_out_and_named(said: object, fault: str) -> None:
    of = totals()
    of.take(1, wire(2))
    assert of.take(1, said) == [fault]
    assert of.total()["x_total"] == {("a",): 2}


def test_the_rest_of_a_malformed_snapshot_counts() -> None:
    of = totals()
    assert len(of.take(1, {"gone": [], "x_total": [[["a"], 2], [["a"], "b"], [["c"], 1]]})) == 2
    assert of.total() == {"x_total": {("a",): 2, ("c",): 1}}


def test_a_gauge_may_be_negative() -> None:
    of = totals()
    assert of.take(1, {"n": [[["a"], -2.5]]}) == []
    assert of.total() == {"n": {("a",): -2.5}}


def test_a_sum_does_not_depend_on_who_has_ended_first() -> None:
    """As it would if 0.1 + 0.7 + 0.3 were added up as they are."""
    sums: set[float] = set()
    for order in permutations((1, 2, 3)):
        of = totals()
        for process, seconds in enumerate((0.1, 0.7, 0.3), 1):
            of.take(process, {"x_total": [[["a"], seconds]]})
        for process in order:
            of.end(process)
            sums.add(of.total()["x_total"]["a",])  # type: ignore[arg-type]
    assert len(sums) == 1
    assert sums.pop() == pytest.approx(1.1, abs=1e-4)


@pytest.mark.parametrize("number", [0, 7, 2**80, 1e300, 0.5, 2.0**53])
def test_what_is_exact_stays_as_it_is(number: float) -> None:
    assert (exact(number), type(exact(number))) == (number, type(number))


class Counting:
    """A process that counts, as far as a test needs it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.count = 0
        self.times = [0.0, 0, 0, 0]

    def does(self, bucket: int, seconds: float) -> None:
        self.count += 1
        self.times[bucket] += 1
        self.times[0] += seconds

    def wire(self):
        return wire(self.count, now=self.number, times=self.times)


class LifeOfCounters(RuleBasedStateMachine):
    """Whatever happens to processes, no sum falls, and what was last heard of each counts once."""

    processes = Bundle("processes")

    def __init__(self) -> None:
        super().__init__()
        self.of = totals()
        self.begun = 0
        self.heard: dict[int, int] = {}
        self.alive: set[int] = set()
        self.shown = 0.0
        self.buckets = [0.0] * 4

    @rule(target=processes)
    def begins(self):
        self.begun += 1
        self.alive.add(self.begun)
        return Counting(self.begun)

    @rule(
        process=processes,
        done=st.lists(st.tuples(st.integers(1, 3), st.floats(0.0, 100.0)), max_size=4),
    )
    def counts(self, process: Counting, done: list[tuple[int, float]]) -> None:
        for bucket, seconds in done:
            process.does(bucket, seconds)

    @rule(process=processes)
    def reports(self, process: Counting) -> None:
        assert not self.of.take(process.number, decode(encode(process.wire()), dict))
        self.heard[process.number] = process.count

    @rule(target=processes, process=consumes(processes), last_word=st.booleans())
    def ends(self, process: Counting, last_word: bool):
        if last_word:  # else it was killed
            self.reports(process)
        self.of.end(process.number)
        self.alive.discard(process.number)
        return multiple()

    @rule()
    def upgrades(self) -> None:
        ended, last = decode(encode(self.of.save()), tuple[dict, dict[int, dict]])
        self.of = totals()
        assert not self.of.restore(ended, last)

    @invariant()
    def nothing_falls(self) -> None:
        total = self.of.total()
        shown = total.get("x_total", {}).get(("a",), 0)
        buckets = total.get("t_seconds", {}).get(("a",), [0.0] * 4)
        assert isinstance(shown, int | float)
        assert isinstance(buckets, list)
        assert shown >= self.shown
        assert all(new >= old for new, old in zip(buckets, self.buckets, strict=True))
        assert shown == sum(self.heard.values()) == sum(buckets[1:])
        gauge = sum(number for number in self.alive if number in self.heard)
        assert total.get("n", {}).get(("a",), 0) == gauge
        self.shown, self.buckets = shown, buckets


TestLifeOfCounters = LifeOfCounters.TestCase
