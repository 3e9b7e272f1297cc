"""The queue, the choice of a worker, and what becomes of the calls of one that died."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.exchange.end_codes import GATEWAY_FAILED
from propylon.gateway.exchange.exchange import Account, Exchange, Request
from propylon.gateway.pool.load import PoolLoad
from propylon.gateway.pool.pool import Pool
from propylon.gateway.settings import PoolSettings
from propylon.protocol.messages import CLIENT_GONE, MAX_BODY

from ...fakes.exchange_sides import FakeClient
from .linked import LinkedMember, Owner, pool, submit


def test_least_loaded_first() -> None:
    p = pool()
    one, two = LinkedMember(p, slots=3), LinkedMember(p, slots=3)
    for _ in range(4):
        submit(p)
    assert (one.running, two.running) == (2, 2)
    one.answer(one.calls[0])
    submit(p)
    assert (one.running, two.running) == (2, 2)


def test_equals_take_turns() -> None:
    p = pool()
    members = [LinkedMember(p) for _ in range(3)]
    for _ in range(2):
        for member in members:
            submit(p)
            assert len(member.calls) == 1
            member.answer(member.calls[0])


def test_a_refused_call_goes_elsewhere_once() -> None:
    p = pool()
    one, two = LinkedMember(p), LinkedMember(p)
    exchange, client = submit(p, "POST")
    (first,) = p.running
    p.refused(first)
    assert len(two.calls) == 1
    assert one.running == 1, "the slot is free when the worker says END"
    one.worker.end(one.calls[0])
    one.exchange_bytes()
    assert one.running == 0
    assert client.failed is None
    assert exchange.source is not first
    (second,) = p.running
    p.refused(second)
    assert client.failed is not None
    assert client.failed[0] == 502
    assert p.retries == {"worker_died": 0, "worker_refused": 1}


def test_a_call_that_was_refused_behind_its_start_is_not_done_twice() -> None:
    p = pool()
    one, two = LinkedMember(p), LinkedMember(p)
    _, client = submit(p, "POST")
    one.worker.started([one.calls[0]])
    one.exchange_bytes()
    (call,) = p.running
    p.refused(call)
    assert not two.calls
    assert client.failed is not None
    assert client.failed[0] == 502


def test_the_queue_is_in_order_and_a_free_slot_empties_it() -> None:
    p = pool()
    member = LinkedMember(p)
    clients = [submit(p) for _ in range(3)]
    assert len(member.calls) == 1
    for _ in clients:
        assert len(member.calls) == 1
        member.answer(member.calls[0])
    assert member.running == 0
    assert all(client.failed is None for _, client in clients)


def test_a_full_queue_is_503_at_once() -> None:
    p = pool(queue_size=1)
    LinkedMember(p)
    submit(p)
    waiting = submit(p)[1]
    refused = submit(p)[1]
    assert waiting.failed is None
    assert refused.failed is not None
    assert refused.failed[0] == 503


def test_who_is_refused_is_told_when_to_come_again() -> None:
    p = pool(queue_size=1, queue_target=0.0)
    LinkedMember(p)
    submit(p)
    submit(p)
    p.sweep(6.5)
    assert submit(p)[0].retry_after == 7
    assert submit(pool(queue_size=0))[0].retry_after == 1


def test_who_left_the_queue_makes_room() -> None:
    p = pool(queue_size=1)
    member = LinkedMember(p)
    submit(p)
    gone, _ = submit(p)
    assert gone.source is not None
    gone.source.abandon(CLIENT_GONE, "the client went away")
    third = submit(p)[1]
    assert third.failed is None
    member.answer(member.calls[0])
    assert len(member.calls) == 1, "the one that left was not handed over"


def test_under_overload_the_newest_is_served_and_the_oldest_makes_room() -> None:
    p = pool(queue_size=2, queue_target=1.0)
    member = LinkedMember(p)
    submit(p)
    oldest, second = submit(p)[1], submit(p)[1]
    p.sweep(1.5)
    newest = submit(p)[0]
    assert oldest.failed is not None
    assert oldest.failed[0] == 503
    assert p.load().order == "newest-first"
    member.answer(member.calls[0])
    assert [call.exchange for call in p.running] == [newest]
    assert second.failed is None


def test_a_route_of_high_priority_passes_the_queue() -> None:
    p = Pool(PoolSettings(), 60.0, Owner(), clock=lambda: 0.0, high_priority=frozenset(["/up/"]))
    member = LinkedMember(p)
    submit(p)
    submit(p)
    probe = Exchange(Request("GET", b"/up", "1.1"), FakeClient())
    probe.take_route("/up/")
    p.submit(probe)
    assert p.load().queued == 2
    member.answer(member.calls[0])
    assert [call.exchange for call in p.running] == [probe]


def test_a_refused_client_that_asks_again_at_once_makes_others_leave_one_by_one() -> None:
    """As one does that has sent its next request already: it may not be a recursion."""
    p = pool(queue_size=1, queue_target=1.0)
    LinkedMember(p)
    submit(p)
    left = 3_000

    class Pipelining(FakeClient):
        def fail(self, *args: Any) -> int:
            nonlocal left
            status = super().fail(*args)
            if left:
                left -= 1
                ask()
            return status

    def ask() -> Pipelining:
        client = Pipelining()
        p.submit(Exchange(Request("GET", b"/x", "1.1"), client, opened=p.now))
        p.now += 1.5
        return client

    first = ask()
    ask()
    assert first.failed is not None
    assert left == 0
    assert p.load().queued == 1


def test_waiting_too_long_is_503() -> None:
    p = pool(queue_timeout=5.0)
    p.sweep(100.0)
    client = submit(p)[1]
    p.sweep(105.0)
    assert client.failed is None
    p.sweep(105.1)
    assert client.failed == (503, "No worker of this app is ready.")


def test_an_app_that_is_too_slow_is_504_and_keeps_its_slot() -> None:
    p = pool()
    p.sweep(100.0)
    member = LinkedMember(p)
    client = submit(p)[1]
    p.sweep(160.5)
    assert client.failed is not None
    assert client.failed[0] == 504
    member.exchange_bytes()
    assert member.calls[0].request == "reset"
    assert member.running == 1, "the slot is free when the worker says so"
    member.worker.end(member.calls[0])
    member.exchange_bytes()
    assert member.running == 0


def test_a_late_client_is_not_the_apps_fault() -> None:
    p = pool()
    p.sweep(100.0)
    LinkedMember(p)
    client = submit(p, "POST", body=b"x", more=True)[1]
    p.sweep(1_000.0)
    assert client.failed is None


def test_an_app_that_does_not_read_on_is_too_slow() -> None:
    p = pool()
    p.sweep(100.0)
    LinkedMember(p)
    exchange, client = submit(p, "POST", body=b"x", more=True)
    assert exchange.source is not None
    p.sweep(150.0)
    while credit := exchange.source.send_credit:
        exchange.source.send_body(bytes(min(credit, MAX_BODY)), True)
    p.sweep(210.0)
    assert client.failed is None, "its time runs from the last bytes that it was given"
    p.sweep(210.5)
    assert client.failed is not None
    assert client.failed[0] == 504


def test_nobody_in_the_queue_is_handed_over_twice() -> None:
    p = pool(queue_size=2)
    member = LinkedMember(p, slots=3, ready=False)
    member.slots = 0

    class Pipelines(FakeClient):
        """When its request gets on, two more come in, while there is no slot for them."""

        def credit_arrived(self, exchange: Exchange) -> None:
            member.slots = 1
            clients.extend(submit(p)[1] for _ in range(2))
            member.slots = 3

    first = Exchange(Request("POST", b"/x", "1.1"), Pipelines())
    first.begin_body(b"", True)
    p.submit(first)
    clients = [submit(p)[1]]
    member.slots = 3
    p.changed()
    assert len(member.calls) == 3
    assert clients[2].failed is not None, "the queue was full, and was looked through"
    member.answer(member.calls[1])
    p.changed()
    assert len(member.calls) == 2


def test_an_outage_is_logged_once_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    p = pool(queue_timeout=5.0)
    p.sweep(100.0)
    p.could_not_start("No module named 'flask'")
    for _ in range(2):
        submit(p)
    p.sweep(105.1)
    (line,) = caplog.messages
    assert line == (
        "pool default has no worker that is ready; "
        "the last one could not start: No module named 'flask'"
    )
    member = LinkedMember(p)
    assert p.last_failure == ""
    member.die()
    submit(p)
    p.sweep(111.0)
    LinkedMember(p)
    p.changed()
    assert caplog.messages[1:] == [
        "pool default has a worker again",
        "pool default has no worker that is ready",
        "pool default has a worker again",
    ]


def test_the_account_of_an_exchange() -> None:
    p = pool()
    p.sweep(100.0)
    exchange, _ = submit(p)
    source = exchange.source
    assert source is not None
    p.sweep(101.5)
    assert source.account() == Account("default", None, 1.5, 0)
    first = LinkedMember(p)
    p.sweep(103.0)
    assert source.account() == Account("default", 1, 1.5, 1)
    second = LinkedMember(p)
    first.die()
    source = exchange.source
    assert source is not None
    assert source.account() == Account("default", 1, 1.5, 2)
    second.die()
    assert source.account() == Account("default", 1, 1.5, 2)
    assert exchange.reason == "the worker was killed"


def test_the_load_of_a_pool() -> None:
    p = pool(queue_target=0.0)
    p.sweep(100.0)
    assert p.load() == PoolLoad(queued=0, running=0, slots=0, oldest_waiter=0.0)
    one, two = LinkedMember(p, slots=1), LinkedMember(p, slots=2)
    for _ in range(3):
        submit(p)
    gone, _ = submit(p)
    p.sweep(101.0)
    submit(p)
    assert p.load() == PoolLoad(queued=2, running=3, slots=3, oldest_waiter=1.0)
    assert gone.source is not None
    gone.source.abandon(CLIENT_GONE, "the client went away")
    p.sweep(103.5)
    assert p.load() == PoolLoad(queued=1, running=3, slots=3, oldest_waiter=2.5)
    two.graded("hung")
    assert p.load() == PoolLoad(queued=1, running=3, slots=1, oldest_waiter=2.5)
    two.die()
    assert p.load() == PoolLoad(queued=3, running=1, slots=1, oldest_waiter=2.5)
    while one.calls:
        one.answer(one.calls[0])
    assert p.load() == PoolLoad(queued=0, running=0, slots=1, oldest_waiter=0.0)


def test_websockets_are_counted_once_they_are_accepted() -> None:
    p = pool()
    LinkedMember(p, slots=8)
    plain, *exchanges = [submit(p)[0] for _ in range(4)]
    plain.begin_response(200, (), 1.0)
    for exchange in exchanges:
        exchange.request.upgrade = "websocket"
    assert p.websockets() == 0
    for exchange in exchanges[:2]:
        exchange.begin_response(101, (), 1.0)
    assert p.websockets() == 2
    source = exchanges[0].source
    assert source is not None
    source.abandon(CLIENT_GONE, "the client went away")
    assert p.websockets() == 1


@pytest.mark.parametrize(
    ("method", "started", "retried"),
    [
        ("GET", False, True),
        ("PUT", False, True),
        ("DELETE", False, True),
        ("POST", False, True),
        ("POST", True, False),
        ("PATCH", True, False),
        ("FROBNICATE", True, False),
        ("TRACE", True, True),
    ],
)
def test_a_dead_workers_calls(method: str, started: bool, retried: bool) -> None:
    p = pool()
    one = LinkedMember(p, slots=8)
    client = submit(p, method)[1]
    if started:
        one.start(one.calls[0])
    two = LinkedMember(p, slots=8)
    one.die()
    assert (len(two.calls) == 1) is retried
    assert (client.failed is None) is retried
    assert p.retries == {"worker_died": int(retried), "worker_refused": 0}
    if not retried:
        assert client.failed is not None
        assert client.failed[0] == 502


class LostBody:
    """A body that was kept, and cannot be read again."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def rewind(self, exchange: Exchange) -> None:
        if self.error is not None:
            raise self.error
        assert exchange.source is not None
        exchange.source.abandon(CLIENT_GONE, "the body is lost")
        exchange.give_end(GATEWAY_FAILED)
        exchange.sink.fail(exchange, 500, "The request's body could not be read again.")

    def forget(self) -> None: ...

    def leave(self) -> None: ...


