"""One HTTP/2 connection with many streams: what begins, what ends, and who notices."""

from collections import Counter
from collections.abc import Callable

import pytest
from propylon.gateway.exchange import end_codes
from propylon.gateway.exchange.exchange import Exchange
from propylon.gateway.http2.engine import ErrorCode
from propylon.gateway.http2.frames import FrameKind
from propylon.gateway.settings import Http2Settings
from propylon.gateway.transport.client_socket import MOST_BUFFERED
from propylon.protocol.messages import WINDOW

from ...http2_frames import data, frame
from .http2_framing import FIRST_WINDOW, Fields, Http2Framing
from .http2_stage import DATA, RST_STREAM, Http2Stage, answer, begin, fail, staged
from .stage import source_of

BIG = bytes(range(256)) * 400


def still_serves(stage: Http2Stage) -> None:
    """The state of compression is whole, too: these fields are new, and the next are not."""
    for _ in range(2):
        exchange = stage.asks(fields=((b"x-new", b"some value"),))
        assert (b"x-new", b"some value") in exchange.request.headers
        answer(exchange, b"next", fields=((b"x-answer", b"another value"),))
        response = stage.stream().response
        assert response is not None
        assert (response.body, response.complete) == (b"next", True)
        assert (b"x-answer", b"another value") in response.fields


# -- resets ------------------------------------------------------------------------------------


def waits(stage: Http2Stage) -> None:
    stage.asks()


def uploads(stage: Http2Stage) -> None:
    stage.uploads(body=b"some")


def has_a_head(stage: Http2Stage) -> None:
    begin(stage.asks())


def has_some_body(stage: Http2Stage) -> None:
    begin(stage.asks(), BIG)


def has_no_room(stage: Http2Stage) -> None:
    begin(exchange := stage.asks(), BIG)
    stage.turn()
    exchange.sink.body(exchange, BIG)


def has_yet_to_take_the_end(stage: Http2Stage) -> None:
    answer(stage.asks(), BIG)


def wants_to_continue(stage: Http2Stage) -> None:
    stage.asks("POST", fields=((b"expect", b"100-continue"),), size=4, last=False)


@pytest.mark.parametrize(
    "state",
    [
        waits,
        uploads,
        has_a_head,
        has_some_body,
        has_no_room,
        has_yet_to_take_the_end,
        wants_to_continue,
    ],
)
def test_a_stream_that_the_client_resets(state: Callable[[Http2Stage], None]) -> None:
    with staged(Http2Framing(10_000)) as stage:
        state(stage)
        exchange, source = stage.exchange, source_of(stage.exchange)
        stage.sends(stage.peer.reset(1), stage.peer.reset(1))
        is_over = state is has_yet_to_take_the_end
        assert source.given_up == (0 if is_over else 1)
        assert [one.status for one in stage.ended] == [200 if exchange.first_byte else 499]
        if not exchange.first_byte:
            waits_for_app = state is waits
            phase = end_codes.CLIENT_LEFT_APP if waits_for_app else end_codes.CLIENT_LEFT_UPLOAD
            assert exchange.end_code == phase
        assert stage.connection.idle_since
        assert stage.connection.held == 0
        answer(exchange, b"late")
        exchange.sink.body(exchange, b"late")
        exchange.sink.end(exchange)
        fail(exchange, 502)
        assert stage.stream(1).reset is None
        still_serves(stage)


@pytest.mark.parametrize("failed", [False, True])
def test_an_answer_before_the_request_s_end(failed: bool) -> None:
    """RFC 9113 section 8.1: the client need not send the rest, and the answer is whole."""
    with staged() as stage:
        exchange = stage.uploads(body=b"some")
        if failed:
            fail(exchange, 502)
        else:
            answer(exchange, b"no need", 403)
        one = stage.stream()
        assert (one.ended, one.reset) == (True, ErrorCode.NO_ERROR)
        stage.sends(stage.peer.send(1, b"it was on its way", last=True))
        still_serves(stage)


