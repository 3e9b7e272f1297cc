"""A worker's heartbeat, as its gateway hears it. Pure: time is passed in.

A PING goes out about once a second, and the app's own event loop answers it (SPEC.md 10.3). A
worker is `punctual` as long as that takes moments; `late` when it takes longer than people notice,
and then it gets calls only if no punctual one has a slot; `hung` when it has said nothing for the
whole time-out, and then it gets nothing new. A PONG heals either.
"""

from collections import deque
from typing import Final, Literal

Grade = Literal["punctual", "late", "hung"]

PING_EVERY: Final = 1.0
LATE_AFTER: Final = 1.0
"""Seconds without a PONG, or that the worker's loop says it ran late. A busy app blocks its loop
for tens or hundreds of milliseconds now and then (a collection, a template, a query that is not
asynchronous): to send its calls elsewhere for that would only move the load about. What takes a
second is no burst, and a second is what makes people feel that they wait (Nielsen, Response Times,
1993)."""
LONGEST_STEP: Final = 0.5
"""Seconds between two looks that still count: twice the sweep's."""
LAG_REACH: Final = 3
"""PINGs: a worker tells the worst lag of up to two seconds, so that each who asks hears of it."""


class AwakeClock:
    """The time in which the gateway itself was awake.

    When the whole machine stands still, or only the gateway does, PONGs lie unread and no worker is
    to blame: of a step between two looks only its first half second counts.
    """

    __slots__ = ("_last", "missed", "seconds")

    def __init__(self) -> None:
        self._last: float | None = None
        self.seconds = 0.0
        self.missed = 0.0
        """What did not count, in all."""

    def look(self, now: float) -> None:
        """`now`: monotonic seconds."""
        step = 0.0 if self._last is None else max(0.0, now - self._last)
        self._last = now if self._last is None else max(self._last, now)
        counts = min(step, LONGEST_STEP)
        self.seconds += counts
        self.missed += step - counts


class Health:
    """One worker's."""

    __slots__ = (
        "_awaits",
        "_awake",
        "_missed",
        "_pinged",
        "_timeout",
        "_token",
        "grade",
        "why",
    )

    def __init__(self, awake: AwakeClock, timeout: float) -> None:
        """`timeout`: seconds without a PONG that make it hung; 0: never."""
        self._awake = awake
        self._timeout = timeout
        self._token = 0
        self._awaits = False
        self._pinged = awake.seconds - PING_EVERY
        self._missed = deque([awake.missed], maxlen=LAG_REACH)
        """As of the last PONGs: what a worker says of its lag reaches back so far."""
        self.grade: Grade = "punctual"
        self.why = ""
        """What the grade was given for, in words."""

    def ping(self) -> int | None:
        """The token of the PING that is to be sent now; None: one is under way, or it is too soon.
        There is never more than one, so a worker that does not read costs no memory."""
        if self._awaits or self._awake.seconds < self._pinged + PING_EVERY:
            return None
        self._awaits = True
        self._pinged = self._awake.seconds
        self._token += 1
        return self._token

    def pong(self, token: int, vitals: dict[str, object]) -> None:
        if not self._awaits or token != self._token:
            return  # nobody has asked
        self._awaits = False
        awake = self._awake
        silent = awake.seconds - self._pinged
        lag = vitals.get("lag")
        lag = float(lag) if isinstance(lag, (int, float)) else 0.0
        # A machine that stood still made the worker's loop late as it made us.
        lag -= awake.missed - self._missed[0]
        self._missed.append(awake.missed)
        if lag > LATE_AFTER:
            self._give("late", f"its event loop ran {lag:.1f} s late")
        elif silent > LATE_AFTER:
            self._give("late", f"it took {silent:.1f} s to answer a PING")
        else:
            self._give("punctual", "it answers in time")

    def look(self) -> None:
        """Whether the PONG that is awaited makes itself missed."""
        if not self._awaits:
            return
        silent = self._awake.seconds - self._pinged
        if self._timeout and silent >= self._timeout:
            self._give("hung", f"it has not answered for {silent:.1f} s")
        elif silent > LATE_AFTER and self.grade == "punctual":
            self._give("late", f"it has not answered for {silent:.1f} s")

    def _give(self, grade: Grade, why: str) -> None:
        self.grade, self.why = grade, why
