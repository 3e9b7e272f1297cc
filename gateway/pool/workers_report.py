"""Reports a pool's workers to the supervisor: which they are, how they are, what they have done.
Pure: time is passed in.

A report is sent at once when a worker comes, goes, or changes its state; otherwise about once a
second while numbers change.

It names all workers, so its cost grows with them. When a gateway starts anew, all of them come
within a moment, and each is news twice: a report for each costs the square of their number. With
two hundred workers that doubled the CPU time that the gateway needs to take them in, and kept the
supervisor busy for ten times as long. So only the first REPORTS_AT_ONCE changes between two sweeps
are reported at once, and what comes then, together, at the next sweep: a quarter of a second later,
where nobody waits for one of two hundred.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, cast

from ...protocol.supervision.messages import LinkedWorker
from ..settings import MOST_WORKER_LABELS
from .clip_text import name_of, plain
from .pool_member import PoolMember

REPORT_EVERY: Final = 1.0
REPORTS_AT_ONCE: Final = 16
"""Looks at all workers between two sweeps. One that is replaced by another makes about eight."""

Workers = tuple[LinkedWorker, ...]


class WorkersReport:
    def __init__(self, say: Callable[[Workers], None]) -> None:
        self._say = say
        self._said: Workers = ()
        self._next = 0.0
        self._room = REPORTS_AT_ONCE
        """How many more changes are looked at before the next sweep."""

    def changed(self, members: Iterable[PoolMember], now: float) -> None:
        """A worker has come, gone or changed its state."""
        if not self._room:
            self._next = now
            return
        self._room -= 1
        self._report(members, now)

    def _report(self, members: Iterable[PoolMember], now: float) -> None:
        self._next = now + REPORT_EVERY
        workers = tuple(_line(member) for member in members if member.who)
        if workers != self._said:
            self._said = workers
            self._say(workers)

    def sweep(self, members: Iterable[PoolMember], now: float) -> None:
        self._room = REPORTS_AT_ONCE
        if now >= self._next:
            self._report(members, now)


class EndedWorkers:
    """Passes on which worker processes have ended, by the supervisor's number of the child."""

    def __init__(self) -> None:
        self._hearers: list[Callable[[int], None]] = []

    def tell(self, hearer: Callable[[int], None]) -> None:
        """Calls `hearer` for each that ends from now on."""
        self._hearers.append(hearer)

    def add(self, child: int) -> None:
        for hear in self._hearers:
            hear(child)


def _line(member: PoolMember) -> LinkedWorker:
    who = member.who
    return LinkedWorker(
        plain(who.get("id")),
        plain(who.get("worker")),
        plain(who.get("pid")),
        plain(who.get("generation")),
        ready=member.ready,
        running=member.running,
        late=member.grade != "punctual",
        leaving=member.asked_to_leave is not None,
        answered=member.answered,
        errors=member.errors,
        weight=int(member.share),
        slots=member.slots,
        labels=_labels(member.who.get("labels")),
    )


def _labels(said: object) -> dict[str, str]:
    """The labels that a worker has given itself: a few, cut and escaped."""
    if not isinstance(said, dict):
        return {}
    few = islice(cast("dict[object, object]", said).items(), MOST_WORKER_LABELS)
    return {name_of(name): name_of(value) for name, value in few}
