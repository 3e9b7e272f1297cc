"""The poller watches many sockets in one trio task.

trio asks epoll anew for every wait of every task: a system call, a park and a reschedule for each
request, which was almost half of the gateway's time. Sockets that live long are instead registered
once in an epoll set of our own. That set is itself a file that becomes readable, and one task waits
for it. All that is ready is then handled in one *turn*, synchronously, callback by callback. At the
turn's end the bytes that were gathered in it (the calls for a worker) go out in one `send`.

Some bytes come outside of a turn: from the sweep of deadlines, which is a task of trio's, from a
timer, or from a thread that has read a disk. To send each piece at once would be a system call for
each. Worse, a piece that is sent gives its source credit, which may push the next piece, which is
sent: a recursion as deep as the response is long. So such bytes wait for the end of the next turn,
and an eventfd, watched like any socket, makes that turn come at once.

If a flush causes another one (a client has taken bytes, so a worker gets credit), that is done in
the same turn, but only a few times: a source that always has more to push must not hold the turn
for the length of its file.

Within a turn, what is alike is done together: first all clients are read, and then what they have
sent is handled, one after the other. A read goes through the kernel, and through OpenSSL, and when
it is back the processor has forgotten most of the interpreter: a request that is handled between
two reads takes longer than one that is handled behind another. So an owner may put off what it has
received (`Watched.readable`).

A client may send in 64 KiB what takes long to handle: ten thousand frames of a WebSocket, two
thousand requests, ten thousand chunks; and a worker may say as much. If one turn handled all of it,
everybody else would wait. So an owner takes its *share* of a turn (each has a documented number of
events), keeps the rest, and asks to `go_on`: its `readable` is called again in the next turn, once
all others that are ready had theirs, and what they have said is out. What it keeps is in no socket,
so epoll would not tell of it. An owner that goes on is not called for its socket too, or it would
have two shares of a turn.

trio still does what it is best at: timers, signals, start and stop. Its loop is entered when
nothing comes for a few milliseconds, and at the latest after as many. While there is traffic we
wait in our own set, because every way through trio's loop costs as much as two requests.
"""

import os
import select
import weakref
from collections import deque
from collections.abc import Callable, Container
from logging import getLogger
from time import monotonic
from typing import Final, Protocol

import trio

log = getLogger("propylon.gateway")

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
HANGUP: Final = select.EPOLLRDHUP
"""The event that the peer has closed its writing side, watched while nothing is read."""

MOST_EVENTS: Final = 256
"""Sockets handled in one turn."""
MOST_FLUSHES: Final = 4
"""How often a turn flushes at most. Two flushes are usual: a client's bytes go out, then its
worker's credit. Further ones are left to the next turn, which comes as soon as other sockets were
handled."""
LONGEST_ROUND: Final = 0.005
"""Seconds of turns, and of waiting for the next, before trio's other tasks run. They are late by so
much at most, beside the length of one turn."""


class Watched(Protocol):
    """The owner of a watched socket. Events are level-triggered: what is left unread is reported
    again."""

    def readable(self) -> "Postponed | None":
        """Receives: there are bytes, an end or an error. If it has asked to `go_on`, it handles
        what it has kept, and reads only when that is done. Returns itself if it has put off what it
        has received: `advance` is called when the other sockets that are ready were read."""
        ...

    def writable(self) -> None:
        """Sends: the socket takes bytes again."""
        ...

    def cut(self) -> None:
        """Ends the owner at once, after an exception in one of the other methods."""
        ...


def read_now(owner: Watched) -> None:
    """Has an owner receive, and puts nothing off."""
    postponed = owner.readable()
    if postponed is not None:
        postponed.advance()


class Postponed(Watched, Protocol):
    """An owner that has received something in this turn, and handles it later in the turn."""

    def advance(self) -> None:
        """Handles what it has received."""
        ...


