"""Which worker gets the next call. Pure.

Each worker has said how many calls it takes at once (its slots), so the choice is between those
that have one free, and among them the one that runs the fewest. That is the least loaded whatever
the calls cost: a worker whose calls take long keeps them, and is passed over until it is no longer
behind. Turns alone (round robin) would send it as much as the others.

Of equals the one is chosen that was chosen longest ago. On a quiet server all are equal nearly
always, and without this the first would do all the work: its caches warm, the others' cold, and its
memory's growth the only one.

Two kinds of workers are not like the others:

- One that is `late` (see `health`), or that has asked to leave, comes behind all that are well: its
  calls would wait, or be its last. It is not excluded, since a late answer is better than none.
- One that is `hung` gets nothing, as long as another is ready. The last is never given up: it may
  be our judgement that is wrong, and the queue's time limit ends what waits for it in vain.
"""

from collections.abc import Iterable
from typing import Final, Generic, Protocol, TypeVar

from .health import Grade

BEHIND_ALL: Final = 1 << 30
"""A handicap: more calls than any worker runs."""
_NONE: Final = 1 << 60


def handicap_of(grade: Grade, *, leaves: bool) -> int:
    """What is added to the calls that a worker runs, where workers are compared."""
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
        """Whoever was chosen longest ago comes first."""

    def rank(self, candidates: Iterable[C]) -> None:
        """Looks again who may get calls; to be called when one has come, gone or changed its grade.
        Those that stay keep their turn, a new one is behind them."""
        everybody = list(candidates)
        others = any(each.ready and not each.hung for each in everybody)
        takers = [each for each in everybody if not (others and each.hung)]
        known = set(takers)
        stay = [each for each in self._takers if each in known]
        seen = set(stay)
        self._takers = stay + [each for each in takers if each not in seen]

    def choose(self) -> C | None:
        """Who gets the next call; None: nobody has a free slot."""
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
        """Of all that may get calls."""
        return sum(each.slots for each in self._takers)
