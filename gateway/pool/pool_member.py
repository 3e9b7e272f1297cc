"""A pool member: one worker as its pool sees it, whatever carries its messages."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from .balance import handicap_of
from .clip_text import plain
from .health import Grade

if TYPE_CHECKING:
    from .call import PoolCall


class PoolMember(ABC):
    def __init__(self) -> None:
        self.running = 0
        """Calls that were opened and have not ended: counted by `open`, and before the pool is
        told that one has ended."""
        self.slots = 0
        """Calls that it is willing to run at once; 0 until it is ready, and when it drains."""
        self.ready = False
        self.grade: Grade = "punctual"
        self.asked_to_leave: float | None = None
        """When it said DRAIN, in monotonic seconds. It serves on until it is let go."""
        self.handicap = 0
        """The number that is added to `running` when the least loaded is looked for."""
        self.weight = 1.0
        """Its share of the calls, beside the weights of the others."""
        self.who: dict[str, object] = {}
        """What its HELLO says of it; empty before."""
        self.answered = 0
        """Responses that have begun."""
        self.errors = 0
        """Responses with a status from 500 on: the app's own, and ours for a failing app."""

    @property
    def hung(self) -> bool:
        return self.grade == "hung"

    @property
    def leaves(self) -> bool:
        return self.asked_to_leave is not None

    @property
    def replica(self) -> str:
        """What names its replica, which outlives the process. A worker that gives no such name has
        that of its process, and one without a supervisor none."""
        name = plain(self.who.get("replica") or self.who.get("id"))
        return "" if name is None else str(name)

    def judge(self) -> None:
        """Sets the handicap by the grade and by its wish to leave."""
        self.handicap = handicap_of(self.grade, leaves=self.leaves)

    def count(self, status: int) -> None:
        """Counts a response that has begun."""
        self.answered += 1
        if status >= 500:
            self.errors += 1

    @abstractmethod
    def open(self, call: "PoolCall") -> None:
        """Sends it to the worker, and places it on this member."""

    @abstractmethod
    def drain(self) -> None:
        """Lets the worker go: it gets nothing new, and ends when it has finished. Its WebSockets,
        which have no end of their own, are closed."""

    @abstractmethod
    def wind_down(self) -> None:
        """Tells the worker that the gateway has no new clients. It still gets calls."""

    @abstractmethod
    def under_way(self) -> tuple[int, int, int]:
        """Its calls, as `call.under_way` counts them."""

    @abstractmethod
    def worker_ended(self) -> None:
        """Its process has ended. What it sent before is read. Nothing will follow, and there may be
        no end of file, because a child of the worker may hold the other end of the link."""

    @abstractmethod
    def sweep(self) -> None:
        """Looks at its health. To be called a few times a second."""