class Poller:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Watched] = {}
        self._at_end_of_turn: list[Callable[[], None]] = []
        self._going_on: dict[int, None] = {}
        """Sockets whose owners have something left to handle in the next turn, in their order."""
        self._in_turn = False
        self._put_off: list[tuple[int, Postponed]] = []
        """Owners that have received something in this turn and have yet to handle it, in order."""
        self._calls: deque[Callable[[], None]] = deque()
        """Functions to be called in the next turn; other threads append to it."""
        self._wakeup = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # The finalizer closes it, when nobody has the poller any more. Until then a thread may be
        # about to write, and the number must not be another file's by then.
        weakref.finalize(self, os.close, self._wakeup)
        # Edge-triggered: each write is reported once, and need not be read.
        self._epoll.register(self._wakeup, READ | select.EPOLLET)
        self._is_over = False

    def add(self, fd: int, owner: Watched, events: int = READ) -> None:
        self._epoll.register(fd, events)
        self._watched[fd] = owner

    def take_over(self, fd: int, owner: Watched) -> None:
        """Gives a watched socket another owner."""
        self._watched[fd] = owner

    def want(self, fd: int, events: int) -> None:
        """Changes the events that a watched socket waits for; 0 for nothing but errors."""
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Forgets a socket. It has to be called before the close: the number may be another
        socket's a moment later."""
        self._going_on.pop(fd, None)
        if self._watched.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def go_on(self, fd: int) -> None:
        """Has the `readable` of a socket's owner called in the next turn, whatever is in the socket
        by then. It is harmless when called twice."""
        self._going_on[fd] = None
        if not self._in_turn:
            self._wake()

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
        """Has `call` called in the next turn, which comes at once. Any thread may use it: other
        threads may not touch an exchange, and hand over what they have this way. A call that comes
        when `run` has ended is dropped."""
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
        finally:
            self._flush()
            self._is_over = True
            self._epoll.close()

    def _round(self) -> None:
        """Runs turns until there is nothing to do for a while, or trio's other tasks wait."""
        until = monotonic() + LONGEST_ROUND
        self._turn()
        while (left := until - monotonic()) > 0:
            if not self._turn(left):
                break
        if self._at_end_of_turn or self._going_on:
            self._wake()

    def _turn(self, patience: float = 0.0) -> int:
        """Handles what is ready, after `patience` seconds at most; it does not wait if something is
        left to do. Returns the number of sockets that were ready or went on, plus the flushes that
        are left."""
        going_on = self._going_on
        if self._at_end_of_turn or going_on:
            patience = 0.0
        ready = self._epoll.poll(patience, MOST_EVENTS)
        handled = len(ready)
        self._in_turn = True
        try:
            if going_on:
                self._going_on = {}
                self._handle_events(ready, going_on)
                if self._at_end_of_turn:
                    self._flush()
                self._handle_events([(fd, READ) for fd in going_on if fd in self._watched])
                handled += len(going_on)
            else:
                self._handle_events(ready)
            if self._at_end_of_turn:
                self._flush()
        finally:
            self._in_turn = False
        return handled + len(self._at_end_of_turn)

    def _flush(self) -> None:
        """Sends what was gathered, and what these flushes gather."""
        for _ in range(MOST_FLUSHES):
            if not self._at_end_of_turn:
                break
            flushes, self._at_end_of_turn = self._at_end_of_turn, []
            for flush in flushes:
                try:
                    flush()
                except Exception:
                    # One owner's flush has failed; the others' bytes go out all the same.
                    log.exception("what a turn gathered could not be sent")

    def _run_calls(self) -> None:
        """Runs what other threads have handed over until now."""
        for _ in range(len(self._calls)):
            try:
                self._calls.popleft()()
            except Exception:
                log.exception("what was handed to the next turn failed")

    def _handle_events(
        self, ready: list[tuple[int, int]], later: Container[int] = frozenset()
    ) -> None:
        """Tells owners of events. The sockets of `later` are read later in this turn."""
        watched = self._watched
        for fd, events in ready:
            owner = watched.get(fd)
            if owner is None:
                if fd == self._wakeup:
                    self._run_calls()
                continue  # or it was removed by an earlier callback of this turn
            try:
                if events & WRITE:
                    owner.writable()
                    if events == WRITE or watched.get(fd) is not owner:
                        continue  # its new owner is told in the next turn
                if later and fd in later:
                    continue
                postponed = owner.readable()
                if postponed is not None:
                    self._put_off.append((fd, postponed))
            except Exception:
                # The barrier: owners have their own; what passes it must not end the others.
                log.exception("a socket's owner failed")
                self._cut(fd, owner)
        self.catch_up()

    def catch_up(self) -> None:
        """Handles what was put off until now, so that what comes next does not overtake it."""
        put_off, self._put_off = self._put_off, []
        for fd, postponed in put_off:
            try:
                postponed.advance()
            except Exception:
                log.exception("a socket's owner failed")
                self._cut(fd, postponed)

    def _cut(self, fd: int, owner: Watched) -> None:
        """Ends an owner that failed, because what it left unread would be reported for ever."""
        try:
            owner.cut()
        except Exception:
            # It has failed twice; it is forgotten below, and the others' turn goes on.
            log.exception("a socket's owner failed to end")
        if self._watched.get(fd) is owner:
            del self._watched[fd]
            self._going_on.pop(fd, None)
            try:
                self._epoll.unregister(fd)
            except OSError as error:
                log.debug("socket %d was closed while it was watched: %s", fd, error)
