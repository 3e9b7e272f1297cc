"""The end of everything: gateways finish what is under way, and the workers serve them until
then. Pure."""

from typing import Final, Literal

from .events import StopNow
from .fleet import APP_SHUTDOWN, FAILED_GRACE, MARGIN, Fleet

HURRIED_GRACE: Final = 1.5
"""Seconds from `now` to SIGKILL."""


class Shutdown:
    def __init__(self, fleet: Fleet) -> None:
        self.stop_now_at: float | None = None
        """When the gateways' time is over."""
        self.draining: set[int] = set()
        """Gateways that have stopped to look for more workers."""
        self._fleet = fleet

    def begin(self, now: float) -> None:
        self.stop_now_at = now + self._fleet.settings.graceful_timeout + MARGIN
        for child in list(self._fleet.processes.values()):
            if child.replica_id.kind == "gateway" and child.state != "stopping":
                self._fleet.terminate(child, None)
            elif child.state == "starting":  # it has nothing to finish
                self._fleet.terminate(child, now + FAILED_GRACE)

    def go_on(self, now: float) -> bool:
        """Whether all have gone. A worker hears that it is to leave, and its app with it, as soon
        as the gateways look for no more workers; it serves them until they have finished."""
        children = self._fleet.processes.values()
        if not children:
            self.stop_now_at = None
            return True
        if all(c.replica_id.kind == "worker" or c.id in self.draining for c in children):
            for child in children:
                if child.state == "ready":
                    self._fleet.terminate(child, (self.stop_now_at or now) + APP_SHUTDOWN)
        return False

    def hurry(self, now: float, kind: Literal["gateway", ""] = "") -> None:
        """No more time, for all or for the gateways."""
        self.stop_now_at = None
        for child in list(self._fleet.processes.values()):
            if child.killed or (kind and child.replica_id.kind != kind):
                continue
            if child.state != "stopping":
                self._fleet.terminate(child, now + HURRIED_GRACE)
            child.deadline = now + HURRIED_GRACE
            self._fleet.decide(StopNow(child.id))