@pytest.mark.parametrize(("error", "status"), [(None, 500), (OSError("no disk"), 502)])
def test_a_body_that_is_lost_costs_one_call_of_a_dead_worker(
    error: Exception | None, status: int
) -> None:
    p = pool()
    one = LinkedMember(p, slots=8)
    exchange, client = submit(p)
    others = [submit(p) for _ in range(2)]
    exchange.collected = LostBody(error)  # type: ignore[assignment]
    two = LinkedMember(p, slots=8)
    one.die()
    assert client.failed is not None
    assert client.failed[0] == status
    assert {call.exchange for call in p.running} == {each for each, _ in others}
    assert two.running == 2
    assert p.load().queued == 0


class Broken(FakeClient):
    """A client that cannot be answered."""

    def fail(self, *args: Any) -> int:
        raise ValueError("broken")


def test_one_that_is_too_slow_and_cannot_be_answered_holds_up_no_other() -> None:
    p = pool()
    LinkedMember(p, slots=8)
    clients = [Broken(), FakeClient(), Broken(), FakeClient()]
    for client in clients:
        p.submit(Exchange(Request("GET", b"/x", "1.1"), client, opened=p.now))
    p.sweep(p.now + 61.0)
    assert [client.status for client in clients] == [0, 504, 0, 504]


