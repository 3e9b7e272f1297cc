"""Throttles the log: a line that many connections could write comes once per source and minute.
Pure."""

from typing import Final

MINUTE: Final = 60.0
MOST_SOURCES: Final = 1_024
"""Sources that are remembered. Further ones are not logged: the log has enough lines by then."""


class LogThrottle:
    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def may(self, source: str, now: float) -> bool:
        """Whether a line about this source may be written at `now`, in monotonic seconds."""
        last = self._last.get(source)
        if last is not None and now < last + MINUTE:
            return False
        if last is None and len(self._last) >= MOST_SOURCES:
            self._last = {one: at for one, at in self._last.items() if now < at + MINUTE}
            if len(self._last) >= MOST_SOURCES:
                return False
        self._last[source] = now
        return True
