"""How a WebSocket shares the turns with others: counted in turns and packets, never in time."""

import socket
import zlib
from collections.abc import Iterator

import pytest
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.exchange.exchange import Exchange, Observers
from propylon.gateway.serve.http1_connection import Http1Connection
from propylon.gateway.serve.service_state import ServiceState
from propylon.gateway.settings import ServeSettings, WebSocketSettings
from propylon.gateway.transport.client_socket import MOST_BUFFERED, ClientSocket
from propylon.gateway.transport.poller import Poller
from propylon.gateway.transport.transport import Transport
from propylon.gateway.websocket.frames import MOST_FRAMES
from propylon.protocol.messages import MESSAGE_OVERHEAD, WINDOW

from ...fakes.exchange_sides import FakeSource
from ..http1.drive import context

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A


def frame(first: int, payload: bytes = b"") -> bytes:
    """A client's frame, whose mask changes nothing."""
    return bytes((first, 0x80 | len(payload), 0, 0, 0, 0)) + payload


class Hall:
    """WebSockets on one poller. Their clients see each send by itself: it is one packet."""

    def __init__(self, settings: WebSocketSettings | None = None) -> None:
        self.poller = Poller()
        self.exchanges: list[Exchange] = []
        self.clients: list[socket.socket] = []
        self.state = ServiceState(
            http=context("h11"),
            settings=ServeSettings(),
            websocket=settings or WebSocketSettings(),
            apply_trust=lambda _: None,
            answer=self.exchanges.append,
            poller=self.poller,
            observers=Observers(),
        )

    def turn(self) -> None:
        self.poller._turn()  # pyright: ignore[reportPrivateUsage]

    def enter(
        self, credit: int = WINDOW, overhead: int = 0, offers: bytes = b""
    ) -> tuple[socket.socket, FakeSource]:
        """A client whose WebSocket was accepted, and the app's side of it, for which each piece
        costs an `overhead`. `offers`: an extension of the client's."""
        ours, client = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, client):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.clients.append(client)
        transport = ClientSocket(ours, self.state.transports)
        Http1Connection(transport, Endpoint(None, None), self.state).open()
        extension = b"Sec-WebSocket-Extensions: " + offers + b"\r\n\r\n" if offers else b"\r\n"
        client.send(HANDSHAKE.removesuffix(b"\r\n") + extension)
        self.turn()
        exchange, source = self.exchanges[-1], FakeSource(credit, overhead)
        exchange.connect(source, exchange.opened)
        assert exchange.sink is not None
        assert exchange.websocket is not None
        assert exchange.websocket.accept(exchange, source, None, ()) == 101
        assert client.recv(4_096).startswith(b"HTTP/1.1 101 ")
        return client, source

    def close(self) -> None:
        for connection in list(self.state.connections):
            connection.cut()
        for client in self.clients:
            client.close()


@pytest.fixture
def hall() -> Iterator[Hall]:
    it = Hall()
    yield it
    it.close()


def packets(client: socket.socket) -> list[bytes]:
    """What the client was sent, send by send."""
    found: list[bytes] = []
    try:
        while packet := client.recv(1 << 20):
            found.append(packet)
    except BlockingIOError:
        pass
    return found


def test_a_client_with_many_frames_has_a_share_of_each_turn(hall: Hall) -> None:
    """Another client is heard in each of the turns, and nothing is lost."""
    flood, theirs = hall.enter()
    polite, source = hall.enter()
    flood.send(frame(TEXT, b"x") * (5 * MOST_FRAMES))
    for number in range(5):
        polite.send(frame(TEXT, b"here"))
        hall.turn()
        assert len(theirs.messages) == (number + 1) * MOST_FRAMES
        assert len(source.messages) == number + 1
    hall.turn()
    assert len(theirs.messages) == 5 * MOST_FRAMES


def test_what_a_client_sends_meanwhile_gives_it_no_second_share(hall: Hall) -> None:
    flood, theirs = hall.enter()
    for number in range(6):
        flood.send(frame(TEXT, b"x") * (2 * MOST_FRAMES))
        hall.turn()
        assert len(theirs.messages) == (number + 1) * MOST_FRAMES


