"""The queue of a pool: calls that wait for a slot, in the order of arrival. Pure: given the time.

A pool has one queue in front of all its workers, as a bank has one line in front of all its
counters: no call waits behind a slow one while another worker is free. The queue is bounded twice,
because either bound alone would fail:

- By length (`queue_size`). Without it, an outage of a minute would leave the requests of a minute
  to be answered afterwards, and most of their clients would have left.
- By time (`queue_timeout`). Without it, a short queue in front of one slow worker would let its
  clients wait without end.

A client may leave at any moment. To take its call out of the middle of the line would cost a
search. Instead the call stays in its place, is passed over when its turn comes, and is removed only
when the place is needed. So the length counts calls without a client until another call would be
refused for it.
"""

from collections import deque
from math import ceil
from typing import Final, Generic, Protocol, TypeVar

LONGEST_RETRY_AFTER: Final = 30
"""Seconds that a refused client is asked to stay away at most."""


class Waiter(Protocol):
    @property
    def awaited(self) -> bool:
        """Whether a client still waits for the response."""
        ...


W = TypeVar("W", bound=Waiter)


class PoolQueue(Generic[W]):
    """The waiters of one pool."""

    __slots__ = ("_patience", "_size", "line")

    def __init__(self, size: int, patience: float) -> None:
        """`size` is the most calls that wait at once; `patience` is the number of seconds that each
        may wait, 0 for as long as its client does."""
        self._size = size
        self._patience = patience
        self.line: deque[tuple[float, W]] = deque()
        """Since when (in monotonic seconds) and which call, those without a client among them.
        Others may only look whether it is empty, as they do with every call that ends."""

    def put(self, waiter: W, now: float) -> bool:
        """Puts a call at the end. Returns False if the queue is full."""
        line = self.line
        if len(line) >= self._size:
            stay = [place for place in line if place[1].awaited]
            line.clear()
            line.extend(stay)
            if len(line) >= self._size:
                return False
        line.append((now, waiter))
        return True

    def has_waiter(self) -> bool:
        """Whether a call waits that still has a client."""
        line = self.line
        while line and not line[0][1].awaited:
            line.popleft()
        return bool(line)

    def take(self) -> W:
        """The one that has waited longest; after `has_waiter`. Raises IndexError if there is
        none."""
        return self.line.popleft()[1]

    def take_overdue(self, now: float) -> W | None:
        """Takes the oldest call out if its client has left or it has waited for too long. Returns
        None if it may wait on; no call behind it has waited longer."""
        if not self.line:
            return None
        since, waiter = self.line[0]
        if waiter.awaited and not (self._patience and now - since > self._patience):
            return None
        self.line.popleft()
        return waiter

    def retry_after(self, now: float) -> int:
        """Seconds after which a client that is refused now should ask again (RFC 9110 section
        10.2.3): about as long as the oldest call has waited. A burst that began a moment ago may be
        over in a moment. What has lasted for half a minute is likely to go on, and clients that ask
        again each second would be a part of it."""
        return min(max(1, ceil(self.oldest(now))), LONGEST_RETRY_AFTER)

    # -- what it looks like ------------------------------------------------------------------

    def waiting(self) -> int:
        """Counts the calls that wait and have a client. It looks at each."""
        return sum(waiter.awaited for _, waiter in self.line)

    def oldest(self, now: float) -> float:
        """Seconds that the oldest call has waited; 0.0 if none waits."""
        return next((now - since for since, waiter in self.line if waiter.awaited), 0.0)
