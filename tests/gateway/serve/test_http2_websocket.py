"""WebSockets on streams of HTTP/2 (RFC 8441): the class that HTTP/1.1 has too, on another
transport."""

import pytest
from propylon.gateway.exchange import end_codes
from propylon.gateway.exchange.exchange import Exchange
from propylon.gateway.http2.engine import ErrorCode
from propylon.gateway.settings import Http2Settings, WebSocketSettings

from ...fakes.exchange_sides import FakeSource
from .http2_framing import Http2Framing
from .http2_stage import Http2Stage, answer, staged, updates
from .stage import SEND

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
NORMAL = (1000).to_bytes(2, "big")
BIG = bytes(range(256)) * 1_000


def masked(first: int, payload: bytes = b"") -> bytes:
    """A client's frame, whose mask changes nothing."""
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    return bytes([first]) + length + bytes(4) + payload


def plain(data: bytes) -> list[tuple[int, bytes]]:
    """The server's frames."""
    found: list[tuple[int, bytes]] = []
    while data:
        first, size, at = data[0], data[1], 2
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(data[2:10], "big"), 10
        found.append((first, data[at : at + size]))
        data = data[at + size :]
    return found


def says(stage: Http2Stage, *frames: bytes, last: bool = False, stream: int = 0) -> None:
    stage.sends(stage.peer.send(stream or stage.peer.last, b"".join(frames), last=last))


def tell(exchange: Exchange, data: bytes | str) -> None:
    assert exchange.websocket is not None
    exchange.websocket.message(exchange, data, more=False)


def codes(source: FakeSource) -> list[object]:
    return [event["code"] for event in source.hung_up]


def test_messages_both_ways_beside_other_streams() -> None:
    with staged() as stage:
        exchange, source = stage.opens_websocket()
        other = stage.asks()
        says(stage, masked(TEXT, b"hello"), masked(BINARY, b"\0"), stream=1)
        assert source.messages == ["hello", b"\0"]
        tell(exchange, "hi")
        tell(exchange, b"\1")
        assert plain(stage.stream(1).body) == [(TEXT, b"hi"), (BINARY, b"\1")]
        assert source.taken == 3
        answer(other, b"beside")
        assert stage.stream(3).body == b"beside"
        assert stage.stream(1).reset is None


def test_a_message_in_pieces_of_any_size() -> None:
    with staged() as stage:
        _, source = stage.opens_websocket(credit=1_000_000)
        frame = masked(BINARY, BIG)
        for at in range(0, len(frame), 9_999):
            says(stage, frame[at : at + 9_999])
        assert b"".join(one for one in source.messages if isinstance(one, bytes)) == BIG
        assert sum(updates(stage.hears()).values()) > 0


def test_a_big_message_to_the_client() -> None:
    with staged(Http2Framing(1_000)) as stage:
        exchange, source = stage.opens_websocket()
        tell(exchange, BIG)
        assert (len(stage.stream().body), source.taken) == (1_000, 1_000)
        while len(stage.stream().body) < len(BIG):
            assert source.taken == len(stage.stream().body)
            stage.sends(stage.peer.allow(1, 100_000))
        assert source.taken == len(BIG)
        assert b"".join(piece for _, piece in plain(stage.stream().body)) == BIG


def test_the_client_closes() -> None:
    with staged() as stage:
        _, source = stage.opens_websocket()
        says(stage, masked(TEXT, b"bye"), masked(CLOSE, NORMAL))
        assert (source.messages, codes(source)) == (["bye"], [1000])
        one = stage.stream()
        assert plain(one.body) == [(CLOSE, NORMAL)]
        assert (one.ended, one.reset) == (True, ErrorCode.NO_ERROR)
        assert [exchange.status for exchange in stage.ended] == [200]
        assert stage.connection.idle_since


def test_the_client_closes_and_ends_its_stream() -> None:
    with staged() as stage:
        _, source = stage.opens_websocket()
        says(stage, masked(CLOSE, NORMAL), last=True)
        assert codes(source) == [1000]
        assert (stage.stream().ended, stage.stream().reset) == (True, None)
        assert stage.connection.idle_since


def test_the_app_closes() -> None:
    with staged() as stage:
        exchange, source = stage.opens_websocket()
        assert exchange.websocket is not None
        tell(exchange, "last")
        exchange.websocket.close(exchange, 4000, "why")
        assert plain(stage.stream().body)[-1] == (CLOSE, (4000).to_bytes(2, "big") + b"why")
        assert not stage.stream().ended
        says(stage, masked(CLOSE, (4000).to_bytes(2, "big")), last=True)
        assert codes(source) == [4000]
        assert (stage.stream().ended, stage.stream().reset) == (True, None)
        assert stage.connection.idle_since


def test_the_app_closes_and_the_client_does_not_answer() -> None:
    with staged() as stage:
        exchange, _ = stage.opens_websocket()
        assert exchange.websocket is not None
        exchange.websocket.close(exchange, 1000, "")
        stage.passes(30.0)
        assert stage.stream().ended or stage.stream().reset is not None
        assert not [one for one in stage.state.connections if one.protocol == "websocket"]


