"""Workers that speak no version of the link protocol that we speak. Pure: time is passed in.

Such a worker dials again about once a second, for as long as its image is not updated. So it is no
fault of one link that is worth a line each time, but a problem of the pool, and is over when no
such worker has come for a while.
"""

from collections.abc import Iterator
from typing import Final

from ...protocol.errors import VersionMismatch
from ...protocol.supervision.messages import Problem
from ...protocol.supervision.problems import problem

COMES_AGAIN: Final = 5.0
"""Seconds in which a worker that was refused has come again."""


class OtherVersions:
    def __init__(self, pool: str) -> None:
        self._pool = pool
        self._last: tuple[VersionMismatch, float] | None = None
        """How the last such worker differed, and when it came."""

    def refused(self, mismatch: VersionMismatch, now: float) -> None:
        self._last = mismatch, now

    def at(self, now: float) -> Iterator[Problem]:
        """Yields the problem, if there is one at this moment."""
        if self._last is None or now - self._last[1] >= COMES_AGAIN:
            return
        mismatch, _ = self._last
        what = mismatch.sentence("this gateway", f"a worker of pool {self._pool}")
        remedy = mismatch.remedy("gateway", "worker")
        yield problem("protocol version", self._pool, f"no link: {what}", remedy)
