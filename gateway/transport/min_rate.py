"""The least rate at which a client has to send a body, or to take a response. Pure.

A time limit between two pieces (--body-timeout, --send-timeout) does not stop a client that sends,
or takes, a byte now and then: it may hold its worker's slot for days. So a client has an account of
seconds as well. Time that passes with the client at work is taken from it; each byte pays for
1/rate seconds. Who has nothing left is too slow. The account begins with a grace, since a
connection that begins is slow, and does not grow without bound, so that a fast start does not pay
for hours.

Time is taken only when a piece comes. Silence is the time limit's business: a client that stands
still in a tunnel for half a minute and goes on is not cut because of it, as it has been fast
before. And time in which somebody else was late is not taken (`forgive`): an app that reads slowly
must not be charged to its client. Nor is time in which nobody looked, because this process itself
was late. So the limit acts late now and then, and never early.

Kestrel (MinRequestBodyDataRate) and Apache (mod_reqtimeout) have the same limits, with averages
since the beginning.
"""

from dataclasses import dataclass
from typing import Final

MOST_UNSEEN: Final = 1.0
"""Seconds between two looks, beyond which this process was the one that was late."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The least rate of one direction."""

    least: int
    """Bytes a second."""
    grace: float
    """Seconds that an account begins with."""
    silence: float
    """The time limit between two pieces. A client that was fast has saved up so much."""


def rate_limit(least: int, grace: float, silence: float) -> RateLimit | None:
    """The limit as the settings have it; None if there is none."""
    return RateLimit(least, grace, max(grace, silence)) if least else None


class MinRate:
    """The account of one client and direction."""

    __slots__ = ("_at", "_left", "_limit", "_looked", "_total")

    def __init__(self, limit: RateLimit, total: int, now: float) -> None:
        """`total`: bytes that have moved until now."""
        self._limit = limit
        self._left = limit.grace
        self._total = total
        self._at = self._looked = now

    def is_below(self, total: int, now: float) -> bool:
        """Whether a client is too slow that has moved `total` bytes until now. It is to be asked
        again and again."""
        if now - self._looked > MOST_UNSEEN:
            self._at = now
        self._looked = now
        came = total - self._total
        if came <= 0:
            return False
        limit = self._limit
        self._left = min(limit.silence, self._left - (now - self._at) + came / limit.least)
        self._total = total
        self._at = now
        return self._left < 0

    def forgive(self, total: int, now: float) -> None:
        """Takes no time for what has passed since the last look: the client was not the one that
        was late."""
        self._total = max(total, self._total)
        self._at = self._looked = now