def test_one_that_is_refused_and_cannot_be_answered_holds_up_no_other() -> None:
    p = pool(queue_size=0)
    p.submit(Exchange(Request("GET", b"/x", "1.1"), Broken(), opened=p.now))
    _, client = submit(p)
    assert client.failed is not None
    assert client.failed[0] == 503


def test_two_dead_workers_are_enough() -> None:
    p = pool()
    client = None
    members = [LinkedMember(p, slots=8)]
    client = submit(p)[1]
    for _ in range(2):
        members.append(LinkedMember(p, slots=8))
        members[-2].die()
    assert client.failed is not None
    assert client.failed[0] == 502
    assert not members[-1].calls


def test_a_late_worker_is_taken_when_no_other_has_a_slot() -> None:
    p = pool()
    late, other = LinkedMember(p, slots=2), LinkedMember(p, slots=2)
    late.graded("late")
    for _ in range(2):
        submit(p)
    assert (late.running, other.running) == (0, 2)
    submit(p)
    assert (late.running, other.running) == (1, 2)


def test_a_hung_worker_gets_nothing_while_there_is_another() -> None:
    p = pool()
    hung, other = LinkedMember(p, slots=2), LinkedMember(p, slots=1)
    hung.graded("hung")
    submit(p)
    waits = submit(p)[1]
    assert (hung.running, other.running) == (0, 1)
    other.die()
    assert hung.running == 2, "the last one is never given up"
    assert waits.failed is None
    third = LinkedMember(p, slots=1)
    submit(p)
    assert (hung.running, third.running) == (2, 1)


