import json
from math import nan

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from propylon.gateway.metrics.app_merge import AWAY_FOR, MOST_SHOWN, AppMerge

from .app_processes import Family, Instance, counter, gauge, histogram


def never(child: int) -> bool:
    return False


def test_counters_are_summed_and_stay_when_a_worker_goes() -> None:
    one = Instance()
    a, b = one.comes(1), one.comes(2)
    one.says(a, counter("x", 3, "path", "/"))
    one.says(b, counter("x", 4, "path", "/"), counter("y", 1))
    assert one.series() == {"x_total{path=/}": 7, "y_total": 1}
    one.ends(b)
    assert one.series() == {"x_total{path=/}": 7, "y_total": 1}
    one.says(one.comes(2), counter("x", 1, "path", "/"))
    assert one.series() == {"x_total{path=/}": 8, "y_total": 1}


def test_a_worker_that_is_away_counts_once() -> None:
    """Its connection has ended, and it dials again: so it is when the supervisor's code is
    replaced."""
    one = Instance()
    worker = one.comes()
    one.says(worker, counter("x", 5), gauge("g", 1))
    worker.went(1, now=0.0)
    assert one.series() == {"x_total": 5}
    one.says(one.again(worker.who), counter("x", 6), gauge("g", 1))
    assert one.series() == {"x_total": 6, "g{worker=1}": 1}
    worker.went(1, now=0.0)  # the first connection's end, heard late
    assert "g{worker=1}" in one.series()


def test_a_worker_that_stays_away_is_forgotten_and_its_counts_are_not() -> None:
    one = Instance()
    mine, other = one.comes(1, child=1 << 40), one.comes(1, child=7)
    for worker in (mine, other):
        one.says(worker, counter("x", 5))
        worker.went(1, now=10.0)
    one.merge.expire(10.0 + AWAY_FOR, lambda child: child == 7)
    pool = one.merge.pool("default")
    assert pool.children(7)
    assert not pool.children(1 << 40)
    assert one.series() == {"x_total": 10}


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        ([counter("x", 5)], [counter("x", 2)], {"x_total": 7}),
        ([counter("x", 5)], [], {"x_total": 5}),
        (
            [counter("x", 5, "u", "a")],
            [counter("x", 2, "u", "b")],
            {"x_total{u=a}": 5, "x_total{u=b}": 2},
        ),
        (
            [("s", "summary", "", {("_count",): 2, ("_sum",): 5})],
            [("s", "summary", "", {("_count",): 3, ("_sum",): -1})],
            {"s_count": 3, "s_sum": -1},
        ),
        (
            [("s", "summary", "", {("_count",): 2, ("_sum",): 5})],
            [("s", "summary", "", {("_count",): 1, ("_sum",): 7})],
            {"s_count": 3, "s_sum": 12},
        ),
        (
            [histogram("h", {"1": 4, "+Inf": 5}, 9)],
            [histogram("h", {"1": 1, "+Inf": 1}, 1)],
            {"h_bucket{le=1}": 5, "h_bucket{le=+Inf}": 6, "h_count": 6, "h_sum": 10},
        ),
    ],
    ids=["reset", "family removed", "series removed", "negative", "summary reset", "histogram"],
)
def test_a_process_that_counts_anew(
    before: list[Family], after: list[Family], shown: dict[str, float]
) -> None:
    """Whether it has the same series, or others besides, which are read in another way."""
    for more in ((), (counter("more", 1),)):
        one = Instance()
        worker = one.comes()
        one.says(worker, *before)
        one.says(worker, *after, *more)
        assert one.series() == shown | ({"more_total": 1} if more else {})


def test_a_series_that_comes_back_with_its_value_counts_once() -> None:
    one = Instance()
    worker = one.comes()
    one.says(worker, counter("x", 5))
    one.says(worker)
    one.says(worker, counter("x", 6))
    assert one.series() == {"x_total": 6}
    one.says(worker)
    one.says(worker, counter("x", 2))
    assert one.series() == {"x_total": 8}


def test_histograms_of_other_bounds_never_fall_from_one_bucket_to_the_next() -> None:
    one = Instance()
    old, new = one.comes(1), one.comes(2)
    one.says(old, histogram("h", {"1": 10, "5": 12, "+Inf": 12}, 20))
    one.says(new, histogram("h", {"2": 3, "5": 4, "+Inf": 6}, 30))
    assert one.series() == {
        "h_bucket{le=1}": 10,
        "h_bucket{le=2}": 13,
        "h_bucket{le=5}": 16,
        "h_bucket{le=+Inf}": 18,
        "h_count": 18,
        "h_sum": 50,
    }


