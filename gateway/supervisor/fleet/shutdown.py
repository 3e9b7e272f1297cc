"""The end of everything: gateways finish what is under way, and the workers serve them until
then. Pure."""

from typing import Final, Literal

from .events import Hurry
from .fleet import APP_SHUTDOWN, FAILED_GRACE, MARGIN, Crew

HURRIED_GRACE: Final = 1.5
"""Seconds from `now` to SIGKILL."""


class Ending:
    def __init__(self, crew: Crew) -> None:
        self.hurry_at: float | None = None
        """When the gateways' time is over."""
        self.draining: set[int] = set()
        """Gateways that have stopped to look for more workers."""
        self._crew = crew

    def begin(self, now: float) -> None:
        self.hurry_at = now + self._crew.settings.graceful_timeout + MARGIN
        for child in list(self._crew.children.values()):
            if child.place.kind == "gateway" and child.state != "stopping":
                self._crew.terminate(child, None)
            elif child.state == "starting":  # it has nothing to finish
                self._crew.terminate(child, now + FAILED_GRACE)

    def go_on(self, now: float) -> bool:
        """Whether all have gone. A worker hears that it is to leave, and its app with it, as soon
        as the gateways look for no more workers; it serves them until they have finished."""
        children = self._crew.children.values()
        if not children:
            self.hurry_at = None
            return True
        if all(c.place.kind == "worker" or c.id in self.draining for c in children):
            for child in children:
                if child.state == "ready":
                    self._crew.terminate(child, (self.hurry_at or now) + APP_SHUTDOWN)
        return False

    def hurry(self, now: float, kind: Literal["gateway", ""] = "") -> None:
        """No more time, for all or for the gateways."""
        self.hurry_at = None
        for child in list(self._crew.children.values()):
            if child.killed or (kind and child.place.kind != kind):
                continue
            if child.state != "stopping":
                self._crew.terminate(child, now + HURRIED_GRACE)
            child.deadline = now + HURRIED_GRACE
            self._crew.decide(Hurry(child.id))
