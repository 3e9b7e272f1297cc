"""What happened to the clients of one trial: answers, failures, and what was allowed."""

import math
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ..compare.strict_client import Failed

SHOWN = 5
"""Failures of one cause that are kept with their details."""
LATE_WAITS = 4_096
"""Waits that are kept: more than there are in the seconds that are asked for."""


@dataclass(frozen=True)
class Seen:
    """One failure in detail."""

    at: float
    """Seconds since the trial's beginning."""
    client: str
    what: str
    detail: str


Allows = Callable[[str, Failed], str | None]
"""(kind of client, failure) to the reason why it may be, or None."""


@dataclass
class Tally:
    allows: Allows
    began: float = field(default_factory=time.monotonic)
    answers: Counter[str] = field(default_factory=Counter)
    """Kind of client -> exchanges that went well."""
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(kind of client, cause)."""
    allowed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(cause, why it may be)."""
    notes: Counter[str] = field(default_factory=Counter)
    """What is no failure and yet to be told."""
    seen: list[Seen] = field(default_factory=list)
    longest: float = 0.0
    """Seconds from a short request, its connection included, to its answer."""

    waits: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=LATE_WAITS))
    """The last short requests: when each was answered, and its seconds."""

    outage: float = 0.0
    """Seconds in which nobody at all was answered, at most."""
    _answered: float = 0.0

    def answer(self, client: str, waited: float = 0.0) -> None:
        self.answers[client] += 1
        self.longest = max(self.longest, waited)
        self.waits.append((time.monotonic(), waited))
        self.end_outage()

    def longest_since(self, since: float) -> float:
        """As `longest`, of what was answered since then."""
        return max((waited for at, waited in self.waits if at >= since), default=0.0)

    def end_outage(self, *, for_good: bool = False) -> None:
        """At an answer, or `for_good` when the disturbance is over."""
        now = time.monotonic()
        self.outage = max(self.outage, now - (self._answered or self.began))
        self._answered = math.inf if for_good else max(now, self._answered)

    def note(self, what: str, count: int = 1) -> None:
        self.notes[what] += count

    def fail(self, client: str, failure: Failed) -> None:
        if why := self.allows(client, failure):
            self.allowed[failure.what, why] += 1
            return
        self.failures[client, failure.what] += 1
        if self.failures[client, failure.what] <= SHOWN:
            at = time.monotonic() - self.began
            self.seen.append(Seen(at, client, failure.what, failure.detail))

    @property
    def total(self) -> int:
        return self.failures.total()
