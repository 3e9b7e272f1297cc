"""Measures how long the calls of one thread wait for something else than a processor.

The time of a call has three parts: it computes, it waits for something, and it waits for a
processor that other processes use. The third part says nothing about the app and is large on a busy
machine. Linux counts it for each thread (proc(5), schedstat); without that it counts as waiting.
"""

import os
import time
from typing import Final

_SCHEDSTAT: Final = "/proc/thread-self/schedstat"
_NANO: Final = 1e-9


class WaitMeter:
    """The meter of one thread, which has to make and use it itself."""

    __slots__ = ("_begun", "_delayed", "_fd", "calls", "computed", "took")

    def __init__(self) -> None:
        try:
            self._fd = os.open(_SCHEDSTAT, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1
        self.reset()

    def reset(self) -> None:
        """Begins another group of calls, which are judged together."""
        self.calls = 0
        self.took = 0.0
        """Seconds that the calls of the group took."""
        self.computed = 0.0
        """Seconds for which they had a processor."""
        self._begun = 0.0
        self._delayed = self._run_delay()

    def begin(self) -> None:
        """Begins a call."""
        self._begun = time.thread_time()

    def end(self, took: float) -> int:
        """Ends a call that took `took` seconds. Returns the number of calls in the group."""
        self.calls += 1
        self.took += took
        self.computed += time.thread_time() - self._begun
        return self.calls

    @property
    def waited(self) -> float:
        """Seconds that the calls of the group have waited. It asks the system."""
        return self.took - self.computed - (self._run_delay() - self._delayed)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def _run_delay(self) -> float:
        """Seconds that this thread has waited for a processor since it began."""
        if self._fd < 0:
            return 0.0
        try:
            return int(os.pread(self._fd, 64, 0).split()[1]) * _NANO
        except (OSError, ValueError, IndexError):  # an app may have closed this descriptor
            self._fd = -1
            return 0.0