def test_a_stream_that_ends_without_a_close_frame() -> None:
    with staged() as stage:
        _, source = stage.opens_websocket()
        says(stage, masked(TEXT, b"half"), last=True)
        assert (source.messages, codes(source)) == (["half"], [1006])
        assert stage.stream().ended or stage.stream().reset is not None
        assert len(stage.ended) == 1


@pytest.mark.parametrize("how", ["reset", "leave"])
def test_a_client_that_is_gone(how: str) -> None:
    with staged() as stage:
        exchange, source = stage.opens_websocket()
        if how == "reset":
            stage.sends(stage.peer.reset(1))
            assert stage.connection.idle_since
        else:
            stage.client.close()
            stage.reads = False
            assert stage.until(lambda: not stage.state.connections)
        assert codes(source) == [1006]
        assert exchange.end_code == end_codes.CLIENT_LEFT_WEBSOCKET
        tell(exchange, "nobody hears it")
        stage.turn()


@pytest.mark.parametrize("how", ["reset", "leave"])
def test_what_a_client_had_sent_before_it_was_gone_is_heard(how: str) -> None:
    """Though the app did not want it yet, and nothing was read of the stream."""
    with staged() as stage:
        exchange, source = stage.opens_websocket(credit=5)
        says(stage, masked(TEXT, b"first"), masked(TEXT, b"second"))
        says(stage, masked(TEXT, b"third"))
        assert source.messages == ["first"]
        if how == "reset":
            stage.sends(stage.peer.reset(1))
        else:
            stage.client.close()
            stage.reads = False
            stage.until(lambda: not [one for one in stage.state.connections if one.held == 0])
        source.send_credit = 100
        exchange.uploader.credit_arrived(exchange)
        stage.turn()
        assert source.messages == ["first", "second", "third"]
        assert codes(source) == [1006]


def test_an_app_that_takes_nothing_holds_back_its_own_client_alone() -> None:
    with staged(http2=Http2Settings(stream_window=65_536)) as stage:
        exchange, source = stage.opens_websocket(credit=10)
        stage.hears()
        for _ in range(6):
            says(stage, masked(BINARY, b"x" * 10_000))
        assert stage.connection.held + _websocket(stage).held > 40_000
        assert updates(stage.hears()).get(1, 0) < 40_000
        answer(stage.asks(), b"beside")
        assert stage.stream(3).body == b"beside"
        source.send_credit += 100_000
        exchange.uploader.credit_arrived(exchange)
        stage.turn()
        assert sum(map(len, source.messages)) == 60_000
        says(stage, masked(TEXT, b"and on"), stream=1)
        assert source.messages[-1] == "and on"


def _websocket(stage: Http2Stage) -> object:
    (one,) = [one for one in stage.state.connections if one.protocol == "websocket"]
    return one


def test_a_ping_is_answered() -> None:
    with staged() as stage:
        stage.opens_websocket()
        says(stage, masked(PING, b"there?"))
        assert plain(stage.stream().body) == [(PONG, b"there?")]


def test_a_client_that_answers_no_ping() -> None:
    settings = WebSocketSettings(ping_interval=20.0, ping_timeout=10.0)
    with staged(websocket=settings) as stage:
        _, source = stage.opens_websocket()
        stage.passes(20.0)
        ((first, data),) = plain(stage.stream().body)
        assert first == PING
        says(stage, masked(PONG, data))
        stage.passes(29.5)
        assert not source.hung_up
        stage.passes(11.0)
        assert [event["code"] for event in source.hung_up] == [1011]


@pytest.mark.parametrize("window", [0, 1_000])
def test_a_client_that_allows_nothing_is_given_up(window: int) -> None:
    with staged(Http2Framing(window)) as stage:
        exchange, source = stage.opens_websocket()
        tell(exchange, b"x" * 5_000)
        stage.passes(SEND - 0.5)
        assert not source.hung_up
        answer(stage.asks(), b"")
        stage.passes(2.0)
        assert codes(source) == [1006]
        assert exchange.end_code == end_codes.CLIENT_SEND_TIMEOUT
        assert stage.stream(1).reset == ErrorCode.CANCEL
        assert stage.connection.idle_since, "the stream has its slot no longer"


def test_a_close_frame_that_the_client_does_not_allow() -> None:
    """The WebSocket is over, and its stream must not stay for ever."""
    with staged(Http2Framing(0)) as stage:
        exchange, _ = stage.opens_websocket()
        assert exchange.websocket is not None
        exchange.websocket.close(exchange, 1000, "")
        says(stage, masked(CLOSE, NORMAL))
        stage.passes(SEND + 1.0)
        assert stage.stream(1).reset is not None
        assert stage.connection.idle_since


def test_a_drain_closes_it_with_1012() -> None:
    with staged() as stage:
        _, source = stage.opens_websocket()
        stage.drains()
        for connection in list(stage.state.connections):
            connection.drain()
        stage.passes(30.0)
        assert plain(stage.stream().body) == [
            (CLOSE, (1012).to_bytes(2, "big") + b"service restart")
        ]
        says(stage, masked(CLOSE, (1012).to_bytes(2, "big")))
        assert codes(source) == [1012]
        assert stage.is_ended()
        assert stage.hears_goaways()[-1] == (1, ErrorCode.NO_ERROR)
        stage.passes(5.0)
        assert not stage.state.connections


