"""What the supervisor hears of a pool's workers: who they are, how they do, what they have done.

At once when one comes, goes, or changes its standing; else about once a second while numbers
change. Pure: time is passed in.
"""

from collections.abc import Callable, Iterable
from typing import Final

from .standing import PoolMember

REPORT_EVERY: Final = 1.0
LONGEST_NAME: Final = 64

Workers = list[dict[str, object]]


class WorkersReport:
    def __init__(self, say: Callable[[Workers], None]) -> None:
        self._say = say
        self._said: Workers = []
        self._next = 0.0

    def changed(self, members: Iterable[PoolMember], now: float) -> None:
        """One has come or gone, or its standing is another."""
        self._next = now + REPORT_EVERY
        workers = [_line(member) for member in members if member.who]
        if workers != self._said:
            self._said = workers
            self._say(workers)

    def sweep(self, members: Iterable[PoolMember], now: float) -> None:
        if now >= self._next:
            self.changed(members, now)


def _line(member: PoolMember) -> dict[str, object]:
    who = member.who
    return {
        **{key: plain(who.get(key)) for key in ("id", "worker", "pid", "generation")},
        "ready": member.ready,
        "running": member.running,
        "late": member.grade != "punctual",
        "answered": member.answered,
        "errors": member.errors,
    }


def plain(value: object) -> int | str | None:
    """What a worker says of itself may be anything, and of any length."""
    return value[:LONGEST_NAME] if isinstance(value, str) else value if type(value) is int else None
