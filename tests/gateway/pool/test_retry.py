"""What may be done again, how often, and with which body."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.exchange.end_codes import WORKER_STOPPED
from propylon.gateway.exchange.exchange import IDEMPOTENT, Exchange, Request
from propylon.gateway.pool.retry import (
    BUDGET_FLOOR,
    BUDGET_RATIO,
    BUDGET_SECONDS,
    MOST_KEPT,
    MOST_KEPT_IN_ALL,
    KeptBodies,
    KeptBody,
    RetryBudget,
    may_retry,
)
from propylon.protocol.messages import CLIENT_GONE, MAX_BODY, WINDOW

from ...fakes.exchange_sides import FakeClient
from .linked import LinkedMember, pool, submit

METHODS = ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "POST", "PATCH", "FROBNICATE"]


@given(
    method=st.sampled_from(METHODS),
    started=st.booleans(),
    whole=st.booleans(),
    deaths=st.integers(0, 4),
    refusals=st.integers(0, 4),
    status=st.sampled_from([0, 200, 500]),
)
def test_the_table(
    method: str, started: bool, whole: bool, deaths: int, refusals: int, status: int
) -> None:
    exchange = Exchange(Request(method, b"/", "1.1"), FakeClient())
    exchange.begin_response(status, (), 0.0)
    may = may_retry(exchange, started=started, whole=whole, deaths=deaths, refusals=refusals)
    expected = (
        status == 0
        and whole
        and deaths < 2
        and refusals < 2
        and (not started or method in IDEMPOTENT)
    )
    assert may is expected


# -- the body ------------------------------------------------------------------------------------


@given(opened=st.binary(max_size=20), pieces=st.lists(st.binary(max_size=70_000), max_size=8))
def test_what_is_kept_is_what_was_sent_or_nothing(opened: bytes, pieces: list[bytes]) -> None:
    together = KeptBodies()
    kept = KeptBody(len(opened), together)
    for piece in pieces:
        kept.add(piece, began=False)
    whole = opened + b"".join(pieces)
    assert kept.whole is (len(whole) <= MOST_KEPT)
    assert together.size == (len(whole) - len(opened) if kept.whole else 0)
    assert kept.take(opened) == (whole if len(whole) <= MOST_KEPT else opened)
    assert together.size == 0


def test_all_that_is_kept_is_bounded_but_for_what_never_began() -> None:
    together = KeptBodies()
    piece = bytes(MAX_BODY)
    bodies = [KeptBody(0, together) for _ in range(MOST_KEPT_IN_ALL // MAX_BODY + 10)]
    for body in bodies:
        body.add(piece, began=True)
    assert sum(body.whole for body in bodies) == MOST_KEPT_IN_ALL // MAX_BODY
    assert together.size == MOST_KEPT_IN_ALL
    new = KeptBody(0, together)
    new.add(piece, began=False)
    assert new.whole
    for body in (*bodies, new):
        body.drop()
    assert together.size == 0


@pytest.mark.parametrize("end", ["answered", "given up", "lost", "refused"])
def test_nothing_stays_kept(end: str) -> None:
    p = pool()
    one, two = LinkedMember(p, slots=8), LinkedMember(p, slots=0)
    exchange, client = submit(p, "PUT", body=b"x", more=True)
    send(exchange, 1_000, last=True)
    assert p.kept.size == 1_000
    (call,) = p.running
    if end == "answered":
        one.answer(one.calls[0])
    elif end == "given up":
        call.abandon(CLIENT_GONE, "")
    else:
        two.slots = 8
        one.die() if end == "lost" else p.refused(call)
        assert len(two.calls) == 1
        assert client.failed is None
    assert p.kept.size == 0


def send(exchange: Exchange, size: int, *, last: bool = False) -> bytes:
    """So much body, in pieces as they go, numbered so that an order shows."""
    source = exchange.source
    assert source is not None
    sent = b""
    while len(sent) < size:
        piece = b"%08d" % len(sent) * (MAX_BODY // 8)
        piece = piece[: min(size - len(sent), source.send_credit)]
        assert piece, "there is credit for it"
        sent += piece
        exchange.body_goes_on(not (last and len(sent) == size))
        source.send_body(piece, exchange.more_body)
    return sent


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_call_that_never_started_is_placed_again_with_a_whole_window(method: str) -> None:
    p = pool()
    one = LinkedMember(p, slots=8)
    exchange, client = submit(p, method, body=b"first", more=True)
    sent = send(exchange, WINDOW - 5)
    assert exchange.source is not None
    assert exchange.source.send_credit == 0, "before STARTED or CREDIT no more can go"
    two = LinkedMember(p, slots=8)
    one.die()
    assert client.failed is None
    assert two.bodies[two.calls[0]] + client.taken_back == b"first" + sent
    assert client.credited, "the sink is asked to send the rest"


def test_a_started_put_is_placed_again_while_its_body_is_kept() -> None:
    p = pool()
    one, exchange, client = LinkedMember(p, slots=8), *submit(p, "PUT", body=b"a", more=True)
    one.start(one.calls[0])
    sent = send(exchange, 1_000)
    two = LinkedMember(p, slots=8)
    one.die()
    assert client.failed is None
    assert two.bodies[two.calls[0]] == b"a" + sent
    assert client.taken_back == b"", "all of it fits into OPEN"


def test_a_body_beyond_the_window_cannot_be_sent_again_and_is_not_kept() -> None:
    p = pool()
    one = LinkedMember(p, slots=8)
    exchange, client = submit(p, "PUT", body=b"first", more=True)
    send(exchange, WINDOW - 5)
    one.read(one.calls[0], WINDOW)
    send(exchange, 10)
    (call,) = p.running
    assert not call.body_is_whole
    assert exchange.body == b"", "it is not kept either"
    LinkedMember(p, slots=8)
    one.die()
    assert client.failed is not None
    assert client.failed[0] == 502


def test_the_body_of_what_may_not_be_done_twice_is_dropped_when_it_starts() -> None:
    p = pool()
    one = LinkedMember(p, slots=8)
    exchange, client = submit(p, "POST", body=b"first", more=True)
    send(exchange, 100)
    (call,) = p.running
    assert call.body_is_whole
    one.start(one.calls[0])
    assert not call.body_is_whole
    assert exchange.body == b""
    send(exchange, 100)
    assert not call.body_is_whole
    LinkedMember(p, slots=8)
    one.die()
    assert client.failed is not None


def test_a_second_retry_has_the_whole_body_too() -> None:
    """Refused once with a body behind OPEN's, then lost with the rest sent."""
    p = pool()
    members = [LinkedMember(p, slots=1)]
    exchange, client = submit(p, "POST", body=b"x", more=True)
    sent = b"x" + send(exchange, 2 * MAX_BODY)
    members.append(LinkedMember(p, slots=1))
    (call,) = p.running
    p.refused(call)
    back = client.taken_back
    assert members[1].bodies[members[1].calls[0]] + back == sent
    assert exchange.source is not None
    exchange.source.send_body(back[:MAX_BODY], True)
    exchange.source.send_body(back[MAX_BODY:], True)
    client.taken_back = b""
    members.append(LinkedMember(p, slots=1))
    members[1].die()
    assert members[2].bodies[members[2].calls[0]] + client.taken_back == sent
    assert client.failed is None


