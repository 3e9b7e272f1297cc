"""Many sockets watched by one trio task.

trio asks epoll anew for every wait of every task: a system call, a park and a reschedule for each
request, which was almost half of the gateway's time. Sockets that live long are instead registered
once in an epoll set of our own; that set is itself a file that becomes readable, and one task
waits for it. What is ready is then handled in one turn, synchronously, callback by callback, and
at the turn's end what was gathered in it (the calls for a worker) goes out in one `send`.

trio still does what it is best at: accepting, timers, signals, start and stop.
"""

import select
from collections.abc import Callable
from logging import getLogger
from typing import Final, Protocol

import trio

log = getLogger("propylon.gateway")

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
HANGUP: Final = select.EPOLLRDHUP
"""The peer has closed its writing side; watched where nothing is read for a while."""

MOST_EVENTS: Final = 256
"""Sockets handled in one turn."""
MOST_TURNS: Final = 8
"""Turns while there is something to do before trio's other tasks run: to go through trio's loop
costs as much as two requests."""


class Watched(Protocol):
    """Who owns a watched socket. Level-triggered: what is left unread is reported again."""

    def readable(self) -> None:
        """There are bytes, an end or an error to receive."""
        ...

    def writable(self) -> None:
        """The socket takes bytes (again)."""
        ...

    def cut(self) -> None:
        """It has failed in one of the others: it ends, at once."""
        ...


class Poller:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Watched] = {}
        self._at_end_of_turn: list[Callable[[], None]] = []
        self._in_turn = False

    def add(self, fd: int, owner: Watched, events: int = READ) -> None:
        self._epoll.register(fd, events)
        self._watched[fd] = owner

    def take_over(self, fd: int, owner: Watched) -> None:
        """A watched socket has another owner from now on."""
        self._watched[fd] = owner

    def want(self, fd: int, events: int) -> None:
        """Changes what a watched socket waits for; 0 for nothing but errors."""
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Before the socket is closed: its number may be another's a moment later."""
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def at_end_of_turn(self, flush: Callable[[], None]) -> None:
        """Has `flush` called when this turn's sockets are handled; at once outside of a turn."""
        if self._in_turn:
            self._at_end_of_turn.append(flush)
        else:
            flush()

    async def run(self) -> None:
        """Handles turn after turn until it is cancelled."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for _ in range(MOST_TURNS):
                    if not self._turn():
                        break
        finally:
            self._epoll.close()

    def _turn(self) -> int:
        """Handles what is ready now; returns how many sockets were."""
        self._in_turn = True
        try:
            count = self._handle_events()
            while self._at_end_of_turn:
                flushes, self._at_end_of_turn = self._at_end_of_turn, []
                for flush in flushes:
                    try:
                        flush()
                    except Exception:
                        # One owner's: what the others have gathered goes out all the same.
                        log.exception("what a turn gathered could not be sent")
            return count
        finally:
            self._in_turn = False

    def _handle_events(self) -> int:
        watched = self._watched
        ready = self._epoll.poll(0, MOST_EVENTS)
        for fd, events in ready:
            owner = watched.get(fd)
            if owner is None:
                continue  # removed by an earlier callback of this turn
            try:
                if events & WRITE:
                    owner.writable()
                    if events == WRITE or fd not in watched:
                        continue
                owner.readable()
            except Exception:
                # The barrier: owners have their own; what passes it must not end the others.
                log.exception("a socket's owner failed")
                self._cut(fd, owner)
        return len(ready)

    def _cut(self, fd: int, owner: Watched) -> None:
        """Ends an owner that failed: what it left unread would be reported again for ever."""
        try:
            owner.cut()
        except Exception:
            # It has failed twice; it is forgotten below, and the others' turn goes on.
            log.exception("a socket's owner failed to end")
        if self._watched.get(fd) is owner:
            del self._watched[fd]
            try:
                self._epoll.unregister(fd)
            except OSError as error:
                log.debug("socket %d was closed while it was watched: %s", fd, error)
