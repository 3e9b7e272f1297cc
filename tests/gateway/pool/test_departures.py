"""Who may leave, and when."""

from dataclasses import dataclass

import pytest
from propylon.gateway.pool.departures import IDLE_ENDS, SETTLE, Departures

from .linked import LinkedMember, Owner, pool, submit


@dataclass
class Worker:
    ready: bool = True
    asked_to_leave: float | None = None
    hung: bool = False


def test_without_a_delay_whoever_asks_goes_at_once() -> None:
    one, two = Worker(), Worker(asked_to_leave=5.0)
    departures = Departures(0.0)
    assert departures.due([one, two], 5.0) == [two]
    one.asked_to_leave = 5.0
    assert departures.due([one, two], 5.0) == [one, two]
    assert not departures.pool_leaves


def test_one_that_leaves_alone_goes_as_soon_as_that_is_clear() -> None:
    one, two = Worker(), Worker(asked_to_leave=5.0)
    departures = Departures(20.0)
    assert not departures.due([one, two], 5.0)
    assert not departures.pool_leaves
    assert departures.due([one, two], 5.0 + SETTLE) == [two]


def test_when_all_ask_all_stay_for_the_delay() -> None:
    one, two = Worker(asked_to_leave=5.0), Worker()
    departures = Departures(20.0)
    assert not departures.due([one, two], 5.0)
    two.asked_to_leave = 5.6
    assert not departures.due([one, two], 5.6)
    assert departures.pool_leaves
    assert not departures.sends_away(25.5)
    assert departures.sends_away(25.6)
    assert not departures.due([one, two], 25.6 + IDLE_ENDS - 0.1)
    assert departures.due([one, two], 25.6 + IDLE_ENDS) == [one, two]


def test_a_new_one_lets_the_old_go() -> None:
    old = Worker(asked_to_leave=5.0)
    departures = Departures(20.0)
    assert not departures.due([old], 5.0)
    assert departures.pool_leaves
    new = Worker(ready=False)
    assert not departures.due([old, new], 8.0)
    new.ready = True
    assert departures.due([old, new], 8.1) == [old]
    assert not departures.pool_leaves


@pytest.mark.parametrize("delay", [0.0, 3.0])
def test_while_the_gateway_ends_the_last_stay(delay: float) -> None:
    one, two = Worker(asked_to_leave=5.0), Worker()
    departures = Departures(delay)
    departures.hold()
    assert departures.due([one, two], 9.0) == [one]
    two.asked_to_leave = 9.0
    assert not departures.due([two], 60.0)


def test_a_hung_one_is_no_hope() -> None:
    old, hung = Worker(asked_to_leave=5.0), Worker(hung=True)
    departures = Departures(20.0)
    assert not departures.due([old, hung], 10.0)
    assert departures.pool_leaves


def test_a_pool_that_leaves_says_so_and_serves_on() -> None:
    owner = Owner()
    p = pool(owner, drain_delay=10.0)
    p.sweep(100.0)
    member = LinkedMember(p, slots=4)
    member.ask_to_leave()
    assert owner.leaving == [True]
    submit(p)
    assert len(member.calls) == 1, "it still gets calls"
    p.sweep(109.9)
    assert member.ready
    new = LinkedMember(p, slots=4)
    assert owner.leaving == [True, False]
    assert not member.ready, "the new one is there: it may go"
    submit(p)
    assert len(new.calls) == 1


def test_a_pool_that_leaves_goes_in_the_end() -> None:
    """Its clients first: one that was idle all the time has not been told."""
    owner = Owner()
    p = pool(owner, drain_delay=10.0)
    p.sweep(100.0)
    member = LinkedMember(p, slots=4)
    member.ask_to_leave()
    p.sweep(109.9)
    assert owner.sent_away == 0
    p.sweep(110.0)
    assert owner.sent_away == 1
    submit(p)
    assert len(member.calls) == 1, "what crosses is answered"
    p.sweep(110.0 + IDLE_ENDS)
    assert owner.sent_away == 1
    assert not member.ready


def test_a_pool_that_leaves_once_more_sends_its_clients_away_once_more() -> None:
    owner = Owner()
    p = pool(owner, drain_delay=10.0)
    p.sweep(100.0)
    LinkedMember(p, slots=4).ask_to_leave()
    p.sweep(110.0)
    another = LinkedMember(p, slots=4)
    p.sweep(120.0)
    another.ask_to_leave()
    p.sweep(120.0 + SETTLE)
    p.sweep(130.0 + SETTLE)
    assert owner.sent_away == 2


@pytest.mark.parametrize("delay", [0.0, 10.0])
def test_a_worker_that_leaves_is_not_chosen_while_others_have_slots(delay: float) -> None:
    p = pool(drain_delay=delay)
    p.sweep(100.0)
    leaves, stays = LinkedMember(p, slots=4), LinkedMember(p, slots=4)
    leaves.ask_to_leave()
    for _ in range(4):
        submit(p)
    assert (leaves.running, stays.running) == (0, 4)
