"""Room for connections: the longest idle ones go, then the next wait; real sockets, a given
clock."""

import errno
import socket
from collections.abc import Iterator
from functools import partial

import pytest
import trio
from propylon.gateway.exchange.endpoint import Endpoint
from propylon.gateway.exchange.exchange import Exchange
from propylon.gateway.http1.machine import HttpContext
from propylon.gateway.http1.request_head import choose_parser
from propylon.gateway.http1.response_head import ResponseHeads
from propylon.gateway.listen.connections_bound import LEAST_CONNECTIONS, ConnectionsBound
from propylon.gateway.serve.acceptor import ServiceListener
from propylon.gateway.serve.begin import HttpVersions
from propylon.gateway.serve.capacity import (
    GIVE_BACK_EVERY,
    LEAST_IDLE,
    LOOK_FOR_ROOM_EVERY,
    MOST_FOUND,
    SEEN_FOR,
    Capacity,
)
from propylon.gateway.serve.lingering_close import ClosingConnection, LastAct
from propylon.gateway.serve.memory_watch import MEMORY_LOOK_EVERY, Shortage
from propylon.gateway.serve.service import Service
from propylon.gateway.serve.service_state import ServiceState
from propylon.gateway.settings import HttpSettings, ServeSettings, WebSocketSettings
from propylon.gateway.transport.client_socket import ClientSocket
from propylon.gateway.transport.poller import Poller

HEAD = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
PATIENCE = 10.0


class Scene:
    def __init__(self, most: int) -> None:
        self.now = 100.0
        self.asked: list[Exchange] = []
        self.state = ServiceState(
            http=HttpContext(HttpSettings(), choose_parser("h11"), ResponseHeads(b"", 0.0)),
            settings=ServeSettings(),
            websocket=WebSocketSettings(),
            apply_trust=lambda exchange: None,
            answer=self.asked.append,
            poller=Poller(),
            clock=lambda: self.now,
        )
        self.capacity = Capacity(self.state, ConnectionsBound(most, "connections"))
        self.clients: list[socket.socket] = []

    def connect(self) -> socket.socket:
        client, ours = socket.socketpair()
        for sock in (client, ours):
            sock.setblocking(False)
        self.clients.append(client)
        transport = ClientSocket(ours, self.state.transports)
        HttpVersions(self.state).begin(transport, Endpoint(None, None))
        return client

    def turn(self) -> None:
        while self.state.poller._turn():
            pass

    def answer(self, count: int = 1) -> None:
        for exchange in self.asked[-count:]:
            exchange.sink.respond(exchange, 200, ((b"content-length", b"0"),), b"")

    def end(self) -> None:
        for connection in list(self.state.connections):
            connection.cut()

    @property
    def closed(self) -> list[int]:
        """The clients whose connections were closed."""
        return [number for number, client in enumerate(self.clients) if self._ended(client)]

    def _ended(self, client: socket.socket) -> bool:
        try:
            return client.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False


@pytest.fixture
def scene() -> Iterator[Scene]:
    one = Scene(3)
    yield one
    one.end()
    for client in one.clients:
        client.close()
    one.state.poller._epoll.close()


async def test_the_longest_idle_connection_makes_room(scene: Scene) -> None:
    for _ in range(3):
        scene.now += 0.25
        scene.connect()
    assert scene.capacity.full
    scene.now += 0.25
    scene.clients[0].send(HEAD)
    scene.turn()
    scene.answer()  # it is idle again, for the shortest time of all
    assert scene.clients[0].recv(1_000).startswith(b"HTTP/1.1 200")
    scene.now += LEAST_IDLE - 0.125
    await scene.capacity.room()
    assert scene.closed == [1]
    scene.connect()
    await scene.capacity.room()
    assert scene.closed == [1, 2]
    assert scene.state.counts.evicted == {"connections": 2}
    assert scene.state.counts.pauses == {}


async def test_what_is_under_way_or_has_just_come_stays(scene: Scene) -> None:
    for _ in range(2):
        scene.connect()
    scene.clients[0].send(HEAD)
    scene.clients[1].send(HEAD[:10])
    scene.turn()
    scene.now += 2 * LEAST_IDLE
    scene.connect()
    waits = trio.Event()
    async with trio.open_nursery() as nursery:

        async def room() -> None:
            await scene.capacity.room()
            waits.set()

        nursery.start_soon(room)
        await trio.sleep(3 * LOOK_FOR_ROOM_EVERY)
        assert not waits.is_set()
        assert scene.closed == []
        scene.clients[1].close()
        scene.turn()
        with trio.fail_after(PATIENCE):
            await waits.wait()
    assert scene.state.counts.pauses == {"connections": 1}
    assert scene.state.counts.evicted == {}


async def test_a_request_that_has_come_is_answered_and_another_one_goes(scene: Scene) -> None:
    for _ in range(3):
        scene.connect()
        scene.now += 0.25
    scene.now += LEAST_IDLE
    scene.clients[0].send(HEAD)  # nobody has looked yet
    await scene.capacity.room()
    assert len(scene.asked) == 1
    assert scene.closed == [1]


