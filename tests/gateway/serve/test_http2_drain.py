"""How an HTTP/2 connection ends: what is said twice, who is still served, and who is refused."""

import pytest
from propylon.gateway.http2.engine import ErrorCode
from propylon.gateway.http2.frames import FrameKind
from propylon.gateway.http2.graceful_shutdown import OPEN_STREAMS_HAVE
from propylon.gateway.serve.lingering_close import FIRST_BYTE_OF_NEXT
from propylon.gateway.transport.client_socket import LINGER

from ...http2_frames import frame
from .http2_framing import Http2Framing
from .http2_stage import FIRST_LAST, Http2Stage, answer, begin, pings, staged
from .stage import HEADER, IDLE, source_of

NO_ERROR = ErrorCode.NO_ERROR


def lingers_and_ends(stage: Http2Stage) -> None:
    """The client has everything, and sees the end; ours follows, though it never closes."""
    assert stage.is_ended()
    assert stage.end == "closed"
    assert stage.state.connections
    stage.passes(LINGER)
    assert not stage.state.connections


def test_the_end_is_said_twice_around_a_ping() -> None:
    with staged() as stage:
        first = stage.asks()
        stage.drains()
        stage.passes(OPEN_STREAMS_HAVE)
        frames = stage.hears()
        assert stage.hears_goaways() == [(FIRST_LAST, NO_ERROR)]
        assert len(pings(frames)) == 1
        between = stage.asks(path="/between")
        stage.answers_pings()
        assert stage.hears_goaways() == [(FIRST_LAST, NO_ERROR), (3, NO_ERROR)]
        stage.sends(stage.peer.ask("GET", "/behind", (), b"", 0, True))
        assert len(stage.exchanges) == 2
        assert stage.stream(5).reset == ErrorCode.REFUSED_STREAM
        answer(first, b"first")
        answer(between, b"between")
        assert (stage.stream(1).body, stage.stream(3).body) == (b"first", b"between")
        lingers_and_ends(stage)


def test_what_is_open_ends_first() -> None:
    """Python's h2 drops the streams of a connection that gets GOAWAY."""
    with staged() as stage:
        first, second = stage.asks(), stage.asks()
        stage.drains()
        answer(second, b"second")
        third = stage.asks()
        stage.passes(OPEN_STREAMS_HAVE - 0.5)
        answer(first, b"first")
        assert stage.hears_goaways() == []
        answer(third, b"third")
        assert [stage.stream(number).body for number in (1, 3, 5)] == [
            b"first",
            b"second",
            b"third",
        ]
        stage.answers_pings()
        assert stage.hears_goaways() == [(FIRST_LAST, NO_ERROR), (5, NO_ERROR)]
        lingers_and_ends(stage)


def test_it_does_not_wait_for_more_than_a_quarter_of_the_stop() -> None:
    with staged(graceful_timeout=2.0) as stage:
        stage.asks()
        stage.drains()
        assert stage.hears_goaways() == []
        stage.passes(0.5)
        assert stage.hears_goaways() == [(FIRST_LAST, NO_ERROR)]


def test_what_is_refused_behind_the_last_stream_is_whole_for_the_next() -> None:
    """Its head was decompressed, and its body was read."""
    with staged() as stage:
        begin(first := stage.asks())
        stage.drains()
        stage.passes(OPEN_STREAMS_HAVE)
        stage.answers_pings()
        refused = stage.peer.ask("POST", "/a", ((b"x-a", b"new"),), b"abc", None, False)
        stage.sends(refused)
        number = stage.peer.last
        stage.sends(stage.peer.send(number, b"more", last=True))
        assert stage.stream(number).reset == ErrorCode.REFUSED_STREAM
        first.sink.body(first, b"still")
        first.sink.end(first)
        assert stage.stream(1).body == b"still"
        lingers_and_ends(stage)


def test_a_client_that_does_not_answer_the_ping_is_told_in_a_moment() -> None:
    with staged() as stage:
        stage.asks()
        stage.drains()
        stage.passes(OPEN_STREAMS_HAVE)
        stage.passes(FIRST_BYTE_OF_NEXT - 0.01)
        assert len(stage.hears_goaways()) == 1
        stage.passes(0.01)
        assert stage.hears_goaways() == [(FIRST_LAST, NO_ERROR), (1, NO_ERROR)]


def test_another_ping_s_answer_is_not_ours() -> None:
    with staged() as stage:
        stage.asks()
        stage.drains()
        stage.passes(OPEN_STREAMS_HAVE)
        stage.sends(frame(FrameKind.PING, 1, 0, b"whatever"))
        assert len(stage.hears_goaways()) == 1


@pytest.mark.parametrize("how", ["drains", "end_if_idle"])
def test_an_idle_connection_ends_as_soon_as_the_client_has_heard_it(how: str) -> None:
    with staged() as stage:
        answer(stage.asks())
        assert stage.stream().ended
        if how == "drains":
            stage.drains()
        else:
            stage.connection.end_if_idle()
        stage.answers_pings()
        assert stage.hears_goaways() == [(FIRST_LAST, NO_ERROR), (1, NO_ERROR)]
        lingers_and_ends(stage)


