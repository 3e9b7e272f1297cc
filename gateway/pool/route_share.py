"""A route's share of its pool (`[[routes]] limit_concurrency`). Pure: time is passed in.

A pool has many slots, and a site has one page that takes ten seconds: a report, a search, an
export. While few ask for it, it harms nobody. But its calls keep their slots a thousand times
longer than the others, so when many ask for it they end up with all slots, and the site stands
still although every other page would take milliseconds. Nothing about the pool's queue can help:
whoever is next, there is no slot. The route has to be kept from taking them all (a bulkhead, in the
words of Nygard, Release It!, 2007; Envoy's circuit breakers do it for a whole cluster).

So a route may have a share, as a number of calls or as a part of the slots that the pool has at the
moment. What is beyond the share must not stand in the pool's queue, where it would hold up the
others. It waits in a queue of the share's own, which has the same rules as the pool's (see
`queue`): its length, its time, and under overload the newest first. A call that comes out of it
joins the others at the end of the pool's queue, or takes a slot if one is free. There it has only
the rest of its time: whoever waits twice waits no longer than others do once.

What counts is a call from its admission until the worker has said that it has left the app. A
client that leaves does not make room by leaving, as everywhere in a pool, unless no worker has had
its call yet. Calls that wait in the pool's queue count too; so a route with a share has no more
calls there than its share.

The share is for all gateway processes together. They do not talk to each other, so each has an
equal part of it, and what is left over goes to the first of them, one each: of 8 calls among three
processes they have 3, 3 and 2. A process has one call at least, since its clients can't go to
another. A part of the slots is divided in the same way, since every process knows of all slots
(`Balance.slots`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic

from .queue import PoolQueue, W


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareLimit:
    """How many calls of a route may be under way."""

    calls: int = 0
    """Over all gateway processes; 0: it is `percent` of the pool's slots."""
    percent: int = 0
    gateway: int = 1
    """The number of this gateway process, from 1 on."""
    gateways: int = 1

    def total(self, slots: int) -> int:
        """Calls of all gateway processes, in a pool with so many slots."""
        return max(self.calls or slots * self.percent // 100, self.gateways)

    def here(self, slots: int) -> int:
        """The part of this gateway process."""
        each, over = divmod(self.total(slots), self.gateways)
        return each + (self.gateway <= over)


class RouteShare(Generic[W]):
    """The calls of one route, in one pool and gateway process."""

    __slots__ = ("_calls", "_limit", "_patience", "_queue", "name")

    def __init__(
        self, name: str, limit: ShareLimit, size: int, patience: float, target: float
    ) -> None:
        """The last three are the bounds of the queue, as `PoolQueue` has them."""
        self.name = name
        self._limit = limit
        self._patience = patience
        self._queue: PoolQueue[W] = PoolQueue(size, patience, target)
        self._calls: dict[W, float] = {}
        """Each call that counts, and the seconds that it has waited for that."""

    def total(self, slots: int) -> int:
        """Calls that may be under way at once over all gateway processes, in a pool with so many
        slots."""
        return self._limit.total(slots)

    @property
    def running(self) -> int:
        """Calls that count: those that workers run, and those that wait in the pool's queue."""
        return len(self._calls)

    def enter(self, call: W, slots: int) -> bool:
        """Admits a call, if there is room and nobody waits. Returns whether it did."""
        if len(self._queue) or len(self._calls) >= self._limit.here(slots):
            return False
        self._calls[call] = 0.0
        return True

    def add(self, call: W) -> None:
        """Counts a call that takes the place of one that was admitted."""
        self._calls[call] = 0.0

    def leave(self, call: W) -> None:
        """The call has left the app, its worker is gone, or nobody waits for it any more and no
        worker has had it."""
        if self._calls.pop(call, None) is None:
            self._queue.remove(call)

    def wait(self, call: W, now: float) -> W | None:
        """Has a call wait for room. Returns the one that has no place because of it; None if all
        have one."""
        return self._queue.put(call, now)

    def admitted(self, slots: int, now: float) -> Iterator[W]:
        """Takes out the calls that there is room for now, and admits them."""
        while len(self._queue) and len(self._calls) < self._limit.here(slots):
            waited = self._queue.next_has_waited(now)
            call = self._queue.take(now)
            self._calls[call] = waited
            yield call

    def overdue(self, now: float) -> Iterator[W]:
        """Takes out the calls that have waited for room for too long."""
        while (call := self._queue.take_overdue(now)) is not None:
            yield call

    def late(self, now: float, since: Callable[[W], float | None]) -> list[W]:
        """The calls that have waited for too long in both queues together. `since` tells since
        when a call waits in the pool's; None if it does not."""
        if not self._patience:
            return []
        return [
            call
            for call, before in self._calls.items()
            if before and (began := since(call)) is not None
            if before + now - began > self._patience
        ]

    def take_all(self, now: float) -> Iterator[W]:
        """Takes out all calls that wait for room."""
        while len(self._queue):
            yield self._queue.take(now)

    def waiting(self) -> int:
        """How many calls wait for room."""
        return len(self._queue)

    def oldest(self, now: float) -> float:
        """Seconds that the oldest call has waited for room; 0.0 if none waits."""
        return self._queue.oldest(now)
