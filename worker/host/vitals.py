"""Vitals: facts about this process that travel with every PONG and to the supervisor."""

import os
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

LAG_PERIOD: Final = 1.0
"""Seconds for which a delay is remembered, at least; twice as long at most."""


def rss_bytes() -> int:
    """Resident memory of this process in bytes (proc(5), statm); 0 without procfs."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE
    except OSError:
        return 0


class LagMeter:
    """Measures how late the event loop runs: the largest delay of the last second or two.

    Each gateway and the supervisor ask for it, and all get the same answer.
    """

    __slots__ = ("_before", "_due", "_turned", "_worst")

    def __init__(self) -> None:
        self._due: float | None = None
        self._turned = 0.0
        """Monotonic seconds when the present period began."""
        self._worst = 0.0
        self._before = 0.0
        """The largest delay of the period before."""

    def expect(self, due: float) -> None:
        """The next tick is due at this time, in seconds of the monotonic clock."""
        self._due = due

    def arrived(self, now: float) -> float:
        """The tick that was expected has come. Returns by how many seconds it was late."""
        if now - self._turned >= LAG_PERIOD:
            self._before, self._worst, self._turned = self._worst, 0.0, now
        if self._due is None:
            return 0.0
        late = now - self._due
        self._worst, self._due = max(self._worst, late), None
        return max(late, 0.0)

    def read(self, now: float) -> float:
        """Returns the delay in seconds. A tick that is overdue at this moment counts too."""
        overdue = 0.0 if self._due is None else now - self._due
        return round(max(self._before, self._worst, overdue), 4)