async def test_who_is_answered_at_once_is_not_closed_behind_the_answer(scene: Scene) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.sink.respond(exchange, 200, ((b"content-length", b"0"),), b"")

    scene.state.answer = answer
    for _ in range(3):
        scene.connect()
        scene.now += 0.25
    scene.now += LEAST_IDLE
    scene.clients[0].send(HEAD)
    await scene.capacity.room()
    assert scene.clients[0].recv(1_000).startswith(b"HTTP/1.1 200")
    assert scene.closed == [1]


async def test_clients_with_files_count_twice(scene: Scene) -> None:
    class Files:
        used = False
        allowed = 0

        def allow(self, most: int) -> None:
            self.allowed = most

    files = Files()
    bounds = (ConnectionsBound(3, "descriptors", 2), ConnectionsBound(2, "descriptors", 3))
    capacity = Capacity(scene.state, *bounds, files)
    for _ in range(2):
        scene.connect()
    assert not capacity.full
    assert (scene.state.counts.most, files.allowed) == (3, 0)
    files.used = True  # a worker has said that it runs a WSGI app
    capacity.sweep(scene.now)
    assert capacity.full
    assert (scene.state.counts.most, files.allowed) == (2, 3)
    scene.now += LEAST_IDLE
    await capacity.room()
    (one,) = capacity.problems(scene.now)
    assert "2 client connections, as many as its limit of open files" in one.what
    assert "allows, since each may have a file too: idle ones" in one.what
    files.used = False
    capacity.sweep(scene.now)
    assert scene.state.counts.most == 3


class Pressure:
    """What a watch finds, as a test wants it."""

    def __init__(self) -> None:
        self.short: Shortage | None = None
        self.given_back = 0

    def look(self, connections: object) -> Shortage | None:
        return self.short

    def give_back(self) -> None:
        self.given_back += 1


def pressed(scene: Scene, most: int, connected: int) -> tuple[Capacity, Pressure]:
    pressure = Pressure()
    bound = ConnectionsBound(most, "descriptors")
    capacity = Capacity(scene.state, bound, memory=pressure)  # type: ignore[arg-type]
    for _ in range(connected):
        scene.connect()
        scene.now += 0.01
    scene.now += LEAST_IDLE
    capacity.sweep(scene.now)
    return capacity, pressure


async def test_while_memory_is_short_idle_ones_go_and_new_ones_wait(scene: Scene) -> None:
    capacity, pressure = pressed(scene, 1_000, 40)
    assert scene.closed == []
    assert not capacity.full
    pressure.short = Shortage("buffers", "they hold too much")
    scene.now += MEMORY_LOOK_EVERY
    capacity.sweep(scene.now)
    assert scene.closed == [0, 1, 2, 3]
    assert pressure.given_back == 1
    assert capacity.full
    (one,) = capacity.problems(scene.now)
    assert (one.kind, one.what.split(":")[0]) == ("memory", "they hold too much")
    scene.now += MEMORY_LOOK_EVERY / 2
    capacity.sweep(scene.now)
    assert len(scene.closed) == 4, "it looks once a second"
    await capacity.room()  # for somebody who comes meanwhile
    assert len(scene.closed) == 5
    for _ in range(20):
        scene.now += MEMORY_LOOK_EVERY
        capacity.sweep(scene.now)
    assert len(scene.state.connections) == LEAST_CONNECTIONS
    assert scene.state.counts.evicted == {"pressure": 40 - LEAST_CONNECTIONS}
    pressure.short = None
    scene.now += MEMORY_LOOK_EVERY
    capacity.sweep(scene.now)
    assert not capacity.full
    assert list(capacity.problems(scene.now + SEEN_FOR)) == []


class Idle(ClosingConnection):
    """One that costs nothing, of many."""

    def __init__(self, state: ServiceState) -> None:
        self._service, self._transport = state, Nothing()  # type: ignore[assignment]
        self._state, self._idle_since, self._deadline = "idle", state.clock(), 1.0
        state.connections.add(self)

    held = 0

    def readable(self) -> None: ...
    def advance(self) -> None: ...
    def writable(self) -> None: ...
    def sweep(self, now: float) -> None: ...
    def cut(self) -> None: ...
    def _closed(self) -> None: ...
    def _last_act(self) -> LastAct:
        return "close"


class Nothing:
    def close(self) -> None: ...


async def test_a_tenth_of_very_many_is_closed_at_once_also_when_somebody_has_just_come(
    scene: Scene,
) -> None:
    capacity, pressure = pressed(scene, 100_000, 0)
    for _ in range(12 * MOST_FOUND):
        Idle(scene.state)
    scene.now += LEAST_IDLE
    pressure.short = Shortage("buffers", "they hold too much")
    there = 12 * MOST_FOUND
    for come in (0, 1, MOST_FOUND):
        scene.now += MEMORY_LOOK_EVERY
        for _ in range(come):
            await capacity.room()  # which searches
        capacity.sweep(scene.now)
        there = (there - come) * 9 // 10
        assert len(scene.state.connections) == there


