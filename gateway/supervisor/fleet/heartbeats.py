"""Who has not been heard of for too long. Pure."""

from typing import Final

CHECK_EVERY: Final = 1.0
"""Seconds to the next look, at most."""
SLACK: Final = 0.5
"""Seconds that a look may be late; what is more was no time in which we could have heard."""


class Heartbeats:
    """Every worker and every gateway says a few words a second; one whose event loop does not turn
    cannot. Only the time counts in which this process was awake: it may have been stopped, or the
    whole machine, and what they said meanwhile is still to be read."""

    def __init__(self, timeout: float) -> None:
        """`timeout`: seconds of silence that mean hung; 0: never."""
        self.timeout = timeout
        self._looked: float | None = None
        self._heard: dict[int, float] = {}
        self._hung: set[int] = set()

    def configure(self, timeout: float) -> None:
        self.timeout = timeout

    def heard(self, child: int, now: float) -> bool:
        """Whether it was taken for hung until now."""
        self._heard[child] = now
        if child in self._hung:
            self._hung.remove(child)
            return True
        return False

    def gone(self, child: int) -> None:
        self._heard.pop(child, None)
        self._hung.discard(child)

    def hung(self, child: int) -> bool:
        return child in self._hung

    @property
    def next_look(self) -> float | None:
        watched = self._heard.keys() - self._hung
        if not self.timeout or not watched:
            return None
        due = min(self._heard[child] for child in watched) + self.timeout
        return due if self._looked is None else min(due, self._looked + CHECK_EVERY)

    def overdue(self, now: float) -> list[int]:
        """Those that are hung from now on. To be asked whenever there is anything to do."""
        if self._looked is not None and (missed := now - self._looked - CHECK_EVERY) > SLACK:
            self._heard = {child: min(at + missed, now) for child, at in self._heard.items()}
        self._looked = now
        if not self.timeout:
            return []
        late = [
            child
            for child, at in self._heard.items()
            if child not in self._hung and now >= at + self.timeout
        ]
        self._hung.update(late)
        return late
