"""HTTP/2's windows, both ways: who waits for whom, and for how long."""

import pytest
from propylon.gateway.exchange import end_codes
from propylon.gateway.http2.engine import ErrorCode
from propylon.gateway.http2.frames import END_STREAM, FrameKind
from propylon.gateway.settings import Http2Settings, HttpSettings

from ...http2_frames import frame, padded
from ..http2.engine_exam import OF_THE_GATEWAY
from .http2_framing import FIRST_WINDOW, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, Http2Framing
from .http2_stage import DATA, HEADERS, Http2Stage, answer, begin, fail, staged, updates
from .stage import SEND, source_of

BIG = bytes(range(256)) * 400


# -- what the client takes ---------------------------------------------------------------------


def test_a_stream_without_a_window_holds_nothing_but_itself() -> None:
    with staged(Http2Framing(1_000)) as stage:
        slow, slow_number = stage.asks(path="/slow"), stage.peer.last
        begin(slow, b"x" * 3_000)
        stage.turn()
        assert source_of(slow).taken == 1_000
        begin(quick := stage.asks(path="/quick"), b"y" * 900)
        quick.sink.end(quick)
        assert stage.stream().ended
        slow.sink.body(slow, b"x" * 2_000)
        answer(stage.asks(path="/other"), b"z" * 1_000)
        assert stage.stream().body == b"z" * 1_000
        stage.sends(stage.peer.allow(slow_number, 10_000))
        assert stage.stream(slow_number).body == b"x" * 5_000
        assert source_of(slow).taken == 5_000
        slow.sink.end(slow)
        assert stage.stream(slow_number).ended


def test_what_is_said_while_the_window_is_used_up_keeps_nobody_from_being_heard() -> None:
    """A source that is owed credit says more, in a turn in which nobody else does."""
    with staged(Http2Framing(100)) as stage:
        slow = stage.asks()
        begin(slow, b"x" * 150)
        stage.turn()
        for _ in range(3):
            slow.sink.body(slow, b"x")
            stage.turn()
        answer(stage.asks(), b"here")
        assert stage.stream().body == b"here"


@pytest.mark.parametrize("whole", [True, False])
def test_a_client_that_allows_nothing_at_first(whole: bool) -> None:
    with staged(Http2Framing(0)) as stage:
        exchange = stage.asks()
        if whole:
            answer(exchange, BIG)
        else:
            begin(exchange, BIG)
            exchange.sink.end(exchange)
        one = stage.stream()
        assert (one.response is not None, one.body, one.ended) == (True, b"", False)
        stage.passes(SEND - 0.5)
        stage.sends(stage.peer.set({INITIAL_WINDOW_SIZE: 50_000}))
        assert stage.stream().body == BIG[:50_000]
        stage.sends(stage.peer.set({INITIAL_WINDOW_SIZE: 10_000}))
        stage.sends(stage.peer.allow(1, 40_000))
        assert (stage.stream().body, stage.stream().room) == (BIG[:50_000], 0)
        stage.sends(stage.peer.allow(1, 50_000), stage.peer.set({INITIAL_WINDOW_SIZE: 60_000}))
        assert (stage.stream().body, stage.stream().ended) == (BIG, True)
        assert stage.connection


@OF_THE_GATEWAY
def test_the_head_of_a_response_to_head_ends_it_without_a_window(name: str) -> None:
    """Though its app says it in pieces."""
    with staged(Http2Framing(0), http2=Http2Settings(engine=name)) as stage:
        stage.hears()
        begin(exchange := stage.asks("HEAD"))
        (head,) = [one for one in stage.hears() if one.kind == HEADERS]
        assert head.flags & END_STREAM
        exchange.sink.body(exchange, b"dropped")
        exchange.sink.end(exchange)
        assert (stage.stream().ended, stage.stream().reset) == (True, None)
        assert not [one for one in stage.hears() if one.kind == DATA]
        assert [one.status for one in stage.ended] == [200]
        assert stage.connection.idle_since


def test_a_response_without_a_body_needs_no_window() -> None:
    with staged(Http2Framing(0)) as stage:
        answer(stage.asks(), status=204)
        assert stage.stream().ended
        begin(exchange := stage.asks())
        exchange.sink.end(exchange)
        assert stage.stream().ended


