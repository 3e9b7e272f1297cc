"""A route's share of its pool (`[[routes]] limit_concurrency`). Pure: time is passed in.

A pool has many slots, and a site has one page that takes ten seconds: a report, a search, an
export. While few ask for it, it harms nobody. But its calls keep their slots a thousand times
longer than the others, so when many ask for it they end up with all slots, and the site stands
still although every other page would take milliseconds. Nothing about the pool's queue can help:
whoever is next, there is no slot. The route has to be kept from taking them all (a bulkhead, in the
words of Nygard, Release It!, 2007; Envoy's circuit breakers do it for a whole cluster).

So a route may have a share, as a number of calls or as a part of the slots that the pool has at the
moment. What is beyond the share must not stand in the pool's queue, where it would hold up the
others (see `line`). It waits in the share's own line, with the bounds of the queue: its length and
its time. A call that comes out of the line joins the others at the end of the queue, or takes a
slot if one is free.

What counts is a call from its admission until the worker has said that it has left the app. A
client that leaves does not make room by leaving, as everywhere in a pool. Calls that wait in the
pool's queue count too; so a route with a share has no more calls there than its share.

Both are for all gateway processes together, and each has an equal part, rounded up: of the number,
or of the percentage, since every process sees all slots.
"""

from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from .line import Line


class SharingCall(Protocol):
    @property
    def awaited(self) -> bool:
        """Whether a client still waits for the response."""
        ...

    @property
    def never_ran(self) -> bool:
        """Whether it is over, and no worker has had it."""
        ...


S = TypeVar("S", bound=SharingCall)


class RouteShare(Generic[S]):
    """The calls of one route, in one pool and gateway process."""

    __slots__ = ("_calls", "_limit", "_line", "_patience", "_percent", "_size", "name")

    def __init__(self, name: str, limit: int, percent: int, size: int, patience: float) -> None:
        """`limit`: calls at once; 0: the limit is `percent` of the pool's slots. At most `size`
        calls wait, each for `patience` seconds, or with 0 as long as its client does."""
        self.name = name
        self._limit = limit
        self._percent = percent
        self._size = size
        self._patience = patience
        self._calls: set[S] = set()
        self._line: Line[S] = Line()

    def most(self, slots: int) -> int:
        """Calls that may be under way at once, in a pool with so many slots."""
        return self._limit or max(1, slots * self._percent // 100)

    @property
    def running(self) -> int:
        """Calls that count: those that workers run, and those that wait in the pool's queue."""
        return len(self._calls)

    def enter(self, call: S, slots: int) -> bool:
        """Admits a call, if there is room and nobody waits. Returns whether it did."""
        if len(self._calls) >= self.most(slots) or self._line.since() is not None:
            return False
        self._calls.add(call)
        return True

    def add(self, call: S) -> None:
        """Counts a call that takes the place of one that was admitted."""
        self._calls.add(call)

    def leave(self, call: S) -> None:
        """The call has left the app, or its worker is gone."""
        self._calls.discard(call)

    def wait(self, call: S, now: float) -> bool:
        """Has the call wait. Returns False if the line is full."""
        if len(self._line) >= self._size:
            return False
        self._line.put(call, now)
        return True

    def admitted(self, slots: int) -> Iterator[S]:
        """Takes out the calls that there is room for now, and admits them."""
        while len(self._calls) < self.most(slots) and self._line.since() is not None:
            call = self._line.take()
            self._calls.add(call)
            yield call

    def overdue(self, now: float) -> Iterator[S]:
        """Takes out the calls that have waited for too long."""
        while (since := self._line.since()) is not None:
            if not self._patience or now - since <= self._patience:
                return
            yield self._line.take()

    def take_all(self) -> Iterator[S]:
        """Takes out all calls that wait."""
        while self._line.since() is not None:
            yield self._line.take()

    def look(self) -> None:
        """Forgets calls that ended in the pool's queue, and places in the line whose clients have
        left. To be called a few times a second."""
        self._line.waiting()
        if any(call.never_ran for call in self._calls):
            self._calls = {call for call in self._calls if not call.never_ran}

    def waiting(self) -> int:
        """How many calls wait for room."""
        return self._line.waiting()
