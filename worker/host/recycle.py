"""Decides when a worker asks to be replaced: it has served enough, grown too large or lived too
long.

The worker asks once and serves on. The supervisor starts a replacement, and sends SIGTERM when that
is ready. A worker that was started by hand has no supervisor, and drains by itself.

Workers that started together must not go together, so each has a random part in its limits. The
number of requests may be higher by the jitter that the operator allows. The lifetime is a limit,
so it may be shorter, by up to LIFETIME_JITTER of it.
"""

import random
from typing import Final

from ..settings import WorkerSettings

LIFETIME_JITTER: Final = 0.1
"""A part of the lifetime. Workers with a lifetime of an hour go within six minutes."""
LOOKS: Final = 3
"""Looks at the memory, a second apart, that all have to find too much. So one large response, or a
garbage collection that is due, does not replace a worker."""


class RecyclePlan:
    def __init__(self, settings: WorkerSettings, now: float) -> None:
        self._requests = settings.max_requests
        if self._requests:
            self._requests += random.randint(0, settings.max_requests_jitter)
        self._max_rss = settings.workers_max_rss
        self._lifetime = settings.workers_lifetime
        self._began = now
        self._until = now + self._lifetime * (1 - random.random() * LIFETIME_JITTER)
        self._too_large = 0
        self.kind = ""
        """Of the last reason that was given: max_requests, memory or lifetime."""

    def grown(self, rss: int) -> str:
        """Why the worker should be replaced, judged by its resident memory in bytes; "" if it
        should not."""
        if not self._max_rss or rss <= self._max_rss:
            self._too_large = 0
            return ""
        self._too_large += 1
        if self._too_large < LOOKS:
            return ""
        self.kind = "memory"
        return f"uses {_megabytes(rss)} MB of memory, allowed are {_megabytes(self._max_rss)} MB"

    def due(self, requests: int, now: float) -> str:
        """Why the worker should be replaced, judged by the calls that it took and its age; "" if it
        should not."""
        if self._requests and requests >= self._requests:
            self.kind = "max_requests"
            return f"served {requests} requests"
        if self._lifetime and now >= self._until:
            self.kind = "lifetime"
            return f"lived {now - self._began:.0f} s"
        return ""


def _megabytes(size: int) -> str:
    return f"{size / 1_048_576:.0f}"