@pytest.mark.parametrize("window", [0, 1_000])
@pytest.mark.parametrize("whole", [True, False])
def test_a_stream_whose_client_allows_nothing_is_given_up(window: int, whole: bool) -> None:
    with staged(Http2Framing(window)) as stage:
        exchange = stage.asks()
        if whole:
            answer(exchange, BIG)
        else:
            begin(exchange, BIG)
        stage.turn()
        stage.passes(SEND - 0.5)
        answer(stage.asks(), b"")
        assert stage.stream().ended
        assert stage.stream(1).reset is None
        stage.passes(0.5)
        assert stage.stream(1).reset == ErrorCode.CANCEL
        assert stage.connection.idle_since
        if not whole:
            assert source_of(exchange).given_up == 1
            assert exchange.end_code == end_codes.CLIENT_SEND_TIMEOUT


def test_who_waits_for_the_connection_next_has_its_whole_time() -> None:
    with staged(Http2Framing(200_000, 65_535)) as stage:
        answer(stage.asks(), BIG)
        stage.turn()
        stage.passes(SEND - 0.5)
        stage.sends(frame(FrameKind.RST_STREAM, 0, 1, bytes(4)))
        answer(stage.asks(), BIG)
        stage.turn()
        stage.passes(SEND - 0.5)
        assert stage.stream(3).reset is None
        stage.passes(0.5)
        assert stage.stream(3).reset == ErrorCode.CANCEL


def test_a_window_that_is_raised_gives_a_stream_its_whole_time_again() -> None:
    """Though the connection has no room for what it allows."""
    with staged(Http2Framing(1_000, 65_535)) as stage:
        begin(stage.asks(), BIG)
        stage.passes(SEND - 0.5)
        stage.sends(stage.peer.allow(1, 1))
        stage.passes(SEND - 0.5)
        assert stage.stream(1).reset is None
        stage.passes(0.5)
        assert stage.stream(1).reset == ErrorCode.CANCEL


def test_frames_are_as_long_as_the_client_takes_them() -> None:
    with staged(Http2Framing(s5=40_000)) as stage:
        begin(stage.asks(), BIG)
        assert max(stage.stream().sizes) == 40_000
        stage.sends(stage.peer.set({MAX_FRAME_SIZE: 16_384}))
        answer(stage.asks(), BIG)
        assert max(stage.stream().sizes) == 16_384
        assert stage.stream().ended


def test_a_connection_s_window_is_shared() -> None:
    with staged(Http2Framing(50_000, 65_535)) as stage:
        answer(stage.asks(), BIG[:50_000])
        answer(stage.asks(), BIG[:50_000])
        assert (stage.stream(1).ended, len(stage.stream(3).body)) == (True, 15_535)
        stage.sends(stage.peer.allow(0, 34_464))
        assert (stage.stream(3).ended, len(stage.stream(3).body)) == (False, 49_999)
        stage.sends(stage.peer.allow(0, 100))
        assert stage.stream(3).ended
        assert stage.peer.room == 99


def bodies_of_six(name: str, *priorities: bytes) -> list[int]:
    """Bytes that each of six long responses has got of a connection's window that is opened by a
    frame's length each time. `priorities` as the client says them; b"": it says none."""
    with staged(Http2Framing(connection=FIRST_WINDOW), http2=Http2Settings(engine=name)) as stage:
        for priority in priorities:
            fields = ((b"priority", priority),) if priority else ()
            answer(stage.asks(fields=fields), bytes(2_000_000))
        stage.turn()
        for _ in range(96):
            stage.sends(stage.peer.allow(0, 16_384))
        return [len(stage.stream(number).body) for number in range(1, 13, 2)]


@OF_THE_GATEWAY
def test_equals_share_a_window_that_is_less_than_they_would_send(name: str) -> None:
    sizes = bodies_of_six(name, *[b""] * 6)
    assert sum(sizes) == FIRST_WINDOW + 96 * 16_384
    assert max(sizes) < 1.3 * min(sizes), sizes


def test_nobody_is_forgotten_while_the_window_is_less_than_the_urgent_one_would_send() -> None:
    first, *others = bodies_of_six("h2", b"u=0", *[b"u=7, i"] * 5)
    assert first > 1_000_000
    assert min(others) > 0, others


