"""Chooses the worker that gets the next call. Pure.

Each worker has announced how many calls it takes at once (its slots). So the choice is between the
workers with a free slot, and among them the one that runs the fewest calls. That is the least
loaded one whatever the calls cost: a worker with slow calls keeps them, and is passed over until it
is no longer behind. Taking turns (round robin) would send it as many calls as the others.

Among equals, the one is chosen that was chosen longest ago. On a quiet server all are equal nearly
always, and without this rule the first worker would do all the work: only its caches would be warm,
and only its memory would grow.

Two kinds of workers are special:

- A worker that is `late` (see `health`), or that has asked to leave, comes behind all others: its
  calls would wait, or be its last. It is not excluded, since a late response is better than none.
- A worker that is `hung` gets nothing as long as another is ready. The last worker is always kept:
  our judgement may be wrong, and the queue's time limit ends what waits for it in vain.
"""

from collections.abc import Iterable
from typing import Final, Generic, Protocol, TypeVar

from .health import Grade

BEHIND_ALL: Final = 1 << 30
"""A handicap that is larger than the number of calls of any worker."""
_NONE: Final = 1 << 60


def handicap_of(grade: Grade, *, leaves: bool) -> int:
    """The number that is added to a worker's running calls when workers are compared."""
    return BEHIND_ALL if leaves or grade != "punctual" else 0


class Candidate(Protocol):
    @property
    def running(self) -> int:
        """Calls that it runs."""
        ...

    @property
    def slots(self) -> int:
        """Calls that it is willing to run at once."""
        ...

    @property
    def handicap(self) -> int: ...

    @property
    def ready(self) -> bool: ...

    @property
    def hung(self) -> bool: ...


C = TypeVar("C", bound=Candidate)


class Balance(Generic[C]):
    """The workers of one pool that may get calls."""

    __slots__ = ("_takers",)

    def __init__(self) -> None:
        self._takers: list[C] = []
        """The workers that may get calls; the one that was chosen longest ago comes first."""

    def rank(self, candidates: Iterable[C]) -> None:
        """Decides again which workers may get calls. To be called when a worker has come, gone or
        changed its grade. Workers that stay keep their place; a new one comes last."""
        everybody = list(candidates)
        others = any(each.ready and not each.hung for each in everybody)
        takers = [each for each in everybody if not (others and each.hung)]
        known = set(takers)
        stay = [each for each in self._takers if each in known]
        seen = set(stay)
        self._takers = stay + [each for each in takers if each not in seen]

    def choose(self) -> C | None:
        """Returns the worker that gets the next call; None if none has a free slot."""
        takers = self._takers
        if len(takers) == 1:
            only = takers[0]
            return only if only.running < only.slots else None
        best = None
        least = _NONE
        for each in takers:
            running = each.running
            load = running + each.handicap
            if load < least and running < each.slots:
                best, least = each, load
        if best is not None:
            takers.remove(best)
            takers.append(best)
        return best

    def slots(self) -> int:
        """The slots of all workers that may get calls."""
        return sum(each.slots for each in self._takers)
