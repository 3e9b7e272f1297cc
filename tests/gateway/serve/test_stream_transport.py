"""A stream of HTTP/2 passes the exam of transports, as far as it is one: what it is given goes out
at the end of the turn, with the other streams' frames."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from propylon.gateway.http2.engine import ErrorCode
from propylon.gateway.serve.websocket_connection import WebSocketConnection

from ..transport.exam import (
    CHECKS,
    LARGE,
    SEND_TIMEOUT,
    Owner,
    Pair,
)
from .http2_framing import Http2Framing
from .http2_stage import Http2Stage

ROOM = 40_000


class StreamPair(Pair):
    """The client allows `ROOM` bytes, and as many more as it reads."""

    def __init__(self) -> None:
        self.stage = Http2Stage(Http2Framing(ROOM), send_timeout=SEND_TIMEOUT)
        self.stage.open()
        self.stage.opens_websocket()
        (websocket,) = [
            one for one in self.stage.state.connections if isinstance(one, WebSocketConnection)
        ]
        self.stage.state.connections.discard(websocket)
        self.transport = websocket._transport  # pyright: ignore[reportPrivateUsage]
        self.transport.join(Told())
        self.poller = self.stage.state.poller
        self.now = self.stage.now
        self._read = 0

    def client_sends(self, data: bytes) -> None:
        self.stage.client.sendall(self.stage.peer.send(1, data))
        self.stage.until_delivered()

    def client_reads(self, most: int = 1 << 20) -> bytes | None:
        one = self.stage.stream(1)
        data = one.body[self._read : self._read + most]
        self._read += len(data)
        if data and one.reset is None and not one.ended:
            self.stage.sends(self.stage.peer.allow(1, len(data)))
        if not data and one.reset not in (None, ErrorCode.NO_ERROR):
            raise ConnectionResetError("RST_STREAM")
        return None if one.ended and not data else data

    def client_shuts(self) -> None:
        self.stage.client.sendall(self.stage.peer.send(1, b"", last=True))
        self.stage.until_delivered()

    def client_leaves(self) -> None:
        self.client_shuts()

    def turn(self) -> None:
        self.stage.now = self.now
        self.stage.turn()

    def close(self) -> None:
        self.transport.close()
        self.stage.close()


@pytest.fixture
def pair() -> Iterator[StreamPair]:
    with closing(StreamPair()) as one:
        yield one


NOT_ASKED = {
    "what_is_gathered_waits",  # all waits
    "a_client_that_takes_some_has_all_its_time_again",  # it is at the end of the turn, see below
    "what_is_dropped_is_read",  # it comes when the connection reads, see below
    "a_client_that_is_gone_is_an_error",  # it has to reset the stream, see below
}


@pytest.mark.parametrize(
    "check",
    [check for check in CHECKS if check.__name__ not in NOT_ASKED],
    ids=lambda check: check.__name__,
)
def test_exam(check: Callable[[Pair], None], pair: StreamPair) -> None:
    check(pair)


def test_what_is_dropped_is_read(pair: StreamPair) -> None:
    transport = pair.transport
    assert transport.drop(), "nothing has come yet"
    pair.client_sends(LARGE[:50_000])
    pair.turn()
    assert transport.drop()
    assert transport.recv() is None
    pair.client_sends(b"heard")
    pair.turn()
    assert transport.recv() == b"heard"
    pair.client_shuts()
    pair.turn()
    assert not transport.drop()


def test_a_client_that_takes_some_has_all_its_time_again(pair: StreamPair) -> None:
    transport = pair.transport
    transport.join(Owner(transport))
    transport.send(LARGE)
    pair.turn()
    assert transport.send_by == pair.now + SEND_TIMEOUT
    pair.now += 1.0
    transport.send(b"more")
    pair.turn()
    assert transport.send_by == pair.now - 1.0 + SEND_TIMEOUT, "it has taken nothing"
    pair.client_reads(1_000)
    pair.turn()
    assert transport.send_by == pair.now + SEND_TIMEOUT
    while transport.kept:
        pair.client_reads()
        pair.turn()
    assert transport.send_by == 0.0


@pytest.mark.parametrize("leaves", ["the stream", "the connection"])
def test_a_client_that_is_gone_is_an_error(pair: StreamPair, leaves: str) -> None:
    if leaves == "the stream":
        pair.stage.sends(pair.stage.peer.reset(1))
    else:
        pair.stage.client.close()
        pair.stage.reads = False
        pair.stage.until(lambda: not pair.stage.state.connections)
    with pytest.raises(OSError, match="ended"):
        pair.transport.send(b"nobody is there")
    with pytest.raises(ConnectionResetError):
        pair.transport.recv()


def test_a_deaf_pause_hears_a_reset(pair: StreamPair) -> None:
    transport, told = pair.transport, Told()
    transport.join(told)
    transport.pause(deaf=True)
    pair.client_sends(b"last")
    pair.turn()
    assert told.count == 0
    pair.stage.sends(pair.stage.peer.reset(1))
    assert told.count > 0


def test_a_reset_takes_back_what_was_shut_behind_bytes_that_wait(pair: StreamPair) -> None:
    transport = pair.transport
    transport.send(LARGE)
    pair.turn()
    transport.shut_writing()
    pair.turn()
    assert not pair.stage.stream(1).ended
    transport.reset()
    assert pair.stage.stream(1).reset == ErrorCode.CANCEL


class Told:
    def __init__(self) -> None:
        self.count = 0

    def readable(self) -> None:
        self.count += 1

    def writable(self) -> None:
        """Does nothing."""

    def cut(self) -> None:
        """Does nothing."""
