"""A slow route must not take all slots, and its calls must not hold up others."""

from typing import Any

import pytest
from propylon.gateway.exchange.exchange import Exchange, Request
from propylon.gateway.pool.pool import Pool
from propylon.gateway.pool.route_share import ShareLimit
from propylon.gateway.pool.sticky_cookie import cookie_value
from propylon.protocol.messages import CLIENT_GONE

from ...fakes.exchange_sides import FakeClient
from .linked import LinkedMember, pool, submit


def made(limit: int = 2, percent: int = 0, **settings: Any) -> Pool:
    p = pool(**settings)
    p.sweep(100.0)
    p.submit_within("/slow/", ShareLimit(calls=limit, percent=percent))
    return p


def slow(p: Pool, method: str = "GET") -> tuple[Exchange, FakeClient]:
    """A request of the route with a share."""
    client = FakeClient()
    exchange = Exchange(Request(method, b"/slow/", "1.1"), client, opened=p.now)
    exchange.route = "/slow/"
    p.submit(exchange, p.shares[0])
    return exchange, client


@pytest.mark.parametrize(
    ("limit", "percent", "slots", "most"),
    [(3, 0, 100, 3), (0, 50, 9, 4), (0, 100, 9, 9), (0, 1, 9, 1), (0, 50, 0, 1)],
)
def test_a_number_or_a_part_of_the_slots(limit: int, percent: int, slots: int, most: int) -> None:
    assert ShareLimit(calls=limit, percent=percent).here(slots) == most


@pytest.mark.parametrize(
    ("limit", "percent", "slots", "parts"),
    [
        (8, 0, 100, [3, 3, 2]),
        (3, 0, 100, [1, 1, 1]),
        (2, 0, 100, [1, 1, 1]),  # each has clients that can't go to another
        (0, 25, 16, [2, 1, 1]),
        (0, 50, 16, [3, 3, 2]),
        (0, 1, 16, [1, 1, 1]),
    ],
)
def test_all_gateways_together_have_what_is_configured(
    limit: int, percent: int, slots: int, parts: list[int]
) -> None:
    limits = [ShareLimit(calls=limit, percent=percent, gateway=n, gateways=3) for n in (1, 2, 3)]
    assert [one.here(slots) for one in limits] == parts
    assert {one.total(slots) for one in limits} == {sum(parts)}


def test_it_takes_its_share_and_the_others_pass() -> None:
    p = made(limit=2)
    member = LinkedMember(p, slots=4)
    for _ in range(5):
        slow(p)
    assert member.running == 2
    assert (p.shares[0].running, p.shares[0].waiting()) == (2, 3)
    submit(p)
    submit(p)
    assert member.running == 4
    assert p.load().queued == 3
    assert p.load().oldest_waiter == 0.0, "more workers would not help them"
    member.answer(member.calls[0])
    assert (member.running, p.shares[0].waiting()) == (4, 2), "one of its own follows"
    member.answer(member.calls[-1])
    member.answer(member.calls[1])
    member.answer(member.calls[0])
    member.answer(member.calls[0])
    assert p.shares[0].waiting() == 0


def test_half_of_the_slots_of_this_moment() -> None:
    p = made(limit=0, percent=50)
    one = LinkedMember(p, slots=4)
    for _ in range(6):
        slow(p)
    assert one.running == 2
    two = LinkedMember(p, slots=4)
    p.sweep(100.2)
    assert one.running + two.running == 4


def test_who_comes_out_of_its_line_is_behind_those_that_wait() -> None:
    p = made(limit=1)
    member = LinkedMember(p, slots=1)
    slow(p)
    slow(p)
    submit(p)  # waits for a slot
    first = member.calls[0]
    member.answer(first)
    (call,) = p.running
    assert call.share is None, "the other has waited in the queue"
    member.answer(member.calls[0])
    (call,) = p.running
    assert call.share is p.shares[0]


