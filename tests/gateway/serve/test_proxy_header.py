"""Connections before their PROXY header is read: real sockets, and a clock of the test's own."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.http1.machine import HttpContext
from propylon.gateway.serve.proxy_header import PROXY_HEADER_TIMEOUT, ProxyHeaders
from propylon.gateway.serve.service_state import ServiceState
from propylon.gateway.settings import ServeSettings, TrustSettings, WebSocketSettings
from propylon.gateway.transport.client_socket import ClientSocket
from propylon.gateway.transport.poller import Poller
from propylon.protocol.messages import Address

NOW = 100.0
PROXY: Address = ("10.0.0.1", 4711)
HERE: Address = ("10.0.0.9", 443)
V1 = b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n"
HELLO = b"\x16\x03\x01\x02\x00\x01"
"""How TLS begins."""


def never(*_: object) -> Any:
    raise AssertionError("no exchange comes about here")


@dataclass
class Door:
    """A connection that is to begin with a header, and what came of it."""

    state: ServiceState
    client: socket.socket
    enter: Callable[[Address | None], None]
    begun: list[tuple[Endpoint, bytes]] = field(default_factory=list[tuple[Endpoint, bytes]])
    """What the layer above is told, and what it finds in the transport."""

    def send(self, data: bytes) -> None:
        self.client.sendall(data)
        for connection in list(self.state.connections):
            cast("Any", connection).readable()

    def sweep(self, now: float) -> None:
        for connection in list(self.state.connections):
            connection.sweep(now)

    @property
    def closed(self) -> bool:
        try:
            return self.client.recv(1) == b""
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True


@pytest.fixture
def door() -> Iterator[Door]:
    state = ServiceState(
        http=cast("HttpContext", None),  # nothing here gets as far as HTTP
        settings=ServeSettings(),
        websocket=WebSocketSettings(),
        apply_trust=never,
        answer=never,
        poller=Poller(),
        clock=lambda: NOW,
    )
    client, ours = socket.socketpair()
    client.setblocking(False)
    ours.setblocking(False)
    headers = ProxyHeaders(TrustSettings(proxy_allow_from=("10.0.0.0/8",)), state)

    def begin(transport: ClientSocket, endpoint: Endpoint) -> None:
        door.begun.append((endpoint, transport.recv() or b""))

    def enter(peer: Address | None) -> None:
        transport = ClientSocket(ours, state.transports)
        headers.before(begin)(transport, Endpoint(peer, HERE))

    with client, ours:
        door = Door(state, client, enter)
        yield door


def test_what_follows_the_header_is_left_in_the_socket(door: Door) -> None:
    door.client.sendall(V1 + HELLO)
    door.enter(PROXY)
    told = Endpoint(("203.0.113.7", 4711), ("198.51.100.1", 443))
    assert door.begun == [(told, HELLO)]
    assert not door.state.connections


@pytest.mark.parametrize("cut", [1, 7, len(V1) - 1, len(V1)])
def test_in_two_pieces(door: Door, cut: int) -> None:
    door.enter(PROXY)
    door.send(V1[:cut])
    if cut < len(V1):
        assert door.begun == []
        door.send(V1[cut:] + HELLO)
    assert [endpoint.client for endpoint, _ in door.begun] == [("203.0.113.7", 4711)]


def test_a_header_in_drops_has_no_more_time(door: Door) -> None:
    door.enter(PROXY)
    for number, byte in enumerate(V1[:20]):
        door.send(bytes([byte]))
        door.sweep(NOW + PROXY_HEADER_TIMEOUT * number / 20)
    assert not door.closed
    door.sweep(NOW + PROXY_HEADER_TIMEOUT)
    assert door.closed
    assert not door.state.connections
    assert door.begun == []


def test_the_client_s_own_time_begins_behind_the_header(door: Door) -> None:
    door.enter(PROXY)
    door.send(V1)
    door.sweep(NOW + PROXY_HEADER_TIMEOUT)
    assert not door.closed


@pytest.mark.parametrize("peer", [("192.0.2.1", 4711), None])
def test_a_stranger_s_header_is_not_read(door: Door, peer: Address | None) -> None:
    door.client.sendall(V1)
    door.enter(peer)
    assert door.closed
    assert door.begun == []


def test_the_service_drains(door: Door) -> None:
    door.enter(PROXY)
    door.send(V1[:9])
    [connection] = door.state.connections
    connection.drain()
    assert door.closed
