"""The acceptor: a share of a turn, a queue that never stands still, and pauses; real sockets."""

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, cast

import pytest
import trio
import trio.testing
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.serve.acceptor import (
    LONGEST_SHARE,
    MOST_AT_ONCE,
    Acceptor,
    ServiceListener,
)
from propylon.gateway.serve.capacity import Capacity
from propylon.gateway.serve.service_state import ServiceState
from propylon.gateway.settings import ServeSettings, WebSocketSettings
from propylon.gateway.transport.client_socket import ClientSocket
from propylon.gateway.transport.poller import Poller

PATIENCE = 10.0


class Door:
    """A gate that is opened by hand."""

    def __init__(self) -> None:
        self.full = False
        self.opened = trio.Event()

    async def room(self) -> None:
        await self.opened.wait()
        self.full = False


class Scene:
    def __init__(self) -> None:
        self.state = ServiceState(
            http=cast("Any", None),
            settings=ServeSettings(),
            websocket=WebSocketSettings(),
            apply_trust=cast("Any", None),
            answer=cast("Any", None),
            poller=Poller(),
            clock=lambda: self.now,
        )
        self.now = 100.0
        self.cost = 0.0
        """Seconds that each one takes."""
        self.door = Door()
        self.begun: list[Endpoint] = []
        self.transports: list[ClientSocket] = []
        self.fails = False
        self.server = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.server.setblocking(False)
        self.address: tuple[str, int] = self.server.getsockname()
        listener = ServiceListener(self.server, "here", self.begin, self.door)
        self.acceptor = Acceptor(listener, self.state, Capacity(self.state))
        self._stack = ExitStack()

    def begin(self, transport: ClientSocket, endpoint: Endpoint) -> None:
        self.transports.append(transport)
        self.now += self.cost
        if self.fails:
            raise ValueError("it does not begin")
        self.begun.append(endpoint)

    def connect(self, count: int) -> list[socket.socket]:
        clients = [socket.create_connection(self.address) for _ in range(count)]
        for client in clients:
            self._stack.enter_context(client)
        return clients

    def close(self) -> None:
        self._stack.close()
        for transport in self.transports:
            transport.close()
        self.server.close()


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.close()


async def test_a_turn_has_a_share_of_those_who_wait(scene: Scene) -> None:
    clients = scene.connect(2 * MOST_AT_ONCE + 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.acceptor.run)
        await trio.testing.wait_all_tasks_blocked()
        for count in (MOST_AT_ONCE, 2 * MOST_AT_ONCE, len(clients), len(clients)):
            scene.state.poller._turn(0.0)
            assert len(scene.begun) == scene.state.counts.accepted == count
        nursery.cancel_scope.cancel()
    names = [client.getsockname() for client in clients]
    assert [end.client for end in scene.begun] == names
    assert {end.server for end in scene.begun} == {scene.address}


async def test_a_share_is_over_when_it_has_taken_long(scene: Scene) -> None:
    scene.connect(MOST_AT_ONCE)
    scene.cost = LONGEST_SHARE * 0.6  # as that of a TLS handshake
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.acceptor.run)
        await trio.testing.wait_all_tasks_blocked()
        for count in (2, 4, 6):
            scene.state.poller._turn(0.0)
            assert len(scene.begun) == count
        nursery.cancel_scope.cancel()


async def test_the_queue_does_not_wait_for_trio(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("propylon.gateway.transport.poller.LONGEST_ROUND", PATIENCE)
    clients = scene.connect(10 * MOST_AT_ONCE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.acceptor.run)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(20):
            if len(scene.begun) < len(clients):
                assert scene.state.poller._turn(PATIENCE) == 1
        assert len(scene.begun) == len(clients)
        nursery.cancel_scope.cancel()


async def test_it_pauses_while_the_gate_is_full(scene: Scene) -> None:
    poller, door = scene.state.poller, scene.door
    scene.connect(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.acceptor.run)
        await trio.testing.wait_all_tasks_blocked()
        door.full = True
        assert poller._turn(PATIENCE) == 1
        await trio.testing.wait_all_tasks_blocked()
        assert poller._turn(0.0) == 0  # it is not told again and again
        assert scene.state.counts.pauses == {"handshakes": 1}
        assert not scene.begun
        door.opened.set()
        await trio.testing.wait_all_tasks_blocked()
        assert poller._turn(PATIENCE) == 1
        assert len(scene.begun) == 1
        nursery.cancel_scope.cancel()


async def test_one_that_does_not_begin_is_closed_and_the_next_one_comes_in(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.fails = True
    (unlucky,) = scene.connect(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.acceptor.run)
        await trio.testing.wait_all_tasks_blocked()
        scene.state.poller._turn(PATIENCE)
        unlucky.settimeout(PATIENCE)
        assert unlucky.recv(1) == b""
        assert "a connection could not begin" in caplog.text
        scene.fails = False
        scene.connect(1)
        scene.state.poller._turn(PATIENCE)
        assert len(scene.begun) == 1
        nursery.cancel_scope.cancel()


async def test_those_who_wait_at_its_end_come_in(scene: Scene) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.acceptor.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    scene.connect(2 * MOST_AT_ONCE)
    scene.acceptor.close()
    assert len(scene.begun) == 2 * MOST_AT_ONCE
    with pytest.raises(ConnectionRefusedError) as caught:
        scene.connect(1)
    assert caught.value.errno == errno.ECONNREFUSED


async def test_a_closed_one_is_forgotten_though_another_process_has_the_socket(
    scene: Scene,
) -> None:
    with scene.server.dup():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.acceptor.run)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        scene.acceptor.close()
        scene.connect(1)
        assert scene.state.poller._turn(0.0) == 0
