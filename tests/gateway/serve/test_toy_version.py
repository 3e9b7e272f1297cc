"""A second HTTP version over the same exchange sink: many streams on one connection, each with its
own source, its own credit, its own end."""

import logging
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.exchange.exchange import Exchange, Observers
from propylon.gateway.pool.pool import Pool
from propylon.gateway.serve.service_state import ServiceState
from propylon.gateway.settings import PoolSettings, ServeSettings, WebSocketSettings
from propylon.gateway.transport.client_socket import ClientSocket
from propylon.gateway.transport.poller import Poller

from ...fakes.exchange_sides import FakeSource
from ..http1.drive import context
from ..pool.linked import LinkedMember, Owner
from .toy_version import DATA, END, FIRST_WINDOW, HEAD, RESET, WINDOW, ToyConnection, frame, frames

WHERE = Endpoint(("192.0.2.1", 4711), ("192.0.2.2", 443), "https")
BODY_TIMEOUT = 5.0
CREDIT = 4_000


class Pusher(FakeSource):
    """Has more to say than anybody takes, and never more under way than its credit."""

    def __init__(self, size: int) -> None:
        super().__init__(send_credit=CREDIT)
        self.left, self.under_way, self.most = size, 0, 0

    def begin(self, exchange: Exchange) -> None:
        self.exchange = exchange
        exchange.connect(self, 0.0)
        exchange.sink.head(exchange, 200, ())
        self.push()

    def push(self) -> None:
        while self.left and self.under_way < CREDIT:
            count = min(100, self.left)
            self.left -= count
            self.under_way += count
            self.exchange.sink.body(self.exchange, b"x" * count)
            if not self.left:
                self.exchange.sink.end(self.exchange)

    def consumed(self, count: int) -> None:
        super().consumed(count)
        self.under_way -= count
        self.push()


class Scene:
    """One client with many requests."""

    def __init__(self) -> None:
        self.now = 100.0
        self.exchanges: list[Exchange] = []
        self.over: list[tuple[bytes, int, str]] = []
        """Path, status and reason of what the log is told."""
        self.poller = Poller()
        self.state = ServiceState(
            http=context("h11"),
            settings=ServeSettings(body_timeout=BODY_TIMEOUT),
            websocket=WebSocketSettings(),
            apply_trust=lambda exchange: None,
            answer=self.exchanges.append,
            poller=self.poller,
            observers=Observers(at_end=(self.ended,)),
            clock=lambda: self.now,
        )
        self.client, ours = socket.socketpair()
        for end in (self.client, ours):
            end.setblocking(False)
        self.connection = ToyConnection(
            ClientSocket(ours, self.state.transports), WHERE, self.state
        )
        self.connection.open()
        self.rest = b""

    def ended(self, exchange: Exchange) -> None:
        self.over.append((exchange.path, exchange.status, exchange.reason))

    def close(self) -> None:
        self.connection.cut()
        self.client.close()

    def says(self, *said: bytes) -> None:
        self.client.sendall(b"".join(said))
        self.turn()

    def asks(self, number: int, path: str, method: str = "GET", size: str = "0") -> Exchange:
        self.says(frame(number, HEAD, f"{method} {path} {size}".encode()))
        return self.exchanges[-1]

    def turn(self) -> None:
        self.poller._turn()  # pyright: ignore[reportPrivateUsage]

    def hears(self) -> list[tuple[int, bytes, bytes]]:
        heard = b""
        self.turn()  # what was said outside of one
        try:
            while piece := self.client.recv(1 << 20):
                heard += piece
                self.turn()
        except BlockingIOError:
            pass
        *whole, (_, _, self.rest) = frames(self.rest + heard)
        return whole

    def body_of(self, number: int, heard: list[tuple[int, bytes, bytes]]) -> bytes:
        return b"".join(data for one, kind, data in heard if (one, kind) == (number, DATA))


@pytest.fixture
def scene() -> Iterator[Scene]:
    with closing(Scene()) as one:
        yield one