# -- the budget ----------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.floats(0.01, 3), st.integers(0, 300), st.integers(0, 60)), max_size=60)
)
def test_the_budget_is_a_tenth_of_what_is_recent_and_a_floor(
    seconds: list[tuple[float, int, int]],
) -> None:
    budget, now, requests = RetryBudget(), 0.0, 0
    asked: list[tuple[float, int]] = []
    spent: list[float] = []
    budget.look(now, requests)
    for step, more, retries in seconds:
        requests += more
        asked.append((now, more))
        for _ in range(retries):
            if budget.spend(requests):
                spent.append(now)
        now += step
        budget.look(now, requests)
        recent = [at for at in spent if at > now - BUDGET_SECONDS]
        # What counts as recent reaches back up to a span and the second in which it began.
        around = sum(count for at, count in asked if at > now - 2 * BUDGET_SECONDS - 4)
        assert len(recent) <= BUDGET_FLOOR + BUDGET_RATIO * around + 1


def test_the_budget_comes_back() -> None:
    budget = RetryBudget()
    budget.look(0.0, 0)
    assert sum(budget.spend(0) for _ in range(1_000)) == BUDGET_FLOOR
    for second in range(1, BUDGET_SECONDS + 2):
        budget.look(float(second), 0)
    assert budget.spend(0)


def test_requests_allow_retries() -> None:
    budget = RetryBudget()
    budget.look(0.0, 0)
    assert sum(budget.spend(5_000) for _ in range(10_000)) == BUDGET_FLOOR + 500


def test_only_calls_that_may_have_started_cost_budget() -> None:
    p = pool(queue_size=10_000)
    p.sweep(100.0)
    one = LinkedMember(p, slots=1_000)
    posts = [submit(p, "POST")[1] for _ in range(300)]
    gets = [submit(p, "GET")[1] for _ in range(300)]
    one.die()
    assert not [client for client in posts if client.failed]
    allowed = BUDGET_FLOOR + BUDGET_RATIO * 600
    assert len([client for client in gets if client.failed]) == 300 - allowed


def test_a_call_that_a_worker_had_no_time_for_is_placed_again() -> None:
    """RESET SHUTDOWN before a head: by the same table as a death."""
    p = pool()
    one, two = LinkedMember(p, slots=8), LinkedMember(p, slots=0)
    clients = [submit(p, method)[1] for method in ("POST", "POST", "GET")]
    one.start(one.calls[1])
    two.slots = 8
    for call in sorted(p.running, key=lambda call: call.call_id):
        p.broken_off(call, WORKER_STOPPED, "no time", started=call.started)
    assert [client.failed is None for client in clients] == [True, False, True]
    assert len(two.calls) == 2
    assert one.running == 3, "its slots are free at END"
