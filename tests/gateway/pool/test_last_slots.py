"""The last slots of a pool are for connections that have few."""

from typing import Any, Final

import pytest
from propylon.gateway.exchange.exchange import Exchange
from propylon.gateway.pool.call import PoolCall
from propylon.gateway.pool.last_slots import FEW_SLOTS, MOST_LOOKED_AT, ONE_IN, TURN, LastSlots
from propylon.gateway.pool.pool import Pool
from propylon.gateway.pool.route_share import ShareLimit
from propylon.protocol.messages import CLIENT_GONE

from ...fakes.exchange_sides import FakeClient
from .linked import LinkedMember, pool, submit

LAST: Final = FEW_SLOTS + 4
SLOTS: Final = LAST * ONE_IN
MANY: Final = SLOTS


def crowded(**settings: Any) -> tuple[Pool, LinkedMember]:
    """All slots but the last ones are taken, and stay so."""
    p = pool(**settings)
    member = LinkedMember(p, slots=SLOTS)
    for _ in range(SLOTS - LAST):
        submit(p, holds=MANY)
    assert member.running == SLOTS - LAST
    return p, member


def runs(p: Pool, exchange: Exchange) -> bool:
    return exchange.source in p.running


def test_a_connection_has_no_more_than_are_free_or_than_a_few(
    caplog: pytest.LogCaptureFixture,
) -> None:
    p, member = crowded()
    for number in range(3):
        submit(p, holds=LAST)
        assert (member.running, p.load().queued) == (SLOTS - LAST, number + 1)
    for taken in range(1, LAST + 1):
        submit(p, holds=max(FEW_SLOTS, LAST - taken + 1) - 1)
        assert member.running == SLOTS - LAST + taken
    assert p.load().queued == 3
    assert sum("few slots left" in line for line in caplog.messages) == 1


def test_without_a_free_slot_who_has_few_is_in_the_queue_and_first() -> None:
    p, member = crowded()
    many = submit(p, holds=MANY)[0]
    for _ in range(LAST):
        submit(p)
    assert member.running == SLOTS
    few = [submit(p, holds=FEW_SLOTS - 1)[0] for _ in range(3)]
    assert [runs(p, one) for one in few] == [False] * 3
    for one in few:
        member.answer(member.calls[-1])
        assert runs(p, one)
    assert not runs(p, many)


def test_newcomers_do_not_pass_who_waits() -> None:
    """Plain clients, in a pool that is full for long: nobody waits for longer than the queue."""
    p, member = crowded()
    for _ in range(LAST):
        submit(p)
    waiting = [submit(p)[0] for _ in range(10)]
    for _ in range(10):
        member.answer(member.calls[0])
        waiting.append(submit(p)[0])
    assert [runs(p, one) for one in waiting] == [True] * 10 + [False] * 10


def test_what_is_held_back_has_a_slot_when_more_than_the_last_are_free() -> None:
    p, member = crowded()
    held_back = submit(p, holds=MANY)[0]
    for _ in range(LAST):
        submit(p)
    for free in range(LAST + 1):
        assert not runs(p, held_back), f"{free} are free"
        member.answer(member.calls[-1])
    assert runs(p, held_back)
    assert p.load().queued == 0


def test_who_has_come_to_have_few_is_let_in_beside_the_queue() -> None:
    """One slot in TURN is for those, and none for who has many."""
    p, member = crowded()
    for _ in range(LAST):
        submit(p)
    held_back = [submit(p, holds=MANY) for _ in range(MOST_LOOKED_AT + 3)]
    queue = [submit(p)[0] for _ in range(3 * TURN)]
    for _ in range(TURN):
        member.answer(member.calls[0])
    assert [runs(p, one) for one in queue].count(True) == TURN
    comes, client = held_back[-1]
    client.holds = FEW_SLOTS - 1
    for _ in range(2 * TURN):
        member.answer(member.calls[0])
    assert runs(p, comes)
    assert [runs(p, one) for one in queue].count(True) == 3 * TURN - 1
    assert sum(runs(p, one) for one, _ in held_back) == 1


@pytest.mark.parametrize("slots", [1, FEW_SLOTS * ONE_IN - 1])
def test_a_small_pool_has_no_last_slots(slots: int) -> None:
    p = pool()
    member = LinkedMember(p, slots=slots)
    for _ in range(slots + 1):
        submit(p, holds=MANY)
    assert (member.running, p.load().queued) == (slots, 1)
    member.answer(member.calls[0])
    assert member.running == slots