def test_frames_wait_for_the_credit_of_the_app(hall: Hall) -> None:
    """Neither is the poller kept busy by them, nor does one of them stay behind."""
    client, source = hall.enter(credit=10)
    client.send(frame(BINARY, b"x") * (3 * MOST_FRAMES))
    hall.turn()
    assert len(source.messages) == 10
    assert not hall.poller._going_on, "a turn is asked for, in which nothing can be done"  # pyright: ignore[reportPrivateUsage]
    exchange = hall.exchanges[-1]
    while len(source.messages) < 3 * MOST_FRAMES:
        before = len(source.messages)
        source.send_credit += 50
        exchange.uploader.credit_arrived(exchange)
        for _ in range(2):
            hall.turn()
        assert len(source.messages) > before


def test_the_end_of_a_client_has_nothing_read_without_credit(hall: Hall) -> None:
    client, source = hall.enter(credit=1)
    for _ in range(5):
        client.send(frame(BINARY, b"x") * 10)
    client.shutdown(socket.SHUT_WR)
    transport: Transport = next(iter(hall.state.connections))._transport  # pyright: ignore
    for _ in range(10):
        hall.turn()
    assert transport.recv() == frame(BINARY, b"x") * 10, "the second packet is where it was"
    source.send_credit += 100
    hall.exchanges[-1].uploader.credit_arrived(hall.exchanges[-1])
    for _ in range(10):
        hall.turn()
    assert len(source.messages) == 40
    assert [event["code"] for event in source.hung_up] == [1006]


@pytest.mark.parametrize("payload", [b"", b"x"])
def test_frames_wait_for_the_credit_of_their_overhead(hall: Hall, payload: bytes) -> None:
    """Of all that a client has sent an app gets as much as its credit pays, empty messages too, and
    the log counts their bytes alone."""
    cost = MESSAGE_OVERHEAD + len(payload)
    client, source = hall.enter(10 * cost + MESSAGE_OVERHEAD - 1, MESSAGE_OVERHEAD)
    client.send(frame(BINARY, payload) * 30)
    for count in (10, 20, 30):
        for _ in range(3):
            hall.turn()
        assert len(source.messages) == count
        source.send_credit += 10 * cost
        exchange = hall.exchanges[-1]
        exchange.uploader.credit_arrived(exchange)
    assert exchange.body_received == 30 * len(payload)


def test_what_was_right_is_answered_first_though_messages_are_counted(hall: Hall) -> None:
    """A client breaks the rules in the midst of a message: the app has answered when its credit is
    whole but for that message's pieces."""
    client, source = hall.enter(WINDOW, MESSAGE_OVERHEAD)
    begun = frame(0x02, b"begun" * 25) + frame(0x00, b"begun" * 25) * 39
    client.send(frame(BINARY, b"x") + frame(BINARY) + begun + frame(0x83))
    hall.turn()
    hall.turn()
    assert source.messages == [b"x", b"", b"begun" * 1_000]
    assert not source.hung_up
    exchange = hall.exchanges[-1]
    source.send_credit += 2 * MESSAGE_OVERHEAD
    exchange.uploader.credit_arrived(exchange)
    assert not source.hung_up
    source.send_credit += 1
    exchange.uploader.credit_arrived(exchange)
    assert [event["code"] for event in source.hung_up] == [1002]


def test_fragments_that_come_one_by_one_are_one_message_to_the_worker(hall: Hall) -> None:
    client, source = hall.enter(WINDOW, MESSAGE_OVERHEAD)
    client.send(frame(0x02, b"x"))
    for _ in range(1_000):
        client.send(frame(0x00, b"y"))
        hall.turn()
    client.send(frame(0x80, b"z"))
    hall.turn()
    hall.turn()
    assert source.messages == [b"x" + b"y" * 1_000 + b"z"]
    assert source.send_credit == WINDOW - MESSAGE_OVERHEAD - 1_002


