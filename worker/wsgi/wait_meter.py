"""How long the calls of one thread wait for something, and not for a processor.

What a call takes is what it computes, what it waits for, and the time for which it could go on but
other processes have the processors. The last says nothing about the app, and is much where a
machine is busy; Linux counts it for each thread (proc(5), schedstat). Elsewhere it counts as wait.
"""

import os
import time
from typing import Final

_SCHEDSTAT: Final = "/proc/thread-self/schedstat"
_NANO: Final = 1e-9


class WaitMeter:
    """Belongs to the thread that makes it."""

    __slots__ = ("_begun", "_delayed", "_fd", "calls", "computed", "took")

    def __init__(self) -> None:
        try:
            self._fd = os.open(_SCHEDSTAT, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1
        self.reset()

    def reset(self) -> None:
        """Begins anew: with calls that are judged together."""
        self.calls = 0
        self.took = 0.0
        """Seconds that they have taken."""
        self.computed = 0.0
        """Seconds for which they had a processor."""
        self._begun = 0.0
        self._delayed = self._run_delay()

    def begin(self) -> None:
        """A call begins."""
        self._begun = time.thread_time()

    def end(self, took: float) -> int:
        """It has ended, after so many seconds. How many have."""
        self.calls += 1
        self.took += took
        self.computed += time.thread_time() - self._begun
        return self.calls

    @property
    def waited(self) -> float:
        """Seconds that they have waited. Asks the system."""
        return self.took - self.computed - (self._run_delay() - self._delayed)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def _run_delay(self) -> float:
        """Seconds that this thread has ever waited for a processor."""
        if self._fd < 0:
            return 0.0
        try:
            return int(os.pread(self._fd, 64, 0).split()[1]) * _NANO
        except (OSError, ValueError, IndexError):  # an app has closed what is not its own
            self._fd = -1
            return 0.0