def test_an_answer_in_pieces_before_the_request_s_end() -> None:
    with staged(Http2Framing(1_000)) as stage:
        exchange = stage.uploads(body=b"some")
        begin(exchange, b"x" * 1_500)
        exchange.sink.end(exchange)
        assert stage.stream().reset is None
        stage.sends(stage.peer.send(1, b"more"), stage.peer.allow(1, 10_000))
        one = stage.stream()
        assert (len(one.body), one.ended, one.reset) == (1_500, True, ErrorCode.NO_ERROR)


def test_frames_behind_the_end_of_a_stream() -> None:
    """What RFC 9113 section 5.1 lets pass, and what not."""
    with staged(Http2Framing(FIRST_WINDOW)) as stage:
        exchange = stage.asks()
        stage.sends(frame(FrameKind.WINDOW_UPDATE, 0, 1, (5).to_bytes(4, "big")))
        stage.sends(data(1, b"behind END_STREAM"))
        assert stage.stream().reset == ErrorCode.STREAM_CLOSED
        assert exchange.status == 499
        answer(stage.asks(), b"x")
        assert stage.stream().ended
        stage.sends(
            frame(FrameKind.WINDOW_UPDATE, 0, 3, (5).to_bytes(4, "big")), stage.peer.reset(3)
        )
        assert stage.hears_goaways() == []
        still_serves(stage)


# -- what a client does wrong with one stream ----------------------------------------------------


@pytest.mark.parametrize("said", [b"too much", b"few", b""])
def test_a_body_that_is_not_as_long_as_it_says(said: bytes) -> None:
    with staged() as stage:
        exchange = stage.uploads(size=5)
        stage.sends(data(1, said, end=True))
        one = stage.stream()
        assert (one.response, one.reset) == (None, ErrorCode.PROTOCOL_ERROR)
        assert (exchange.status, source_of(exchange).given_up) == (400, 1)
        assert exchange.body_sent == 0
        still_serves(stage)


def test_a_malformed_request_is_reset_and_logged_without_a_page() -> None:
    with staged() as stage:
        fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b"Upper", b"x")]
        stage.sends(stage.peer.head(fields, ended=True))
        one = stage.stream()
        assert (one.response, one.reset) == (None, ErrorCode.PROTOCOL_ERROR)
        (exchange,) = stage.ended
        assert (exchange.status, exchange.body_sent, exchange.request.target) == (400, 0, b"/")
        assert exchange.end_code == end_codes.CLIENT_MALFORMED
        still_serves(stage)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("name", [b"x-fine", b"X-Upper", b":path"])
def test_fields_behind_a_request_s_body(name: bytes, begun: bool) -> None:
    with staged() as stage:
        exchange = stage.uploads(body=b"some")
        if begun:
            begin(exchange, b"x")
        stage.sends(stage.peer.head([(name, b"v")], ended=True, stream=1))
        one = stage.stream()
        if name == b"x-fine":
            assert (source_of(exchange).complete, one.reset) == (True, None)
        else:
            assert one.reset == ErrorCode.PROTOCOL_ERROR
            assert source_of(exchange).given_up == 1
        still_serves(stage)


@pytest.mark.parametrize("name", [b"content-length", b":path"])
def test_trailers_that_may_not_be_behind_a_response_that_is_all_said(name: bytes) -> None:
    """It waits for its window. Refused ones change nothing in it; malformed ones reset its stream.
    There is one exchange, which has ended before."""
    with staged(Http2Framing(1_000)) as stage:
        exchange = stage.uploads(body=b"some")
        begin(exchange, BIG)
        exchange.sink.end(exchange)
        stage.turn()
        stage.sends(stage.peer.head([(name, b"5")], ended=True, stream=1))
        stage.sends(stage.peer.allow(1, len(BIG)))
        one = stage.stream()
        if name == b"content-length":
            assert (one.body, one.ended, one.reset) == (BIG, True, None)
        else:
            assert (len(one.body), one.reset) == (1_000, ErrorCode.PROTOCOL_ERROR)
        assert stage.ended == [exchange]
        assert stage.connection.idle_since
        still_serves(stage)


