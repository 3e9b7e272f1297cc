"""How many clients may be connected, and how room is made for more.

A process has a number of descriptors, and some memory. A server that accepts until `accept` fails
has two bad choices then: to ask again at once, which turns in circles, or to end. And it could not
write a log or take a worker in, for lack of a descriptor. So there is a bound below the kernel's
(`listen.connections_bound`), and what happens there is decided here. Clients that may have a file
as well take two descriptors; whether they may is known when workers have said what their apps are,
and asked again and again (`sweep`).

When memory is short at this moment (`memory_watch`), there is room for a tenth less with every
look than there are connections: idle ones are closed, the longest idle first, and new clients wait,
until it is over. If the container is full, it may be others that fill it. A gateway that closes
itself would then be no help to anybody, so connections that have a sixteenth of the memory are left
alone.

Most connections of a busy server are idle: their clients have been answered, and may ask again
within a minute. Nothing is lost when such a one is closed, since every client has to expect that
(RFC 9112 section 9.5). So a client that comes at the bound is let in, and the connection goes that
has been idle for the longest time; also one that has never asked anything, which is how somebody
fills a server up. One that was idle for less than a second stays: a request may be on its way.

If no connection is idle, the new client waits in the kernel's queue, where it costs nothing, until
one ends. HAProxy does the same at its `maxconn`. A 503 would be worse: it takes a descriptor to
send, and a client that asks again takes another one. The bound is of one process, as nginx's
`worker_connections` are. That it was met is a problem (`protocol.supervision.problems`) for as long
as it is, and a few seconds longer, so that a busy server does not fill its log.
"""

import sys
from collections import deque
from collections.abc import Iterator
from heapq import nsmallest
from typing import Final, Protocol

import trio

from ...protocol.supervision.messages import Problem
from ...protocol.supervision.problems import Recurring
from ..listen.connections_bound import LEAST_CONNECTIONS, Bound, ConnectionsBound
from .lingering_close import ClosingConnection
from .memory_watch import MEMORY_LOOK_EVERY, MemoryWatch
from .service_state import ServiceState

LEAST_IDLE: Final = 1.0
"""Seconds that a connection has been idle for, at least, when it is closed to make room."""
LOOK_FOR_ROOM_EVERY: Final = 0.02
"""Seconds between two looks whether a connection has ended, while accepting pauses."""
SCAN_EVERY: Final = 0.1
"""Seconds between two searches for idle connections for the sake of clients that come. Each looks
at all connections."""
MOST_FOUND: Final = 256
"""Connections that such a search finds."""
GIVE_BACK_EVERY: Final = 10.0
"""Seconds between two attempts to give freed memory back while memory is short and nothing was
closed. Each looks at all that the process has."""
AT_ONCE: Final = 16
"""Idle connections that are closed when the kernel gives no descriptor."""
LEFT_ALONE: Final = 8
"""One of so many connections that half of the memory has room for stays when the whole container's
memory is short: their part of it is a sixteenth."""
SEEN_FOR: Final = 10.0
"""Seconds for which a bound that was met is a problem."""
UNBOUNDED: Final = ConnectionsBound(sys.maxsize, "connections")

_PROBLEMS: Final = {
    "connections": ("connection limit", "as many as --limit-connections allows"),
    "descriptors": ("open files", "as many as its limit of open files (RLIMIT_NOFILE) allows"),
    "memory": ("memory for connections", "as many as fit into half of the memory"),
}
"""What bounds -> the kind of the problem, and how it is told."""
_THEN: Final = "idle ones are closed, and then the next wait to be accepted"


class Files(Protocol):
    """Whether clients have files, and how many there may be."""

    @property
    def used(self) -> bool: ...

    def allow(self, most: int) -> None: ...


