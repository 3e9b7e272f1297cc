"""The queue by itself: who is next, who is refused, and what becomes of those who leave."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.pool.queue import Order, PoolQueue, retry_after


def filled(
    names: str, *, gone: str = "", size: int = 3, patience: float = 5.0, target: float = 0.0
) -> PoolQueue[str]:
    """The first came at 0 s, each of the others a second behind the one before."""
    made: PoolQueue[str] = PoolQueue(size, patience, target)
    for second, name in enumerate(names):
        assert made.put(name, float(second)) is None
    for name in gone:
        made.remove(name)
    return made


def everybody(of: PoolQueue[str], now: float) -> str:
    names = ""
    while len(of):
        names += of.take(now)
    return names


@pytest.mark.parametrize(
    ("names", "gone", "refused", "served"),
    [
        ("", "", None, "x"),
        ("ab", "", None, "abx"),
        ("abc", "", "x", "abc"),
        ("abc", "a", None, "bcx"),
        ("abc", "b", None, "acx"),
        ("abc", "c", None, "abx"),
        ("abc", "abc", None, "x"),
        ("abc", "z", "x", "abc"),  # who is not there leaves no place
    ],
)
def test_in_order_who_comes_to_a_full_queue_is_refused(
    names: str, gone: str, refused: str | None, served: str
) -> None:
    of = filled(names, gone=gone)
    assert of.put("x", 9.0) == refused
    assert everybody(of, 9.0) == served


@pytest.mark.parametrize(
    ("names", "gone", "refused", "served"),
    [
        ("ab", "", None, "xba"),
        ("abc", "", "a", "xcb"),
        ("abc", "a", None, "xcb"),
        ("abc", "c", None, "xba"),
    ],
)
def test_under_overload_the_oldest_makes_room_and_the_newest_is_next(
    names: str, gone: str, refused: str | None, served: str
) -> None:
    of = filled(names, gone=gone, target=2.0)
    assert of.put("x", 9.0) == refused
    assert everybody(of, 11.5) == served


@pytest.mark.parametrize("target", [0.0, 2.0])
def test_a_queue_of_no_places_admits_nobody(target: float) -> None:
    assert filled("", size=0, target=target).put("x", 0.0) == "x"


@pytest.mark.parametrize(
    ("target", "now", "order"),
    [
        (0.0, 99.0, "oldest-first"),
        (4.0, 4.0, "oldest-first"),  # the target itself is acceptable
        (4.0, 4.1, "newest-first"),
    ],
)
def test_while_nobody_is_served_the_order_depends_on_the_oldest_alone(
    target: float, now: float, order: Order
) -> None:
    assert filled("abc", target=target).order(now) == order
    assert filled("", target=target).order(now) == "oldest-first"


def test_the_order_is_that_of_arrival_again_when_the_old_ones_are_gone() -> None:
    of = filled("abcd", size=9, target=2.0)
    assert of.take(3.5) == "d"
    of.remove("a")
    assert of.order(3.5) == "newest-first"
    assert of.next_has_waited(3.5) == 1.5
    assert of.order(3.0) == "oldest-first"
    assert of.next_has_waited(3.0) == 2.0
    assert of.take(3.0) == "b"


def asking_again(clients: int, *, seconds: float) -> PoolQueue[int]:
    """All came at 0 s, and nobody was served for 2 s. Since then 100 are in a second, each of whom
    asks again at once."""
    made: PoolQueue[int] = PoolQueue(999, 30.0, 1.0)
    for number in range(clients):
        made.put(number, 0.0)
    for step in range(int(seconds * 100)):
        now = 2.0 + step / 100
        made.put(clients + step, now)
        made.take(now)
    return made


def test_what_is_served_within_the_target_is_served_in_order_whatever_was_before() -> None:
    assert asking_again(80, seconds=0.5).order(2.5) == "newest-first"
    of = asking_again(80, seconds=4)
    assert of.order(6.0) == "oldest-first"
    assert of.oldest(6.0) < 1.0
    of = asking_again(120, seconds=20)  # takes longer than the target
    assert of.order(22.0) == "newest-first"
    assert of.oldest(22.0) == 22.0


def test_that_many_were_served_counts_no_more_when_nobody_is() -> None:
    of = asking_again(80, seconds=4)
    assert of.order(7.0) == "newest-first"
    of.take(9.0)
    assert of.order(9.0) == "newest-first"


def test_nobody_is_there() -> None:
    with pytest.raises(KeyError):
        filled("ab", gone="ab").take(9.0)


@pytest.mark.parametrize(
    ("gone", "patience", "now", "overdue"),
    [
        ("", 5.0, 5.0, ""),  # the limit itself is still in time
        ("", 5.0, 5.1, "a"),
        ("", 5.0, 6.1, "ab"),
        ("", 5.0, 99.0, "abc"),
        ("", 0.0, 1e9, ""),  # no limit
        ("a", 5.0, 5.9, ""),
        ("b", 5.0, 7.1, "ac"),
    ],
)
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_who_is_overdue(
    gone: str, patience: float, now: float, overdue: str, target: float
) -> None:
    of = filled("abc", gone=gone, patience=patience, target=target)
    names = ""
    while (waiter := of.take_overdue(now)) is not None:
        names += waiter
    assert names == overdue


@pytest.mark.parametrize(
    ("names", "gone", "oldest"),
    [("", "", 0.0), ("abc", "", 10.0), ("abc", "a", 9.0), ("abc", "c", 10.0), ("abc", "abc", 0.0)],
)
def test_how_long_they_have_waited(names: str, gone: str, oldest: float) -> None:
    assert filled(names, gone=gone).oldest(10.0) == oldest
    assert filled(names, gone=gone).next_has_waited(10.0) == oldest


@pytest.mark.parametrize(
    ("names", "now", "seconds"),
    [("", 9.0, 1), ("a", 0.0, 1), ("a", 1.0, 1), ("a", 1.1, 2), ("a", 29.5, 30), ("a", 99.0, 30)],
)
def test_a_refused_client_stays_away_for_as_long_as_it_has_lasted(
    names: str, now: float, seconds: int
) -> None:
    assert retry_after(filled(names).oldest(now)) == seconds


def with_urgent(default: str, high: str, *, size: int = 9, target: float = 0.0) -> PoolQueue[str]:
    """All came at 0 s, those of high priority last."""
    made: PoolQueue[str] = PoolQueue(size, 5.0, target)
    for name in default:
        assert made.put(name, 0.0) is None
    for name in high:
        assert made.put(name, 0.0, "high") is None
    return made


@pytest.mark.parametrize(
    ("default", "high", "served"),
    [
        ("abc", "X", "Xabc"),
        ("", "XY", "XY"),
        ("abc", "VWXYZ", "VWXYaZbc"),
    ],
)
def test_who_may_pass_passes_but_not_for_ever(default: str, high: str, served: str) -> None:
    assert everybody(with_urgent(default, high, size=12), 1.0) == served


def test_without_others_nobody_is_passed() -> None:
    of = with_urgent("", "UVWXYZ", size=12)
    for _ in range(4):
        of.take(1.0)
    of.put("a", 1.0)
    assert everybody(of, 1.0) == "YZa"


@pytest.mark.parametrize(
    ("default", "high", "target", "refused"),
    [
        ("abcd", "", 0.0, "d"),  # in order, the newest is the last
        ("abcd", "", 0.5, "a"),  # newest first, the oldest is
        ("abc", "X", 0.0, "c"),
        ("ab", "XY", 0.0, "new"),  # half of the places
        ("", "XY", 0.0, "new"),
        ("abc", "", 0.0, None),
    ],
)
def test_who_makes_room_for_high_priority(
    default: str, high: str, target: float, refused: str | None
) -> None:
    of = with_urgent(default, high, size=4, target=target)
    assert of.put("new", 1.0, "high") == refused


def test_a_place_for_one_may_be_taken_by_high_priority() -> None:
    of = with_urgent("a", "", size=1)
    assert of.put("X", 1.0, "high") == "a"
    assert of.put("b", 1.0) == "b"
    assert with_urgent("", "", size=0).put("X", 1.0, "high") == "X"


def test_high_priority_is_late_and_leaves_as_others_do() -> None:
    of = with_urgent("a", "XYZ", target=1.0)
    of.remove("Y")
    assert (len(of), of.oldest(2.0), of.next_has_waited(2.0)) == (3, 2.0, 2.0)
    assert of.take(2.0) == "Z"
    overdue = [of.take_overdue(5.1), of.take_overdue(5.1), of.take_overdue(5.1)]
    assert overdue == ["a", "X", None]


@given(
    st.sampled_from([0.0, 1.0]),
    st.lists(
        st.one_of(
            st.just("put"), st.just("take"), st.just("sweep"), st.integers(0, 5), st.floats(0.1, 3)
        ),
        max_size=60,
    ),
)
def test_against_a_model(target: float, steps: list[str | int | float]) -> None:
    """A plain list of those who wait."""
    of: PoolQueue[int] = PoolQueue(4, 2.0, target)
    model: list[tuple[float, int]] = []
    now, number = 0.0, 0
    since, taken, rate = 0.0, 0, 0.0
    for step in steps:
        newest = bool(target and model and now - model[0][0] > target)
        if newest and now - since >= target:
            newest = len(model) > taken / (now - since) * target
        elif newest:
            newest = len(model) > rate * target
        if step == "put":
            number += 1
            full = len(model) == 4
            refused = None if not full else model.pop(0)[1] if newest else number
            assert of.put(number, now) == refused
            if refused != number:
                model.append((now, number))
        elif step == "take" and model:
            assert of.take(now) == model.pop(-1 if newest else 0)[1]
            if now - since >= target > 0:
                since, taken, rate = now, 0, taken / (now - since)
            taken += 1
        elif step == "sweep":
            overdue: list[int] = []
            while (one := of.take_overdue(now)) is not None:
                overdue.append(one)
            assert overdue == [one for came, one in model if now - came > 2.0]
            model = [place for place in model if now - place[0] <= 2.0]
        elif isinstance(step, int) and step < len(model):
            of.remove(model.pop(step)[1])
        elif isinstance(step, float):
            now += step
        assert list(of.line) == [one for _, one in model]
        assert of.oldest(now) == (now - model[0][0] if model else 0.0)
