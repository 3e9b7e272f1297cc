"""What one turn of the poller has for a client: what is sent at once, and what together."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.exchange.exchange import Exchange, Observers
from propylon.gateway.http1.body import MOST_CHUNKS
from propylon.gateway.serve.http1_connection import MOST_REQUESTS, Http1Connection
from propylon.gateway.serve.service_state import ServiceState
from propylon.gateway.settings import ServeSettings, WebSocketSettings
from propylon.gateway.transport.client_socket import ClientSocket
from propylon.gateway.transport.poller import Poller
from propylon.protocol.send_buffer import MOST_BUFFERS

from ...fakes.exchange_sides import FakeSource
from ..http1.drive import context

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"1\r\nx\r\n"
LARGE = bytes(range(256)) * 256


def read(sock: socket.socket, count: int) -> bytes:
    try:
        return sock.recv(count)
    except BlockingIOError:
        return b""


class Served:
    """A connection whose client sees each of its sends by itself: one is one packet here."""

    def __init__(self, answer: Callable[[Exchange], None]) -> None:
        self.source = FakeSource()
        self.exchanges: list[Exchange] = []
        self.finished = 0
        self._answer = answer
        self.poller = Poller()
        self.state = ServiceState(
            http=context("httptools"),
            settings=ServeSettings(),
            websocket=WebSocketSettings(),
            apply_trust=lambda _: None,
            answer=self.answer,
            poller=self.poller,
            observers=Observers(at_end=(self.count,)),
        )
        ours, self.client = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, self.client):
            end.setblocking(False)
        self.connection = Http1Connection(
            ClientSocket(ours, self.state.transports), Endpoint(None, None), self.state
        )
        self.connection.open()

    def close(self) -> None:
        self.connection.cut()
        self.client.close()

    def answer(self, exchange: Exchange) -> None:
        exchange.connect(self.source, exchange.opened)
        self.exchanges.append(exchange)
        self._answer(exchange)

    def count(self, exchange: Exchange) -> None:
        self.finished += 1

    def turn(self) -> list[bytes]:
        """What the client gets of one turn."""
        self.poller._turn()  # pyright: ignore[reportPrivateUsage]
        packets: list[bytes] = []
        while packet := read(self.client, 1 << 20):
            packets.append(packet)
        return packets


Serve = Callable[[Callable[[Exchange], None]], Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def serve(answer: Callable[[Exchange], None]) -> Served:
            return stack.enter_context(closing(Served(answer)))

        yield serve


class Listens:
    """Does something when it is asked to, as an acceptor does it: while others are read."""

    def __init__(self, it: Served, do: Callable[[], None]) -> None:
        self.do = do
        self.sock, self.asks = socket.socketpair()
        it.poller.add(self.sock.fileno(), self)

    def readable(self) -> None:
        self.sock.recv(1)
        self.do()

    def writable(self) -> None: ...

    def cut(self) -> None: ...

    def close(self) -> None:
        self.sock.close()
        self.asks.close()


def test_a_request_that_was_read_and_put_off_keeps_its_connection(serve: Serve) -> None:
    it = serve(lambda exchange: None)
    closed = list[bool]()
    with closing(Listens(it, lambda: closed.append(it.connection.close_if_idle()))) as room:
        it.client.send(GET)
        room.asks.send(b"x")
        it.turn()
        assert closed == [False]
        assert len(it.exchanges) == 1
        it.exchanges[0].sink.respond(it.exchanges[0], 200, (), b"ok")
        room.asks.send(b"x")
        (packet,) = it.turn()
        assert packet.endswith(b"ok")
        assert closed == [False, True], "and an idle one goes"


def test_who_was_heard_first_is_served_first(serve: Serve) -> None:
    """A request that was read and put off, and one that has come with its connection."""
    asked = list[bytes]()
    it = serve(lambda exchange: asked.append(exchange.request.target))
    ours, other = socket.socketpair()
    ours.setblocking(False)

    def accept() -> None:
        transport = ClientSocket(ours, it.state.transports)
        Http1Connection(transport, Endpoint(None, None), it.state).open()

    with closing(other), closing(Listens(it, accept)) as listener:
        it.client.send(GET.replace(b" / ", b" /first "))
        other.send(GET.replace(b" / ", b" /second "))
        listener.asks.send(b"x")
        it.turn()
        assert asked == [b"/first", b"/second"]
        for connection in list(it.state.connections):
            connection.cut()


def test_the_parts_of_one_turn_are_one_send(serve: Serve) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.sink.head(exchange, 200, ())
        for _ in range(3):
            exchange.sink.body(exchange, b"data\n")

    it = serve(answer)
    it.client.send(GET)
    packets = it.turn()
    assert len(packets) == 1
    assert packets[0].endswith(b"\r\n\r\n" + b"5\r\ndata\n\r\n" * 3)
    assert it.source.taken == 15
    exchange = it.exchanges[0]
    # What is said outside of a turn waits for the next, which comes at once.
    for _ in range(2):
        exchange.sink.body(exchange, b"more")
    assert read(it.client, 100) == b""
    assert it.source.taken == 15
    assert it.turn() == [b"4\r\nmore\r\n" * 2]
    assert it.source.taken == 23
    exchange.sink.end(exchange)
    assert read(it.client, 100) == b"0\r\n\r\n"
    assert it.finished == 1


def test_more_parts_than_one_call_takes(serve: Serve) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.sink.head(exchange, 200, ())
        for _ in range(2 * MOST_BUFFERS):
            exchange.sink.body(exchange, b"x")

    it = serve(answer)
    it.client.send(GET)
    packets = it.turn()
    assert b"".join(packets).endswith(b"\r\n\r\n" + b"1\r\nx\r\n" * 2 * MOST_BUFFERS)
    assert it.source.taken == 2 * MOST_BUFFERS


def test_a_whole_response_goes_at_once_and_in_its_place(serve: Serve) -> None:
    """Two pipelined requests: a stream that ends in its turn, and a complete response."""

    def answer(exchange: Exchange) -> None:
        sink = exchange.sink
        if exchange is it.exchanges[0]:
            sink.head(exchange, 200, ((b"content-length", b"4"),))
            sink.body(exchange, b"ab")
            sink.body(exchange, b"cd")
            sink.end(exchange)
        else:
            sink.respond(exchange, 200, (), b"second")

    it = serve(answer)
    it.client.send(GET * 2)
    packets = it.turn()
    assert len(packets) == 2
    assert packets[0].endswith(b"\r\n\r\nabcd")
    assert packets[1].endswith(b"\r\n\r\nsecond")
    assert it.finished == 2
    assert it.source.taken in (0, 4)


def test_pipelined_requests_have_their_share_of_each_turn(serve: Serve) -> None:
    """Each is answered at once, by nobody who has to be asked."""
    it = serve(lambda exchange: exchange.sink.respond(exchange, 200, (), b"ok") and None)
    it.client.send(GET * 3 * MOST_REQUESTS + GET[:10])
    for number in range(1, 4):
        assert len(it.turn()) == MOST_REQUESTS
        assert it.finished == number * MOST_REQUESTS
        if number == 1:
            it.client.send(GET[10:])  # is not read meanwhile
    for _ in range(4):
        it.turn()
    assert it.finished == 3 * MOST_REQUESTS + 1
    assert not it.poller._turn(), "it turns in circles"  # pyright: ignore[reportPrivateUsage]


def test_small_chunks_have_their_share_of_each_turn(serve: Serve) -> None:
    it = serve(lambda _: None)
    it.source.send_credit = 1_000_000
    it.client.send(POST + CHUNK * 6 * MOST_CHUNKS + b"0\r\n\r\n" + GET)
    came = [0]
    while not it.source.complete:
        it.turn()
        came.append(sum(map(len, it.source.got)) + len(it.exchanges[0].body))
        assert came[-1] - came[-2] <= 2 * MOST_CHUNKS, "with the head, and behind it"
        assert len(came) < 20
    assert came[-1] == 6 * MOST_CHUNKS
    exchange = it.exchanges[0]
    exchange.sink.respond(exchange, 200, (), b"ok")
    assert len(it.exchanges) == 2, "the next request, behind the body, is read"


def test_small_chunks_wait_for_credit_between_two_turns(serve: Serve) -> None:
    it = serve(lambda _: None)
    it.source.send_credit = 10
    it.client.send(POST + CHUNK * 6 * MOST_CHUNKS + b"0\r\n\r\n")
    for _ in range(5):
        it.turn()
    exchange = it.exchanges[0]
    assert len(b"".join(it.source.got)) == 10
    assert not it.poller._turn(), "it turns in circles"  # pyright: ignore[reportPrivateUsage]
    for _ in range(40):
        it.source.send_credit += 100
        exchange.uploader.credit_arrived(exchange)
        it.turn()
    assert it.source.complete
    assert len(b"".join(it.source.got)) + len(exchange.body) == 6 * MOST_CHUNKS


def test_a_failure_behind_gathered_parts_cuts_them_visibly(serve: Serve) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.sink.head(exchange, 200, ())
        exchange.sink.body(exchange, b"half")
        exchange.sink.fail(exchange, 500, "The app failed.")

    it = serve(answer)
    it.client.send(GET)
    packets = it.turn()
    assert len(packets) == 1
    assert packets[0].endswith(b"4\r\nhalf\r\n")
    assert it.client.recv(10) == b""


def test_a_client_that_is_gone_when_the_turn_ends(serve: Serve) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.sink.head(exchange, 200, ())
        exchange.sink.body(exchange, b"nobody hears it")
        it.client.close()

    it = serve(answer)
    it.client.send(GET)
    it.poller._turn()  # pyright: ignore[reportPrivateUsage]
    assert (it.source.given_up, it.finished, it.source.taken) == (1, 1, 0)


def test_credit_comes_back_when_the_client_has_taken_it(serve: Serve) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.sink.head(exchange, 200, ())
        exchange.sink.body(exchange, LARGE)

    it = serve(answer)
    # A packet that is never larger than the buffer is taken whole or not at all.
    while True:
        try:
            it.connection._transport._sock.send(b"filler" * 1_000)  # pyright: ignore
        except BlockingIOError:
            break
    it.client.send(GET)
    it.poller._turn()  # pyright: ignore[reportPrivateUsage]
    assert it.source.taken == 0
    heard = b""
    while it.source.taken < len(LARGE):
        heard += b"".join(it.turn())
    assert heard.endswith(LARGE + b"\r\n")


def test_what_goes_out_within_the_turn_is_accounted_for_at_its_end(serve: Serve) -> None:
    """Else a source that has used its credit up would wait for ever."""

    def answer(exchange: Exchange) -> None:
        exchange.sink.head(exchange, 200, ())
        exchange.sink.body(exchange, b"part")
        it.connection._transport.send(b"behind it")  # pyright: ignore[reportPrivateUsage]

    it = serve(answer)
    it.client.send(GET)
    (packet,) = it.turn()
    assert packet.endswith(b"part\r\nbehind it")
    assert it.source.taken == 4
