"""What goes first (SPEC.md 8), and when the bell rings."""

import pytest
from propylon.protocol.calls import Call
from propylon.protocol.codec import encode
from propylon.protocol.errors import LocalProtocolError
from propylon.protocol.messages import (
    BYE,
    END,
    EVENT,
    PING,
    RESET,
    RESPONSE,
    RESPONSE_BODY,
    Message,
)
from propylon.protocol.outbox import BATCH, Outbox
from propylon.protocol.worker_link import WorkerLink

from .pair import SCOPE, Bell, exchange, hear, opened, output, pair

BIG = bytes(65_536)


def answering(calls: int) -> tuple[WorkerLink, Bell, list[Call]]:
    """A worker that has begun so many responses, with credit for much."""
    gateway, worker = pair()
    for _ in range(calls):
        gateway.open(Call(), SCOPE, b"", False, 0)
    exchange(gateway, worker)
    mine = list(worker.calls.values())
    for call in mine:
        worker.start_response(call, 200, ())
        call.send_credit = 10**9
    worker.take_output()
    bell = Bell()
    worker._schedule_flush = bell  # pyright: ignore[reportPrivateUsage]
    return worker, bell, mine


def shape(messages: list[Message]) -> list[tuple[object, ...]]:
    return [(message[0], message[1]) for message in messages]


def test_bodies_take_turns() -> None:
    worker, _, (one, two, three) = answering(3)
    for _ in range(10):
        worker.send_body(one, BIG, True)  # the first five find the way free
    for call in (two, three, two):
        worker.send_body(call, BIG, True)
    order = [message[1] for message in output(worker)]
    assert order[:4] == [1, 1, 1, 1]
    assert order[4:] == [1, 2, 3, 1, 2, 1, 1, 1, 1]


def test_control_overtakes_bodies_but_not_its_own_call_s() -> None:
    worker, _, (one, two) = answering(2)
    for _ in range(6):
        worker.send_body(one, BIG, True)
    worker.event(one, {"type": "behind"})
    worker.event(two, {"type": "before"})
    worker.ping(1)
    worker.end(two)
    worker.end(one)
    assert shape(output(worker)) == [
        *[(RESPONSE_BODY, 1)] * 4,
        (EVENT, 2),
        (PING, 1),
        (END, 2),
        *[(RESPONSE_BODY, 1)] * 2,
        (EVENT, 1),
        (END, 1),
    ]


def test_a_reset_call_s_bodies_do_not_go_out() -> None:
    worker, _, (one, two) = answering(2)
    for call in (one, one, one, one, one, one, two):
        worker.send_body(call, BIG, True)
    worker.reset(one, 3, "")
    worker.end(one)
    assert shape(output(worker)) == [
        *[(RESPONSE_BODY, 1)] * 4,
        (RESET, 1),
        (END, 1),
        (RESPONSE_BODY, 2),
    ]


@pytest.mark.parametrize(("code", "place"), [(0, -1), (1, 4)])
def test_a_normal_bye_waits_for_everything(code: int, place: int) -> None:
    worker, _, (one, two) = answering(2)
    for _ in range(6):
        worker.send_body(one, BIG, True)
    worker.end(one)
    worker.send_body(two, b"", False)
    worker.bye(code, "")
    said = output(worker)
    place = place if place < 0 else [message[0] for message in said].index(BYE)
    assert said[place] == (BYE, code, "")
    assert (said[-1][0] == BYE) == (code == 0)
    assert (RESPONSE_BODY, 2, b"", False, False) in said[: place or None]


def test_an_answered_call_s_request_body_does_not_go_out() -> None:
    gateway, call, worker, worker_call = opened(more=True)
    other = Call()
    gateway.open(other, SCOPE, b"", True, 0)
    exchange(gateway, worker)
    call.send_credit = other.send_credit = 10**9
    for _ in range(5):
        gateway.send_body(other, BIG, True)
    gateway.send_body(call, BIG, True)
    worker.respond(worker_call, 413, (), b"no")
    worker.end(worker_call)
    list(gateway.receive(worker.take_output()))
    assert {message[1] for message in output(gateway)} == {2}


# -- the end of a response -------------------------------------------------------------------