def test_a_client_that_allows_nothing_on_the_connection_is_given_up() -> None:
    """And nobody else."""
    with staged(Http2Framing(connection=FIRST_WINDOW)) as stage:
        upload = stage.uploads()
        begin(first := stage.asks(), BIG)
        begin(second := stage.asks(), b"x")
        stage.turn()
        for _ in range(int(SEND)):
            assert (stage.stream(3).reset, stage.stream(5).reset) == (None, None)
            stage.sends(stage.peer.send(1, b"x" * 100))
            stage.passes(1.0)
        for exchange, number in ((first, 3), (second, 5)):
            assert stage.stream(number).reset == ErrorCode.CANCEL
            assert exchange.end_code == end_codes.CLIENT_SEND_TIMEOUT
        stage.sends(stage.peer.send(1, b"the rest", last=True))
        assert source_of(upload).complete
        stage.sends(stage.peer.allow(0, 100))
        answer(upload, b"thanks")
        assert (stage.stream(1).body, stage.stream(1).reset) == (b"thanks", None)


def test_a_client_that_allows_some_on_the_connection_has_its_whole_time_again() -> None:
    with staged(Http2Framing(connection=FIRST_WINDOW)) as stage:
        begin(stage.asks(), BIG)
        for _ in range(3):
            stage.turn()
            stage.passes(SEND - 0.5)
            stage.sends(stage.peer.allow(0, 1_000))
        assert (len(stage.stream().body), stage.stream().reset) == (FIRST_WINDOW + 3_000, None)


@pytest.mark.parametrize(("method", "status"), [("GET", 204), ("HEAD", 200), ("GET", 200)])
def test_what_only_has_to_end_needs_no_window_of_the_connection(method: str, status: int) -> None:
    with staged(Http2Framing(connection=FIRST_WINDOW)) as stage:
        begin(stage.asks(), BIG)
        stage.turn()
        begin(exchange := stage.asks(method), status=status)
        stage.turn()
        exchange.sink.end(exchange)
        assert (stage.stream().ended, stage.stream().reset) == (True, None)
        answer(stage.asks(method), status=status)
        assert (stage.stream().ended, stage.stream().reset) == (True, None)


# -- what the client sends ---------------------------------------------------------------------


def test_a_window_is_refilled_only_as_the_source_takes() -> None:
    with staged(http2=Http2Settings(stream_window=65_536, max_streams=1)) as stage:
        stage.credit = 0
        exchange = stage.uploads()
        stage.hears()
        stage.sends(
            padded(FrameKind.DATA, 0, 1, b"x" * 16_000, 200), stage.peer.send(1, b"y" * 49_000)
        )
        # Padding is nobody's, and may be refilled. Whether it is told at once is the engine's.
        assert sum(updates(stage.hears()).values()) <= 2 * 201
        assert stage.connection.held == 65_000
        source = source_of(exchange)
        source.send_credit = 40_000
        exchange.uploader.credit_arrived(exchange)
        told = updates(stage.hears())
        assert 32_768 <= told[1] <= 40_201
        assert 32_768 <= told[0] <= 40_201
        source.send_credit = 25_000
        exchange.uploader.credit_arrived(exchange)
        later = updates(stage.hears())
        assert told[1] + later.get(1, 0) <= 65_201
        assert (sum(map(len, source.got)), stage.connection.held) == (65_000, 0)


def test_a_whole_body_has_gone_round_and_both_windows_are_as_they_were() -> None:
    """What was told is all that was used, but for what the engine keeps for the next time."""
    with staged(http2=Http2Settings(stream_window=65_536, max_streams=1)) as stage:
        exchange = stage.uploads()
        sent = 0
        told = {0: 0, 1: 0}
        stage.hears()
        for _ in range(40):
            stage.sends(stage.peer.send(1, b"x" * 16_384))
            sent += 16_384
            for number, count in updates(stage.hears()).items():
                told[number] += count
            assert sent - told[1] <= 65_536
            source_of(exchange).send_credit += 16_384
        assert sum(map(len, source_of(exchange).got)) == sent
        assert sent - told[1] < 32_768
        assert sent - told[0] < 32_768


