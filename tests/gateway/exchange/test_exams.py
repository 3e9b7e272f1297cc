"""The exams of the exchange's interfaces, sat by every implementation and every fake."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from propylon.gateway.exchange.exchange import Exchange, Observers, Request
from propylon.gateway.exchange.filters import Filter, FilterChain
from propylon.gateway.pool.call import PoolCall
from propylon.protocol.messages import EVENT, REQUEST_BODY, RESET, WS_MESSAGE, Message

from ...fakes.exchange_exams import (
    SINK_EXAM,
    SOURCE_EXAM,
    WEBSOCKET_EXAM,
    WEBSOCKET_SOURCE_EXAM,
    Seen,
    SinkScene,
    SourceScene,
    WebSocketSourceScene,
    an_end_at_any_time,
    credit_is_translated_whole,
    pieces_come_out_as_they_went_in,
)
from ...fakes.exchange_sides import FakeClient, FakeSource
from ..pool.linked import LinkedMember, pool, submit
from ..serve.http1_framing import Http1Framing
from ..serve.http2_framing import Http2Framing
from ..serve.stage import Framing, Stage
from .gzip_filter import Gzip

# -- sinks -------------------------------------------------------------------------------------


class FakeScene:
    """The client is a fake."""

    accepts_with = 101

    def __init__(self) -> None:
        self.client = FakeClient()
        self.ended: list[Exchange] = []
        self._later: list[Callable[[], None]] = []
        self._exchange: Exchange | None = None

    def later(self, call: Callable[[], None]) -> None:
        self._later.append(call)

    def ask(self, method: str = "GET") -> Exchange:
        observers = Observers(at_end=(self.ended.append,))
        exchange = Exchange(
            Request(method, b"/", "1.1"), self.client, opened=1.0, observers=observers
        )
        self._exchange = exchange
        return exchange

    def ask_for_websocket(self) -> Exchange:
        exchange = self.ask()
        exchange.offer_websocket(self.client)
        return exchange

    def turn(self) -> None:
        assert self._exchange is not None
        self.client.take(self._exchange)
        calls, self._later = self._later, []
        for call in calls:
            call()

    def seen(self) -> Seen:
        client = self.client
        cut = client.failed is not None and client.status != client.failed[0]
        end = "open" if not client.over else "cut" if cut else "whole"
        return client.status, client.data, end

    def leave(self) -> None:
        assert self._exchange is not None
        self.client.leave(self._exchange)

    def close(self) -> None: ...


class StageScene:
    """A client over TCP."""

    def __init__(self, framing: Framing, accepts_with: int = 101) -> None:
        self.accepts_with = accepts_with
        self.stage = Stage(framing)
        self.stage.open()
        self.ended = self.stage.ended
        self.later = self.stage.state.poller.at_end_of_turn
        self.stage.state.answer = self.stage.exchanges.append

    def ask(self, method: str = "GET", fields: tuple[tuple[bytes, bytes], ...] = ()) -> Exchange:
        self.stage.send(self.stage.framing.ask(method, "/", fields, b"", 0, True))
        return self.stage.exchange

    def ask_for_websocket(self) -> Exchange:
        return self.ask("GET", UPGRADE)

    def turn(self) -> None:
        self.stage.turn()

    def seen(self) -> Seen:
        self.stage.until(lambda: bool(self.stage.end) or self._is_over)
        if not self.stage.responses:
            return 0, b"", "open"
        response = self.stage.responses[-1]
        cut = response.cut or bool(self.stage.end)
        end = "whole" if response.complete else "cut" if cut else "open"
        return response.status, response.body, end

    @property
    def _is_over(self) -> bool:
        responses = self.stage.responses
        over = bool(responses) and (responses[-1].complete or responses[-1].cut)
        return not self.ended or over

    def leave(self) -> None:
        self.stage.client.close()
        self.stage.reads = False
        self.stage.until(lambda: not self.stage.state.connections)

    def close(self) -> None:
        self.stage.close()


UPGRADE = (
    (b"Upgrade", b"websocket"),
    (b"Connection", b"Upgrade"),
    (b"Sec-WebSocket-Version", b"13"),
    (b"Sec-WebSocket-Key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
)


class Filtered:
    """The sink of one of the others, behind a chain of filters."""

    def __init__(self, scene: FakeScene | StageScene, *filters: Filter) -> None:
        self._scene = scene
        self._filters = filters
        self.ended, self.accepts_with = scene.ended, scene.accepts_with
        self.turn, self.leave, self.close = scene.turn, scene.leave, scene.close

    def ask(self, method: str = "GET") -> Exchange:
        exchange = self._scene.ask(method)
        FilterChain(exchange, self._filters, self._scene.later)
        return exchange

    def ask_for_websocket(self) -> Exchange:
        exchange = self._scene.ask_for_websocket()
        FilterChain(exchange, self._filters, self._scene.later)
        return exchange

    def seen(self) -> Seen:
        status, body, end = self._scene.seen()
        if any(isinstance(one, Gzip) for one in self._filters) and body[:2] == b"\x1f\x8b":
            body = zlib.decompressobj(31).decompress(body)
        return status, body, end


SINKS: dict[str, Callable[[], FakeScene | StageScene | Filtered]] = {
    "a fake client": FakeScene,
    "http/1.1": lambda: StageScene(Http1Framing()),
    "http/2": lambda: StageScene(Http2Framing(), accepts_with=200),
    "a filter that changes nothing": lambda: Filtered(FakeScene(), Filter()),
    "two such filters over http/2": lambda: Filtered(
        StageScene(Http2Framing(), accepts_with=200), Filter(), Filter()
    ),
    "two such filters over http/1.1": lambda: Filtered(
        StageScene(Http1Framing()), Filter(), Filter()
    ),
    "gzip": lambda: Filtered(FakeScene(), Gzip()),
    "gzip, and another filter, over http/1.1": lambda: Filtered(
        StageScene(Http1Framing()), Gzip(), Filter()
    ),
}


@contextmanager
def scene(name: str) -> Iterator[SinkScene]:
    with closing(SINKS[name]()) as one:
        yield one


@pytest.mark.parametrize("name", SINKS)
@pytest.mark.parametrize("exam", SINK_EXAM, ids=lambda exam: exam.__name__)
def test_sinks(name: str, exam: Callable[[SinkScene], None]) -> None:
    with scene(name) as one:
        exam(one)


@pytest.mark.parametrize("name", SINKS)
@pytest.mark.parametrize("exam", WEBSOCKET_EXAM, ids=lambda exam: exam.__name__)
def test_the_sinks_of_websockets(name: str, exam: Callable[[SinkScene], None]) -> None:
    with scene(name) as one:
        exam(one)


# -- sources -----------------------------------------------------------------------------------


class FakeSourceScene:
    def __init__(self) -> None:
        self.fake = self.source = FakeSource(send_credit=1_000)

    def turn(self) -> None: ...

    def got(self) -> tuple[bytes, bool]:
        return b"".join(self.fake.got), self.fake.complete

    def is_given_up(self) -> bool:
        return self.fake.given_up > 0


class FilteredSourceScene(FakeSourceScene):
    """As the sink sees the source, through a chain."""

    def __init__(self) -> None:
        super().__init__()
        exchange = Exchange(Request("POST", b"/", "1.1"), FakeClient())
        FilterChain(exchange, [Gzip()], lambda call: call())
        exchange.connect(self.fake, 0.0)
        assert exchange.source is not None
        self.source = exchange.source


class CallScene:
    """A call on a worker, over a real link."""

    def __init__(self) -> None:
        of = pool()
        self.member = LinkedMember(of)
        self.exchange, _ = submit(of, "POST", more=True)
        assert isinstance(self.exchange.source, PoolCall)
        self.source = self.exchange.source
        self._got, self._complete, self._given_up = b"", False, False

    def turn(self) -> None:
        member = self.member
        for _, message in list(member.worker.receive(member.machine.take_output())):
            if message[0] == REQUEST_BODY:
                self._got += message[2]
                self._complete = not message[3]
            self._given_up = self._given_up or message[0] == RESET
        member.exchange_bytes()

    def got(self) -> tuple[bytes, bool]:
        return self._got, self._complete

    def is_given_up(self) -> bool:
        return self._given_up


@pytest.mark.parametrize("make", [FakeSourceScene, FilteredSourceScene, CallScene])
@pytest.mark.parametrize("exam", SOURCE_EXAM, ids=lambda exam: exam.__name__)
def test_sources(make: Callable[[], SourceScene], exam: Callable[[SourceScene], None]) -> None:
    exam(make())


class FakeWebSocketScene(FakeSourceScene):
    def heard(self) -> list[bytes | str]:
        return self.fake.messages

    def ends(self) -> list[dict[str, object]]:
        return self.fake.hung_up


class WebSocketCallScene:
    """A call on a worker, over a real link."""

    def __init__(self) -> None:
        of = pool()
        self.member = LinkedMember(of)
        self.exchange, _ = submit(of)
        assert isinstance(self.exchange.source, PoolCall)
        self.source = self.exchange.source
        self._said: list[Message] = []

    def turn(self) -> None:
        member = self.member
        self._said += [said for _, said in member.worker.receive(member.machine.take_output())]
        member.exchange_bytes()

    def heard(self) -> list[bytes | str]:
        return [said[2] for said in self._said if said[0] == WS_MESSAGE]

    def ends(self) -> list[dict[str, object]]:
        events = [said[2] for said in self._said if said[0] == EVENT]
        return [event for event in events if event["type"] == "websocket.disconnect"]


@pytest.mark.parametrize("make", [FakeWebSocketScene, WebSocketCallScene])
@pytest.mark.parametrize("exam", WEBSOCKET_SOURCE_EXAM, ids=lambda exam: exam.__name__)
def test_the_sources_of_websockets(
    make: Callable[[], WebSocketSourceScene], exam: Callable[[WebSocketSourceScene], None]
) -> None:
    exam(make())


# -- filters -----------------------------------------------------------------------------------


def inflated(data: bytes) -> bytes:
    return zlib.decompress(data, 31)


@pytest.mark.parametrize(("make", "undo"), [(Filter, bytes), (Gzip, inflated)])
@given(pieces=st.lists(st.binary(max_size=2_000), max_size=20))
def test_filters(
    make: Callable[[], Filter], undo: Callable[[bytes], bytes], pieces: list[bytes]
) -> None:
    pieces_come_out_as_they_went_in(make, undo, pieces)
    an_end_at_any_time(make)
    credit_is_translated_whole(make)
