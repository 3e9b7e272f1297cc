"""The last free slots of a pool are for connections that have few. Pure: time is passed in.

An app's call waits for its client when the client takes nothing of the response, or sends nothing
of the body, and holds its slot meanwhile. The time limits end that after half a minute
(`--send-timeout`, `--body-timeout`). In HTTP/1.1 such a client needs a connection for each slot. An
HTTP/2 connection has a hundred requests under way, so that a hundred connections would have all
slots of an ASGI worker, and nobody else any.

No rule about the single request helps: nobody can tell whether a client is slow or means harm, and
whoever is cut off when slots are short may be the phone in a tunnel. So the rule is about how many
slots a connection has, and only about the last ones, one in `ONE_IN`. Of those it gets another one
only if it has fewer than are free, or than `FEW_SLOTS`. (Switches divide their memory among ports
in this way: dynamic queue thresholds, Choudhury and Hahne, IEEE/ACM Transactions on Networking 6:2,
1998.) However many connections want a hundred slots each, about a hundred stay free for the others.
To take these as well, a client needs a connection for each `FEW_SLOTS`.

A request that is held back waits beside the pool's queue. It gets a slot

- when more than the last ones are free, and nobody is in the queue; or
- when its connection has come to have few, because calls of it have ended: then it is as good as
  any, and one slot in `TURN` is for those, so that neither they nor the queue wait for ever.

A client that takes nothing never comes to have few, and a proxy with many users does all the time.
A pool with fewer than `FEW_SLOTS` times `ONE_IN` slots has no last ones: there a handful of
connections of HTTP/1.1 is as heavy.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

ONE_IN: Final = 64
"""One slot in so many is one of the last."""
FEW_SLOTS: Final = 16
"""Slots that a connection may have whatever is left. A browser asks for six things at a time, or a
few more."""
TURN: Final = 5
"""One slot in so many is for a call that was held back and whose connection has few by now, while
others are in the queue."""
MOST_LOOKED_AT: Final = 8
"""Calls that are looked at for one slot: to count what a connection has takes microseconds."""

W = TypeVar("W")


class LastSlots(Generic[W]):
    """The last slots of one pool, in one gateway process, and the calls that are held back."""

    __slots__ = ("_count", "_passed", "begin_at", "waiting")

    def __init__(self) -> None:
        self.waiting: OrderedDict[W, float] = OrderedDict()
        """Calls that are held back, and since when (in monotonic seconds), the next one first.
        Others may only look whether it is empty."""
        self._count = 0
        self._passed = 0
        """Slots that were the queue's since it was looked who else may have one."""
        self.begin_at = sys.maxsize
        """Calls that run at which only the last slots may be free."""

    def rank(self, slots: int) -> None:
        """Notes how many slots there are now."""
        self._count = slots // ONE_IN if slots >= FEW_SLOTS * ONE_IN else 0
        self.begin_at = slots - self._count if self._count else sys.maxsize

    def are_for(self, has: int, free: int) -> bool:
        """Whether a connection that has so many slots may have another one of `free`."""
        return free > self._count or has < max(FEW_SLOTS, free)

    def hold_back(self, call: W, now: float) -> None:
        self.waiting[call] = now

    def remove(self, call: W) -> bool:
        """Takes out a call whose client has left. Returns whether it was there."""
        return self.waiting.pop(call, None) is not None

    def next(self, free: int, queued: bool, has: Callable[[W], int]) -> W | None:
        """Takes out the call that gets one of `free` slots; None if that is for others. `queued`:
        whether somebody is in the queue. `has` tells how many slots the call's connection has."""
        waiting = self.waiting
        if not free or not waiting:
            return None
        if queued:
            self._passed += 1
            if self._passed < TURN:
                return None
            self._passed = 0
        most = FEW_SLOTS if queued else max(FEW_SLOTS, free)
        for _ in range(min(MOST_LOOKED_AT, len(waiting))):
            call = next(iter(waiting))
            if (free > self._count and not queued) or has(call) < most:
                del waiting[call]
                return call
            waiting.move_to_end(call)
        return None

    def overdue(self, now: float, patience: float) -> list[W]:
        """Takes out the calls that have waited for longer than `patience` seconds; 0: for ever."""
        if not patience:
            return []
        late = [call for call, since in self.waiting.items() if now - since > patience]
        for call in late:
            del self.waiting[call]
        return late

    def take_all(self) -> list[W]:
        """Takes out all that wait."""
        calls = list(self.waiting)
        self.waiting.clear()
        return calls

    def oldest(self, now: float) -> float:
        """Seconds that the oldest call has waited; 0.0 if none waits."""
        return max((now - since for since in self.waiting.values()), default=0.0)