def test_busy_ones_stay_and_room_does_not_run_away_from_them(scene: Scene) -> None:
    capacity, pressure = pressed(scene, 1_000, 40)
    for client in scene.clients:
        client.send(HEAD)
    scene.turn()
    pressure.short = Shortage("buffers", "they hold too much")
    for _ in range(20):
        scene.now += MEMORY_LOOK_EVERY
        capacity.sweep(scene.now)
    assert (scene.closed, capacity.full) == ([], True)
    assert pressure.given_back == 20 * MEMORY_LOOK_EVERY / GIVE_BACK_EVERY, "nothing was freed"
    for client in scene.clients[:5]:
        client.close()
    scene.turn()
    assert (len(scene.state.connections), capacity.full) == (35, False)


def test_connections_that_are_few_are_not_closed_for_others_sake(scene: Scene) -> None:
    scene.state.settings = ServeSettings(connections_in_memory=160)
    capacity, pressure = pressed(scene, 30, 20)  # its limit may be a much lower one
    pressure.short = Shortage("group", "the container is full")
    scene.now += MEMORY_LOOK_EVERY
    capacity.sweep(scene.now)
    assert (scene.closed, capacity.full) == ([], False)
    assert list(capacity.problems(scene.now)) == []
    for _ in range(10):
        scene.connect()
    scene.now += LEAST_IDLE
    for _ in range(10):
        scene.now += MEMORY_LOOK_EVERY
        capacity.sweep(scene.now)
    assert len(scene.state.connections) == 20
    assert capacity.full


async def test_it_is_a_problem_for_a_while(scene: Scene) -> None:
    assert list(scene.capacity.problems(scene.now)) == []
    for _ in range(3):
        scene.connect()
    scene.now += LEAST_IDLE
    await scene.capacity.room()
    (one,) = scene.capacity.problems(scene.now + SEEN_FOR - 1)
    assert one.kind == "connection limit"
    assert one.what.startswith("a gateway process has 3 client connections, as many as --limit-")
    assert list(scene.capacity.problems(scene.now + SEEN_FOR)) == []


def test_without_a_descriptor_idle_ones_go(scene: Scene) -> None:
    for _ in range(2):
        scene.connect()
    scene.now += LEAST_IDLE
    for _ in range(3):
        scene.capacity.exhausted("127.0.0.1:80", OSError(errno.EMFILE, "Too many open files"))
    assert scene.closed == [0, 1]
    (one,) = scene.state.out_of_files.at(scene.now)
    assert one.what.startswith("127.0.0.1:80: Too many open files: idle ones are closed")
    assert scene.state.counts.pauses == {"descriptors": 3}
    assert scene.state.counts.evicted == {"descriptors": 2}


async def test_clients_beyond_the_bound_wait_in_the_kernels_queue(scene: Scene) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, server.dup() as theirs:
        theirs.setblocking(False)
        address = server.getsockname()
        service = Service(scene.state, (), scene.capacity)
        begin = HttpVersions(scene.state).begin
        listener = ServiceListener(theirs, "here", begin)
        clients = [socket.create_connection(address) for _ in range(5)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.state.poller.run)
            nursery.start_soon(partial(service.accept, [listener]))

            async def until(count: int) -> None:
                with trio.fail_after(PATIENCE):
                    while scene.state.counts.accepted < count:  # noqa: ASYNC110
                        await trio.sleep(0.005)
                await trio.sleep(3 * LOOK_FOR_ROOM_EVERY)
                assert scene.state.counts.accepted == count

            await until(3)
            clients[0].close()
            await until(4)
            scene.now += LEAST_IDLE
            await until(5)
            assert scene.state.counts.evicted == {"connections": 1}
            scene.end()
            nursery.cancel_scope.cancel()
    for client in clients:
        client.close()


async def test_nothing_is_closed_while_nobody_waits(scene: Scene) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, server.dup() as theirs:
        theirs.setblocking(False)
        service = Service(scene.state, (), scene.capacity)
        listener = ServiceListener(theirs, "here", HttpVersions(scene.state).begin)
        clients = [socket.create_connection(server.getsockname()) for _ in range(3)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.state.poller.run)
            nursery.start_soon(partial(service.accept, [listener]))
            with trio.fail_after(PATIENCE):
                while len(scene.state.connections) < 3:  # noqa: ASYNC110
                    await trio.sleep(0.005)
            scene.now += 2 * LEAST_IDLE
            await trio.sleep(3 * LOOK_FOR_ROOM_EVERY)
            assert len(scene.state.connections) == 3
            assert not list(scene.capacity.problems(scene.now))
            scene.end()
            nursery.cancel_scope.cancel()
    for client in clients:
        client.close()