@pytest.mark.parametrize("how", ["client resets", "app fails", "app answers", "is unread"])
def test_bytes_of_streams_that_were_reset_come_back_to_the_connection(how: str) -> None:
    with staged(http2=Http2Settings(stream_window=65_536, max_streams=1)) as stage:
        stage.credit = 0
        stage.hears()
        told = 0
        for _ in range(8):
            exchange = stage.uploads()
            number = stage.peer.last
            if how == "is unread":
                answer(exchange, b"no", 403)
            stage.sends(stage.peer.send(number, b"x" * 40_000))
            if how == "client resets":
                stage.sends(stage.peer.reset(number))
            elif how == "app fails":
                begin(exchange)
                fail(exchange, 502)
            elif how == "app answers":
                answer(exchange, b"enough")
            told += updates(stage.hears()).get(0, 0)
        assert 8 * 40_000 - told < 32_768


@pytest.mark.parametrize("taken", [0, 3])
@pytest.mark.parametrize("pieces", [1, 3])
def test_a_body_that_nobody_has_taken_is_no_other_requests(pieces: int, taken: int) -> None:
    """The answer came before. The next request of the connection has nothing of that body, and the
    connection's window has all of it back."""
    with staged(http2=Http2Settings(stream_window=65_536, max_streams=2)) as stage:
        stage.hears()
        told = 0
        for _ in range(10):
            stage.credit = taken
            exchange = stage.uploads()
            number = stage.peer.last
            for piece in range(pieces):
                stage.sends(stage.peer.send(number, b"secret" * 2_000, last=piece == pieces - 1))
            answer(exchange, b"no", 503)
            stage.credit = 100_000
            other = stage.uploads(body=b"mine")
            stage.sends(stage.peer.send(stage.peer.last, b", all of it", last=True))
            assert other.body + b"".join(source_of(other).got) == b"mine, all of it"
            answer(other, b"yes")
            told += updates(stage.hears()).get(0, 0)
        assert 10 * 12_000 * pieces - told < 65_536
        assert stage.connection.held == 0


def test_a_body_that_is_too_large_leaves_nothing_behind() -> None:
    http = HttpSettings(max_request_body_size=20_000)
    with staged(http=http, http2=Http2Settings(stream_window=65_536, max_streams=2)) as stage:
        slow = stage.asks()
        stage.hears()
        told = 0
        for _ in range(8):
            exchange = stage.uploads()
            number = stage.peer.last
            stage.sends(stage.peer.send(number, b"x" * 16_000))
            stage.sends(stage.peer.send(number, b"x" * 16_000, last=True))
            assert exchange.status == 413
            told += updates(stage.hears()).get(0, 0)
        assert 8 * 32_000 - told < 65_536
        answer(slow, b"others go on")
        assert stage.stream(1).body == b"others go on"


def test_an_upload_beside_small_requests() -> None:
    with staged(http2=Http2Settings(stream_window=65_536)) as stage:
        stage.credit = 0
        upload = stage.uploads()
        number = stage.peer.last
        stage.sends(stage.peer.send(number, b"x" * 65_536))
        for _ in range(5):
            answer(stage.asks(), b"small")
            assert stage.stream().ended
        assert not updates(stage.hears()).get(number)
        source_of(upload).send_credit = 65_536
        upload.uploader.credit_arrived(upload)
        assert updates(stage.hears())[number] == 65_536


def test_many_small_pieces_do_not_fill_the_memory() -> None:
    """Each of them would be an object."""
    with staged(http2=Http2Settings(stream_window=65_536)) as stage:
        stage.credit = 0
        exchange = stage.uploads()
        number = stage.peer.last
        for _ in range(20):
            stage.sends(b"".join(stage.peer.send(number, b"xy") for _ in range(1_000)))
        assert stage.connection.held == 40_000
        assert _pieces(stage, number) < 200
        source_of(exchange).send_credit = 100_000
        exchange.uploader.credit_arrived(exchange)
        assert b"".join(source_of(exchange).got) == b"xy" * 20_000


def _pieces(stage: Http2Stage, number: int) -> int:
    stream = stage.connection._streams[number]  # pyright: ignore[reportPrivateUsage]
    return len(stream._request_body._pieces)  # pyright: ignore[reportPrivateUsage]
