"""What a client of HTTP/2 has time for: never less, and not much more."""

import pytest
from propylon.gateway.exchange import end_codes
from propylon.gateway.http2.engine import ErrorCode
from propylon.gateway.transport.client_socket import MOST_BUFFERED

from ...http2_frames import data, raw_head, small_get
from .http2_framing import Http2Framing
from .http2_stage import answer, begin, staged
from .stage import BODY, HEADER, SEND, source_of

BIG = bytes(range(256)) * 2_000
CALM = ErrorCode.ENHANCE_YOUR_CALM


def test_a_slow_upload_whose_frame_takes_longer_than_the_limit() -> None:
    """Bytes keep coming, and the frame is not whole for three times the time."""
    with staged() as stage:
        exchange = stage.uploads()
        whole = data(1, b"x" * 16_384)
        share = len(whole) // 30 + 1
        for at in range(0, len(whole), share):
            stage.sends(whole[at : at + share])
            stage.passes(BODY / 10)
        assert source_of(exchange).got == [b"x" * 16_384]
        stage.passes(BODY - BODY / 10 - 0.5)
        assert stage.stream().response is None
        stage.passes(0.5)
        assert stage.stream().response is not None
        assert exchange.end_code == end_codes.CLIENT_BODY_TIMEOUT


@pytest.mark.parametrize("come", [1, 9, 10, 5_000])
def test_a_client_that_stands_still_within_a_frame_is_late(come: int) -> None:
    with staged() as stage:
        exchange = stage.uploads()
        stage.sends(data(1, b"x" * 16_384)[:come])
        stage.passes(BODY + 1.0)
        if come < 9:
            assert stage.hears_goaways() == [(1, CALM)]
        else:
            assert (exchange.status, stage.stream().reset) == (408, ErrorCode.NO_ERROR)


def test_a_client_that_sends_and_takes_no_more_is_given_up() -> None:
    """It is late with both, and neither excuses the other."""
    with staged(Http2Framing(1_000)) as stage:
        exchange = stage.uploads()
        begin(exchange, BIG[:5_000])
        stage.passes(max(BODY, SEND) + 0.5)
        assert stage.stream().reset == ErrorCode.CANCEL
        assert exchange.end_code == end_codes.CLIENT_SEND_TIMEOUT


def test_who_takes_a_response_is_not_late_with_its_body() -> None:
    with staged(Http2Framing(1_000)) as stage:
        exchange = stage.uploads()
        begin(exchange, BIG[:20_000])
        for _ in range(10):
            stage.passes(BODY / 2)
            stage.sends(stage.peer.allow(1, 1_000))
        assert stage.stream().reset is None
        assert len(stage.stream().body) == 11_000


@pytest.mark.parametrize("whole", [True, False])
def test_the_rest_of_a_head_has_its_time(whole: bool) -> None:
    block = small_get(1)
    begun = raw_head(b"\x82\x84", 1)[:4] + b"\x01" + small_get(1)[5:9] + b"\x82\x84"
    with staged() as stage:
        stage.sends()
        stage.sends(block[:-1] if whole else begun)
        stage.passes(HEADER - 0.5)
        assert stage.hears_goaways() == []
        stage.passes(0.5)
        assert stage.hears_goaways() == [(0, CALM)]
        assert stage.is_ended()
        stage.passes(5.0)
        assert not stage.state.connections


def test_heads_that_are_cut_in_the_midst_of_each_read_but_whole_in_time() -> None:
    """There is always one that is not whole, and it is always another one."""
    with staged() as stage:
        left = b""
        for _ in range(20):
            head = stage.peer.ask("GET", "/", (), b"", 0, True)
            stage.sends(left, head[:5])
            left = head[5:]
            if stage.exchanges:
                answer(stage.exchange, b"it")
            stage.passes(HEADER / 2)
        assert stage.hears_goaways() == []
        assert len(stage.exchanges) == 19
        stage.passes(HEADER / 2)
        assert [code for _, code in stage.hears_goaways()] == [CALM]


def test_a_head_that_comes_when_an_idle_connection_is_over() -> None:
    with staged() as stage:
        answer(stage.asks())
        stage.passes(10.0)
        head = stage.peer.ask("GET", "/", (), b"", 0, True)
        stage.sends(head[:5])
        stage.passes(2.0)
        stage.sends(head[5:])
        answer(stage.exchange, b"it")
        assert stage.stream().body == b"it"


