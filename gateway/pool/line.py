"""A line of calls that wait for one certain worker, beside the pool's queue. Pure.

The pool's queue is for calls that any worker may have: whoever is first gets the next free slot. A
call that waits for one certain worker can't stand in it. At its head it would hold up all behind
it, although there are free slots for these (head-of-line blocking). So it stands in a line of its
own, and the queue does not know of it.
"""

from collections import deque
from typing import Generic, Protocol, TypeVar


class Waiter(Protocol):
    @property
    def awaited(self) -> bool:
        """Whether a client still waits for the response."""
        ...


W = TypeVar("W", bound=Waiter)


class Line(Generic[W]):
    """Waiters in the order of their arrival. Whose client has left is passed over and dropped."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places: deque[tuple[float, W]] = deque()
        """Since when (in monotonic seconds) and which call, those without a client among them."""

    def put(self, waiter: W, now: float) -> None:
        """Puts a call at the end. To bound the line is up to who has it."""
        self._places.append((now, waiter))

    def since(self) -> float | None:
        """Since when the first one waits, in monotonic seconds; None if nobody does."""
        places = self._places
        while places:
            since, waiter = places[0]
            if waiter.awaited:
                return since
            places.popleft()
        return None

    def take(self) -> W:
        """The first one; after `since`. Raises IndexError if nobody waits."""
        return self._places.popleft()[1]

    def __len__(self) -> int:
        """How many calls it holds, those without a client among them."""
        return len(self._places)

    def waiting(self) -> int:
        """Counts the calls that have a client, and drops the others."""
        places = self._places
        if not all(waiter.awaited for _, waiter in places):
            self._places = deque(place for place in places if place[1].awaited)
        return len(self._places)
