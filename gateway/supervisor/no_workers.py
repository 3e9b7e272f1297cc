"""Pools that have had no usable worker for a while. Pure: time is passed in.

A pool is without a worker for a moment at each start, and for seconds while a worker is replaced
after a crash. So it is a problem only after NO_WORKER_AFTER seconds, and for a pool that never had
a worker after NO_FIRST_WORKER_AFTER: a gateway in a container of its own is up before its app,
which may take long to import. Before the instance serves and when it stops nobody judges: a start
that fails says why itself, and at a stop workers are to leave. A worker that is about to leave is
one: at the end of a pod all are, until its idle clients have gone, and nobody has to do anything
about it.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from ...protocol.supervision.messages import Problem
from ...protocol.supervision.problems import problem

NO_WORKER_AFTER: Final = 10.0
NO_FIRST_WORKER_AFTER: Final = 60.0
_OURS: Final = (
    "the log and `propylon status` say why its workers do not start; mend the app, then "
    "`propylon reload`"
)
_LINKED: Final = "look at their log: they start, or they hang"


class NoWorkers:
    def __init__(self, run_dir: str, *, with_workers: bool) -> None:
        """`with_workers`: whether this instance starts workers itself."""
        self._run_dir = run_dir
        self._with_workers = with_workers
        self._since: dict[str, float] = {}
        """Pool without a usable worker -> since when."""
        self._linked: frozenset[str] = frozenset()
        self._had_one: set[str] = set()
        """Pools that have had a worker."""

    def look(self, pools: Mapping[str, bool], linked: Iterable[str], now: float) -> None:
        """`pools` are all, each with whether it has a worker that answers, and is ready or about
        to leave. To those that are `linked`, workers of other supervisors are connected."""
        self._linked = frozenset(linked)
        self._had_one.update(pool for pool, usable in pools.items() if usable)
        self._since = {
            pool: self._since.get(pool, now) for pool, usable in pools.items() if not usable
        }

    def at(self, now: float) -> Iterator[Problem]:
        """Yields the problems of this moment."""
        for pool, since in self._since.items():
            had_one = pool in self._had_one
            if now - since >= (NO_WORKER_AFTER if had_one else NO_FIRST_WORKER_AFTER):
                yield self._problem(pool)

    def _problem(self, pool: str) -> Problem:
        what = f"pool {pool} has no worker that is ready"
        if self._with_workers:
            return problem("no worker", pool, what, _OURS)
        if pool in self._linked:
            return problem("no worker", pool, f"{what}, though some are connected", _LINKED)
        what = f"{what}: none is connected at {self._run_dir}/{pool}"
        return problem("no worker", pool, what)