def test_a_connection_that_is_not_idle_is_left_alone() -> None:
    with staged() as stage:
        stage.asks()
        stage.connection.end_if_idle()
        assert stage.hears_goaways() == []
        assert not stage.connection.idle_since


def test_one_that_begins_while_the_service_drains() -> None:
    with staged() as stage:
        stage.drains()
        one = stage.asks()
        stage.answers_pings()
        answer(one, b"it")
        assert stage.stream().body == b"it"
        lingers_and_ends(stage)
    stage = Http2Stage()
    stage.state.draining = True
    stage.open()
    stage.turn()
    assert stage.hears_goaways() == [(FIRST_LAST, NO_ERROR)]
    stage.close()


def test_the_graceful_time_out_holds_though_the_client_never_closes() -> None:
    with staged() as stage:
        begin(first := stage.asks(), b"it goes on")
        second = stage.asks()
        stage.drains()
        stage.passes(60.0)
        assert stage.state.connections
        stage.connection.cut()
        assert not stage.state.connections
        assert (source_of(first).given_up, source_of(second).given_up) == (1, 1)
        assert [one.end_code for one in stage.ended] == ["gateway_cut"] * 2
        assert stage.is_ended()
        assert stage.hears_goaways()[-1] == (3, NO_ERROR)


def test_a_client_that_takes_nothing_keeps_nobody_from_ending() -> None:
    with staged(Http2Framing(0)) as stage:
        answer(stage.asks(), b"x" * 10_000)
        stage.drains()
        stage.passes(OPEN_STREAMS_HAVE)
        stage.answers_pings()
        stage.passes(30.0)
        assert stage.stream(1).reset == ErrorCode.CANCEL
        assert not stage.state.connections


def test_the_client_s_goaway_ends_it_behind_its_streams() -> None:
    with staged() as stage:
        first = stage.asks()
        stage.sends(frame(FrameKind.GOAWAY, 0, 0, bytes(8)))
        assert len(stage.hears_goaways()) == 1
        begin(first, b"all ")
        first.sink.body(first, b"of it")
        first.sink.end(first)
        assert (stage.stream().body, stage.stream().ended) == (b"all of it", True)
        stage.answers_pings()
        lingers_and_ends(stage)


def test_a_connection_has_so_many_requests() -> None:
    with staged(limit_requests_per_connection=2) as stage:
        answer(stage.asks(), b"1")
        assert stage.stream().body == b"1"
        assert stage.hears_goaways() == []
        second = stage.asks()
        stage.passes(OPEN_STREAMS_HAVE)
        assert stage.hears_goaways() == [(FIRST_LAST, NO_ERROR)]
        answer(stage.asks(), b"it was crossing")
        assert stage.stream().body == b"it was crossing"
        stage.answers_pings()
        answer(second, b"2")
        assert stage.stream(3).body == b"2"
        lingers_and_ends(stage)


def test_without_keep_alive_one_request_is_the_last() -> None:
    with staged(timeout_keep_alive=0) as stage:
        answer(stage.asks(), b"1")
        stage.answers_pings()
        assert stage.hears_goaways() == [(FIRST_LAST, NO_ERROR), (1, NO_ERROR)]
        lingers_and_ends(stage)


def test_an_idle_connection_is_closed_to_make_room() -> None:
    with staged() as stage:
        answer(stage.asks())
        assert stage.stream().ended
        assert stage.connection.idle_since == stage.now
        assert stage.connection.close_if_idle()
        assert not stage.state.connections
        assert stage.is_ended()
        assert stage.hears_goaways() == [(1, NO_ERROR)]


def test_a_request_that_has_come_is_answered_instead() -> None:
    with staged() as stage:
        answer(stage.asks())
        assert stage.stream().ended
        stage.client.sendall(stage.peer.ask("GET", "/", (), b"", 0, True))
        stage.until_delivered()
        assert not stage.connection.close_if_idle()
        answer(stage.exchange, b"it")
        assert stage.stream().body == b"it"


def test_an_idle_connection_is_closed_in_time_and_a_ping_does_not_keep_it() -> None:
    with staged() as stage:
        answer(stage.asks())
        assert stage.stream().ended
        stage.passes(IDLE - 0.5)
        stage.sends(frame(FrameKind.PING, 0, 0, bytes(8)))
        assert stage.hears_goaways() == []
        stage.passes(0.5)
        assert stage.hears_goaways() == [(1, NO_ERROR)]
        lingers_and_ends(stage)


def test_a_client_that_asks_for_nothing() -> None:
    with staged() as stage:
        stage.sends()
        stage.passes(HEADER - 0.5)
        assert stage.hears_goaways() == []
        stage.passes(0.5)
        assert stage.hears_goaways() == [(0, NO_ERROR)]
        lingers_and_ends(stage)


def test_the_time_of_an_idle_connection_begins_behind_its_last_stream() -> None:
    with staged() as stage:
        slow = stage.asks()
        stage.passes(IDLE * 2)
        answer(stage.asks())
        stage.passes(IDLE * 2)
        answer(slow)
        assert stage.stream(1).ended
        stage.passes(IDLE - 0.5)
        assert stage.hears_goaways() == []
        stage.passes(0.5)
        assert stage.hears_goaways() == [(3, NO_ERROR)]
