"""The accept loops, the sweeper of deadlines, and the drain of a gateway process."""

import errno
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from logging import getLogger
from time import monotonic, time

import trio

from ...protocol.messages import Address
from .connection import ClientConnection
from .state import ServiceState

log = getLogger("propylon.gateway")

SWEEP_EVERY = 0.25
"""Seconds; the precision of every deadline."""
OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound, listening, non-blocking socket and how the operator calls it."""

    sock: socket.socket
    address: str


class Service:
    def __init__(self, state: ServiceState, sweepers: Iterable[Callable[[float], None]]) -> None:
        """`sweepers` are called with monotonic seconds, as often as connections are swept."""
        self._state = state
        self._sweepers = tuple(sweepers)
        self._accepting = trio.CancelScope()
        self._listeners_closed = trio.Event()
        self._all_gone = trio.Event()

    async def accept(self, listeners: Iterable[Listener]) -> None:
        """Accepts connections on every listener until `drain`; then those that wait in the
        kernel's queue, which would be reset, and closes it: the next are refused at once."""
        listeners = list(listeners)
        with self._accepting:
            async with trio.open_nursery() as nursery:
                for listener in listeners:
                    nursery.start_soon(self._accept_on, listener)
        for listener in listeners:
            await self._accept_on(listener, last=True)
            listener.sock.close()
        self._listeners_closed.set()

    async def _accept_on(self, listener: Listener, *, last: bool = False) -> None:
        """`last`: only what is there already."""
        sock = listener.sock
        state = self._state
        is_tcp = sock.family != socket.AF_UNIX
        if is_tcp:  # accepted sockets inherit it
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server: Address = sock.getsockname()[:2] if is_tcp else (listener.address, None)
        wildcard = server[0] in ("0.0.0.0", "::")
        while True:
            if not last:
                await trio.lowlevel.wait_readable(sock)
            try:
                client_sock, peer = sock.accept()
            except BlockingIOError:
                if last:
                    return
                continue  # another gateway process was faster
            except OSError as error:
                if last and error.errno in OUT_OF_FILES:
                    return
                if error.errno in OUT_OF_FILES:
                    # Neither spin nor die: connections that end will give files back.
                    log.error("%s: accepting pauses for 1 s: %s", listener.address, error)
                    await trio.sleep(1.0)
                continue  # the client was gone before it was accepted
            client_sock.setblocking(False)
            client: Address | None = None
            local = server
            if is_tcp:
                client = peer[:2]
                if wildcard:
                    local = client_sock.getsockname()[:2]
            ClientConnection(client_sock, client, local, state).open()

    async def sweep(self) -> None:
        """Looks at every deadline a few times a second, for ever."""
        state = self._state
        second = 0
        while True:
            now = state.now = monotonic()
            for sweeper in self._sweepers:
                sweeper(now)
            for connection in list(state.connections):
                connection.sweep(now)
            if int(now) != second:
                second = int(now)
                state.http.heads.tick(time())
            if state.draining and not state.connections:
                self._all_gone.set()
            await trio.sleep(SWEEP_EVERY)

    async def drain(self) -> None:
        """Takes nothing new, finishes what there is, and returns when every connection is gone:
        cut after the graceful timeout, if need be."""
        state = self._state
        self._accepting.cancel()
        await self._listeners_closed.wait()
        state.draining = True
        for connection in list(state.connections):
            connection.drain()
        with trio.move_on_after(state.settings.graceful_timeout):
            await self._all_gone.wait()
        if state.connections:
            log.warning("cut %d connections at the end of the drain", len(state.connections))
        for connection in list(state.connections):
            connection.cut()