def test_a_worker_that_heals_gets_calls_again() -> None:
    p = pool()
    member, other = LinkedMember(p, slots=2), LinkedMember(p, slots=1)
    member.graded("hung")
    submit(p)
    submit(p)
    assert (member.running, other.running) == (0, 1)
    member.graded("late")
    assert (member.running, other.running) == (1, 1)


def test_after_the_head_no_worker_is_asked_again() -> None:
    p = pool()
    one, two = LinkedMember(p, slots=8), LinkedMember(p, slots=0)
    exchange, client = submit(p)
    exchange.begin_response(200, (), p.now)  # the sink has seen a head
    two.slots = 8
    one.die()
    assert client.failed is not None
    assert not two.calls


def test_an_exchange_has_started_when_a_worker_has_it() -> None:
    p = pool(queue_size=1)
    p.sweep(10.0)
    member = LinkedMember(p)
    first, second, third = (submit(p)[0] for _ in range(3))
    assert [each.queued for each in (first, second, third)] == [10.0] * 3
    assert [each.started for each in (first, second, third)] == [10.0, 0.0, 0.0]
    p.sweep(12.0)
    member.answer(member.calls[0])
    assert [each.started for each in (first, second, third)] == [10.0, 12.0, 0.0]


def test_a_retry_that_waits_is_handed_over_later() -> None:
    p = pool()
    one = LinkedMember(p)
    client = submit(p)[1]
    one.die()
    assert client.failed is None
    two = LinkedMember(p)
    assert len(two.calls) == 1
    two.answer(two.calls[0])
    assert two.running == 0


def test_the_end_of_a_body_may_come_while_the_call_waits() -> None:
    p = pool()
    exchange, _ = submit(p, "POST", body=b"all", more=True)
    assert exchange.source is not None
    exchange.body_goes_on(False)
    exchange.source.send_body(b"", False)
    member = LinkedMember(p)
    assert member.calls[0].request == "complete"


@given(
    asked=st.floats(0.0, 0.25),
    limit=st.floats(0.1, 3.0),
    freed=st.floats(0.0, 3.0),
    kind=st.sampled_from(["handed over", "queued", "from the queue", "given body"]),
)
def test_no_time_limit_is_early(asked: float, limit: float, freed: float, kind: str) -> None:
    """Whenever its time begins between two sweeps; late by one of them at most."""
    clock = [100.0]
    p = Pool(
        PoolSettings(queue_timeout=limit if kind == "queued" else 1e6),
        limit,
        Owner(),
        clock=lambda: clock[0],
    )
    p.sweep(clock[0])
    member = LinkedMember(p)
    if kind in ("queued", "from the queue"):
        submit(p)
        assert member.running == 1
        clock[0] += asked / 2
    else:
        clock[0] += asked
    more = kind == "given body"
    exchange = Exchange(
        Request("POST" if more else "GET", b"/", "1.1"), FakeClient(), opened=clock[0]
    )
    client = cast("FakeClient", exchange.sink)
    exchange.begin_body(b"", more)
    p.submit(exchange)
    if kind == "from the queue":
        clock[0] += freed
        member.answer(member.calls[0])
    elif kind == "given body":
        clock[0] += freed
        assert exchange.source is not None
        exchange.source.send_body(b"x", False)
        exchange.body_goes_on(False)
    begun, at = clock[0], 100.0
    while client.failed is None:
        at += 0.25
        if at < begun:
            continue
        clock[0] = at
        p.sweep(at)
        assert at <= begun + limit + 0.25 + 1e-6 or client.failed
    assert at >= begun + limit
