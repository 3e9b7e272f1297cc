from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.http2.scheduler import EACH, Scheduler

Wish = tuple[int, int, bool]
"""Stream, urgency, incremental."""


def scheduler(*wishes: Wish) -> Scheduler:
    found = Scheduler()
    for stream, urgency, incremental in wishes:
        found.add(stream, urgency, incremental)
        found.ready(stream)
    return found


def served(one: Scheduler, frames: int) -> list[int]:
    """The streams that send the next frames."""
    found = list[int]()
    for _ in range(frames):
        stream = one.next()
        if stream is None:
            break
        one.sent(stream)
        found.append(stream)
    return found


ORDERS: dict[str, tuple[list[Wish], list[int]]] = {
    "one": ([(1, 3, False)], [1, 1, 1]),
    "the more urgent first": ([(1, 5, True), (3, 1, True), (5, 3, False)], [3, 3, 3]),
    "in turn": ([(1, 3, True), (3, 3, True), (5, 3, True)], [1, 3, 5, 1, 3, 5, 1]),
    "one after the other": ([(5, 3, False), (1, 3, False), (3, 3, False)], [1, 1, 1, 1]),
    "those that go one after the other have a turn together": (
        [(1, 3, False), (3, 3, True), (5, 3, False), (7, 3, True)],
        [1, 3, 7, 1, 3, 7, 1],
    ),
}


@pytest.mark.parametrize(("wishes", "order"), ORDERS.values(), ids=ORDERS)
def test_orders(wishes: list[Wish], order: list[int]) -> None:
    assert served(scheduler(*wishes), len(order)) == order


def test_nobody_could_send() -> None:
    assert Scheduler().next() is None
    one = Scheduler()
    one.add(1, 3, False)
    assert one.next() is None
    assert len(one) == 0


def test_the_next_is_the_same_until_it_has_sent() -> None:
    one = scheduler((1, 3, True), (3, 3, True))
    assert [one.next(), one.next()] == [1, 1]


def test_who_is_idle_lets_others_pass() -> None:
    one = scheduler((1, 0, False), (3, 3, False))
    one.idle(1)
    assert served(one, 2) == [3, 3]
    one.ready(1)
    assert served(one, 1) == [1]


def test_the_second_goes_on_when_the_first_has_ended() -> None:
    one = scheduler((1, 3, False), (3, 3, False))
    assert served(one, 2) == [1, 1]
    one.remove(1)
    assert served(one, 2) == [3, 3]
    one.remove(3)
    assert one.next() is None


def test_a_client_that_changes_its_mind() -> None:
    one = scheduler((1, 3, True), (3, 3, True))
    one.update(3, 1, False)
    assert served(one, 2) == [3, 3]
    one.update(3, 7, True)
    assert served(one, 2) == [1, 1]
    one.update(1, 7, False)
    assert sorted(served(one, 2)) == [1, 3]


def test_what_is_not_there_is_nothing() -> None:
    one = scheduler((1, 3, True))
    one.ready(3)
    one.idle(3)
    one.update(3, 0, True)
    one.sent(3)
    one.remove(3)
    assert served(one, 2) == [1, 1]
    one.ready(1)
    one.idle(1)
    one.idle(1)
    one.update(1, 0, True)
    one.remove(1)
    one.remove(1)
    assert one.next() is None


def test_nobody_waits_for_ever() -> None:
    """Each of `n` responses has a frame of `n` times EACH, beside one that is more urgent, does not
    end and leaves nobody else a turn."""
    others = [(stream, 3 + stream % 5, stream % 3 == 0) for stream in range(3, 43, 2)]
    one = scheduler((1, 0, False), *others)
    order = served(one, 10 * EACH * len(others))
    counts = Counter(order)
    assert counts[1] >= len(order) * (EACH - 1) // EACH
    for stream, *_ in others:
        assert counts[stream] >= 9
        at = [place for place, each in enumerate(order) if each == stream]
        assert max(b - a for a, b in zip([0, *at], [*at, len(order)], strict=True)) <= 2 * EACH * 20


def test_equals_have_equal_parts() -> None:
    one = scheduler(*((stream, 3, True) for stream in range(1, 33, 2)))
    counts = Counter(served(one, 1_600))
    assert max(counts.values()) - min(counts.values()) <= 2 + 1_600 // EACH // 16


ACTS = st.lists(
    st.tuples(
        st.sampled_from(("add", "remove", "update", "ready", "idle", "sent")),
        st.integers(1, 6),
        st.integers(0, 7),
        st.booleans(),
    ),
    max_size=80,
)


@given(ACTS)
def test_whatever_happens_who_could_send_is_next(acts: list[tuple[str, int, int, bool]]) -> None:
    """The state is small: which streams there are, and which of them are ready."""
    one, there, ready = Scheduler(), dict[int, int](), set[int]()
    for verb, stream, urgency, incremental in acts:
        match verb:
            case "add":
                one.add(stream, urgency, incremental)
                there.setdefault(stream, urgency)
            case "update":
                one.update(stream, urgency, incremental)
                if stream in there:
                    there[stream] = urgency
            case "remove":
                one.remove(stream)
                there.pop(stream, None)
                ready.discard(stream)
            case "ready":
                one.ready(stream)
                if stream in there:
                    ready.add(stream)
            case "idle":
                one.idle(stream)
                ready.discard(stream)
            case _:
                one.sent(stream)
        following = one.next()
        assert len(one) == len(ready)
        assert following in ready if ready else following is None
    seen = set(served(one, 2 * EACH * (len(ready) + 1)))
    assert seen == ready
