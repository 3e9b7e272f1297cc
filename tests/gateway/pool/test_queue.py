"""The queue by itself: bounded by length and by time, and what becomes of those who leave."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.pool.queue import PoolQueue


@dataclass
class Waiter:
    name: str
    awaited: bool = True


def queue(size: int = 3, patience: float = 5.0) -> PoolQueue[Waiter]:
    return PoolQueue(size, patience)


def filled(
    names: str, *, gone: str = "", size: int = 3, patience: float = 5.0
) -> PoolQueue[Waiter]:
    """The first came at 0 s, each of the others a second behind the one before."""
    made = queue(size, patience)
    for second, name in enumerate(names):
        waiter = Waiter(name)
        assert made.put(waiter, float(second))
        waiter.awaited = name not in gone
    return made


def everybody(of: PoolQueue[Waiter]) -> str:
    names = ""
    while of.has_waiter():
        names += of.take().name
    return names


@pytest.mark.parametrize(
    ("names", "gone", "admitted", "served"),
    [
        ("", "", True, "x"),
        ("ab", "", True, "abx"),
        ("abc", "", False, "abc"),
        ("abc", "a", True, "bcx"),
        ("abc", "b", True, "acx"),
        ("abc", "c", True, "abx"),
        ("abc", "abc", True, "x"),
    ],
)
def test_a_place_behind_those_who_have_not_left(
    names: str, gone: str, admitted: bool, served: str
) -> None:
    of = filled(names, gone=gone)
    assert of.put(Waiter("x"), 9.0) is admitted
    assert everybody(of) == served


def test_a_queue_of_no_places_admits_nobody() -> None:
    assert not queue(size=0).put(Waiter("x"), 0.0)


def test_the_oldest_comes_first() -> None:
    of = filled("abc", gone="a")
    assert of.has_waiter()
    assert [of.take().name, of.take().name] == ["b", "c"]
    assert not of.has_waiter()
    with pytest.raises(IndexError):
        of.take()


@pytest.mark.parametrize(
    ("gone", "patience", "now", "overdue"),
    [
        ("", 5.0, 5.0, ""),  # the limit itself is still in time
        ("", 5.0, 5.1, "a"),
        ("", 5.0, 6.1, "ab"),
        ("", 5.0, 99.0, "abc"),
        ("", 0.0, 1e9, ""),  # no limit
        ("a", 5.0, 2.0, "a"),  # has left: nothing of it is worth waiting for
        ("ab", 0.0, 2.0, "ab"),
        ("b", 5.0, 2.0, ""),  # in the midst, where it is passed over later
        ("b", 5.0, 5.1, "ab"),
    ],
)
def test_who_is_overdue(gone: str, patience: float, now: float, overdue: str) -> None:
    of = filled("abc", gone=gone, patience=patience)
    names = ""
    while (waiter := of.take_overdue(now)) is not None:
        names += waiter.name
    assert names == overdue


@pytest.mark.parametrize(
    ("names", "gone", "waiting", "oldest"),
    [
        ("", "", 0, 0.0),
        ("abc", "", 3, 10.0),
        ("abc", "a", 2, 9.0),
        ("abc", "c", 2, 10.0),
        ("abc", "abc", 0, 0.0),
    ],
)
def test_what_it_looks_like(names: str, gone: str, waiting: int, oldest: float) -> None:
    of = filled(names, gone=gone)
    assert (of.waiting(), of.oldest(10.0)) == (waiting, oldest)
    assert bool(of.line) is bool(names), "to look at it takes nobody out"


@given(
    st.lists(
        st.one_of(
            st.just("put"), st.just("take"), st.just("sweep"), st.integers(0, 30), st.floats(0.1, 3)
        ),
        max_size=60,
    )
)
def test_against_a_model(steps: list[str | int | float]) -> None:
    """A plain list of those who wait, from which who leaves is taken out at once."""
    of, now = queue(size=4, patience=2.0), 0.0
    everyone: list[Waiter] = []
    model: list[tuple[float, Waiter]] = []
    for step in steps:
        if step == "put":
            everyone.append(Waiter(str(len(everyone))))
            admitted = of.put(everyone[-1], now)
            assert admitted is (len(model) < 4)
            if admitted:
                model.append((now, everyone[-1]))
        elif step == "take":
            assert of.has_waiter() is bool(model)
            if model:
                assert of.take() is model.pop(0)[1]
        elif step == "sweep":
            taken: list[Waiter] = []
            while (one := of.take_overdue(now)) is not None:
                taken.append(one)
            due = [place for place in model if now - place[0] > 2.0]
            model = [place for place in model if now - place[0] <= 2.0]
            assert [one for one in taken if one.awaited] == [waiter for _, waiter in due]
        elif isinstance(step, int):
            if step < len(model):
                model.pop(step)[1].awaited = False
        else:
            now += float(step)
        assert of.waiting() == len(model)
        assert of.oldest(now) == (now - model[0][0] if model else 0.0)


@pytest.mark.parametrize(
    ("names", "now", "seconds"),
    [("", 9.0, 1), ("a", 0.0, 1), ("a", 1.0, 1), ("a", 1.1, 2), ("a", 29.5, 30), ("a", 99.0, 30)],
)
def test_a_refused_client_stays_away_for_as_long_as_it_has_lasted(
    names: str, now: float, seconds: int
) -> None:
    assert filled(names).retry_after(now) == seconds
