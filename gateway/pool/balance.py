"""Chooses the worker that gets the next call. Pure.

There are two rules (`--balance`), and what both say of two special kinds of workers. Where clients
are sticky (`sticky`), those that belong to no worker yet go by `least-loaded`.

`least-loaded` is the default. Each worker has announced how many calls it takes at once (its
slots). So the choice is between the workers with a free slot, and among them the one that runs the
fewest calls. That is the least loaded one whatever the calls cost: a worker with slow calls keeps
them, and is passed over until it is no longer behind.

Among equals, the one is chosen that was chosen longest ago. On a quiet server all are equal nearly
always, and without this rule the first worker would do all the work: only its caches would be warm,
and only its memory would grow.

`round-robin` takes turns among those with a free slot. Slow calls pile up on some workers, so it
waits longer; it is for apps that want to see the same number of calls everywhere.

A worker may have a weight (`--weight`, and the growing one of `slow_start`). With turns, its weight
is its share of the calls. With the least load, it is its share of the calls that run at once: those
that run are divided by the weight, and equals take weighted turns (`turns`), so that the shares are
right on a quiet server too, where all loads are 0. nginx's least_conn does the same. Where all
weights are equal, which is nearly everywhere, the least loaded is found without any of it.

Two kinds of workers are special:

- A worker that is `late` (see `health`), or that has asked to leave, comes behind all others: its
  calls would wait, or be its last. It is not excluded, since a late response is better than none.
- A worker that is `hung` gets nothing as long as another is ready. The last worker is always kept:
  our judgement may be wrong, and the queue's time limit ends what waits for it in vain.
"""

from collections.abc import Iterable
from typing import Final, Generic, Literal, Protocol, TypeVar

from .health import Grade
from .turns import Turns

Rule = Literal["least-loaded", "round-robin", "sticky-cookie", "sticky-address"]

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
        """Calls that it is willing to run at once, of this gateway process."""
        ...

    @property
    def shares_slots(self) -> bool:
        """Whether these are its part of slots that all gateway processes share. Else each process
        is offered all of them."""
        ...

    @property
    def handicap(self) -> int: ...

    @property
    def weight(self) -> float:
        """Its share, beside the others' weights; above 0."""
        ...

    @property
    def ready(self) -> bool: ...

    @property
    def hung(self) -> bool: ...


C = TypeVar("C", bound=Candidate)


class Balance(Generic[C]):
    """The workers of one pool that may get calls."""

    __slots__ = ("_gateways", "_rule", "_takers", "_turns")

    def __init__(self, rule: Rule = "least-loaded", gateways: int = 1) -> None:
        """`gateways`: how many gateway processes there are."""
        self._rule: Rule = rule
        self._gateways = gateways
        self._takers: list[C] = []
        """The workers that may get calls; without turns, the one that was chosen longest ago comes
        first."""
        self._turns: Turns[C] | None = Turns() if rule == "round-robin" else None
        """None while the weights of all workers are equal, and the least loaded is looked for."""

    def rank(self, candidates: Iterable[C]) -> None:
        """Decides again which workers may get calls. To be called when a worker has come, gone or
        changed its grade or weight. Workers that stay keep their place; a new one comes last."""
        everybody = list(candidates)
        others = any(each.ready and not each.hung for each in everybody)
        takers = [each for each in everybody if not (others and each.hung)]
        known = set(takers)
        stay = [each for each in self._takers if each in known]
        seen = set(stay)
        self._takers = stay + [each for each in takers if each not in seen]
        if self._rule != "round-robin":
            if len({each.weight for each in takers}) < 2:
                self._turns = None
            elif self._turns is None:
                self._turns = Turns()
        if self._turns is not None:
            self._turns.keep(self._takers)

    def choose(self) -> C | None:
        """Returns the worker that gets the next call; None if none has a free slot."""
        takers = self._takers
        if len(takers) == 1:
            only = takers[0]
            return only if only.running < only.slots else None
        if self._turns is not None:
            return self._choose_by_turns(self._turns)
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

    def _choose_by_turns(self, turns: Turns[C]) -> C | None:
        by_load = self._rule != "round-robin"
        free = [each for each in self._takers if each.running < each.slots]
        if not free:
            return None
        best = min(
            free,
            key=lambda each: (
                each.handicap + (each.running / each.weight if by_load else 0),
                turns.due(each),
            ),
        )
        turns.take(best, best.weight)
        return best

    def own_slots(self) -> int:
        """The slots that they offer to this gateway process."""
        return sum([each.slots for each in self._takers])

    def free(self) -> int:
        """Those of them that are free."""
        return sum([max(0, each.slots - each.running) for each in self._takers])

    def slots(self) -> int:
        """The slots of all workers that may get calls, over all gateway processes."""
        return sum(
            each.slots * self._gateways if each.shares_slots else each.slots
            for each in self._takers
        )