def test_the_answers_come_as_they_are_ready(scene: Scene) -> None:
    first, second = scene.asks(1, "/slow"), scene.asks(2, "/quick")
    assert (first.client, first.scheme, first.server) == (WHERE.client, "https", WHERE.server)
    second.sink.respond(second, 200, ((b"x", b"2"), (b"connection", b"close")), b"two")
    head = b"200 OK\nx: 2\ncontent-length: 3"
    assert scene.hears() == [(2, HEAD, head), (2, DATA, b"two"), (2, END, b"")]
    first.sink.head(first, 404, ())
    first.sink.body(first, b"on")
    first.sink.body(first, b"e")
    first.sink.end(first)
    heard = scene.hears()
    assert (heard[0], heard[-1]) == ((1, HEAD, b"404 Not Found"), (1, END, b""))
    assert scene.body_of(1, heard) == b"one"
    assert scene.over == [(b"/quick", 200, ""), (b"/slow", 404, "")]
    assert not scene.connection.streams


def test_a_stream_whose_client_takes_nothing_holds_only_itself(scene: Scene) -> None:
    slow, quick = Pusher(50_000), Pusher(50_000)
    slow.begin(scene.asks(1, "/slow"))
    quick.begin(scene.asks(2, "/quick"))
    heard = scene.hears()
    assert (slow.taken, quick.taken) == (FIRST_WINDOW, FIRST_WINDOW)
    scene.says(frame(2, WINDOW, b"100000"))
    heard += scene.hears()
    assert len(scene.body_of(2, heard)) == 50_000
    assert (2, END, b"") in heard
    assert len(scene.body_of(1, heard)) == FIRST_WINDOW
    assert (slow.taken, slow.under_way) == (FIRST_WINDOW, CREDIT), "no credit for what is kept"
    scene.says(frame(1, WINDOW, b"100000"))
    assert len(scene.body_of(1, heard + scene.hears())) == 50_000
    assert [path for path, *_ in scene.over] == [b"/quick", b"/slow"]


def test_the_end_of_one_stream_is_told_to_its_source_alone(scene: Scene) -> None:
    left, stays = Pusher(50_000), FakeSource()
    left.begin(scene.asks(1, "/left"))
    other = scene.asks(2, "/stays")
    other.connect(stays, 0.0)
    scene.says(frame(1, RESET))
    assert (left.given_up, stays.given_up) == (1, 0)
    assert scene.over == [(b"/left", 200, "")]
    left.exchange.sink.body(left.exchange, b"nobody hears it")
    other.sink.respond(other, 200, (), b"here")
    assert scene.body_of(2, scene.hears()) == b"here"


def test_the_client_is_gone(scene: Scene) -> None:
    sources = [FakeSource(), FakeSource()]
    for number, source in enumerate(sources):
        scene.asks(number, f"/{number}").connect(source, 0.0)
    scene.client.close()
    scene.turn()
    assert [source.given_up for source in sources] == [1, 1]
    assert scene.over == [
        (b"/0", 499, "The client went away."),
        (b"/1", 499, "The client went away."),
    ]
    assert not scene.state.connections