@pytest.mark.parametrize(
    ("mode", "shown"),
    [
        ("sum", {"g": 6}),
        ("livesum", {"g": 6}),
        ("max", {"g": 4}),
        ("livemax", {"g": 4}),
        ("min", {"g": 2}),
        ("livemin", {"g": 2}),
        ("mostrecent", {"g": 4}),
        ("livemostrecent", {"g": 4}),
        ("all", {"g{worker=1}": 2, "g{worker=2}": 4}),
        ("liveall", {"g{worker=1}": 2, "g{worker=2}": 4}),
        ("", {"g{worker=1}": 2, "g{worker=2}": 4}),
    ],
)
def test_gauges_are_merged_as_the_app_says(mode: str, shown: dict[str, float]) -> None:
    one = Instance()
    gone = one.comes(3)
    one.says(gone, gauge("g", 100, mode))
    one.ends(gone)
    one.says(one.comes(1), gauge("g", 2, mode), now=1)
    one.says(one.comes(2), gauge("g", 4, mode), now=2)
    assert one.series() == shown


def test_the_most_recent_is_what_was_set_last() -> None:
    one = Instance()
    a, b = one.comes(1), one.comes(2)
    one.says(a, gauge("g", 2, "mostrecent"), now=1)
    one.says(b, gauge("g", 0, "mostrecent"), now=2)  # it was never set there
    assert one.series() == {"g": 2}
    one.says(b, gauge("g", 7, "mostrecent"), now=3)
    assert one.series() == {"g": 7}
    one.says(a, gauge("g", 3, "mostrecent"), now=4)
    one.says(b, gauge("g", 7, "mostrecent"), now=5)
    assert one.series() == {"g": 3}


def test_nan_is_no_minimum_and_no_maximum() -> None:
    for mode in ("min", "max"):
        one = Instance()
        for number, value in enumerate((nan, 3.0, nan)):
            one.says(one.comes(number), gauge("g", value, mode))
        assert one.series() == {"g": 3}


def test_infos_are_said_once_and_states_by_each_worker() -> None:
    one = Instance()
    info = ("i", "info", "", {("_info", "version", "1"): 1.0})
    state = ("s", "stateset", "", {("", "s", "up"): 1.0, ("", "s", "down"): 0.0})
    for number in (1, 2):
        one.says(one.comes(number), info, state)
    assert one.series() == {
        "i_info{version=1}": 1,
        "s{s=up,worker=1}": 1,
        "s{s=down,worker=1}": 0,
        "s{s=up,worker=2}": 1,
        "s{s=down,worker=2}": 0,
    }


def test_two_processes_with_one_number_are_two() -> None:
    """During a reload. The younger has the name; both count."""
    one = Instance()
    new, old = one.comes(1, child=5_001), one.comes(1, child=5_000)
    for worker, value in ((new, 1), (old, 2)):
        one.says(worker, counter("x", value), gauge("g", value), gauge("s", value, "sum"))
    assert one.series() == {"x_total": 3, "g{worker=1}": 1, "s": 3}
    one.ends(new)
    assert one.series() == {"x_total": 3, "g{worker=1}": 2, "s": 2}


def test_workers_of_two_supervisors_have_two_names() -> None:
    one = Instance()
    here, there = one.comes(1, child=1 << 30), one.comes(1, child=1 << 50)
    by_hand = [one.comes(1, child=0), one.comes(1, child=0)]
    for number, worker in enumerate([here, there, *by_hand]):
        one.says(worker, gauge("g", number))
    shown = {"g{worker=1}": 0, "g{worker=1.2}": 1, "g{worker=1.3}": 2, "g{worker=1.4}": 3}
    assert one.series() == shown
    one.ends(here)
    assert "g{worker=1}" not in one.series()
    one.says(one.comes(1, child=(1 << 50) + 1), gauge("g", 9))
    assert one.series()["g{worker=1.2}"] == 9


def test_pools_are_told_apart() -> None:
    one = Instance()
    one.says(one.comes(1, "a"), counter("x", 1))
    one.says(one.comes(1, "b"), counter("x", 2))
    assert one.series() == {"x_total{pool=a}": 1, "x_total{pool=b}": 2}
    (family,) = [f for f in one.merge.families(0.0) if f.name == "x"]
    assert (family.kind, family.help) == ("counter", "help of x")


@pytest.mark.parametrize("pools", [("a", "b"), ("a", "a")], ids=["pools", "workers"])
@pytest.mark.parametrize(
    ("second", "name"),
    [(gauge("x", 9), "x"), (gauge("x_total", 9), "x_total")],
    ids=["family", "sample"],
)
def test_of_two_types_the_first_is_shown(pools: tuple[str, str], second: Family, name: str) -> None:
    one = Instance()
    first = one.comes(1, pools[0])
    one.says(first, counter("x", 1))
    one.says(one.comes(2, pools[1]), second, counter("y", 5))
    assert one.series() == {"x_total{pool=a}": 1, f"y_total{{pool={pools[1]}}}": 5}
    assert [(pool, why) for pool, why, _ in one.merge.faults()] == [(pools[1], "other_type")]
    assert not list(one.merge.faults())
    ours = one.series(ours=True)
    dropped = f"propylon_app_metrics_dropped_total{{pool={pools[1]},reason=other_type}}"
    assert ours[dropped] > 0
    if pools == ("a", "a"):  # when the last of the old code has gone, the new type is right
        one.ends(first)
        assert one.series()[f"{name}{{pool=a,worker=2}}"] == 9


