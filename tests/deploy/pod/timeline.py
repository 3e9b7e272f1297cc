"""What happened to a pod, and when."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

LOOK_EVERY = 0.01
PATIENCE = 30.0
"""Seconds that anything may take."""


async def until(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]],
    what: str,
    seconds: float | None = PATIENCE,
) -> None:
    """Waits for the condition. Raises TimeoutError."""
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        found = condition()
        if found if isinstance(found, bool) else await found:
            return
        if end is not None and time.monotonic() > end:
            raise TimeoutError(f"{seconds} s and not yet: {what}")
        await asyncio.sleep(LOOK_EVERY)


@dataclass(frozen=True)
class Event:
    at: float
    """Seconds since the time line's zero."""
    who: str
    what: str


@dataclass
class Timeline:
    zero: float = field(default_factory=time.monotonic)
    events: list[Event] = field(default_factory=list)
    last: dict[tuple[str, str], float] = field(default_factory=dict)
    """Things of which only the last one counts, such as a response -> its time."""

    def say(self, who: str, what: str) -> None:
        self.events.append(Event(time.monotonic() - self.zero, who, what))

    def saw(self, who: str, what: str) -> None:
        """Once more something that happens all the time."""
        self.last[who, what] = time.monotonic() - self.zero

    def begin(self) -> None:
        """Zero is now: what was before is forgotten."""
        self.zero = time.monotonic()
        self.events.clear()
        self.last.clear()

    def when(self, who: str, what: str) -> float:
        """Seconds of the first such event. Raises KeyError."""
        for event in self.events:
            if event.who == who and event.what.startswith(what):
                return event.at
        raise KeyError(f"{who}: {what} in\n{self}")

    def ordered(self) -> list[Event]:
        lasts = [Event(at, who, f"last {what}") for (who, what), at in self.last.items()]
        return sorted([*self.events, *lasts], key=lambda event: event.at)

    def __str__(self) -> str:
        rows = self.ordered()
        width = max((len(event.who) for event in rows), default=0)
        return "\n".join(f"{row.at:7.2f} s  {row.who:<{width}}  {row.what}" for row in rows)

    def markdown(self) -> str:
        rows = [f"| {row.at:.2f} | {row.who} | {row.what} |" for row in self.ordered()]
        return "\n".join(["| second | who | what |", "|---:|---|---|", *rows])