@pytest.mark.parametrize("packed", [False, True])
def test_bytes_beyond_their_rate_end_it(packed: bool) -> None:
    """A compressed message counts as what it becomes."""
    hall = Hall(WebSocketSettings(max_byte_rate=1_000))
    try:
        client, source = hall.enter(offers=b"permessage-deflate" if packed else b"")
        for size in (9_000, 2_000):
            if packed:
                compressor = zlib.compressobj(wbits=-12)
                data = compressor.compress(bytes(size)) + compressor.flush(zlib.Z_FULL_FLUSH)
                client.send(frame(0xC2, data.removesuffix(b"\0\0\xff\xff")))
            else:
                client.send(frame(0x02) + frame(0x00, bytes(100)) * (size // 100) + frame(0x80))
            hall.turn()
        hall.turn()
        assert source.messages[0] == bytes(9_000)
        exchange = hall.exchanges[-1]
        source.send_credit = WINDOW
        exchange.uploader.credit_arrived(exchange)
        assert [event["code"] for event in source.hung_up] == [1008]
        assert exchange.end_code == "client_byte_rate"
    finally:
        hall.close()


def test_empty_messages_have_their_credit_when_the_client_takes_them(hall: Hall) -> None:
    """Else an app could have any number of them wait for a client that reads nothing."""
    client, source = hall.enter(WINDOW, MESSAGE_OVERHEAD)
    exchange = hall.exchanges[-1]
    assert exchange.websocket is not None
    said = 0
    while said * MESSAGE_OVERHEAD - source.taken < WINDOW:
        assert said < 1_000_000, "the app is never stopped"
        for _ in range(1_000):
            exchange.websocket.message(exchange, b"", False)
        said += 1_000
        hall.turn()
    heard = 0
    while found := sum(map(len, packets(client))):
        heard += found
        hall.turn()
    assert heard == 2 * said
    assert source.taken == said * MESSAGE_OVERHEAD


def test_the_close_behind_many_frames_is_heard_behind_them(hall: Hall) -> None:
    client, source = hall.enter()
    close = frame(CLOSE, (1000).to_bytes(2, "big"))
    client.send(frame(BINARY, b"x") * (2 * MOST_FRAMES + 1) + close)
    hall.turn()
    hall.turn()
    assert not source.hung_up
    hall.turn()
    assert len(source.messages) == 2 * MOST_FRAMES + 1
    assert [event["code"] for event in source.hung_up] == [1000]


def test_one_turn_is_one_send(hall: Hall) -> None:
    """Messages and pongs in their order; the app has its credit when they are out."""
    client, source = hall.enter()
    exchange = hall.exchanges[-1]
    assert exchange.websocket is not None
    client.send(frame(PING, b"1") + frame(PING, b"2") + frame(PONG))
    for _ in range(3):
        exchange.websocket.message(exchange, b"abc", False)
    assert (packets(client), source.taken) == ([], 0)
    hall.turn()
    assert packets(client) == [b"\x82\x03abc" * 3 + b"\x8a\x011" + b"\x8a\x012"]
    assert source.taken == 9


def test_an_urgent_frame_goes_behind_those_that_were_gathered(hall: Hall) -> None:
    client, source = hall.enter()
    exchange = hall.exchanges[-1]
    assert exchange.websocket is not None
    exchange.websocket.message(exchange, b"abc", False)
    connection = next(iter(hall.state.connections))
    connection.sweep(hall.state.clock() + 1_000)  # it is time for a ping
    assert packets(client) == [b"\x82\x03abc" + b"\x89\x00"]
    hall.turn()
    assert source.taken == 3, "else an app without credit would wait for ever"
    exchange.websocket.message(exchange, b"last", False)
    exchange.websocket.close(exchange, 1000, "")
    assert packets(client) == [b"\x82\x04last" + b"\x88\x02\x03\xe8"]


def test_a_client_that_takes_nothing_is_read_no_further(hall: Hall) -> None:
    """It sends pings, and each has a pong."""
    client, _ = hall.enter()
    connection = next(iter(hall.state.connections))
    transport: Transport = connection._transport  # pyright: ignore
    for _ in range(1_000):
        client.send(frame(PING, bytes(125)) * MOST_FRAMES)
        hall.turn()
        if transport.paused:
            break
    assert transport.paused
    assert transport.kept < MOST_BUFFERED + MOST_FRAMES * 127
    turns = 0
    while packets(client) and turns < 1_000:
        hall.turn()
        turns += 1
    assert not transport.paused, "it is read again when it has taken them"
