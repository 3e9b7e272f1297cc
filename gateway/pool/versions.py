"""Workers that speak no version of the link protocol that we speak. Pure: time is passed in.

Such a worker dials again about once a second, for as long as its image is not updated. So it is no
fault of one link that is worth a line each time, but a problem of the pool, and is over when no
such worker has come for a while.
"""

from collections.abc import Iterator
from typing import Final

from ...protocol.errors import VersionMismatch
from ...protocol.supervision.messages import Problem
from ...protocol.supervision.problems import Recurring

COMES_AGAIN: Final = 5.0
"""Seconds in which a worker that was refused has come again."""


class OtherVersions:
    def __init__(self, pool: str) -> None:
        self._pool = pool
        self._problem = Recurring("protocol version", pool, COMES_AGAIN)

    def refused(self, mismatch: VersionMismatch, now: float) -> None:
        what = mismatch.sentence("this gateway", f"a worker of pool {self._pool}")
        self._problem.met(f"no link: {what}", now, mismatch.remedy("gateway", "worker"))

    def at(self, now: float) -> Iterator[Problem]:
        """Yields the problem, if there is one at this moment."""
        yield from self._problem.at(now)
