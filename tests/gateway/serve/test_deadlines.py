"""No time limit of a connection comes early, whenever in the sweeper's round its time begins.

A given clock: what happens between two sweeps happens at a time of its own.
"""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.exchange.exchange import Exchange
from propylon.gateway.http1.machine import HttpContext
from propylon.gateway.http1.request_head import choose_parser
from propylon.gateway.http1.response_head import ResponseHeads
from propylon.gateway.serve.http1_connection import Http1Connection
from propylon.gateway.serve.lingering_close import FIRST_BYTE_OF_NEXT
from propylon.gateway.serve.service import SWEEP_EVERY
from propylon.gateway.serve.service_state import ServiceState
from propylon.gateway.serve.websocket_connection import CLOSE_TIMEOUT
from propylon.gateway.settings import HttpSettings, ServeSettings, WebSocketSettings
from propylon.gateway.transport.client_socket import ClientSocket
from propylon.gateway.transport.poller import Poller, read_now

from ...fakes.exchange_sides import FakeSource

HEADER, BODY, SEND, IDLE = 3.0, 5.0, 7.0, 11.0
PING, PONG = 13.0, 17.0
PHASES = (0.0, 0.01, 0.13, 0.2499)
"""Seconds behind a sweep."""

HEAD = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nbo"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Scene:
    """One client, its connection, and the clock of the service."""

    def __init__(self) -> None:
        self.now = 100.0
        self.source = FakeSource(send_credit=1_000)
        self.exchanges: list[Exchange] = []
        self.state = ServiceState(
            http=HttpContext(HttpSettings(), choose_parser("h11"), ResponseHeads(b"", 0.0)),
            settings=ServeSettings(
                header_timeout=HEADER, body_timeout=BODY, send_timeout=SEND, timeout_keep_alive=IDLE
            ),
            websocket=WebSocketSettings(ping_interval=PING, ping_timeout=PONG),
            apply_trust=lambda exchange: None,
            answer=self.answer,
            poller=Poller(),
            clock=lambda: self.now,
        )
        self.client, ours = socket.socketpair()
        ours.setblocking(False)
        self.client.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        transport = ClientSocket(ours, self.state.transports)
        self.open = lambda: Http1Connection(transport, Endpoint(None, None), self.state).open()

    def answer(self, exchange: Exchange) -> None:
        exchange.connect(self.source, self.now)
        self.exchanges.append(exchange)

    def send(self, data: bytes) -> None:
        self.client.sendall(data)
        read_now(self.connection)

    @property
    def connection(self) -> Any:
        (connection,) = self.state.connections
        return connection

    def sweep(self) -> None:
        for connection in list(self.state.connections):
            connection.sweep(self.now)

    def heard(self) -> bytes:
        """What the client was sent; b"" for nothing, b"end" for the end alone."""
        try:
            return self.client.recv(1_000_000) or b"end"
        except BlockingIOError:
            return b""
        except ConnectionResetError:
            return b"end"


@pytest.fixture
def scene() -> Iterator[Scene]:
    one = Scene()
    yield one
    for connection in list(one.state.connections):
        connection.cut()
    one.client.close()


def accept(scene: Scene) -> None:
    scene.send(UPGRADE)
    exchange = scene.exchanges[0]
    assert exchange.websocket is not None
    exchange.websocket.accept(exchange, scene.source, None, ())


def no_first_byte(scene: Scene) -> None:
    pass


def half_a_head(scene: Scene) -> None:
    scene.send(HEAD[:9])


def half_a_body(scene: Scene) -> None:
    scene.send(UPLOAD)


def more_of_a_body(scene: Scene) -> None:
    scene.send(UPLOAD)
    scene.now += 0.1
    scene.send(b"d")


def answered(scene: Scene) -> None:
    scene.send(HEAD)
    scene.exchanges[0].sink.respond(scene.exchanges[0], 204, (), b"")


def answered_while_it_drains(scene: Scene) -> None:
    answered(scene)
    scene.connection.drain()


def takes_nothing(scene: Scene) -> None:
    scene.send(HEAD)
    scene.exchanges[0].sink.respond(scene.exchanges[0], 200, (), bytes(1_000_000))


def silent_websocket(scene: Scene) -> None:
    accept(scene)


def unclosed_websocket(scene: Scene) -> None:
    accept(scene)
    exchange = scene.exchanges[0]
    assert exchange.websocket is not None
    exchange.websocket.close(exchange, 1000, "")


@pytest.mark.parametrize(
    ("begin", "limit"),
    [
        (no_first_byte, HEADER),
        (half_a_head, HEADER),
        (half_a_body, BODY),
        (more_of_a_body, BODY),
        (answered, IDLE),
        (answered_while_it_drains, FIRST_BYTE_OF_NEXT),
        (takes_nothing, SEND),
        (silent_websocket, PING),
        (unclosed_websocket, CLOSE_TIMEOUT),
    ],
)
@pytest.mark.parametrize("phase", PHASES)
def test_it_is_never_early_and_hardly_late(
    scene: Scene, begin: Callable[[Scene], None], limit: float, phase: float
) -> None:
    scene.sweep()
    scene.now += phase
    scene.open()
    begin(scene)
    begun, last = scene.now, 100.0
    if begin is not takes_nothing:
        scene.heard()
    while True:
        before = list(scene.state.connections), scene.connection._deadline
        last += SWEEP_EVERY
        if last < scene.now:
            continue
        scene.now = last
        scene.sweep()
        changed = not scene.state.connections or (
            (list(scene.state.connections), scene.connection._deadline) != before
        )
        if changed or (begin is not takes_nothing and scene.heard()):
            break
        assert scene.now < begun + limit + SWEEP_EVERY, "it is late"
    assert scene.now >= begun + limit


@pytest.mark.parametrize("phase", PHASES)
def test_a_pong_has_all_of_its_time(scene: Scene, phase: float) -> None:
    """The ping goes out some time after the sweep began: other connections came first."""
    scene.open()
    accept(scene)
    scene.heard()
    scene.now += PING
    begun_at = scene.now
    scene.now += phase
    scene.connection.sweep(begun_at)
    assert scene.heard()[:1] == b"\x89"
    pinged, last = scene.now, begun_at
    while not scene.heard():
        last += SWEEP_EVERY
        scene.now = last
        scene.sweep()
        assert scene.now < pinged + PONG + SWEEP_EVERY
    assert scene.now >= pinged + PONG