def test_trailers_that_do_not_end_what_is_answered_reset_it() -> None:
    """All of the body has come, so that the client's end was awaited. Nobody else would end it."""
    with staged() as stage:
        exchange = stage.uploads(size=2)
        stage.sends(data(1, b"ab"))
        answer(exchange, b"ok")
        assert (stage.stream().ended, stage.stream().reset) == (True, None)
        stage.sends(stage.peer.head([(b"x-sum", b"1")], ended=False, stream=1))
        resets = [(one.stream, one.code) for one in stage.hears() if one.kind == RST_STREAM]
        assert resets == [(1, ErrorCode.PROTOCOL_ERROR)]
        still_serves(stage)


# -- what an app does wrong --------------------------------------------------------------------


def short(exchange: Exchange) -> None:
    answer(exchange, b"hello", fields=((b"content-length", b"7"),))


def short_in_pieces(exchange: Exchange) -> None:
    begin(exchange, b"hello", ((b"content-length", b"7"),))
    exchange.sink.end(exchange)


def broken_off(exchange: Exchange) -> None:
    begin(exchange, b"hello", ((b"content-length", b"7"),))
    fail(exchange, 502)


@pytest.mark.parametrize("do", [short, short_in_pieces, broken_off])
def test_a_response_that_is_not_whole_is_reset(do: Callable[[Exchange], None]) -> None:
    with staged() as stage:
        do(stage.asks())
        one = stage.stream()
        assert (one.body, one.ended, one.reset) == (b"hello", False, ErrorCode.INTERNAL_ERROR)
        code = end_codes.WORKER_DIED if do is broken_off else end_codes.APP_WRONG_LENGTH
        assert stage.exchange.end_code == code
        still_serves(stage)


BAD: list[Fields] = [
    [(b"x-new", b"kept"), (b"bad name", b"v")],
    [(b"x-new", b"kept"), (b"x-bad", b"a\r\nb: c")],
    [(b"x-new", b"kept"), (b"content-length", b"-1")],
    [(b"content-length", b"1"), (b"content-length", b"2")],
]


@pytest.mark.parametrize("fields", BAD)
@pytest.mark.parametrize("do", [answer, begin])
def test_fields_that_may_not_be_sent(do: Callable[..., None], fields: Fields) -> None:
    with staged() as stage:
        do(stage.asks(), b"x", fields=tuple(fields))
        response = stage.stream().response
        assert response is not None
        assert (response.status, response.complete) == (500, True)
        still_serves(stage)


