"""WebSocket calls over a real link, the same on uvloop, trio and asyncio."""

import json
import os
import signal
import socket
import struct
import time
from pathlib import Path

import pytest
from propylon.protocol.hello import Greeting
from propylon.protocol.messages import (
    CLIENT_GONE,
    COUNTED_MESSAGES,
    FEATURES,
    MAX_BODY,
    MESSAGE_OVERHEAD,
    WINDOW,
)
from propylon.worker.asgi.websocket_call import MOST_AT_ONCE

from ..apps.asgi_apps import LARGE
from ..gateway_peer import TIMEOUT, GatewayPeer, PeerCall, abandon_downloads, running, scope


def opened(peer: GatewayPeer, path: str, query: str = "") -> PeerCall:
    """A WebSocket that the app has accepted."""
    call = peer.open(scope(path=path.encode(), query=query.encode(), kind="websocket"))
    peer.flush()
    peer.until(lambda: call.events)
    assert call.events.pop(0)["type"] == "websocket.accept"
    return call


def new_errors(peer: GatewayPeer, before: int) -> list[str]:
    return peer.get("/stats").json["errors"][before:]


@pytest.fixture
def before(asgi: GatewayPeer) -> int:
    """How many errors the app has noted."""
    return len(asgi.get("/stats").json["errors"])


def test_messages_go_both_ways(asgi: GatewayPeer) -> None:
    call = opened(asgi, "/ws_echo")
    for data in (b"bytes", "text", b"", ""):
        asgi.link.send_ws_message(call, data, False)
    asgi.link.send_ws_message(call, "in ", True)
    asgi.link.send_ws_message(call, "pieces", False)
    asgi.flush()
    asgi.until(lambda: len(call.pieces) == 5)
    assert call.messages == [b"bytes", "text", b"", "", "in pieces"]
    asgi.link.event(call, {"type": "websocket.disconnect", "code": 1000, "reason": ""})
    asgi.flush()
    asgi.until(lambda: call.ended)


def test_many_messages_leave_other_calls_their_turns(asgi: GatewayPeer) -> None:
    """A request behind them is answered before all of them are."""
    count = 50 * MOST_AT_ONCE
    call = opened(asgi, "/ws_echo")
    for number in range(count):
        asgi.link.send_ws_message(call, b"%d" % number, False)
    asked = asgi.open(scope(path=b"/stats"))
    peer = asgi.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    worker, _, _ = struct.unpack("3i", peer)
    os.kill(worker, signal.SIGSTOP)  # so that it reads all of them at once
    try:
        asgi.flush()
    finally:
        os.kill(worker, signal.SIGCONT)
    asgi.until(lambda: asked.ended)
    assert len(call.pieces) < count - MOST_AT_ONCE
    asgi.until(lambda: len(call.pieces) == count)
    assert call.messages == [b"%d" % number for number in range(count)]
    asgi.link.event(call, {"type": "websocket.disconnect", "code": 1000, "reason": ""})
    asgi.flush()
    asgi.until(lambda: call.ended)


@pytest.mark.parametrize("name", LARGE)
def test_a_message_larger_than_the_window(asgi: GatewayPeer, name: str) -> None:
    call = opened(asgi, "/ws_large", name)
    asgi.until(lambda: call.ended)
    assert call.messages == [LARGE[name], ""]
    sizes = [len(p if isinstance(p, bytes) else p.encode()) for p, _ in call.pieces]
    assert max(sizes) <= MAX_BODY
    assert 0 not in sizes[:-1]


def test_a_text_that_utf8_cannot_carry_is_refused_whole(asgi: GatewayPeer) -> None:
    call = opened(asgi, "/ws_surrogate")
    asgi.until(lambda: call.ended)
    assert call.pieces == [("refused", False)]


def test_small_messages_beyond_the_window(asgi: GatewayPeer) -> None:
    """The app's taking of a message gives back all that it cost, whole or in pieces."""
    call = opened(asgi, "/ws_echo")
    for more in (False, True):
        said = 0
        while said <= WINDOW // MESSAGE_OVERHEAD:
            while call.send_credit > 2 * MESSAGE_OVERHEAD:
                if more:
                    asgi.link.send_ws_message(call, b"x", True)
                asgi.link.send_ws_message(call, b"", False)
                said += 1
            asgi.flush()
            asgi.until(lambda: call.send_credit > 2 * MESSAGE_OVERHEAD)
        asgi.until(lambda said=said: len(call.pieces) == said)
        assert set(call.messages) == {b"x" if more else b""}
        call.pieces.clear()
    asgi.link.event(call, {"type": "websocket.disconnect", "code": 1000, "reason": ""})
    asgi.flush()
    asgi.until(lambda: call.ended)


