"""The last slots of a pool are for connections with few requests."""

from typing import Final

import pytest
from propylon.gateway.exchange.exchange import Exchange
from propylon.gateway.pool.last_slots import ONE_IN, LastSlots
from propylon.gateway.pool.pool import Pool
from propylon.protocol.messages import CLIENT_GONE

from ...fakes.exchange_sides import FakeClient
from .linked import LinkedMember, pool, submit

SLOTS: Final = 10 * ONE_IN
LAST: Final = 10


def crowded(**settings: float) -> tuple[Pool, LinkedMember]:
    """All slots but the last ones are taken, and stay so."""
    p = pool(**settings)
    member = LinkedMember(p, slots=SLOTS)
    for _ in range(SLOTS - LAST):
        submit(p, others=SLOTS)
    assert member.running == SLOTS - LAST
    return p, member


def test_a_connection_gets_no_more_of_the_last_slots_than_it_has_requests_under_way(
    caplog: pytest.LogCaptureFixture,
) -> None:
    p, member = crowded()
    for number in range(3):
        submit(p, others=LAST)  # with this one it has more than are free
        assert (member.running, p.load().queued) == (SLOTS - LAST, number + 1)
    submit(p, others=LAST - 1)
    submit(p, others=LAST - 2)
    assert member.running == SLOTS - LAST + 2
    submit(p, others=LAST - 2)
    assert member.running == SLOTS - LAST + 2
    for _ in range(LAST - 2):
        submit(p)
    assert member.running == SLOTS, "one request each, as with HTTP/1.1"
    assert sum("few slots left" in line for line in caplog.messages) == 1


def test_what_is_held_back_waits_for_all_others_and_for_more_than_the_last_slots() -> None:
    p, member = crowded()
    held_back = submit(p, others=SLOTS)[0]
    for _ in range(LAST + 1):
        submit(p)
    assert (member.running, p.load().queued) == (SLOTS, 2)
    for free in range(LAST + 1):
        assert held_back.started == 0.0, f"{free} are free"
        member.answer(member.calls[-1])
    assert held_back.started == 0.0
    member.answer(member.calls[0])
    assert held_back.source in p.running
    assert p.load().queued == 0
    assert member.running == SLOTS - LAST


@pytest.mark.parametrize("slots", [1, ONE_IN - 1])
def test_a_small_pool_has_no_last_slots(slots: int) -> None:
    p = pool()
    member = LinkedMember(p, slots=slots)
    for _ in range(slots + 1):
        submit(p, others=1_000)
    assert (member.running, p.load().queued) == (slots, 1)
    member.answer(member.calls[0])
    assert member.running == slots


def test_a_lone_client_has_all_slots_but_the_last() -> None:
    p = pool(queue_size=SLOTS)
    member = LinkedMember(p, slots=SLOTS)
    for _ in range(SLOTS + 100):
        submit(p, others=SLOTS)
    assert member.running == SLOTS - LAST
    for _ in range(SLOTS + 100):
        assert member.running == min(SLOTS - LAST, p.load().running)
        member.answer(member.calls[0])
    assert member.running == 0


def test_they_are_counted_among_all_workers_and_as_these_come_and_go() -> None:
    p = pool()
    members = [LinkedMember(p, slots=ONE_IN) for _ in range(2)]
    for _ in range(2 * ONE_IN):
        submit(p, others=1_000)
    assert [member.running for member in members] == [ONE_IN - 1, ONE_IN - 1]
    more = LinkedMember(p, slots=2 * ONE_IN)
    assert p.load().queued == 0
    assert sum(member.running for member in (*members, more)) == 2 * ONE_IN
    members[0].die()
    members[1].slots = ONE_IN // 2
    p.slots_changed()
    for _ in range(2 * ONE_IN):
        submit(p, others=1_000)
    assert more.running == 2 * ONE_IN - 2


def test_what_is_held_back_has_the_queues_bounds() -> None:
    p, member = crowded(queue_size=2, queue_timeout=5.0)
    waiting = [submit(p, others=SLOTS) for _ in range(2)]
    assert fate(*submit(p, others=SLOTS)) == (503, "gateway_queue_full")
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
    last = submit(p, others=SLOTS)
    p.fail_waiting()
    assert fate(*last) == (503, "gateway_stopped_queue")
    assert member.running == SLOTS - LAST


def fate(exchange: Exchange, client: FakeClient) -> tuple[int, str]:
    assert client.failed is not None
    return client.failed[0], exchange.end_code


def test_the_rule() -> None:
    last: LastSlots[object] = LastSlots(10, 0.0, 0.0)
    last.rank(100 * ONE_IN)
    assert last.begin_at == 99 * ONE_IN + ONE_IN - 100
    assert not last.holds_back(1_000, 101), "none of the last"
    assert last.holds_back(101, 100)
    assert not last.holds_back(100, 100)
    assert last.holds_back(1, 0)
    assert last.are_left(100)
    assert not last.are_left(101)
