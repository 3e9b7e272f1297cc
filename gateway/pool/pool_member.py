"""A pool member: one worker as its pool sees it, whatever carries its messages."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from ...protocol.messages import SHARED_SLOTS
from .balance import handicap_of
from .clip_text import plain
from .health import Grade
from .slow_start import ramp

if TYPE_CHECKING:
    from .call import PoolCall

MOST_WEIGHT: Final = 100


class PoolMember(ABC):
    __slots__ = (
        "_fresh_since",
        "answered",
        "asked_to_leave",
        "errors",
        "grade",
        "handicap",
        "ready",
        "running",
        "slots",
        "weight",
        "who",
    )

    def __init__(self) -> None:
        self.running = 0
        """Calls that were opened and have not ended: counted by `open`, and before the pool is
        told that one has ended."""
        self.slots = 0
        """Calls that it is willing to run at once, of this gateway process; 0 until it is ready,
        and when it drains."""
        self.ready = False
        self.grade: Grade = "punctual"
        self.asked_to_leave: float | None = None
        """When it said DRAIN, in monotonic seconds. It serves on until it is let go."""
        self.handicap = 0
        """The number that is added to `running` when the least loaded is looked for."""
        self.weight = 1.0
        """Its share of the calls, beside the weights of the others: its own, or less while it is
        fresh."""
        self._fresh_since: float | None = None
        """Since when it may get calls, in monotonic seconds; None while it may not."""
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
    def shares_slots(self) -> bool:
        """Whether it shares its slots out among the gateway processes, as it seeks its limit."""
        return self.who.get("slots") == SHARED_SLOTS

    @property
    def leaves(self) -> bool:
        return self.asked_to_leave is not None

    @property
    def replica(self) -> str:
        """What names its replica, which outlives the process. A worker that gives no such name has
        that of its process, and one without a supervisor none."""
        name = plain(self.who.get("replica") or self.who.get("id"))
        return "" if name is None else str(name)

    @property
    def share(self) -> float:
        """The weight that it has asked for, 1 to 100; 1 if it asks for none."""
        weight = self.who.get("weight")
        return float(weight) if type(weight) is int and 1 <= weight <= MOST_WEIGHT else 1.0

    def judge(self, now: float, slow_start: float) -> bool:
        """Sets the handicap by the grade and by its wish to leave, and the weight by what it has
        asked for and by its age. Returns whether the weight still grows by itself. `now`: monotonic
        seconds; `slow_start`: seconds until the weight is whole."""
        self.handicap = handicap_of(self.grade, leaves=self.leaves)
        if not self.ready or self.hung:
            self._fresh_since = None
        elif self._fresh_since is None:
            self._fresh_since = now
        part = 1.0 if self._fresh_since is None else ramp(now - self._fresh_since, slow_start)
        self.weight = self.share * part
        return part < 1.0

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