def test_how_old_a_worker_s_metrics_are() -> None:
    one = Instance()
    heard, silent, without = one.comes(1, now=1.0), one.comes(2, now=2.0), one.comes(3)
    one.says(heard, counter("x", 1), now=5.0)
    one.says(without, now=5.0)
    assert silent.answered_at is None
    ages = {name: value for name, value in one.series(ours=True, now=9.0).items() if "age" in name}
    assert ages == {
        "propylon_app_metrics_age_seconds{worker=1}": 4.0,
        "propylon_app_metrics_age_seconds{worker=2}": 7.0,
    }


def test_a_page_without_end_is_bounded() -> None:
    one = Instance()
    series = {("", "n", str(number)): 1.0 for number in range(9_000)}
    workers = MOST_SHOWN // len(series) + 1
    for number in range(workers):
        one.says(one.comes(number), ("big", "gauge", "all", series), counter("x", 1))
    assert one.series() == {"x_total": workers}
    assert [what for _, why, what in one.merge.faults() if why == "too_many"] == ["big"]


def test_what_is_saved_is_taken_over() -> None:
    one = Instance()
    ended, stays, away = one.comes(1), one.comes(2), one.comes(3)
    for worker in (ended, stays, away):
        one.says(worker, counter("x", 5, "p", "/"), histogram("h", {"1": 1, "+Inf": 3}, 7))
    one.ends(ended)
    away.went(1, now=1.0)
    saved = json.loads(json.dumps(one.merge.save()))
    two = Instance()
    two.merge.restore(saved, 100.0)
    shown = {name: value for name, value in one.series().items() if "g{" not in name}
    assert two.series() == shown
    again = two.again(stays.who, 100.0)
    assert again.group == stays.group
    two.says(again, counter("x", 6, "p", "/"), histogram("h", {"1": 1, "+Inf": 3}, 7))
    assert two.series()["x_total{p=/}"] == 16
    assert two.series()["h_count"] == 9


@pytest.mark.parametrize(
    "saved", [7, {"default": 7}, {"default": {}}, {"default": {"kept": [[1]]}}]
)
def test_what_other_code_has_saved_is_left_out(saved: object) -> None:
    merge = AppMerge()
    merge.restore(saved, 0.0)
    assert not merge.families(0.0)


def test_a_sum_does_not_fall_by_a_bit_when_a_worker_ends() -> None:
    one = Instance()
    workers = [one.comes(number) for number in range(40)]
    for number, worker in enumerate(workers):
        one.says(worker, counter("x", 0.1 * number + 1e-9 / (number + 1)))
    shown = one.series()
    for worker in workers[::3] + workers[1::3] + workers[2::3]:
        one.ends(worker)
        assert one.series() == shown


# -- no counter goes back ------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["counts", "says", "comes", "ends", "away", "back", "resets", "upgrade"]),
        st.integers(0, 5),
        st.integers(0, 3),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
@example([("upgrade", 0, 0), ("comes", 0, 0), ("ends", 0, 0), ("counts", 0, 0), ("says", 0, 0)])
def test_no_counter_goes_back_and_nothing_counts_twice(steps: list[tuple[str, int, int]]) -> None:
    """Whoever comes, goes, is away, counts anew, and whatever code merges."""
    one = Instance()
    workers = [one.comes(1)]
    counted = [[0.0, 0.0, 0.0, 0.0]]
    said = [[0.0, 0.0, 0.0, 0.0]]
    shown: dict[str, float] = {}
    total = [0.0, 0.0, 0.0, 0.0]

    def says(index: int) -> None:
        worker = workers[index]
        has = [number for number in range(4) if counted[index][number]]
        series = {("_total", "n", str(number)): counted[index][number] for number in has}
        one.says(worker, ("x", "counter", "", series))
        for number in has:
            before = said[index][number]
            new = counted[index][number]
            total[number] += new - before if new >= before else new
            said[index][number] = new

    for what, index, number in steps:
        index %= len(workers)
        if what == "comes":
            workers.append(one.comes(len(workers)))
            counted.append([0.0, 0.0, 0.0, 0.0])
            said.append([0.0, 0.0, 0.0, 0.0])
        elif what == "counts":
            counted[index][number] += 0.1
        elif what == "says":
            if not workers[index].away:
                says(index)
        elif what == "resets":
            counted[index][number] = 0
        elif what == "ends" and len(workers) > 1:
            one.ends(workers.pop(index))
            del counted[index], said[index]
        elif what == "away":
            workers[index].went(workers[index].came(0.0), 0.0)
        elif what == "back":
            workers[index] = one.again(workers[index].who)
        elif what == "upgrade":
            saved = json.loads(json.dumps(one.merge.save()))
            one = one.upgraded()
            one.merge.restore(saved, 0.0)
            workers = [one.again(worker.who) for worker in workers]
        now = one.series()
        for name, value in shown.items():
            assert now[name] >= value, (name, shown, now)
        shown = now
        assert shown == pytest.approx({f"x_total{{n={n}}}": total[n] for n in range(4) if total[n]})
