"""The accept loops, the sweeper of deadlines, and the drain of a gateway process."""

import errno
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from logging import getLogger
from time import monotonic, time
from typing import Protocol

import trio

from ...protocol.messages import Address
from ..exchange.endpoint import Endpoint
from ..peers import unmapped
from ..transport.client_socket import ClientSocket
from .begin import Begin
from .capacity import Capacity
from .service_state import ServiceState

log = getLogger("propylon.gateway")

SWEEP_EVERY = 0.25
"""Seconds between two sweeps. A deadline is late by so much at most, and never early."""
LAST_WORDS = 0.6
"""Seconds that clients have to take the errors at a drain's end: two sweeps."""
LEAST_GRACEFUL = 5.0
"""Seconds, of the graceful timeout, that a stop has at least if clients have been told for long
that this server ends: their last responses may still be on their way to them."""
MOST_AT_ONCE = 16
"""Connections accepted in a row, because each wait costs more than an accept: half a millisecond of
them. With four times as many a client that opens and closes them costs as much (25 us of CPU each),
and everybody else waits for longer."""
WITHOUT_FILES_PAUSE = 0.1
"""Seconds until the kernel is asked again for what it had no descriptor for."""
OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Gate(Protocol):
    """Says when no connection may come in, so that they wait in the kernel's queue."""

    @property
    def full(self) -> bool: ...

    async def room(self) -> None:
        """Waits until there is room."""
        ...


@dataclass(frozen=True, slots=True)
class ServiceListener:
    """A bound, listening, non-blocking socket, the operator's name for it, and the first layer of
    its connections."""

    sock: socket.socket
    address: str
    begin: Begin
    gate: Gate | None = None
    """Accepting waits while this has no room: the handshakes of a listener with TLS."""


class Service:
    def __init__(
        self,
        state: ServiceState,
        sweepers: Iterable[Callable[[float], None]],
        capacity: Capacity | None = None,
    ) -> None:
        """`sweepers` are called with monotonic seconds, as often as connections are swept.
        `capacity` bounds the connections; without it only the kernel does."""
        self._state = state
        self._capacity = capacity or Capacity(state)
        self._sweepers = tuple(sweepers)
        self._accepting = trio.CancelScope()
        self._listeners_closed = trio.Event()
        self._all_gone = trio.Event()
        self._ends_at = 0.0
        """Monotonic seconds at which the graceful timeout is over, once it has begun."""

    async def accept(self, listeners: Iterable[ServiceListener]) -> None:
        """Accepts connections on every listener until `drain`; then those that wait in the
        kernel's queue, which would be reset, and closes it: the next are refused at once."""
        listeners = list(listeners)
        with self._accepting:
            async with trio.open_nursery() as nursery:
                for listener in listeners:
                    nursery.start_soon(self._accept_on, listener)
        for listener in listeners:
            await self._accept_on(listener, last=True)
            self._state.poller.withdraw(listener.sock.fileno())
            listener.sock.close()
        self._listeners_closed.set()

    async def _accept_on(self, listener: ServiceListener, *, last: bool = False) -> None:
        """Accepts on one listener; if `last`, only the connections that are there already."""
        sock = listener.sock
        is_tcp = sock.family != socket.AF_UNIX
        if is_tcp:  # accepted sockets inherit it
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = _shown(sock.getsockname()) if is_tcp else (_path(sock), None)
        wildcard = server[0] in ("0.0.0.0", "::")
        if not last:
            self._state.poller.announce(sock.fileno())
        begin, gate, transports = listener.begin, listener.gate, self._state.transports
        counts, capacity = self._state.counts, self._capacity
        at_once = 0
        while True:
            if not last and (not at_once or capacity.full):
                await trio.lowlevel.wait_readable(sock)
                at_once = MOST_AT_ONCE
                if capacity.full:  # and somebody waits
                    await capacity.room()
            if not last and gate is not None and gate.full:
                counts.pause("handshakes")
                await gate.room()
            at_once -= 1
            try:
                client_sock, peer = sock.accept()
            except BlockingIOError:
                if last:
                    return
                at_once = 0
                continue
            except OSError as error:
                if last and error.errno in OUT_OF_FILES:
                    return
                if error.errno in OUT_OF_FILES:
                    # It must neither spin nor end: connections that end will give files back.
                    capacity.exhausted(listener.address, error)
                    await trio.sleep(WITHOUT_FILES_PAUSE)
                continue  # the client was gone before it was accepted
            client_sock.setblocking(False)
            counts.accept()
            client: Address | None = None
            local = server
            if is_tcp:
                client = _shown(peer) if sock.family == socket.AF_INET6 else peer
                if wildcard:
                    local = _shown(client_sock.getsockname())
            begin(ClientSocket(client_sock, transports), Endpoint(client, local))

    async def sweep(self) -> None:
        """Looks at every deadline a few times a second, for ever."""
        state = self._state
        second = 0
        while True:
            now = state.clock()
            for sweeper in self._sweepers:
                try:
                    sweeper(now)
                except Exception:
                    # A barrier: the other sweepers and the connections have deadlines too.
                    log.exception("a sweep failed")
            state.restarts.sweep(now)
            for connection in list(state.connections):
                try:
                    connection.sweep(now)
                except Exception:
                    # A barrier, as in the poller: the other connections go on.
                    log.exception("a connection's deadline failed")
                    connection.cut()
            if int(now) != second:
                second = int(now)
                state.http.heads.tick(time())
            if state.draining and not state.connections:
                self._all_gone.set()
            await trio.sleep(SWEEP_EVERY)

    async def stop_accepting(self, told_for: float = 0.0) -> None:
        """Goes on for the drain's delay, with `Connection: close` in responses, so a load balancer
        has time to see that we end. When it returns, no new client comes in. `told_for`: seconds
        for which clients and load balancers have been told already; they count as part of the delay
        and of the graceful timeout."""
        state = self._state
        graceful = state.settings.graceful_timeout
        left = max(graceful - told_for, min(graceful, LEAST_GRACEFUL))
        self._ends_at = monotonic() + left
        state.close_for("the service drains", True)  # also for connections that are accepted last
        delay = max(0.0, state.settings.drain_delay - told_for)
        await trio.sleep(min(delay, left))
        self._accepting.cancel()
        await self._listeners_closed.wait()

    async def drain(self, fail_waiting: Callable[[], None]) -> None:
        """Finishes what is under way, and returns when every connection is gone. At the end of the
        graceful timeout, which includes the delay, `fail_waiting` answers all that can still be
        answered with an error, and the rest is cut."""
        state = self._state
        state.draining = True
        for connection in list(state.connections):
            connection.drain()
        state.restarts.sweep(monotonic())
        with trio.move_on_after(max(0.0, self._ends_at - monotonic())):
            await self._all_gone.wait()
        fail_waiting()
        with trio.move_on_after(LAST_WORDS):
            await self._all_gone.wait()
        if state.connections:
            log.warning("cut %d connections at the end of the drain", len(state.connections))
        for connection in list(state.connections):
            connection.cut()


def _shown(name: tuple[str, int]) -> Address:
    """Returns a socket's name, or its peer's, as an address of either family."""
    return unmapped(name[0]), name[1]


def _path(sock: socket.socket) -> str:
    name: str | bytes = sock.getsockname()
    if isinstance(name, str):
        return name
    return name.decode("utf-8", "replace").replace("\0", "@", 1)  # abstract, as it is written
