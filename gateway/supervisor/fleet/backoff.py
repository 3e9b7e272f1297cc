"""Back-off: decides when to start another process for one that has ended. Pure."""

from dataclasses import dataclass
from typing import Final

FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 30.0
STEADY: Final = 10.0
"""Seconds of being ready after which a process has not ended because of how it was started."""
FREE_CRASHES: Final = 3
"""Crashes in a row after which another process is started at once. Only more of them are a crash
loop."""

FREE_EXITS: Final = 20
"""Clean exits in a row after which another process is started at once. Beyond, an app that ends its
process itself must not keep a CPU busy."""


@dataclass(slots=True)
class Backoff:
    """Counts how often in a row the processes of one replica have failed, or ended, early."""

    failures: int = 0
    exits: int = 0

    def after_crash(self, lived: float) -> float:
        """Returns the seconds to wait after a crash of a process that was ready for `lived`
        seconds."""
        self.failures = 1 if lived >= STEADY else self.failures + 1
        return self._delay(self.failures - FREE_CRASHES)

    def after_exit(self, lived: float) -> float:
        """Returns the seconds to wait after a clean exit, which is not a failure."""
        self.exits = 1 if lived >= STEADY else self.exits + 1
        return self._delay(self.exits - FREE_EXITS)

    def after_failed_start(self) -> float:
        self.failures = max(self.failures, FREE_CRASHES) + 1
        return self._delay(self.failures - FREE_CRASHES)

    def _delay(self, counted: int) -> float:
        if counted <= 0:
            return 0.0
        return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(counted - 1, 16))
