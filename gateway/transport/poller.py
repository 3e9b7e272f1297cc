"""Many sockets watched by one trio task.

trio asks epoll anew for every wait of every task: a system call, a park and a reschedule for each
request, which was almost half of the gateway's time. Sockets that live long are instead registered
once in an epoll set of our own; that set is itself a file that becomes readable, and one task
waits for it. What is ready is then handled in one turn, synchronously, callback by callback, and
at the turn's end what was gathered in it (the calls for a worker) goes out in one `send`.

Not everything is said in a turn. A sweep of deadlines is a task of trio's, a timer is, and a thread
may have something that was read from a disk. To send each of their pieces at once would be a system
call for each, and worse: what is sent gives its source credit, which may push the next piece, which
is sent: a recursion as deep as the response is long. So what is said outside of a turn waits for
the end of the next one, and an eventfd, watched like any socket, has that turn come at once.

What a flush brings about is flushed in the same turn (a client has taken bytes, so a worker gets
credit), but only so often: a source that always has more to push must not hold the turn for the
length of its file.

trio still does what it is best at: accepting, timers, signals, start and stop. Its loop is entered
when nothing comes for a few milliseconds, at the latest after as many, and at once when somebody
is to be accepted; while there is traffic we wait in our own set, since every way through trio's
loop costs as much as two requests.
"""

import os
import select
import weakref
from collections import deque
from collections.abc import Callable
from logging import getLogger
from time import monotonic
from typing import Final, Protocol

import trio

log = getLogger("propylon.gateway")

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
HANGUP: Final = select.EPOLLRDHUP
"""The peer has closed its writing side; watched where nothing is read for a while."""

MOST_EVENTS: Final = 256
"""Sockets handled in one turn."""
MOST_FLUSHES: Final = 4
"""Times that a turn looks for what its flushes have brought about. Two are usual: a client's bytes
go out, then its worker's credit. What is still there is flushed in the next turn, which comes as
soon as others have been looked after."""
LONGEST_ROUND: Final = 0.005
"""Seconds of turns, and of waiting for the next, before trio's other tasks run: what they are late
by at most, beside the length of one turn."""


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
        self._trio_is_wanted = False
        self._calls: deque[Callable[[], None]] = deque()
        """What is to be called in the next turn; other threads append to it."""
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._close_wakeup = weakref.finalize(self, os.close, self._wakeup)
        # Edge-triggered: each write is reported once, and nobody need read what was written.
        self._epoll.register(self._wakeup, READ | select.EPOLLET)
        self._is_over = False

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

    def announce(self, fd: int) -> None:
        """What arrives at this socket is awaited by a task of trio's: have that run at once.
        Edge-triggered, so a task that takes its time has nobody turn in circles."""
        self._epoll.register(fd, READ | select.EPOLLET)

    def withdraw(self, fd: int) -> None:
        """Before an announced socket is closed: another process may hold it too, and then the
        kernel goes on telling of it."""
        self._epoll.unregister(fd)

    def at_end_of_turn(self, flush: Callable[[], None]) -> None:
        """Has `flush` called when this turn's sockets are handled; outside of a turn, at the end of
        the next, which then comes at once. Not for other threads: see `call_soon_threadsafe`."""
        if self._is_over:
            flush()  # there is no next
            return
        self._at_end_of_turn.append(flush)
        if not self._in_turn and len(self._at_end_of_turn) == 1:
            self._wake()

    def call_soon_threadsafe(self, call: Callable[[], None]) -> None:
        """Has `call` called in the next turn, which comes at once. For any thread: whoever works in
        another one may not touch an exchange, and hands over what it has this way."""
        self._calls.append(call)
        self._wake()

    def _wake(self) -> None:
        """Ends the wait for the next turn."""
        if not self._is_over:
            os.eventfd_write(self._wakeup, 1)

    async def run(self) -> None:
        """Handles turn after turn until it is cancelled."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                self._round()
                if self._trio_is_wanted:
                    # trio runs what is ready in any order: without this the next round might come
                    # before the task that was to run.
                    await trio.lowlevel.checkpoint()
        finally:
            self._flush()
            self._is_over = True
            self._epoll.close()
            self._close_wakeup()

    def _round(self) -> None:
        """Turns, until there is nothing to do for a while or trio has something to do."""
        self._trio_is_wanted = False
        until = monotonic() + LONGEST_ROUND
        self._turn()
        while not self._trio_is_wanted and (left := until - monotonic()) > 0:
            if not self._turn(left):
                break
        if self._at_end_of_turn:
            self._wake()

    def _turn(self, patience: float = 0.0) -> int:
        """Waits so many seconds for something, and not at all if something is left to do; handles
        what is ready. Returns how many sockets were, and flushes are left."""
        ready = self._epoll.poll(0.0 if self._at_end_of_turn else patience, MOST_EVENTS)
        self._in_turn = True
        try:
            self._handle_events(ready)
            self._flush()
        finally:
            self._in_turn = False
        return len(ready) + len(self._at_end_of_turn)

    def _flush(self) -> None:
        """Sends what was gathered, and what that brings about."""
        for _ in range(MOST_FLUSHES):
            if not self._at_end_of_turn:
                break
            flushes, self._at_end_of_turn = self._at_end_of_turn, []
            for flush in flushes:
                try:
                    flush()
                except Exception:
                    # One owner's: what the others have gathered goes out all the same.
                    log.exception("what a turn gathered could not be sent")

    def _run_calls(self) -> None:
        """What other threads have handed over until now."""
        for _ in range(len(self._calls)):
            try:
                self._calls.popleft()()
            except Exception:
                log.exception("what was handed to the next turn failed")

    def _handle_events(self, ready: list[tuple[int, int]]) -> None:
        watched = self._watched
        for fd, events in ready:
            owner = watched.get(fd)
            if owner is None:
                if fd == self._wakeup:
                    self._run_calls()
                else:  # announced, or removed by an earlier callback of this turn
                    self._trio_is_wanted = True
                continue
            try:
                if events & WRITE:
                    owner.writable()
                    if events == WRITE or watched.get(fd) is not owner:
                        continue  # whoever has it now is told in the next turn
                owner.readable()
            except Exception:
                # The barrier: owners have their own; what passes it must not end the others.
                log.exception("a socket's owner failed")
                self._cut(fd, owner)

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