def test_empty_messages_wait_for_a_client_that_takes_none(asgi: GatewayPeer) -> None:
    """A window of them, and as many more as are taken."""
    asgi.take_bodies = False
    call = opened(asgi, "/ws_empty_for_ever")
    asgi.until(lambda: len(call.pieces) == WINDOW // MESSAGE_OVERHEAD)
    for _ in range(3):
        assert asgi.get("/hello").body == b"hello"
    assert len(call.pieces) == WINDOW // MESSAGE_OVERHEAD
    asgi.link.taken(call, WINDOW)
    asgi.flush()
    asgi.until(lambda: len(call.pieces) == 2 * WINDOW // MESSAGE_OVERHEAD)
    assert set(call.pieces) == {("", False)}
    asgi.take_bodies = True
    asgi.link.event(call, {"type": "websocket.disconnect", "code": 1000, "reason": ""})
    asgi.flush()
    asgi.until(lambda: call.ended)


def test_a_gateway_that_does_not_count_messages_takes_any_number(run_dir: Path) -> None:
    """An older one: bytes alone have a cost, as they always had."""
    greeting = Greeting(who={"gateway": 1}, features=FEATURES - {COUNTED_MESSAGES})
    with running("asgi_apps:app", run_dir, greeting=greeting) as (_, peer):
        call = opened(peer, "/ws_echo")
        count = 2 * WINDOW // MESSAGE_OVERHEAD
        for _ in range(count):
            peer.link.send_ws_message(call, b"", False)
        peer.link.send_ws_message(call, b"x" * MAX_BODY, False)
        peer.flush()
        peer.until(lambda: len(call.pieces) == count + 1)
        assert call.send_credit == WINDOW - MAX_BODY


# -- several tasks that send -------------------------------------------------------------------


def test_messages_of_several_tasks_do_not_mix(asgi: GatewayPeer) -> None:
    asgi.take_bodies = False
    call = opened(asgi, "/ws_two_send")
    asgi.until(lambda: sum(len(data) + MESSAGE_OVERHEAD for data, _ in call.pieces) == WINDOW)
    asgi.quiet(0.2)  # the others are in line by then
    asgi.take_bodies = True
    asgi.link.taken(call, WINDOW)
    asgi.flush()
    asgi.until(lambda: call.ended)
    assert call.messages == [str(n) * (1_000_000 >> (5 * n)) for n in range(4)]
    assert [event["code"] for event in call.events] == [3000]


def test_a_message_that_was_cancelled_in_its_middle_closes(asgi: GatewayPeer, before: int) -> None:
    asgi.take_bodies = False
    call = opened(asgi, "/ws_send_is_cancelled", "first")
    asgi.until(lambda: call.ended)
    asgi.take_bodies = True
    assert (call.messages, call.reset) == ([], None)
    assert [(event["type"], event["code"]) for event in call.events] == [("websocket.close", 1011)]
    assert new_errors(asgi, before) == ["the WebSocket is closed", "websocket.disconnect"]


def test_a_message_that_was_cancelled_in_line_is_withdrawn(asgi: GatewayPeer, before: int) -> None:
    asgi.take_bodies = False
    call = opened(asgi, "/ws_send_is_cancelled", "second")
    end = time.monotonic() + TIMEOUT
    while not new_errors(asgi, before):  # each look is a request to the app
        assert time.monotonic() < end
    asgi.take_bodies = True
    asgi.link.taken(call, WINDOW)
    asgi.flush()
    asgi.until(lambda: call.messages)
    asgi.link.event(call, {"type": "websocket.disconnect", "code": 1000, "reason": ""})
    asgi.flush()
    asgi.until(lambda: call.ended)
    assert call.messages == ["a" * 1_000_000]
    assert (call.events, call.reset) == ([], None)
    assert new_errors(asgi, before) == ["withdrawn", "websocket.disconnect"]


# -- no WebSocket after all ----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["refuse", "deny", "deny in pieces", "deny with much"])
def test_who_refuses_hears_1006_and_the_slot_is_free(
    asgi: GatewayPeer, before: int, how: str
) -> None:
    """As with a handshake that failed: there never was a WebSocket (RFC 6455 section 7.1.5)."""
    query = how.replace(" ", "_").encode()
    call = asgi.call(scope(path=b"/ws_refuses", query=query, kind="websocket"))
    assert new_errors(asgi, before) == [["websocket.disconnect", 1006]] * 2
    if how == "refuse":
        assert [event["type"] for event in call.events] == ["websocket.close"]
    else:
        assert (call.status, len(call.body)) == (401, 1_000_000 if "much" in how else 2)
    assert call.reset is None


def test_a_client_that_leaves_before_the_answer_is_heard_with_1006(
    asgi: GatewayPeer, before: int
) -> None:
    call = asgi.open(scope(path=b"/ws_refuses", query=b"never", kind="websocket"))
    asgi.flush()
    asgi.quiet(0.05)
    asgi.link.reset(call, CLIENT_GONE, "gone")
    asgi.flush()
    asgi.until(lambda: call.ended)
    assert new_errors(asgi, before) == [["websocket.disconnect", 1006]] * 2


def test_a_loop_that_sends_on_lets_others_run(asgi: GatewayPeer) -> None:
    """It hears an OSError each time, and passes over it."""
    call = opened(asgi, "/ws_sends_for_ever")
    asgi.link.event(call, {"type": "websocket.disconnect", "code": 1001, "reason": ""})
    asgi.flush()
    for _ in range(3):
        assert asgi.get("/hello").body == b"hello"
    assert not call.ended
    asgi.get("/go")
    asgi.until(lambda: call.ended)


def test_an_error_comes_before_what_goes_on_for_nobody(asgi: GatewayPeer, before: int) -> None:
    """A chat sends to all its members in turn. One of them has just left, and nobody waits for that
    behind downloads whose clients have left as well."""
    call = opened(asgi, "/ws_last_word")
    calls = abandon_downloads(asgi, 20)
    asgi.link.event(call, {"type": "websocket.disconnect", "code": 1001, "reason": ""})
    asgi.flush()
    asgi.until(lambda: all(each.ended for each in [*calls, call]))
    errors = new_errors(asgi, before)
    assert errors.count(None) == 20
    errors = [each for each in errors if each is not None]
    assert errors in ([0], [1], [2]), "downloads that had a turn meanwhile"


def test_a_loop_that_sends_on_does_not_hold_up_a_stop(run_dir: Path) -> None:
    with running("asgi_apps:app", run_dir, "--graceful-timeout", "600") as (worker, peer):
        call = opened(peer, "/ws_sends_for_ever")
        peer.link.event(call, {"type": "websocket.disconnect", "code": 1001, "reason": ""})
        peer.flush()
        worker.process.terminate()
        peer.until(lambda: call.ended)


# -- closing -----------------------------------------------------------------------------------


def closed(peer: GatewayPeer, code: object, reason: str | None = "") -> PeerCall:
    call = opened(peer, "/ws_close", json.dumps([code, reason]).encode().hex())
    peer.until(lambda: call.ended)
    return call


@pytest.mark.parametrize("code", [1000, 1002, 1003, 1007, 1014, 3000, 4999])
def test_codes_that_may_be_sent(asgi: GatewayPeer, code: int) -> None:
    assert closed(asgi, code).events == [{"type": "websocket.close", "code": code, "reason": ""}]


@pytest.mark.parametrize("code", [None, 0])
def test_no_code_is_1000(asgi: GatewayPeer, code: int | None) -> None:
    assert closed(asgi, code, None).events[0]["code"] == 1000


@pytest.mark.parametrize("code", [1, 999, 1004, 1005, 1006, 1015, 2999, 5000, 70_000, -1])
def test_codes_that_may_not(asgi: GatewayPeer, before: int, code: int) -> None:
    """The app is told, and may close in another way."""
    assert [event["code"] for event in closed(asgi, code).events] == [4000]
    (error,) = new_errors(asgi, before)
    assert error.startswith(f"ValueError: {code} is no close code that may be sent: 1000 to ")


def test_a_code_that_is_no_number(asgi: GatewayPeer, before: int) -> None:
    assert [event["code"] for event in closed(asgi, "1000").events] == [4000]
    assert new_errors(asgi, before) == ["TypeError: a close code is a number, not '1000'"]


@pytest.mark.parametrize(
    ("reason", "cut"),
    [("x" * 123, "x" * 123), ("x" * 124, "x" * 123), ("é" * 100, "é" * 61), ("\ud800", "\\ud800")],
)
def test_a_reason_is_what_fits_into_a_close_frame(asgi: GatewayPeer, reason: str, cut: str) -> None:
    assert [event["reason"] for event in closed(asgi, 1000, reason).events] == [cut]
