"""What each gateway is told of the slots (SLOTS), and the log's line when they become many more or
fewer.

Without a limit that is sought, all gateways are told one number, once. Else the limit is the
worker's own, and its gateways share it: each is told an equal part, as their connections come from
the same listening socket and are spread by the kernel. If one is busier than the others all the
same, it counts as if they were as busy, so the limit grows until its part suffices.

On top of its part come the calls of a gateway that have begun to answer (`adaptive_limit` says
why). A gateway is told again when the limit has changed, or that number by so much that a quarter
of the part would be missing or too much. A number below what is open ends nothing; the gateway
opens nothing until there is room (SPEC.md 10.1).
"""

import logging
from collections.abc import Iterable
from typing import Any, Final

from ..settings import Interface, WorkerSettings
from .adaptive_limit import AdaptiveLimit
from .link_session import LinkSession

logger = logging.getLogger("propylon.worker")

LOGGED_MOVE: Final = 2.0
"""The log has a line when the limit is larger or smaller by this factor than in its last line."""
LOG_EVERY: Final = 10.0
"""Seconds between two such lines at least."""


class AnnouncedSlots:
    def __init__(self, settings: WorkerSettings, interface: Interface) -> None:
        self.most = settings.slots_for(interface)
        sought = settings.limit_concurrency == "auto" and interface == "asgi"
        if settings.limit_concurrency == "auto" and not sought and settings.worker_id == 1:
            logger.info(
                "limit-concurrency auto: workers of a WSGI app take as many requests at once as "
                "they have threads, %d",
                self.most,
            )
        self.limit = AdaptiveLimit(self.most, settings.first_limit) if sought else None
        """The limit that is sought; None if there is none."""
        self._logged = self.limit.limit if self.limit else 0
        self._log_at: float | None = None
        """When the next line may be logged, in monotonic seconds."""

    def of(self, session: LinkSession, sessions: Iterable[LinkSession]) -> int:
        """The slots for one gateway, of all to which there is a link."""
        if self.limit is None:
            return self.most
        return min(self._part(_shared_by(sessions)) + session.answered, self.most)

    def look(self, now: float, sessions: Iterable[LinkSession], late: float) -> None:
        """Seeks the limit, and tells the gateways what has changed. To be called several times a
        second. `late`: seconds by which the event loop was late just now."""
        limit = self.limit
        if limit is None:
            return
        links = [session for session in sessions if session.gateway == "greeted"]
        answered = [session.answered for session in links]
        waiting = [each.most_calls() - more for each, more in zip(links, answered, strict=True)]
        changed = limit.look(now, max(waiting, default=0) * len(links), late)
        part = self._part(len(links))
        for session, more in zip(links, answered, strict=True):
            slots = min(part + more, self.most)
            difference = abs(slots - session.slots)
            if difference and (changed or 4 * difference > part):
                session.announce(slots)
        if changed:
            self._log(limit, now)

    def vitals(self) -> dict[str, Any]:
        """The facts for the supervisor, by their names in `Vitals`."""
        limit = self.limit
        if limit is None:
            return {}
        return {
            "limit": limit.limit,
            "limit_verdict": limit.verdict,
            "limit_why": limit.why,
            "limit_sought": limit.is_sought,
        }

    def _part(self, links: int) -> int:
        assert self.limit is not None
        return -(-self.limit.limit // max(links, 1))

    def _log(self, limit: AdaptiveLimit, now: float) -> None:
        if self._log_at is None:
            self._log_at = now + LOG_EVERY
        ratio = limit.limit / self._logged
        if now >= self._log_at and not 1 / LOGGED_MOVE < ratio < LOGGED_MOVE:
            logger.info(
                "takes %d calls at once, and took %d: %s", limit.limit, self._logged, limit.why
            )
            self._logged, self._log_at = limit.limit, now + LOG_EVERY


def _shared_by(sessions: Iterable[LinkSession]) -> int:
    return sum(session.gateway == "greeted" for session in sessions)
