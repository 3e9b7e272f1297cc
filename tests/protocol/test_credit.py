"""Who may send how much, and when it is given back (SPEC.md 7)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.protocol.credit import ReceiveWindow
from propylon.protocol.errors import LocalProtocolError, RemoteProtocolError
from propylon.protocol.messages import CREDIT, HOLD_BODY, MAX_BODY, REQUEST_BODY, WS_MESSAGE

from .pair import exchange, hear, opened, output

WINDOW = 65_536


def test_in_steps_of_half_a_window() -> None:
    window = ReceiveWindow(100)
    window.arrived(100)
    assert [window.taken(count) for count in (49, 1, 49, 2, 0)] == [0, 50, 0, 51, 0]


def test_what_is_owed_is_given_at_once_if_need_be() -> None:
    window = ReceiveWindow(100)
    window.arrived(30)
    assert window.taken(30) == 0
    assert window.wanted() == 0, "the sender has more than half of the window"
    assert window.open() == 30
    assert window.open() == 0


def test_a_closed_window_opens_with_the_whole_of_it() -> None:
    window = ReceiveWindow(100, allowed=0)
    with pytest.raises(RemoteProtocolError):
        window.arrived(1)
    assert window.wanted() == 100
    assert window.wanted() == 0
    window.arrived(100)


@given(st.lists(st.tuples(st.sampled_from(["send", "take"]), st.integers(0, 60))), st.booleans())
def test_nothing_is_lost_or_made(steps: list[tuple[str, int]], held: bool) -> None:
    """What the sender may send, what is held, and what is owed are always the window."""
    window = ReceiveWindow(100, allowed=0 if held else None)
    may_send, held_bytes = (window.open() if held else 100), 0
    for step, count in steps:
        if step == "send":
            count = min(count, may_send)
            may_send -= count
            held_bytes += count
            window.arrived(count)
        else:
            count = min(count, held_bytes)
            held_bytes -= count
            may_send += window.taken(count)
        assert 0 <= 100 - may_send - held_bytes < 50
    if may_send < 100:
        with pytest.raises(RemoteProtocolError):
            window.arrived(may_send + 1)
    assert may_send + held_bytes + window.open() == 100


def test_a_sender_keeps_to_its_credit() -> None:
    gateway, call, worker, worker_call = opened(more=True)
    gateway.send_body(call, bytes(WINDOW), True)
    with pytest.raises(LocalProtocolError):
        gateway.send_body(call, b"x", True)
    gateway.send_body(call, b"", True)
    worker.start_response(worker_call, 200, ())
    worker.send_body(worker_call, bytes(WINDOW - 1), True)
    with pytest.raises(LocalProtocolError):
        worker.send_body(worker_call, b"xx", True)
    with pytest.raises(LocalProtocolError):
        gateway.send_body(call, bytes(MAX_BODY + 1), True)


def test_a_receiver_ends_the_link_for_more() -> None:
    _, _, worker, _ = opened(more=True)
    hear(worker, (REQUEST_BODY, 1, bytes(WINDOW - 1), True), (REQUEST_BODY, 1, b"", True))
    with pytest.raises(RemoteProtocolError):
        hear(worker, (REQUEST_BODY, 1, b"xx", False))


@pytest.mark.parametrize("count", [0, -1, 2**31, 2**31 - 1, 2**63])
def test_no_nothing_and_no_overflow(count: int) -> None:
    for end in (0, 2):
        link = opened(more=True)[end]
        with pytest.raises(RemoteProtocolError):
            hear(link, (CREDIT, 1, count))  # pyright: ignore[reportArgumentType]


def test_credit_up_to_the_brim() -> None:
    _, _, worker, call = opened(more=True)
    hear(worker, (CREDIT, 1, 2**31 - 1 - WINDOW))
    assert call.send_credit == 2**31 - 1
    with pytest.raises(RemoteProtocolError):
        hear(worker, (CREDIT, 1, 1))


def test_a_held_body_waits_for_the_app() -> None:
    gateway, call, worker, worker_call = opened(more=True, flags=HOLD_BODY)
    assert call.send_credit == 0
    with pytest.raises(LocalProtocolError):
        gateway.send_body(call, b"x", True)
    worker.wanted(worker_call)
    worker.wanted(worker_call)
    exchange(gateway, worker)
    assert call.send_credit == WINDOW
    gateway.send_body(call, bytes(WINDOW), False)


def test_a_peer_that_does_not_hold_the_body() -> None:
    _, _, worker, _ = opened(more=True, flags=HOLD_BODY)
    with pytest.raises(RemoteProtocolError):
        hear(worker, (REQUEST_BODY, 1, b"x", True))


def test_messages_cost_their_utf8_length() -> None:
    gateway, call, worker, worker_call = opened()
    gateway.send_ws_message(call, "é" * 1_000, True)
    assert call.send_credit == WINDOW - 2_000
    gateway.send_ws_message(call, b"x" * (WINDOW - 2_001), False)
    with pytest.raises(LocalProtocolError):
        gateway.send_ws_message(call, "é", False)
    assert call.send_credit == 1
    exchange(gateway, worker)
    worker.taken(worker_call, WINDOW - 1)
    exchange(gateway, worker)
    assert call.send_credit == WINDOW
    with pytest.raises(LocalProtocolError):
        gateway.send_ws_message(call, "é" * (MAX_BODY // 2) + "x", False)


def test_a_peer_that_sends_messages_without_credit() -> None:
    _, _, worker, _ = opened()
    for _ in range(WINDOW // MAX_BODY):
        hear(worker, (WS_MESSAGE, 1, bytes(MAX_BODY), True))
    with pytest.raises(RemoteProtocolError):
        hear(worker, (WS_MESSAGE, 1, b"x", False))


def test_a_whole_body_needs_no_account() -> None:
    """The commonest response: one piece, no CREDIT for it ever."""
    gateway, call, worker, worker_call = opened()
    worker.respond(worker_call, 200, (), bytes(MAX_BODY))
    list(gateway.receive(worker.take_output()))
    gateway.taken(call, MAX_BODY)
    assert output(gateway) == []
