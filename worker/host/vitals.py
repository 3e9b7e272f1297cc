"""Facts about this process that travel with every PONG, and to the supervisor."""

import os
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

LAG_PERIOD: Final = 1.0
"""Seconds that a delay is remembered, at least; twice that at most."""


def rss_bytes() -> int:
    """Resident memory of this process in bytes; 0 where there is no procfs (proc(5), statm)."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE
    except OSError:
        return 0


class LagMeter:
    """How late the event loop runs what is due: the largest delay of the last second or two.

    Several ask, each gateway and the supervisor, and each gets the same answer.
    """

    __slots__ = ("_before", "_due", "_turned", "_worst")

    def __init__(self) -> None:
        self._due: float | None = None
        self._turned = 0.0
        """When the present second began."""
        self._worst = 0.0
        self._before = 0.0
        """The worst of the second before."""

    def expect(self, due: float) -> None:
        """The next tick is due at this time, in seconds of the monotonic clock."""
        self._due = due

    def arrived(self, now: float) -> None:
        """The tick that was expected has come."""
        if now - self._turned >= LAG_PERIOD:
            self._before, self._worst, self._turned = self._worst, 0.0, now
        if self._due is not None:
            self._worst = max(self._worst, now - self._due)
            self._due = None

    def read(self, now: float) -> float:
        """Seconds; a tick that is overdue at this moment counts too."""
        overdue = 0.0 if self._due is None else now - self._due
        return round(max(self._before, self._worst, overdue), 4)
