"""The end of a child process, and who must hear of it.

Many parts keep something under a child's number: what it has counted, what it saw that was wrong,
what it still has to confirm, the sockets that it listened on. When the process is gone, each of
them has to let go. Whoever is forgotten keeps a number for ever, or waits for an answer that does
not come. So all of them stand in one list, in the order in which they hear. Then the status hears
how it ended, and last the fleet, which orders another in its place.

A fault in one of them is that one's only: the others hear of the end all the same, above all the
fleet. A replica that is never replaced would be the worst that a wrong figure can do. Where the
kernel's count of kills fails, the exit code alone says how it ended.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from ..observe.process_log import logger
from .fleet.events import Exited, ReplicaId
from .fleet.replica import Process
from .process.exit_reason import exit_hint, exit_kind, exit_words
from .process.oom_kills import OomKills
from .status_builder import StatusBuilder


@dataclass(frozen=True, slots=True)
class ChildEnd:
    child: int
    """Its number in the fleet."""
    replica_id: ReplicaId
    pid: int
    code: int
    """Its exit code, or the negative number of the signal that ended it."""
    at: float
    """In seconds of the supervisor's clock."""


class ChildEnds:
    def __init__(
        self, fleet: Mapping[int, Process], oom_kills: OomKills, status: StatusBuilder
    ) -> None:
        """`fleet`: the processes that it knows, by their numbers."""
        self._fleet = fleet
        self._oom_kills = oom_kills
        self._status = status
        self._listeners: list[Callable[[ChildEnd], None]] = []

    def hear(self, listener: Callable[[ChildEnd], None]) -> None:
        """This one hears of every end from now on, behind those that do already."""
        self._listeners.append(listener)

    def tell(self, end: ChildEnd) -> Exited:
        """Tells all. Returns what the fleet is to be told."""
        for listener in self._listeners:
            with _barrier(end):
                listener(end)
        known = self._fleet.get(end.child)
        how, hint, kind = exit_words(end.code), exit_hint(end.code), exit_kind(end.code)
        with _barrier(end):
            how, hint, kind = self._oom_kills.exit_of(
                end.code,
                self._status.rss(end.child),
                end.at,
                killed=known is not None and known.stage == "killed",
            )
        if known is not None:
            with _barrier(end):
                shown = f"{how} ({hint})" if hint and not known.why else how
                self._status.ended(known, shown, end.at)
        return Exited(end.child, how, hint, clean=end.code == 0, kind=kind)


@contextmanager
def _barrier(end: ChildEnd) -> Generator[None]:
    try:
        yield
    except Exception:
        logger.exception("a fault of Propylon's supervisor, at the end of %s", end)