def test_who_comes_out_of_its_line_waits_for_its_home() -> None:
    p = made(limit=1, balance="sticky-cookie", sticky_timeout=90.0)
    one, two = LinkedMember(p, replica="one"), LinkedMember(p, replica="two")
    cookie = ((b"cookie", b"propylon_sticky=" + cookie_value("two", "default")),)
    slow(p)
    own = slow(p)[0]
    submit(p)
    own.request.headers = cookie
    assert (one.running, two.running) == (1, 1)
    submit(p)  # waits for any
    one.answer(one.calls[0])
    p.sweep(100.1)
    assert p.load().queued == 1
    assert all(call.exchange is not own for call in p.running)
    one.answer(one.calls[0])
    assert one.running == 0, "it is not for this one"
    two.answer(two.calls[0])
    assert [call.exchange for call in p.running] == [own]


def test_places_of_those_that_left_are_free_at_once() -> None:
    p = made(limit=1, queue_size=1)
    LinkedMember(p, slots=9)
    slow(p)
    gone = slow(p)[0]
    assert gone.source is not None
    assert slow(p)[1].failed is not None
    gone.source.abandon(CLIENT_GONE, "the client went away")
    assert slow(p)[1].failed is None


def test_who_waits_twice_has_one_time_limit() -> None:
    p = made(limit=1, queue_timeout=10.0, queue_target=0.0)
    member = LinkedMember(p, slots=1)
    slow(p)
    exchange, client = slow(p)  # waits for the route
    p.sweep(106.0)
    ahead = submit(p)[1]  # waits for a slot
    member.answer(member.calls[0])
    assert (p.shares[0].waiting(), p.load().queued) == (0, 1), "it waits for a slot, too"
    p.sweep(110.0)
    assert client.failed is None
    p.sweep(110.1)
    assert client.failed is not None, "6 seconds for the route, and 4 for a slot"
    assert exchange.end_code == "gateway_queue_timeout"
    assert (p.shares[0].running, p.load().queued, ahead.failed) == (0, 0, None)


def test_who_waits_for_a_slot_only_has_the_whole_time() -> None:
    p = made(limit=1, queue_timeout=10.0)
    LinkedMember(p, slots=1)
    submit(p)
    client = slow(p)[1]
    p.sweep(110.0)
    assert client.failed is None
    p.sweep(110.1)
    assert client.failed is not None
    assert p.shares[0].running == 0


def test_the_newest_goes_first_under_overload() -> None:
    p = made(limit=1, queue_size=2, queue_target=1.0)
    member = LinkedMember(p, slots=9)
    slow(p)
    (oldest, told), middle = slow(p), slow(p)[0]
    assert slow(p)[1].failed is not None, "in the order of arrival, who comes too late"
    p.sweep(101.1)
    newest = slow(p)[0]
    assert told.failed is not None, "now the oldest makes room"
    assert (told.failed[0], oldest.end_code) == (503, "gateway_route_full")
    member.answer(member.calls[0])
    (call,) = p.running
    assert call.exchange is newest
    member.answer(member.calls[0])
    (call,) = p.running
    assert call.exchange is middle


def test_without_a_worker_it_is_an_outage_and_not_the_route() -> None:
    p = made(limit=1, queue_size=1, queue_timeout=5.0)
    slow(p)
    waiting, refused = slow(p), slow(p)
    assert refused[0].end_code == "gateway_no_worker"
    p.sweep(105.1)
    assert waiting[0].end_code == "gateway_no_worker"
    assert waiting[1].failed is not None
    assert "No worker" in waiting[1].failed[1]
    LinkedMember(p, slots=9)
    slow(p)
    slow(p)
    assert slow(p)[0].end_code == "gateway_route_full", "there is a worker"


def test_when_to_ask_again_goes_by_its_own_line() -> None:
    p = made(limit=1, queue_size=1, queue_target=0.0)
    LinkedMember(p, slots=9)
    slow(p)
    slow(p)
    p.sweep(107.2)
    assert slow(p)[0].retry_after == 8


