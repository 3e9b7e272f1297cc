"""Heartbeats: which processes hang, because they have been silent for too long. Pure."""

from typing import Final

CHECK_EVERY: Final = 1.0
"""Seconds to the next look, at most."""
SLACK: Final = 0.5
"""Seconds that a look may be late. In a longer delay no heartbeat could have been read."""


class Heartbeats:
    """Remembers when each process was heard. Every worker and gateway sends a heartbeat once a
    second from its event loop, and one that hangs does not. Only the time counts in which the
    supervisor was awake: the process or the whole machine may have been stopped, and heartbeats
    from that time are still to be read."""

    def __init__(self, timeout: float) -> None:
        """`timeout` is the number of seconds of silence after which a process hangs; 0 means
        never."""
        self.timeout = timeout
        self._looked: float | None = None
        self._heard: dict[int, float] = {}
        self._hung: set[int] = set()

    def configure(self, timeout: float) -> None:
        self.timeout = timeout

    def heard(self, child: int, now: float) -> bool:
        """Takes a heartbeat. Returns whether the process was taken for hung until now."""
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
        """Returns the processes that are hung from now on. To be called whenever there is anything
        to do."""
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
