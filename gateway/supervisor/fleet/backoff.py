"""When to start another process for one that has ended. Pure."""

from dataclasses import dataclass
from typing import Final

FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 30.0
STEADY: Final = 10.0
"""A process that was ready for so many seconds did not end because of how it was started."""
FREE_CRASHES: Final = 3
"""Replaced at once, however short they lived: only more of them in a row are a crash loop."""

FREE_EXITS: Final = 20
"""So often in a row nobody asks: an app that ends its process itself must not keep a CPU busy."""


@dataclass(slots=True)
class Backoff:
    """Of one replica: how often in a row its processes have failed, or ended, early."""

    failures: int = 0
    exits: int = 0

    def after_crash(self, lived: float) -> float:
        """Seconds to wait after a process that had been ready for `lived` seconds."""
        self.failures = 1 if lived >= STEADY else self.failures + 1
        return self._delay(self.failures - FREE_CRASHES)

    def after_exit(self, lived: float) -> float:
        """The same after one that ended as it was asked to, which is no failure."""
        self.exits = 1 if lived >= STEADY else self.exits + 1
        return self._delay(self.exits - FREE_EXITS)

    def after_failed_start(self) -> float:
        self.failures = max(self.failures, FREE_CRASHES) + 1
        return self._delay(self.failures - FREE_CRASHES)

    def _delay(self, counted: int) -> float:
        if counted <= 0:
            return 0.0
        return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(counted - 1, 16))