def test_a_lone_client_has_all_slots_but_the_last() -> None:
    p = pool(queue_size=SLOTS)
    member = LinkedMember(p, slots=SLOTS)
    for _ in range(SLOTS + 100):
        submit(p, holds=MANY)
    assert member.running == SLOTS - LAST
    for _ in range(100 + LAST):
        member.answer(member.calls[0])
        assert member.running == SLOTS - LAST
    assert p.load().queued == 0


def test_they_are_counted_among_all_workers_and_as_these_come_and_go() -> None:
    p = pool(queue_size=4 * SLOTS)
    half = SLOTS // 2
    members = [LinkedMember(p, slots=half) for _ in range(2)]
    for _ in range(2 * SLOTS):
        submit(p, holds=MANY)
    assert sum(member.running for member in members) == SLOTS - LAST
    more = LinkedMember(p, slots=SLOTS)
    assert sum(member.running for member in (*members, more)) == 2 * SLOTS - 2 * LAST
    members[0].die()
    for member in (members[1], more):
        member.slots = 100
    p.slots_changed()
    assert p.load().queued, "they have more than they may, now"
    while p.load().queued:
        loaded = max((members[1], more), key=lambda member: member.running)
        loaded.answer(loaded.calls[0])
    assert members[1].running + more.running == 200, "so few have no last ones"


def test_what_is_held_back_has_the_queues_bounds() -> None:
    p, member = crowded(queue_size=2, queue_timeout=5.0)
    waiting = [submit(p, holds=MANY) for _ in range(2)]
    assert fate(*submit(p, holds=MANY)) == (503, "gateway_queue_full")
    p.sweep(4.9)
    assert [client.failed for _, client in waiting] == [None, None]
    gone, stays = waiting
    assert gone[0].source is not None
    gone[0].source.abandon(CLIENT_GONE, "the client went away")
    assert p.load().queued == 1
    assert p.load().oldest_waiter == 4.9
    p.sweep(5.1)
    assert fate(*stays) == (503, "gateway_queue_timeout")
    assert p.load().queued == 0
    last = submit(p, holds=MANY)
    p.fail_waiting()
    assert fate(*last) == (503, "gateway_stopped_queue")
    assert member.running == SLOTS - LAST


def fate(exchange: Exchange, client: FakeClient) -> tuple[int, str]:
    assert client.failed is not None
    return client.failed[0], exchange.end_code


def test_a_route_of_high_priority_is_not_held_back() -> None:
    p = pool(high=frozenset({"health"}))
    member = LinkedMember(p, slots=SLOTS)
    for _ in range(SLOTS - LAST):
        submit(p, holds=MANY)
    urgent = submit(p, holds=MANY, route="health")[0]
    assert runs(p, urgent)
    assert member.running == SLOTS - LAST + 1


def test_what_is_held_back_takes_nothing_of_its_routes_share() -> None:
    p, member = crowded()
    within = p.submit_within("reports", ShareLimit(calls=2))
    held_back = [submit(p, holds=MANY, within=within)[0] for _ in range(2)]
    lone = submit(p, within=within)[0]
    assert runs(p, lone)
    for _ in range(LAST + 2):
        member.answer(member.calls[0])
    assert [runs(p, one) for one in held_back] == [True, False], "two of the route at once"
    (call,) = [call for call in member.calls if call.call_id == number_of(held_back[0])]
    member.answer(call)
    assert runs(p, held_back[1])


def number_of(exchange: Exchange) -> int:
    assert isinstance(exchange.source, PoolCall)
    return exchange.source.call_id


def test_a_client_that_was_held_back_comes_home() -> None:
    p = pool(balance="sticky-address", queue_timeout=0.0)
    members = [LinkedMember(p, slots=SLOTS // 2, pid=pid, replica=f"r{pid}") for pid in (1, 2)]
    address = ("192.0.2.7", 1)
    first = submit(p, address=address)[0]
    assert isinstance(first.source, PoolCall)
    home = first.source.member
    assert isinstance(home, LinkedMember)
    home.answer(home.calls[0])
    while sum(member.running for member in members) < SLOTS - LAST:
        submit(p, holds=MANY)
    held_back = submit(p, holds=MANY, address=address)[0]
    assert not runs(p, held_back)
    for member in members:
        for _ in range(LAST):
            member.answer(member.calls[0])
    assert isinstance(held_back.source, PoolCall)
    assert held_back.source.member is home


def test_the_rule() -> None:
    last: LastSlots[object] = LastSlots()
    last.rank(100 * ONE_IN)
    assert last.begin_at == 99 * ONE_IN + ONE_IN - 100
    assert last.are_for(1_000, 101), "none of the last"
    assert last.are_for(99, 100)
    assert not last.are_for(100, 100)
    assert last.are_for(FEW_SLOTS - 1, 0)
    assert not last.are_for(FEW_SLOTS, FEW_SLOTS)