def test_pages_and_faults(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    busy, wrong, broken = (scene.asks(number, f"/{number}") for number in (1, 2, 3))
    busy.sink.fail(busy, 503, "Nobody is there.", "queue-size")
    assert wrong.sink.respond(wrong, 200, ((b"bad name", b""),), b"") == 500
    broken.sink.head(broken, 200, ())
    broken.sink.fail(broken, 502, "The app ended in the middle of its response.")
    heard = scene.hears()
    assert b"retry-after: 1" in heard[0][2]
    assert b"--queue-size sets the limit" in scene.body_of(1, heard)
    assert heard[3][2].startswith(b"500 ")
    assert heard[-2:] == [(3, HEAD, b"200 OK"), (3, RESET, b"")]
    assert [status for _, status, _ in scene.over] == [503, 500, 200]
    assert "the app's response to GET /2: was refused" in caplog.text
    assert "GET /1 was answered with 503: Nobody is there. --queue-size" in caplog.text
    assert "GET /3 was cut short" in caplog.text


def test_an_upload_goes_on_as_its_source_gives_credit(scene: Scene) -> None:
    exchange, source = scene.asks(1, "/up", "POST", "-"), FakeSource()
    exchange.connect(source, 0.0)
    assert exchange.more_body
    scene.says(frame(1, DATA, b"hello "), frame(1, DATA, b"world"), frame(1, END))
    assert source.got == []
    source.send_credit = 8
    exchange.uploader.credit_arrived(exchange)
    assert (b"".join(source.got), source.complete) == (b"hello wo", False)
    source.send_credit = 8
    exchange.uploader.credit_arrived(exchange)
    assert (b"".join(source.got), source.complete) == (b"hello world", True)


def test_a_late_upload_is_one_stream_s(scene: Scene) -> None:
    late, source = scene.asks(1, "/late", "POST", "9"), FakeSource(send_credit=9)
    late.connect(source, 0.0)
    other = scene.asks(2, "/other")
    scene.says(frame(1, DATA, b"half"))
    scene.now += BODY_TIMEOUT - 0.1
    scene.connection.sweep(scene.now)
    assert scene.hears() == []
    scene.now += 0.1
    scene.connection.sweep(scene.now)
    assert scene.hears()[0][:2] == (1, HEAD)
    assert (source.given_up, scene.over[0][1]) == (1, 408)
    assert "--body-timeout" in scene.over[0][2]
    other.sink.respond(other, 204, (), b"")
    assert scene.hears() == [(2, HEAD, b"204 No Content"), (2, END, b"")]


def test_a_drain_lets_what_there_is_come_to_its_end(scene: Scene) -> None:
    exchange = scene.asks(1, "/last")
    scene.connection.drain()
    scene.says(frame(2, HEAD, b"GET /late 0"))
    assert len(scene.exchanges) == 1
    assert scene.state.connections
    exchange.sink.respond(exchange, 200, (), b"bye")
    assert [kind for _, kind, _ in scene.hears()] == [HEAD, DATA, END]
    scene.turn()
    assert scene.client.recv(1) == b""
    scene.client.close()
    scene.turn()
    assert not scene.state.connections


def test_workers_answer_it_as_they_answer_http_1(scene: Scene) -> None:
    """A pool, and the link's real machines: a worker that dies is replaced by another."""
    pool = Pool(PoolSettings(), 60.0, Owner(), clock=lambda: scene.now)
    scene.state.answer = pool.submit
    first = LinkedMember(pool, slots=2)
    scene.says(frame(1, HEAD, b"GET /1 0"), frame(2, HEAD, b"GET /2 0"))
    assert len(first.calls) == 2
    second = LinkedMember(pool, slots=2, pid=2)
    first.die()
    assert len(second.calls) == 2
    scene.says(frame(1, RESET))
    assert [status for _, status, _ in scene.over] == [499]


def test_a_websocket_on_a_stream(scene: Scene) -> None:
    """RFC 8441: the same connection class as over HTTP/1.1, on another transport."""
    exchange, source = scene.asks(1, "/chat", "WEBSOCKET", "-"), FakeSource(send_credit=100)
    exchange.connect(source, 0.0)
    assert exchange.websocket is not None
    assert exchange.websocket.accept(exchange, source, "chat", ()) == 200
    assert scene.hears() == [(1, HEAD, b"200 OK\nsec-websocket-protocol: chat")]
    other = scene.asks(2, "/beside")
    scene.says(frame(1, DATA, masked(0x1, b"hello")))
    assert source.messages == ["hello"]
    exchange.websocket.message(exchange, b"a" * 2_000, more=False)
    other.sink.respond(other, 200, (), b"beside")
    heard = scene.hears()
    assert len(scene.body_of(1, heard)) == FIRST_WINDOW
    assert (scene.body_of(2, heard), source.taken) == (b"beside", 0)
    scene.says(frame(1, WINDOW, b"5000"))
    assert len(scene.body_of(1, heard + scene.hears())) == 2_004
    assert source.taken == 2_000
    scene.says(frame(1, DATA, masked(0x8, (1000).to_bytes(2, "big"))))
    assert [event["code"] for event in source.hung_up] == [1000]
    heard = scene.hears()
    assert (scene.body_of(1, heard)[:1], heard[-1]) == (b"\x88", (1, END, b""))
    assert scene.state.connections == {scene.connection}
    assert scene.over == [(b"/beside", 200, ""), (b"/chat", 200, "")]


def test_a_websocket_whose_connection_is_lost(scene: Scene) -> None:
    exchange, source = scene.asks(1, "/chat", "WEBSOCKET", "-"), FakeSource(send_credit=100)
    exchange.connect(source, 0.0)
    assert exchange.websocket is not None
    exchange.websocket.accept(exchange, source, None, ())
    scene.client.close()
    scene.turn()
    assert [event["code"] for event in source.hung_up] == [1006]
    assert not scene.state.connections


def masked(opcode: int, data: bytes) -> bytes:
    """A client's frame, with a mask that changes nothing."""
    return bytes([0x80 | opcode, 0x80 | len(data)]) + bytes(4) + data
