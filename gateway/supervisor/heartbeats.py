"""Who has not been heard of for too long. Pure."""

from typing import Final

OWN_DELAY: Final = 1.0
"""Seconds: a look that comes so late says more of this machine than of those that are silent."""


class Heartbeats:
    """Every worker that is ready says a few words a second; one whose event loop does not turn
    cannot."""

    def __init__(self, timeout: float) -> None:
        """`timeout`: seconds of silence that mean hung; 0: never."""
        self.timeout = timeout
        self._heard: dict[int, float] = {}
        self._hung: set[int] = set()

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
        """When the next of them will have been silent for too long."""
        if not self.timeout:
            return None
        watched = [at for child, at in self._heard.items() if child not in self._hung]
        return min(watched) + self.timeout if watched else None

    def overdue(self, now: float) -> list[int]:
        """Those that are hung from now on."""
        due = self.next_look
        if due is None or now < due:
            return []
        if now - due > OWN_DELAY:
            # This process did not run, or hardly: what they said meanwhile is still to be read.
            self._heard = dict.fromkeys(self._heard, now)
            return []
        late = [
            child
            for child, at in self._heard.items()
            if child not in self._hung and now >= at + self.timeout
        ]
        self._hung.update(late)
        return late
