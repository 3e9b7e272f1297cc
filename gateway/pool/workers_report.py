"""What the supervisor hears of a pool's workers: who they are, how they do, what they have done.

At once when one comes, goes, or changes its standing; else about once a second while numbers
change. Pure: time is passed in.
"""

from collections.abc import Callable, Iterable
from typing import Final

from ...protocol.supervision.messages import LinkedWorker
from .clip_text import name_of
from .pool_member import PoolMember

REPORT_EVERY: Final = 1.0
LARGEST_NUMBER: Final = 1 << 63

Workers = tuple[LinkedWorker, ...]


class WorkersReport:
    def __init__(self, say: Callable[[Workers], None]) -> None:
        self._say = say
        self._said: Workers = ()
        self._next = 0.0

    def changed(self, members: Iterable[PoolMember], now: float) -> None:
        """One has come or gone, or its standing is another."""
        self._next = now + REPORT_EVERY
        workers = tuple(_line(member) for member in members if member.who)
        if workers != self._said:
            self._said = workers
            self._say(workers)

    def sweep(self, members: Iterable[PoolMember], now: float) -> None:
        if now >= self._next:
            self.changed(members, now)


class EndedWorkers:
    """Tells of workers whose process has ended, by the supervisor's number of the child."""

    def __init__(self) -> None:
        self._hearers: list[Callable[[int], None]] = []

    def tell(self, hearer: Callable[[int], None]) -> None:
        """It hears of each from now on."""
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
        answered=member.answered,
        errors=member.errors,
    )


def plain(value: object) -> int | str | None:
    """What a worker says of itself may be anything, and of any length."""
    if isinstance(value, str):
        return name_of(value)
    return value if type(value) is int and abs(value) < LARGEST_NUMBER else None