def test_priority_is_kept_behind_the_line() -> None:
    p = made(limit=1, high=frozenset({"/slow/"}))
    member = LinkedMember(p, slots=1)
    slow(p)
    own = slow(p)[0]
    submit(p)
    submit(p)
    member.answer(member.calls[0])  # another gets the slot, and its own joins the queue
    assert p.load().queued == 2
    member.answer(member.calls[0])
    (call,) = p.running
    assert call.exchange is own


def test_a_full_line_and_a_long_wait_are_503() -> None:
    p = made(limit=1, queue_size=1, queue_timeout=5.0)
    LinkedMember(p, slots=9)
    slow(p)
    waiting, refused = slow(p), slow(p)
    assert refused[0].end_code == "gateway_route_full"
    assert refused[1].failed is not None
    assert refused[1].failed[0] == 503
    assert "limit_concurrency" in refused[1].failed[1]
    p.sweep(105.0)
    assert waiting[1].failed is None
    p.sweep(105.1)
    assert waiting[0].end_code == "gateway_route_full"
    assert waiting[1].failed is not None
    assert submit(p)[1].failed is None


def test_a_client_that_leaves_makes_room_when_its_call_has_left_the_app() -> None:
    p = made(limit=1)
    member = LinkedMember(p, slots=9)
    running, waiting, next_one = slow(p)[0], slow(p)[0], slow(p)[0]
    for each in (running, waiting):
        assert each.source is not None
        each.source.abandon(CLIENT_GONE, "the client went away")
    assert member.running == 1
    assert p.shares[0].waiting() == 1
    member.worker.end(member.calls.pop(0))
    member.exchange_bytes()
    (call,) = p.running
    assert call.exchange is next_one


def test_what_never_reached_a_worker_makes_room_too() -> None:
    p = made(limit=1, queue_timeout=5.0)
    slow(p)  # no worker: it is admitted and waits in the pool's queue
    assert p.shares[0].running == 1
    p.sweep(103.0)
    other = slow(p)[1]
    p.sweep(105.1)
    assert other.failed is None
    member = LinkedMember(p, slots=9)
    assert member.running == 1
    left = slow(p)[0]
    assert left.source is not None
    left.source.abandon(CLIENT_GONE, "the client went away")
    member.answer(member.calls[0])
    p.sweep(105.3)
    assert p.shares[0].running == 0


def test_other_slots_and_the_end_of_a_worker_make_room_at_once() -> None:
    p = made(percent=50, limit=0)
    member = LinkedMember(p, slots=4)
    for _ in range(7):
        slow(p)
    assert (p.shares[0].running, p.shares[0].waiting()) == (2, 5)
    member.slots = 8
    p.changed()
    assert (p.shares[0].running, p.shares[0].waiting(), member.running) == (4, 3, 4)
    other = LinkedMember(p, slots=8)
    assert (p.shares[0].running, p.shares[0].waiting()) == (7, 0)
    assert other.running == 3


def test_calls_that_a_dead_worker_had_make_room_at_once() -> None:
    p = made(limit=1)
    one, two = LinkedMember(p, slots=9), LinkedMember(p, slots=9)
    lost = slow(p, "POST")[1]
    slow(p)
    dead, other = (one, two) if one.running else (two, one)
    dead.start(dead.calls[0])
    dead.die()
    assert lost.failed is not None
    assert (p.shares[0].running, p.shares[0].waiting(), other.running) == (1, 0, 1)


def test_a_retry_counts_once() -> None:
    p = made(limit=1)
    one, two = LinkedMember(p, slots=9), LinkedMember(p, slots=9)
    slow(p)
    slow(p)
    one.die()
    assert two.running == 1
    assert (p.shares[0].running, p.shares[0].waiting()) == (1, 1)
    two.answer(two.calls[0])
    two.answer(two.calls[0])
    assert (p.shares[0].running, p.shares[0].waiting()) == (0, 0)


def test_at_the_end_all_are_answered() -> None:
    p = made(limit=1)
    LinkedMember(p, slots=9)
    slow(p)
    waiting = slow(p)[1]
    p.fail_waiting()
    assert waiting.failed is not None
