"""Homes of clients: who waits for them, for how long, and that nobody is lost by it."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.exchange.exchange import Exchange, Request
from propylon.gateway.pool.pool import Pool
from propylon.gateway.pool.sticky import Home, replicas_of
from propylon.gateway.pool.sticky_cookie import cookie_value
from propylon.gateway.settings import PoolSettings
from propylon.protocol.messages import CLIENT_GONE

from ...fakes.exchange_sides import FakeClient
from .linked import LinkedMember, Owner, pool


@dataclass(eq=False)
class Worker:
    replica: str
    running: int = 0
    slots: int = 1
    handicap: int = 0
    ready: bool = True
    hung: bool = False
    leaves: bool = False
    weight: float = 1.0
    share: float = 1.0


def test_who_may_be_a_home() -> None:
    a, late, gone = Worker("a"), Worker("b", handicap=1), Worker("c", ready=False)
    hung, nameless = Worker("d", hung=True), Worker("")
    assert replicas_of([a, late, gone, hung, nameless]) == {"a": a, "b": late}


def test_who_takes_the_place_of_one_that_leaves_is_the_home() -> None:
    old, new = Worker("a", leaves=True), Worker("a")
    assert replicas_of([old]) == {"a": old}, "until there is another one"
    for order in ([old, new], [new, old]):
        found: Mapping[str, Home] = replicas_of(order)
        assert found == {"a": new}


def sticky_pool(**settings: float | str) -> Pool:
    made = pool(**({"balance": "sticky-cookie"} | settings))  # type: ignore[arg-type]
    made.sweep(100.0)
    return made


def submit(to: Pool, home: str = "", method: str = "GET") -> tuple[Exchange, FakeClient]:
    """A request of a client whose cookie names a home, or that has no cookie."""
    client, request = FakeClient(), Request(method, b"/x", "1.1")
    if home:
        request.headers = ((b"cookie", b"propylon_sticky=" + cookie_value(home, "default")),)
    exchange = Exchange(request, client, Endpoint((home, 1), None), opened=to.now)
    to.submit(exchange)
    return exchange, client


def test_a_client_stays_with_its_worker() -> None:
    p = sticky_pool()
    one, two = LinkedMember(p, slots=9, replica="one"), LinkedMember(p, slots=9, replica="two")
    for _ in range(3):
        exchange, _ = submit(p, "two")
        assert not exchange.cookie
    assert (one.running, two.running) == (0, 3)
    exchange, _ = submit(p)
    assert (one.running, two.running) == (1, 3), "a new one goes where there is least to do"
    assert cookie_value("one", "default") in exchange.cookie


def test_it_waits_for_its_own_worker_and_others_pass() -> None:
    p = sticky_pool(sticky_timeout=5.0)
    one, two = LinkedMember(p, replica="one"), LinkedMember(p, replica="two")
    submit(p, "two")
    waiting, client = submit(p, "two")
    assert p.load().queued == 1
    submit(p)
    assert one.running == 1, "its line is not that of the others"
    two.answer(two.calls[0])
    assert two.running == 1
    two.answer(two.calls[0])
    assert client.failed is None
    assert waiting.source is None or not p.load().queued


def test_after_a_while_any_worker_will_do_and_becomes_the_home() -> None:
    p = sticky_pool(sticky_timeout=1.0)
    one, two = LinkedMember(p, replica="one"), LinkedMember(p, replica="two")
    submit(p, "two")
    exchange, client = submit(p, "two")
    p.sweep(100.9)
    assert one.running == 0
    p.sweep(101.0)
    assert (one.running, two.running) == (1, 1)
    assert cookie_value("one", "default") in exchange.cookie
    assert exchange.source is not None
    account = exchange.source.account()
    assert account is not None
    assert account.queued == pytest.approx(1.0)
    assert client.failed is None


def test_none_waits_for_its_home_if_that_is_not_wanted_or_the_lines_are_full() -> None:
    p = sticky_pool(sticky_timeout=0.0)
    one, _ = LinkedMember(p, replica="one"), LinkedMember(p, replica="two")
    submit(p, "two")
    submit(p, "two")
    assert one.running == 1
    p = sticky_pool(queue_size=1)
    one, _ = LinkedMember(p, replica="one"), LinkedMember(p, replica="two")
    for _ in range(2):
        submit(p, "two")
    assert one.running == 0
    submit(p, "two")
    assert one.running == 1


def test_a_home_that_is_busy_for_long_costs_a_place_in_the_queue_and_not_the_request() -> None:
    p = sticky_pool(sticky_timeout=1.0, queue_timeout=5.0)
    two = LinkedMember(p, replica="two")
    submit(p, "two")
    _, client = submit(p, "two")
    p.sweep(101.0)
    p.sweep(105.9)
    assert client.failed is None
    two.answer(two.calls[0])
    assert two.running == 1
    assert client.failed is None


def test_a_home_that_dies_hangs_or_goes_is_not_waited_for() -> None:
    p = sticky_pool(sticky_timeout=9.0)
    one, two = LinkedMember(p, slots=3, replica="one"), LinkedMember(p, replica="two")
    running, client = submit(p, "two")
    waiting, other = submit(p, "two")
    two.die()
    assert one.running == 1, "what it ran goes elsewhere at once"
    p.sweep(100.2)
    assert one.running == 2, "and who waited for it soon"
    for each in (running, waiting):
        assert cookie_value("one", "default") in each.cookie
    assert client.failed is None
    assert other.failed is None
    third = LinkedMember(p, replica="two")
    third.graded("hung")
    exchange, _ = submit(p, "two")
    assert one.running == 3
    assert exchange.cookie


def test_a_home_that_is_late_or_leaves_is_still_one() -> None:
    p = sticky_pool(drain_delay=30.0)
    one, two = LinkedMember(p, slots=9, replica="one"), LinkedMember(p, slots=9, replica="two")
    two.graded("late")
    submit(p, "two")
    assert two.running == 1
    one.ask_to_leave()
    two.ask_to_leave()
    submit(p, "two")
    assert two.running == 2
    successor = LinkedMember(p, slots=9, replica="two")
    exchange, _ = submit(p, "two")
    assert (one.running, two.running, successor.running) == (0, 2, 1)
    assert not exchange.cookie


def test_who_waits_for_its_home_gets_the_one_that_takes_its_place() -> None:
    p = sticky_pool(sticky_timeout=9.0)
    LinkedMember(p, replica="one")
    two = LinkedMember(p, replica="two")
    submit(p, "two")
    submit(p, "two")
    two.ask_to_leave()
    successor = LinkedMember(p, replica="two")
    assert successor.running == 1


def test_a_free_slot_is_for_who_has_waited_longest() -> None:
    p = sticky_pool(sticky_timeout=90.0)
    two = LinkedMember(p, replica="two")
    submit(p, "two")
    anybody, _ = submit(p)
    p.sweep(100.1)
    own, _ = submit(p, "two")
    p.sweep(100.2)
    later, _ = submit(p)
    order: list[Exchange] = []
    for _ in range(3):
        two.answer(two.calls[0])
        order += [call.exchange for call in p.running if call.exchange is not None]
    assert order == [anybody, own, later]


def test_under_overload_homes_and_queue_take_turns() -> None:
    p = sticky_pool(sticky_timeout=90.0, queue_target=1.0)
    two = LinkedMember(p, replica="two")
    for _ in range(4):
        submit(p, "two")
    old = submit(p)[0]
    p.sweep(101.1)
    new = submit(p)[0]
    assert p.load().order == "newest-first"
    order: list[Exchange | None] = []
    for _ in range(4):
        two.answer(two.calls[0])
        order += [call.exchange for call in p.running]
    assert [order.index(new), order.index(old)] == [1, 3]


def test_high_priority_passes_those_that_wait_for_their_home() -> None:
    p = Pool(
        PoolSettings(balance="sticky-cookie", sticky_timeout=90.0),
        60.0,
        Owner(),
        clock=lambda: p.now,
        high_priority=frozenset(["/up/"]),
    )
    p.sweep(100.0)
    two = LinkedMember(p, replica="two")
    for _ in range(3):
        submit(p, "two")
    p.sweep(100.5)
    probe = Exchange(Request("GET", b"/up", "1.1"), FakeClient(), opened=p.now)
    probe.take_route("/up/")
    p.submit(probe)
    two.answer(two.calls[0])
    assert [call.exchange for call in p.running] == [probe]


def test_a_full_line_is_not_searched() -> None:
    p = sticky_pool(sticky_timeout=90.0, queue_size=1)
    LinkedMember(p, replica="one")
    LinkedMember(p, replica="two")
    submit(p, "two")
    gone = submit(p, "two")[0]
    assert gone.source is not None
    gone.source.abandon(CLIENT_GONE, "the client went away")
    exchange, _ = submit(p, "two")
    assert cookie_value("one", "default") in exchange.cookie, "until the next sweep"


def test_places_of_those_that_left_are_free_again_soon() -> None:
    p = sticky_pool(sticky_timeout=90.0, queue_size=1)
    LinkedMember(p, replica="two")
    submit(p, "two")
    gone = submit(p, "two")[0]
    assert gone.source is not None
    gone.source.abandon(CLIENT_GONE, "the client went away")
    p.sweep(100.2)
    submit(p, "two")
    assert p.load().oldest_waiter == 0.0
    submit(p)
    assert p.load().queued == 2, "one for its home, and one for any worker"


def test_who_left_does_not_get_the_slot() -> None:
    p = sticky_pool(sticky_timeout=90.0)
    two = LinkedMember(p, replica="two")
    submit(p, "two")
    gone, _ = submit(p, "two")
    assert gone.source is not None
    gone.source.abandon(CLIENT_GONE, "the client went away")
    two.answer(two.calls[0])
    assert two.running == 0
    assert p.load().queued == 0


def test_at_the_end_all_are_answered() -> None:
    p = sticky_pool(sticky_timeout=90.0)
    LinkedMember(p, replica="two")
    submit(p, "two")
    _, own = submit(p, "two")
    _, anybody = submit(p)
    assert p.load().queued == 2
    assert p.waits_for()[-1].requests == 2
    p.fail_waiting()
    assert own.failed is not None
    assert anybody.failed is not None
    assert own.failed[0] == anybody.failed[0] == 503


def test_by_the_address_too() -> None:
    p = sticky_pool(balance="sticky-address")
    members = [LinkedMember(p, slots=99, replica=str(number)) for number in range(4)]
    for _ in range(10):
        submit(p, "192.0.2.7")
    assert sorted(each.running for each in members) == [0, 0, 0, 10]
