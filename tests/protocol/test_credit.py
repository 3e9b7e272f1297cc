"""Who may send how much, and when it is given back (SPEC.md 7)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.protocol.calls import Call
from propylon.protocol.credit import ReceiveWindow
from propylon.protocol.errors import LocalProtocolError, RemoteProtocolError
from propylon.protocol.fragmenter import Fragmenter
from propylon.protocol.gateway_link import GatewayLink
from propylon.protocol.link import LinkMachine
from propylon.protocol.messages import (
    COUNTED_MESSAGES,
    CREDIT,
    HOLD_BODY,
    MAX_BODY,
    MESSAGE_OVERHEAD,
    REQUEST_BODY,
    WS_MESSAGE,
)
from propylon.protocol.worker_link import WorkerLink

from .pair import SCOPE, Bell, exchange, greeting, hear, opened, output

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


def test_a_window_that_begins_with_a_part_has_the_rest_when_that_is_half_used_up_and_taken() -> (
    None
):
    window = ReceiveWindow(400, allowed=100)
    window.arrived(40)
    assert window.taken(40) == 0, "the sender has more than half of the part"
    window.arrived(10)
    assert window.taken(1) == 300 + 41
    window.arrived(50 + 341)
    with pytest.raises(RemoteProtocolError):
        window.arrived(1)
    assert [window.taken(count) for count in (150, 49, 1, 50)] == [0, 0, 200, 0]


def test_who_takes_nothing_of_a_part_is_sent_no_more() -> None:
    window = ReceiveWindow(400, allowed=100)
    window.arrived(49)
    assert window.taken(0) == 0
    window.arrived(51)
    with pytest.raises(RemoteProtocolError):
        window.arrived(1)
    assert window.taken(0) == 300, "but for one who keeps it elsewhere"


def test_a_link_can_give_the_whole_window_from_the_start() -> None:
    gateway = GatewayLink(greeting(window=WINDOW), Bell(), 4 * WINDOW)
    worker = WorkerLink(greeting(), Bell())
    gateway.greet()
    worker.greet()
    exchange(gateway, worker)
    narrow, wide = Call(), Call()
    for call in (narrow, wide):
        gateway.open(call, SCOPE, b"", False, 0)
    gateway.widen(wide)
    exchange(gateway, worker)
    assert [call.send_credit for call in worker.calls.values()] == [WINDOW, 4 * WINDOW]
    gateway.widen(wide)
    assert output(gateway) == [], "once"


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


def test_counted_messages_cost_their_overhead_too() -> None:
    """Both ways, each piece, and an empty one as well; a window holds so many and no more."""
    gateway, call, worker, worker_call = opened(counted=True)
    for link, said_by, peer, heard_by in (
        (gateway, call, worker, worker_call),
        (worker, worker_call, gateway, call),
    ):
        link.send_ws_message(said_by, "é", True)
        link.send_ws_message(said_by, "", False)
        assert said_by.send_credit == WINDOW - 2 - 2 * MESSAGE_OVERHEAD
        for _ in range(WINDOW // MESSAGE_OVERHEAD - 3):
            link.send_ws_message(said_by, b"", False)
        assert said_by.send_credit == MESSAGE_OVERHEAD - 2
        with pytest.raises(LocalProtocolError):
            link.send_ws_message(said_by, b"", False)
        exchange(gateway, worker)
        peer.taken(heard_by, WINDOW - MESSAGE_OVERHEAD + 2)
        exchange(gateway, worker)
        assert said_by.send_credit == WINDOW


@pytest.mark.parametrize("end", [0, 2])
def test_a_peer_that_sends_empty_messages_without_credit(end: int) -> None:
    link = opened(counted=True)[end]
    assert isinstance(link, LinkMachine)
    hear(link, *[(WS_MESSAGE, 1, b"", False)] * (WINDOW // MESSAGE_OVERHEAD))
    with pytest.raises(RemoteProtocolError):
        hear(link, (WS_MESSAGE, 1, b"", False))


@pytest.mark.parametrize("counts", ["gateway", "worker", "neither"])
def test_messages_are_not_counted_unless_both_do(counts: str) -> None:
    features = {counts: frozenset({COUNTED_MESSAGES})}
    nothing = frozenset[str]()
    gateway = GatewayLink(greeting(features=features.get("gateway", nothing)), Bell())
    worker = WorkerLink(greeting(features=features.get("worker", nothing)), Bell())
    gateway.greet()
    worker.greet()
    exchange(gateway, worker)
    call = Call()
    gateway.open(call, SCOPE, b"", False, 0)
    exchange(gateway, worker)
    for link, one in ((gateway, call), (worker, worker.calls[1])):
        for _ in range(2 * WINDOW // MESSAGE_OVERHEAD):
            link.send_ws_message(one, b"", False)
        link.send_ws_message(one, bytes(WINDOW), False)
        assert one.send_credit == 0
        link.send_ws_message(one, b"", False)
    exchange(gateway, worker)


@given(
    st.lists(st.sampled_from([0, 1, 63, 64, 65, 1_000, 32_704, 65_472, 65_536, 200_000])),
    st.booleans(),
)
def test_no_message_waits_for_ever_for_its_overhead(sizes: list[int], counted: bool) -> None:
    """Whatever credit is left when its turn comes: the receiver takes what has come, and the rest
    follows. Its consumer takes the pieces one by one."""
    gateway, call, worker, worker_call = opened(counted=counted)
    heard = 0
    for size in sizes:
        fragmenter = Fragmenter(bytes(size))
        while not fragmenter.done:
            room = min(call.send_credit - gateway.message_overhead, MAX_BODY)
            piece = fragmenter.take(room)
            if piece is not None:
                gateway.send_ws_message(call, piece, not fragmenter.done)
                continue
            messages = list(worker.receive(gateway.take_output()))
            assert messages, "nothing is on its way, and nothing may be sent"
            for _, message in messages:
                assert message[0] == WS_MESSAGE
                heard += len(message[2])
                worker.taken(worker_call, len(message[2]) + worker.message_overhead)
            list(gateway.receive(worker.take_output()))
    heard += sum(len(message[2]) for _, message in worker.receive(gateway.take_output()))  # type: ignore[misc, arg-type]
    assert heard == sum(sizes)


def test_a_whole_body_needs_no_account() -> None:
    """The commonest response: one piece, no CREDIT for it ever."""
    gateway, call, worker, worker_call = opened()
    worker.respond(worker_call, 200, (), bytes(MAX_BODY))
    list(gateway.receive(worker.take_output()))
    gateway.taken(call, MAX_BODY)
    assert output(gateway) == []
