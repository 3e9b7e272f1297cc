"""The acceptors, the sweeper of deadlines, and the drain of a gateway process."""

from collections.abc import Callable, Iterable
from logging import getLogger
from time import monotonic, time

import trio

from .acceptor import Acceptor, ServiceListener
from .capacity import Capacity
from .service_state import ServiceState

log = getLogger("propylon.gateway")

SWEEP_EVERY = 0.25
"""Seconds between two sweeps. A deadline is late by so much at most, and never early."""
SWEPT_IN_TURN = 256
"""Connections that are looked at in one turn of the loop, for some tenths of a millisecond."""
LAST_WORDS = 0.6
"""Seconds that clients have to take the errors at a drain's end: two sweeps."""
LEAST_GRACEFUL = 5.0
"""Seconds, of the graceful timeout, that a stop has at least if clients have been told for long
that this server ends: their last responses may still be on their way to them."""


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
        acceptors = [Acceptor(one, self._state, self._capacity) for one in listeners]
        with self._accepting:
            async with trio.open_nursery() as nursery:
                for acceptor in acceptors:
                    nursery.start_soon(acceptor.run)
        for acceptor in acceptors:
            acceptor.close()
        self._listeners_closed.set()

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
            await self._sweep_connections()
            if int(now) != second:
                second = int(now)
                state.http.heads.tick(time())
                if state.http2 is not None:
                    state.http2.fields.tick(time())
            if state.draining and not state.connections:
                self._all_gone.set()
            await trio.sleep(max(0.0, now + SWEEP_EVERY - state.clock()))

    async def _sweep_connections(self) -> None:
        """Some in a turn: ten thousand at once would make every client wait for milliseconds."""
        state = self._state
        present, left = state.connections, list(state.connections)
        while left:
            now = state.clock()
            for connection in left[-SWEPT_IN_TURN:]:
                if connection not in present:
                    continue
                try:
                    connection.sweep(now)
                except Exception:
                    # A barrier, as in the poller: the other connections go on.
                    log.exception("a connection's deadline failed")
                    connection.cut()
            del left[-SWEPT_IN_TURN:]
            if left:
                await trio.lowlevel.checkpoint()

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