def test_nobody_else_is_late_while_the_connection_reads_nothing() -> None:
    """The client takes slowly what it has asked for, so that its upload is not read, nor the frame
    that has begun."""
    with staged() as stage:
        upload = stage.uploads()
        big, others = stage.asks(), [stage.asks() for _ in range(60)]
        stage.sends(stage.peer.send(1, b"x" * 100) + b"\x00")
        stage.reads = False
        begin(big, BIG)
        stage.turn()
        for number, other in enumerate(others):
            assert not stage.connection.transport.paused
            begin(other, fields=((b"x-long", b"%d" % number * 3_500),))
            stage.turn()
            if stage.connection.transport.kept >= MOST_BUFFERED:
                break
        assert stage.connection.transport.paused
        stage.passes(SEND - 0.5)
        assert upload.status == 0
        stage.reads = True
        stage.turn()
        stage.passes(HEADER - 0.5)
        stage.sends(stage.peer.send(1, b"y" * 100)[1:])
        assert upload.body_received == 200
        assert stage.hears_goaways() == []
        stage.passes(BODY - 0.5)
        assert upload.status == 0
        stage.passes(0.5)
        assert upload.status == 408


@pytest.mark.parametrize("rate", [0, 1_000])
def test_a_stream_has_a_least_rate_for_its_body(rate: int) -> None:
    with staged(min_body_rate=rate, min_rate_grace=4.0) as stage:
        exchange = stage.uploads()
        other = stage.uploads()
        for _ in range(16):
            stage.sends(stage.peer.send(1, b"x" * 50), stage.peer.send(3, b"x" * 600))
            stage.passes(0.5)
        assert (exchange.status == 408) == bool(rate)
        assert other.status == 0
        if rate:
            assert exchange.end_code == end_codes.CLIENT_BODY_RATE


@pytest.mark.parametrize("rate", [0, 1_000])
def test_a_stream_has_a_least_rate_for_what_it_takes(rate: int) -> None:
    with staged(Http2Framing(1_000), min_send_rate=rate, min_rate_grace=4.0) as stage:
        begin(exchange := stage.asks(), BIG[:50_000])
        begin(other := stage.asks(), BIG[:50_000])
        for _ in range(16):
            stage.sends(stage.peer.allow(1, 50), stage.peer.allow(3, 600))
            stage.passes(0.5)
        assert stage.stream(1).reset == (ErrorCode.CANCEL if rate else None)
        assert stage.stream(3).reset is None
        assert (exchange.ended > 0, other.ended) == (rate > 0, 0.0)


def test_a_client_whose_kernel_takes_nothing_loses_the_connection() -> None:
    with staged() as stage:
        begin(exchange := stage.asks())
        other = stage.asks()
        stage.reads = False
        exchange.sink.body(exchange, BIG)
        stage.passes(SEND - 0.5)
        assert stage.state.connections
        stage.passes(1.0)
        assert not stage.state.connections
        assert exchange.end_code == end_codes.CLIENT_SEND_TIMEOUT
        assert source_of(other).given_up == 1


def test_100_continue_is_no_lateness() -> None:
    with staged() as stage:
        stage.credit = 0
        fields = ((b"expect", b"100-continue"),)
        exchange = stage.asks("POST", fields=fields, size=5, last=False)
        stage.passes(BODY * 2)
        assert stage.stream().interim == []
        source_of(exchange).send_credit = 10
        exchange.uploader.credit_arrived(exchange)
        assert stage.stream().interim == [100]
        stage.passes(BODY - 0.5)
        stage.sends(stage.peer.send(1, b"hello"))
        answer(exchange, b"it")
        assert (stage.stream().body, source_of(exchange).complete) == (b"it", True)


def test_a_stream_whose_client_allows_it_does_not_pay_for_the_others() -> None:
    """Its window was raised in time; what it is to be sent stands behind what others are sent."""
    with staged(Http2Framing(0)) as stage:
        front, waiting = stage.asks(), stage.asks()
        begin(waiting, b"x" * 1_000)
        stage.sends(stage.peer.allow(1, 1 << 30))
        stage.passes(SEND - 2.0)
        stage.reads = False
        begin(front)
        while not stage.connection.transport.blocked:
            front.sink.body(front, BIG)
            stage.turn()
        stage.sends(stage.peer.allow(3, 10_000))
        stage.passes(4.0)
        stage.reads = True
        assert (stage.stream(3).reset, len(stage.stream(3).body)) == (None, 1_000)
        assert source_of(waiting).taken == 1_000