@pytest.mark.parametrize("how", ["cut", "flood"])
def test_who_ends_a_websocket_with_its_connection(how: str) -> None:
    with staged() as stage:
        exchange, source = stage.opens_websocket()
        if how == "cut":
            stage.connection.cut()
        else:
            stage.sends(stage.peer.set({}) * 300)
        assert codes(source) == [1006]
        ends = {"cut": end_codes.GATEWAY_CUT, "flood": end_codes.CLIENT_FLOOD}
        assert exchange.end_code == ends[how]
        assert not [one for one in stage.state.connections if one.protocol == "websocket"]


def test_it_is_refused_by_the_app() -> None:
    with staged() as stage:
        stage.send(stage.peer.connect())
        exchange = stage.exchange
        assert exchange.websocket is not None
        exchange.websocket.close(exchange, 1000, "")
        one = stage.stream()
        assert one.response is not None
        assert (one.response.status, one.ended, one.reset) == (403, True, ErrorCode.NO_ERROR)


def test_what_is_sent_before_the_accept_waits() -> None:
    with staged() as stage:
        stage.credit = 100
        stage.send(stage.peer.connect())
        says(stage, masked(TEXT, b"early"))
        exchange = stage.exchange
        source = exchange.source
        assert isinstance(source, FakeSource)
        assert exchange.websocket is not None
        exchange.websocket.accept(exchange, source, None, ())
        stage.turn()
        assert source.messages == ["early"]


def test_a_frame_that_breaks_the_rules() -> None:
    with staged() as stage:
        _, source = stage.opens_websocket()
        says(stage, bytes([TEXT, 1, 65]))
        assert plain(stage.stream().body)[0][1][:2] == (1002).to_bytes(2, "big")
        assert codes(source) == [1002]
        says(stage, masked(CLOSE, (1002).to_bytes(2, "big")))
        stage.passes(5.0)
        assert stage.connection.idle_since
        answer(stage.asks(), b"beside")
        assert stage.stream().body == b"beside"


@pytest.mark.parametrize("name", [b":method", b"content-length"])
def test_trailers_that_may_not_be_end_it_and_nothing_else(name: bytes) -> None:
    """Malformed ones (RFC 9113 section 8.1), and those that are refused."""
    with staged() as stage:
        exchange, source = stage.opens_websocket()
        other = stage.asks()
        stage.sends(stage.peer.head([(name, b"5")], ended=True, stream=1))
        assert stage.stream(1).reset == ErrorCode.PROTOCOL_ERROR
        assert codes(source) == [1006]
        assert exchange.end_code == end_codes.CLIENT_MALFORMED
        answer(other)
        assert stage.stream(3).ended


@pytest.mark.parametrize("end", ["", "its end", "reset"])
def test_what_comes_behind_many_small_messages_is_heard(end: str) -> None:
    """They take more than one turn, and what comes meanwhile waits in the stream."""
    with staged() as stage:
        _, source = stage.opens_websocket()
        stage.client.sendall(stage.peer.send(1, masked(TEXT, b"m") * 700))
        stage.until_delivered()
        stage.state.poller._turn()
        assert 0 < len(source.messages) < 400
        last = stage.peer.send(1, masked(TEXT, b"hello"), last=end == "its end")
        stage.sends(last, stage.peer.reset(1) if end == "reset" else b"")
        stage.turn()
        assert source.messages == ["m"] * 700 + ["hello"]
        assert codes(source) == ([1006] if end else [])
        assert len(stage.ended) == bool(end)


def test_a_reset_while_the_app_takes_nothing_of_much_that_has_come() -> None:
    """What it would have to read first is more than it handles in a turn."""
    with staged() as stage:
        exchange, source = stage.opens_websocket(credit=0)
        for _ in range(3):
            says(stage, masked(TEXT, b"mm") * 2_000)
        stage.sends(stage.peer.reset(1))
        stage.passes(30.0)
        assert codes(source) == [1006]
        assert exchange.end_code == end_codes.CLIENT_LEFT_WEBSOCKET
        assert not [one for one in stage.state.connections if one.protocol == "websocket"]


def test_a_fault_of_ours_as_bytes_go_out_ends_one_websocket() -> None:
    with staged(Http2Framing(100)) as stage:
        exchange, source = stage.opens_websocket()
        other = stage.asks()

        def breaks(_: int) -> None:
            raise RuntimeError("a fault of ours")

        tell(exchange, b"x" * 1_000)
        stage.turn()
        source.consumed = breaks  # type: ignore[method-assign]
        stage.sends(stage.peer.allow(1, 10_000))
        assert stage.stream(1).ended
        assert codes(source) == [1006]
        answer(other, b"beside")
        assert stage.stream(3).body == b"beside"
        log, stage.log[:] = list(stage.log), []
        assert len(log) == 1
        assert log[0].startswith("error: ")