def test_an_app_that_returns_at_once_needs_no_end() -> None:
    worker, _, (one, two) = answering(2)
    for call in (one, two):
        worker.send_body(call, b"last", True)
        worker.send_body(call, b"", False)
    worker.end(one)
    assert output(worker) == [
        (RESPONSE_BODY, 1, b"last", False, True),
        (RESPONSE_BODY, 2, b"last", False, False),
    ]
    worker.end(two)
    assert output(worker) == [(END, 2)]


def test_an_event_does_not_overtake_a_response_that_is_held() -> None:
    _, _, worker, call = opened()
    worker.respond(call, 200, (), b"ok")
    worker.event(call, {"type": "x"})
    worker.end(call)
    assert shape(output(worker)) == [(RESPONSE, 1), (EVENT, 1), (END, 1)]


UNSPEAKABLE = {
    "too many": ((b"a", b"b"),) * 4_097,
    "too large": ((b"a", bytes(1_048_576)),),
    "not bytes": ((b"a", object()),),
    "too large an integer": ((b"a", 2**64),),
    "no UTF-8": ((b"a", "\ud800"),),
}


@pytest.mark.parametrize("headers", UNSPEAKABLE.values(), ids=UNSPEAKABLE)
def test_a_refused_head_leaves_the_place_for_another(headers: object) -> None:
    """One app's impossible response costs its own call and nobody else's."""
    gateway, _, worker, call = opened()
    error = (LocalProtocolError, TypeError, ValueError, OverflowError)
    with pytest.raises(error):
        worker.respond(call, 200, headers, b"x")  # pyright: ignore[reportArgumentType]
    with pytest.raises(error):
        worker.start_response(call, 200, headers)  # pyright: ignore[reportArgumentType]
    with pytest.raises(error):
        worker.event(call, {"type": "x", "headers": headers, "more": bytes(1_048_576)})
    assert (call.response, worker.has_output) == ("opened", False)
    worker.respond(call, 500, (), b"sorry")
    worker.end(call)
    heard = [message for _, message in gateway.receive(worker.take_output())]
    assert heard == [(RESPONSE, 1, 500, (), b"sorry", True)]


def test_a_refused_open_leaves_no_trace() -> None:
    gateway, worker = pair()
    huge = (*SCOPE[:7], ((b"a", bytes(1_048_576)),), *SCOPE[8:])
    with pytest.raises(LocalProtocolError):
        gateway.open(Call(), huge, b"", False, 0)  # pyright: ignore[reportArgumentType]
    assert (gateway.calls, gateway.has_output) == ({}, False)
    gateway.open(Call(), SCOPE, b"", False, 0)
    exchange(gateway, worker)
    assert list(worker.calls) == [1]


# -- the bell --------------------------------------------------------------------------------


def test_the_bell_rings_once_for_one_batch() -> None:
    worker, bell, (one, two) = answering(2)
    worker.send_body(one, b"", False)
    worker.ping(1)
    worker.send_body(two, b"", False)
    worker.end(one)
    assert bell.rings == 1
    worker.take_output()
    assert (bell.rings, worker.has_output) == (1, False)
    worker.end(two)
    assert bell.rings == 2


def test_the_bell_is_silent_while_something_waits() -> None:
    bell = Bell()
    outbox = Outbox(bell, 10**6)
    big = encode((RESPONSE_BODY, 1, BIG, True, False))
    for _ in range(2 * BATCH // len(big)):
        outbox.put_body(1, (big,))
    outbox.take()
    outbox.put(encode((PING, 1)))
    outbox.put_last(b"bye")
    assert bell.rings == 1
    outbox.drop(1)
    assert outbox
    assert outbox.take()[-1].endswith(b"bye")
    assert not outbox
    outbox.put_last(b"bye")
    assert bell.rings == 2


def test_a_gateway_s_reset_overtakes_and_drops() -> None:
    gateway, call, worker, worker_call = opened(more=True)
    call.send_credit = 10**9
    for _ in range(8):
        gateway.send_body(call, BIG, True)
    assert len(gateway.take_output()) > BATCH
    gateway.reset(call, 1, "client gone")
    assert output(gateway) == [(RESET, 1, 1, "client gone")]
    hear(worker, (RESET, 1, 1, "client gone"))
    assert worker_call.request == "reset"
