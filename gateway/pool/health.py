"""Judges a worker's health by its heartbeat. Pure: time is passed in.

A PING goes out about once a second, and the app's own event loop answers it with a PONG (SPEC.md
10.3). A worker is `punctual` as long as that takes moments. It is `late` if it takes so long that
people notice; then it gets calls only if no punctual worker has a slot. It is `hung` if it has not
answered for the whole time-out; then it gets nothing new. A PONG in time makes it punctual again.
"""

from collections import deque
from typing import Final, Literal

Grade = Literal["punctual", "late", "hung"]

PING_EVERY: Final = 1.0
LATE_AFTER: Final = 1.0
"""Seconds without a PONG, or of lag that the worker's loop reports, that make it late. A busy app
blocks its loop for tens or hundreds of milliseconds now and then (a garbage collection, a template,
a query that is not asynchronous), and to send its calls elsewhere would only move the load. A
second is not a burst, and after a second people feel that they wait (Nielsen, Response Times,
1993)."""
LONGEST_STEP: Final = 0.5
"""Seconds between two looks that count at most: twice the time between two sweeps."""
LAG_REACH: Final = 3
"""PINGs to which a reported lag may reach back. A worker reports the worst lag of up to two
seconds, so that every gateway that asks hears of it."""


class AwakeClock:
    """Counts the time in which the gateway itself was awake.

    If the whole machine or only the gateway stands still, PONGs lie unread, and no worker is to
    blame. So of the time between two looks only the first half second counts.
    """

    __slots__ = ("_last", "missed", "seconds")

    def __init__(self) -> None:
        self._last: float | None = None
        self.seconds = 0.0
        self.missed = 0.0
        """Seconds that did not count, in all."""

    def look(self, now: float) -> None:
        """Takes the time, in monotonic seconds. To be called a few times a second."""
        step = 0.0 if self._last is None else max(0.0, now - self._last)
        self._last = now if self._last is None else max(self._last, now)
        counts = min(step, LONGEST_STEP)
        self.seconds += counts
        self.missed += step - counts


class Health:
    """The health of one worker."""

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
        """`timeout` is the number of seconds without a PONG that make it hung; 0 means never."""
        self._awake = awake
        self._timeout = timeout
        self._token = 0
        self._awaits = False
        self._pinged = awake.seconds - PING_EVERY
        self._missed = deque([awake.missed], maxlen=LAG_REACH)
        """The seconds that were missed until each of the last PONGs, as far as a reported lag
        reaches back."""
        self.grade: Grade = "punctual"
        self.why = ""
        """The reason for the grade, as the end of a sentence."""

    def ping(self) -> int | None:
        """Returns the token of a PING to send now; None if one is under way or it is too soon. One
        at most is under way, so a worker that does not read costs no memory."""
        if self._awaits or self._awake.seconds < self._pinged + PING_EVERY:
            return None
        self._awaits = True
        self._pinged = self._awake.seconds
        self._token += 1
        return self._token

    def pong(self, token: int, vitals: dict[str, object]) -> None:
        if not self._awaits or token != self._token:
            return  # it answers no PING
        self._awaits = False
        awake = self._awake
        silent = awake.seconds - self._pinged
        lag = vitals.get("lag")
        lag = float(lag) if isinstance(lag, (int, float)) else 0.0
        # A machine that stood still made the worker's loop late, as it made the gateway.
        lag -= awake.missed - self._missed[0]
        self._missed.append(awake.missed)
        if lag > LATE_AFTER:
            self._give("late", f"its event loop ran {lag:.1f} s late")
        elif silent > LATE_AFTER:
            self._give("late", f"it took {silent:.1f} s to answer a PING")
        else:
            self._give("punctual", "it answers in time")

    def look(self) -> None:
        """Lowers the grade if the awaited PONG has not come in time."""
        if not self._awaits:
            return
        silent = self._awake.seconds - self._pinged
        if self._timeout and silent >= self._timeout:
            self._give("hung", f"it has not answered for {silent:.1f} s")
        elif silent > LATE_AFTER and self.grade == "punctual":
            self._give("late", f"it has not answered for {silent:.1f} s")

    def _give(self, grade: Grade, why: str) -> None:
        self.grade, self.why = grade, why
