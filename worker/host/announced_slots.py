"""What each gateway is told of the slots (SLOTS), and the log's line when they become many more or
fewer.

Without a limit that is sought, all gateways are told one number, once. Else the limit is the
worker's own, and its gateways share it: each is told an equal part, as their connections come from
the same listening socket and are spread by the kernel. If one is busier than the others all the
same, it counts as if they were as busy, so the limit grows until its part suffices. Parts are
rounded up, so that none is 0; together they may be a little more than the limit, and all of them in
use count as the limit. A gateway has to know that it sees a part only (HELLO's `who`, `slots`).

On top of its part come the calls of a gateway that have begun to answer (`adaptive_limit` says
why). A gateway is told again when the limit has changed, or that number by so much that a quarter
of the part would be missing or too much. A number below what is open ends nothing; the gateway
opens nothing until there is room (SPEC.md 10.1).
"""

import logging
import socket
from collections.abc import Iterable
from typing import Any, Final, cast

from ..settings import Interface, WorkerSettings
from .adaptive_limit import AdaptiveLimit
from .link_session import HostedCall, LinkSession, Owner

logger = logging.getLogger("propylon.worker")

LOGGED_MOVE: Final = 2.0
"""The log has a line when the limit is larger or smaller by this factor than in its last line."""
LOG_EVERY: Final = 10.0
"""Seconds between two such lines at least."""


def part_of(limit: int, links: int) -> int:
    """The part of a limit that each of its gateways is told."""
    return -(-limit // max(links, 1))


def as_busy_as(most: int, limit: int, links: int) -> int:
    """How many calls of the limit are in use, if all gateways use as much of their parts as the one
    that has `most` calls."""
    return most * limit // part_of(limit, links)


def is_worth_a_line(logged: int, before: int, limit: int) -> bool:
    """Whether the limit has moved far since it was `logged`, and in the same direction when it last
    changed, from `before`: the line says what that change was made for."""
    ratio = limit / logged
    is_far = ratio >= LOGGED_MOVE or ratio <= 1 / LOGGED_MOVE
    return is_far and (limit > before) == (limit > logged)


class MeasuredSession(LinkSession):
    """The link of a worker that seeks its limit. Others do not pay for the counts."""

    __slots__ = ("_most_calls",)

    def __init__(self, sock: socket.socket, path: str, owner: Owner) -> None:
        super().__init__(sock, path, owner)
        self._most_calls = 0

    @property
    def begun(self) -> int:
        """How many of its calls have begun to answer."""
        calls = cast("Iterable[HostedCall]", self.link.calls.values())
        return sum(call.has_begun for call in calls)

    def most_calls(self) -> int:
        """The most calls that were open at once since this was last asked. Calls that only compute
        come and end within one turn of the loop: whoever looks between turns sees none."""
        most, self._most_calls = self._most_calls, len(self.link.calls)
        return max(most, self._most_calls)

    def start(self, calls: Iterable[HostedCall]) -> None:
        self._most_calls = max(self._most_calls, len(self.link.calls))
        super().start(calls)


class AnnouncedSlots:
    def __init__(self, settings: WorkerSettings, interface: Interface) -> None:
        self.most = settings.slots_for(interface)
        sought = settings.seeks_limit(interface)
        if settings.limit_concurrency == "auto" and not sought and settings.worker_id == 1:
            logger.info(
                "limit-concurrency auto: workers of a WSGI app take as many requests at once as "
                "they have threads, %d",
                self.most,
            )
        self.limit = AdaptiveLimit(self.most, settings.first_limit) if sought else None
        """The limit that is sought; None if there is none."""
        self.new_session: type[LinkSession] = MeasuredSession if sought else LinkSession
        self._logged = self.limit.limit if self.limit else 0
        self._log_at: float | None = None
        """When the next line may be logged, in monotonic seconds."""

    def slots_for(self, session: LinkSession, sessions: Iterable[LinkSession]) -> int:
        """The slots for one gateway, of all to which there is a link."""
        if self.limit is None or not isinstance(session, MeasuredSession):
            return self.most
        part = part_of(self.limit.limit, len(_greeted(sessions)))
        return min(part + session.begun, self.most)

    def look(self, now: float, sessions: Iterable[LinkSession], late: float) -> None:
        """Seeks the limit, and tells the gateways what has changed. To be called several times a
        second. `late`: seconds by which the event loop was late just now."""
        limit = self.limit
        if limit is None:
            return
        links = _greeted(sessions)
        begun = [session.begun for session in links]
        waiting = [each.most_calls() - more for each, more in zip(links, begun, strict=True)]
        before = limit.limit
        in_use = as_busy_as(max(waiting, default=0), before, len(links))
        changed = limit.look(now, in_use, late)
        part = part_of(limit.limit, len(links))
        for session, more in zip(links, begun, strict=True):
            slots = min(part + more, self.most)
            difference = abs(slots - session.slots)
            if difference and (changed or 4 * difference > part):
                session.announce(slots)
        if changed:
            self._log(limit, before, now)

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

    def _log(self, limit: AdaptiveLimit, before: int, now: float) -> None:
        if self._log_at is None:
            self._log_at = now + LOG_EVERY
        if now >= self._log_at and is_worth_a_line(self._logged, before, limit.limit):
            logger.info(
                "takes %d calls at once, and took %d: %s", limit.limit, self._logged, limit.why
            )
            self._logged, self._log_at = limit.limit, now + LOG_EVERY


def _greeted(sessions: Iterable[LinkSession]) -> list[MeasuredSession]:
    """The links among which the limit is shared out."""
    return [
        session
        for session in sessions
        if isinstance(session, MeasuredSession) and session.gateway == "greeted"
    ]
