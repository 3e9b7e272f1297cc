"""Facts about this process that travel with every PONG."""

import os
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def rss_bytes() -> int:
    """Resident memory of this process in bytes; 0 where there is no procfs (proc(5), statm)."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE
    except OSError:
        return 0


class LagMeter:
    """How late the event loop runs what is due: the largest delay since it was last asked."""

    __slots__ = ("_due", "_worst")

    def __init__(self) -> None:
        self._due: float | None = None
        self._worst = 0.0

    def expect(self, due: float) -> None:
        """The next tick is due at this time, in seconds of the monotonic clock."""
        self._due = due

    def arrived(self, now: float) -> None:
        """The tick that was expected has come."""
        if self._due is not None:
            self._worst = max(self._worst, now - self._due)
            self._due = None

    def read(self, now: float) -> float:
        """Seconds; a tick that is overdue at this moment counts too."""
        worst = self._worst if self._due is None else max(self._worst, now - self._due)
        self._worst = 0.0
        return round(worst, 4)