class Capacity:
    def __init__(
        self,
        state: ServiceState,
        bound: ConnectionsBound = UNBOUNDED,
        with_files: ConnectionsBound = UNBOUNDED,
        files: Files | None = None,
        memory: MemoryWatch | None = None,
    ) -> None:
        """`with_files` is the bound while clients may have `files`."""
        self._state = state
        self._bound = bound
        self._without_files, self._with_files = bound, with_files
        self._files = files
        self._memory = memory
        self._next_look = 0.0
        self._next_give_back = 0.0
        self._fit = sys.maxsize
        """Connections that there is memory for, at this moment."""
        self._short = Recurring("memory", "clients", SEEN_FOR)
        self._found: deque[tuple[float, ClosingConnection]] = deque()
        """Connections that were idle at the last search, each with the time since when it was."""
        self._next_search = 0.0
        self._met = {
            by: Recurring(kind, "clients at the bound", SEEN_FOR)
            for by, (kind, _) in _PROBLEMS.items()
        }
        if bound is not UNBOUNDED:
            state.counts.allow(bound.most)
        self.sweep(0.0)

    @property
    def full(self) -> bool:
        return len(self._state.connections) >= min(self._bound.most, self._fit)

    @property
    def _by(self) -> Bound:
        return self._bound.by if self._bound.most <= self._fit else "pressure"

    def sweep(self, now: float) -> None:
        """Looks whether clients may have files now, and whether memory is short."""
        if self._files is not None:
            self._look_at_files(self._files)
        if self._memory is not None and now >= self._next_look:
            self._next_look = now + MEMORY_LOOK_EVERY
            self._look_at_memory(self._memory, now)

    def _look_at_memory(self, memory: MemoryWatch, now: float) -> None:
        connections = self._state.connections
        short = memory.look(connections)
        if short is None:
            self._fit = sys.maxsize
            return
        in_memory = self._state.settings.connections_in_memory
        least = in_memory // LEFT_ALONE if short.by == "group" else 0
        least, there = max(least, LEAST_CONNECTIONS), len(connections)
        if there <= least and self._fit == sys.maxsize:
            return  # it is not for their sake
        self._short.met(f"{short.what}: {_THEN}", now)
        fit = max(least, there * 9 // 10)
        self._fit = max(least, min(self._fit, fit))
        closed = False
        if there > fit:
            self._search(now, there - fit)  # this once a second, however many that are
            closed = self._close_idle(there - fit, "pressure")
        if closed or now >= self._next_give_back:
            self._next_give_back = now + GIVE_BACK_EVERY
            memory.give_back()

    def _look_at_files(self, files: Files) -> None:
        bound = self._with_files if files.used else self._without_files
        if bound is not self._bound:
            self._bound = bound
            self._state.counts.allow(bound.most)
            self._found.clear()
        if files.used:
            files.allow(bound.files)

    def make_room(self) -> bool:
        """Makes room for a client that waits, if an idle connection can go. Returns whether there
        is some."""
        self._meet()
        return self._close_idle(1, self._by)

    async def room(self) -> None:
        """Makes room for a client that waits: returns when there is some."""
        if self.make_room():
            return
        self._state.counts.pause(self._by)
        while self.full:
            await trio.sleep(LOOK_FOR_ROOM_EVERY)
            self._meet()
            if self.full:
                self._close_idle(1, self._by)

    def exhausted(self, address: str, error: OSError) -> None:
        """Makes room because the kernel has refused a descriptor or memory for another client."""
        state = self._state
        state.out_of_files.met(f"{address}: {error.strerror}: {_THEN}", state.clock())
        state.counts.pause("descriptors")
        self._close_idle(AT_ONCE, "descriptors")

    def problems(self, now: float) -> Iterator[Problem]:
        """Yields the problem that the bound was met, if it was of late."""
        for met in (*self._met.values(), self._short):
            yield from met.at(now)

    def _meet(self) -> None:
        bound = self._bound
        if self._by == "pressure":
            return  # it has been said
        why = _PROBLEMS[bound.by][1]
        if bound.by == "descriptors" and bound is self._with_files:
            why += ", since each may have a file too"
        what = f"a gateway process has {bound.most} client connections, {why}: {_THEN}"
        self._met[bound.by].met(what, self._state.clock())

    def _close_idle(self, count: int, by: Bound) -> bool:
        """Closes the connections that have been idle for the longest time. Returns whether there
        was one."""
        before = left = count
        while left and (connection := self._longest_idle()) is not None:
            # What it has sent by now is answered: then it is not idle.
            if connection.close_if_idle():
                self._state.counts.evict(by)
                left -= 1
        return left < before

    def _longest_idle(self) -> ClosingConnection | None:
        if not self._found and (now := self._state.clock()) >= self._next_search:
            self._search(now, MOST_FOUND)
        while self._found:
            since, connection = self._found.popleft()
            if connection.idle_since == since:
                return connection
        return None

    def _search(self, now: float, most: int) -> None:
        """Looks for the connections that have been idle for the longest time."""
        self._next_search = now + SCAN_EVERY
        idle = (
            (connection.idle_since, connection)
            for connection in self._state.connections
            if isinstance(connection, ClosingConnection)
            and 0.0 < connection.idle_since <= now - LEAST_IDLE
        )
        self._found = deque(nsmallest(most, idle, key=lambda one: one[0]))
