"""One worker, as its pool sees it, whatever carries its messages."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from .balance import handicap_of
from .health import Grade

if TYPE_CHECKING:
    from .call import PoolCall


class PoolMember(ABC):
    def __init__(self) -> None:
        self.running = 0
        """Calls that were opened and have not ended: counted by `open`, and before the pool is
        told that one has ended."""
        self.slots = 0
        """Calls that it is willing to run at once; 0 until it is ready and when it drains."""
        self.ready = False
        self.grade: Grade = "punctual"
        self.asked_to_leave: float | None = None
        """When it said DRAIN, in monotonic seconds; it serves on until it is let go."""
        self.handicap = 0
        """Added to `running` where the least loaded is looked for."""
        self.who: dict[str, object] = {}
        """Of its HELLO; empty before."""
        self.answered = 0
        """Responses: heads with a status."""
        self.errors = 0
        """Of these, statuses from 500 on: the app's own, and ours for a failing app."""

    @property
    def hung(self) -> bool:
        return self.grade == "hung"

    def judge(self) -> None:
        """Sets the handicap by the grade and by its wish to leave."""
        self.handicap = handicap_of(self.grade, leaves=self.asked_to_leave is not None)

    def count(self, status: int) -> None:
        """A response's head has a status."""
        self.answered += 1
        if status >= 500:
            self.errors += 1

    @abstractmethod
    def open(self, call: "PoolCall") -> None:
        """Sends it to the worker, and places it on this member."""

    @abstractmethod
    def drain(self) -> None:
        """It gets nothing new any more, and may go when it is done. Its WebSockets, which have no
        end of their own, are closed."""

    @abstractmethod
    def wind_down(self) -> None:
        """It hears that the gateway has no new clients, and goes on getting calls."""

    @abstractmethod
    def under_way(self) -> tuple[int, int, int]:
        """Of its calls, as `call.under_way` counts them."""

    @abstractmethod
    def worker_ended(self) -> None:
        """Its process has ended. What it said before is read; nothing will follow, and there may be
        no end of file: a child of its own may hold the other end of the link."""

    @abstractmethod
    def sweep(self) -> None:
        """A look at its health, a few times a second."""
