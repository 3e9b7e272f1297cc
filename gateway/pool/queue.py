"""Who waits for a slot, in the order of arrival. Pure: told the time.

The one queue of a pool stands in front of all its workers, as one line stands in front of all the
counters of a bank: nobody waits behind a slow call while another worker is free. It is bounded
twice, since either bound alone fails:

- By length (`queue_size`). Without it, an outage of a minute would be a minute's requests to answer
  when it is over, for clients most of whom have left.
- By time (`queue_timeout`). Without it, a short queue in front of one slow worker would keep its
  clients waiting for as long as they like to wait.

A client may leave at any moment. To take its call out of the midst of the line would cost a search;
instead it stays in its place, is passed over when its turn comes, and is cleared away only when its
place is wanted. So the length counts those who have left, until somebody would be refused for it.
"""

from collections import deque
from typing import Generic, Protocol, TypeVar


class Waiter(Protocol):
    @property
    def awaited(self) -> bool:
        """Whether somebody still waits for the response."""
        ...


W = TypeVar("W", bound=Waiter)


class PoolQueue(Generic[W]):
    """The waiters of one pool."""

    __slots__ = ("_patience", "_size", "line")

    def __init__(self, size: int, patience: float) -> None:
        """`size`: the most that wait at once. `patience`: seconds that each may wait; 0: for as
        long as its client does."""
        self._size = size
        self._patience = patience
        self.line: deque[tuple[float, W]] = deque()
        """Since when, in monotonic seconds, and who, those who have left among them. For others to
        see whether it is empty, as they do with every call that ends, and for nothing else."""

    def put(self, waiter: W, now: float) -> bool:
        """Takes its place at the end; False: the queue is full."""
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
        """Whether anybody is left whose turn can come."""
        line = self.line
        while line and not line[0][1].awaited:
            line.popleft()
        return bool(line)

    def take(self) -> W:
        """The one that has waited longest; after `has_waiter`. Raises IndexError if there is
        none."""
        return self.line.popleft()[1]

    def take_overdue(self, now: float) -> W | None:
        """Takes the oldest out if its wait is over: it has left, or has waited for too long. None:
        it may wait on. Nobody behind it has waited longer."""
        if not self.line:
            return None
        since, waiter = self.line[0]
        if waiter.awaited and not (self._patience and now - since > self._patience):
            return None
        self.line.popleft()
        return waiter

    # -- what it looks like ------------------------------------------------------------------

    def waiting(self) -> int:
        """How many wait. Looks at each."""
        return sum(waiter.awaited for _, waiter in self.line)

    def oldest(self, now: float) -> float:
        """Seconds that the oldest waiter has waited; 0.0: nobody waits."""
        return next((now - since for since, waiter in self.line if waiter.awaited), 0.0)