def test_a_body_over_its_length_is_cut() -> None:
    with staged() as stage:
        answer(stage.asks(), b"hello", fields=((b"content-length", b"2"),))
        assert (stage.stream().body, stage.stream().ended) == (b"he", True)
        begin(exchange := stage.asks(), b"hello", ((b"content-length", b"2"),))
        for _ in range(5):
            stage.turn()
            exchange.sink.body(exchange, b"x" * 100)
        stage.turn()
        assert source_of(exchange).taken == 505, "what is dropped has its credit"
        exchange.sink.end(exchange)
        assert (stage.stream().body, stage.stream().ended) == (b"he", True)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_a_source_s_body_that_nobody_gets(method: str, status: int) -> None:
    """More of it than any credit: it would wait for ever if it had none back."""
    with staged(Http2Framing(0)) as stage:
        begin(exchange := stage.asks(method), status=status)
        for _ in range(4):
            exchange.sink.body(exchange, bytes(WINDOW // 2))
            stage.turn()
        assert source_of(exchange).taken == 2 * WINDOW
        exchange.sink.end(exchange)
        assert (stage.stream().ended, stage.stream().body) == (True, b"")


# -- how many, and who is first ------------------------------------------------------------------


def test_streams_beyond_the_limit_are_refused() -> None:
    with staged(http2=Http2Settings(max_streams=3)) as stage:
        exchanges = [stage.asks() for _ in range(3)]
        stage.sends(stage.peer.ask("GET", "/", (), b"", 0, True))
        assert stage.stream().reset == ErrorCode.REFUSED_STREAM
        refused = stage.peer.ask("POST", "/", ((b"x-new", b"v"),), b"abc", None, True)
        stage.sends(refused)
        assert stage.stream().reset == ErrorCode.REFUSED_STREAM
        answer(exchanges[1], b"it")
        assert stage.stream(3).ended
        still_serves(stage)
        assert len(stage.exchanges) == 5


def two_at_once(*priorities: bytes, update: bytes = b"") -> list[int]:
    """The streams of the DATA of two long responses, 3 and 5, in their order. The connection's
    window was used up by a third one when they began. `update`: what is sent before it opens."""
    with staged(Http2Framing(connection=FIRST_WINDOW)) as stage:
        begin(stage.asks(), BIG[:FIRST_WINDOW])
        for priority in priorities:
            answer(stage.asks(fields=((b"priority", priority),)), BIG)
        stage.sends(update, stage.peer.allow(0, 1_000_000))
        assert stage.stream(3).body == stage.stream(5).body == BIG
        return [one.stream for one in stage.peer.frames if one.kind == DATA and one.stream > 1]


def wish(stream: int, value: bytes) -> bytes:
    return frame(FrameKind.PRIORITY_UPDATE, 0, 0, stream.to_bytes(4, "big") + value)


def test_what_is_urgent_goes_first() -> None:
    assert two_at_once(b"u=5", b"u=1") == [5] * 7 + [3] * 7
    assert two_at_once(b"u=1", b"u=5") == [3] * 7 + [5] * 7


def test_equals_that_are_of_use_in_parts_take_turns() -> None:
    assert two_at_once(b"i", b"i") == [3, 5] * 7
    assert two_at_once(b"u=3", b"u=3") == [3] * 7 + [5] * 7


def test_an_update_of_the_priority_is_heard() -> None:
    assert two_at_once(b"u=3", b"u=5", update=wish(5, b"u=0")) == [5] * 7 + [3] * 7


def test_an_update_before_the_request_itself() -> None:
    with staged(Http2Framing(connection=FIRST_WINDOW)) as stage:
        stage.sends(wish(3, b"u=0"))
        begin(stage.asks(), BIG[:FIRST_WINDOW])
        begin(stage.asks(fields=((b"priority", b"u=7"),)), b"x" * 20_000)
        begin(stage.asks(fields=((b"priority", b"u=5"),)), b"y" * 20_000)
        stage.sends(stage.peer.allow(0, 1_000_000))
        frames = [one.stream for one in stage.hears() if one.kind == DATA and one.stream > 1]
        assert frames == [3, 3, 5, 5]


def test_priorities_count_again_behind_a_time_in_which_nothing_waited() -> None:
    with staged(Http2Framing(connection=FIRST_WINDOW)) as stage:
        for turn in range(2):
            first = 6 * turn + 1
            late, urgent = [
                stage.asks(fields=((b"priority", value),)) for value in (b"u=7", b"u=0")
            ]
            answer(stage.asks(), BIG[:FIRST_WINDOW])
            stage.turn()
            answer(late, b"x" * 20_000)
            answer(urgent, b"y" * 20_000)
            stage.sends(stage.peer.allow(0, 40_000 + FIRST_WINDOW))
            frames = [one.stream for one in stage.hears() if one.kind == DATA]
            assert frames[-4:] == [first + 2] * 2 + [first] * 2
            stage.passes(1)


# -- clients that do not behave ------------------------------------------------------------------


def test_a_client_that_reads_nothing_and_asks_on_and_on() -> None:
    """What is kept for it has an end, and so has what is read of it."""
    with staged() as stage:
        stage.reads = False
        fields = ((b"x-long", b"x" * 5_000),)
        asked = 0
        while not stage.connection.transport.paused:
            assert asked < 200
            stage.send(stage.peer.ask("GET", "/", (), b"", 0, True))
            asked += 1
            answer(stage.exchange, b"small", fields=fields)
            stage.turn()
        assert stage.connection.held < 3 * MOST_BUFFERED
        before = len(stage.exchanges)
        for _ in range(50):
            stage.client.sendall(stage.peer.ask("GET", "/", (), b"", 0, True))
            stage.turn()
        assert len(stage.exchanges) == before
        assert stage.connection.held < 3 * MOST_BUFFERED
        stage.reads = True
        stage.turn()
        assert len(stage.exchanges) == before + 50
        assert stage.stream(before * 2 - 1).ended


def test_a_flood_ends_its_connection_and_is_counted() -> None:
    with staged() as stage:
        exchange = stage.asks()
        stage.sends(frame(FrameKind.PING, 0, 0, bytes(8)) * 300)
        assert stage.hears_goaways() == [(1, ErrorCode.ENHANCE_YOUR_CALM)]
        assert +Counter(stage.state.counts.floods) == {"ping": 1}
        assert exchange.end_code == end_codes.CLIENT_FLOOD
        assert source_of(exchange).given_up == 1
        assert "PING" in stage.log[-1]
        assert stage.is_ended()
        stage.passes(5.0)
        assert not stage.state.connections


def test_nothing_is_opened_behind_a_flood_that_is_seen_while_sending() -> None:
    """More has come than a turn's share, and the rest of it is not for the next turn any more."""
    streams = 140
    with staged(Http2Framing(0), http2=Http2Settings(max_streams=200)) as stage:
        for _ in range(streams):
            begin(stage.asks(), BIG)
        stage.turn()
        sent = b""
        for _ in range(15):
            sent += b"".join(stage.peer.allow(2 * one + 1, 1) for one in range(streams))
            sent += stage.peer.ask("GET", "/", (), b"", 0, True)
        stage.send(sent)
        for _ in range(60):
            stage.turn()
        opened = 2 * len(stage.exchanges) - 1
        assert stage.hears_goaways() == [(opened, ErrorCode.ENHANCE_YOUR_CALM)]
        assert opened < stage.peer.last
        assert +Counter(stage.state.counts.floods) == {"data_dribble": 1}


@pytest.mark.parametrize("begun", [False, True])
def test_rapid_resets(begun: bool) -> None:
    with staged(http2=Http2Settings(max_resets=20, max_streams=10)) as stage:
        for _ in range(60):
            if stage.end:
                break
            stage.sends(stage.peer.ask("GET", "/", (), b"", 0, True))
            if begun:
                begin(stage.exchange, b"x")
                stage.turn()
            stage.sends(stage.peer.reset(stage.peer.last))
        assert bool(stage.hears_goaways()) is not begun
        assert +Counter(stage.state.counts.floods) == ({} if begun else {"rapid_reset": 1})


def test_bytes_that_are_no_http2() -> None:
    with staged() as stage:
        stage.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert stage.hears_goaways() == [(0, ErrorCode.PROTOCOL_ERROR)]
        assert stage.is_ended()


def test_a_fault_of_the_connection_s_client() -> None:
    with staged() as stage:
        exchange = stage.asks()
        stage.sends(data(0, b"on no stream"))
        assert stage.hears_goaways() == [(1, ErrorCode.PROTOCOL_ERROR)]
        assert exchange.end_code == end_codes.CLIENT_MALFORMED
        assert stage.is_ended()


# -- faults of ours ------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["answer", "credit"])
def test_a_fault_of_ours_ends_one_connection(where: str) -> None:
    with staged(Http2Framing(1_000)) as stage:
        other = stage.asks()

        def breaks(*_: object) -> None:
            raise RuntimeError("a fault of ours")

        if where == "answer":
            stage.state.answer = breaks
            stage.sends(stage.peer.ask("GET", "/", (), b"", 0, True))
        else:
            begin(exchange := stage.asks(), b"x")
            source_of(exchange).consumed = breaks  # type: ignore[method-assign]
            stage.turn()
        assert stage.is_ended()
        assert not stage.state.connections
        assert source_of(other).given_up == 1
        assert other.end_code == end_codes.GATEWAY_FAILED
        log, stage.log[:] = list(stage.log), []
        assert log == ["error: an HTTP/2 connection failed"]


def test_what_is_held_is_counted() -> None:
    with staged(Http2Framing(100)) as stage:
        stage.credit = 0
        assert stage.connection.held == 0
        begin(stage.asks(), b"x" * 1_100)
        stage.uploads(body=b"y" * 500)
        stage.turn()
        assert stage.connection.held == 1_500
        stage.sends(data(3, b"z" * 100)[:50])
        assert stage.connection.held == 1_550
        stage.sends(data(3, b"z" * 100)[50:], stage.peer.reset(1), stage.peer.reset(3))
        assert stage.connection.held == 0
