"""Turns in proportion to weights (stride scheduling). Pure.

Workers with the weights 3 and 1 are to get three calls and one, in every four. Counting calls and
comparing the counts would do, if nobody ever came, went or was passed over. But a worker that comes
late has a count of 0: it would get every call until it has caught up with the others' years. So
would one that had no free slot for a while.

So each worker has a *pass* instead of a count: the moment at which its next turn is due, in a time
that no clock shows and only turns move on. Who has the smallest pass is next, and its pass grows by
its stride, which is 1 / weight. The time of now is the pass of the last turn. A worker that comes,
or was passed over, starts from now: it has missed what it has missed (Waldspurger and Weihl, Stride
Scheduling, MIT 1995, "dynamic client participation"; nginx and HAProxy come to the same order with
weights that they move back and forth).
"""

from collections.abc import Iterable
from typing import Final, Generic, TypeVar

W = TypeVar("W")

REBASE_AT: Final = 1e9
"""The pass at which all begin at 0.0 again: a float still tells a stride of 1/100 there."""


class Turns(Generic[W]):
    """The turns of some workers."""

    __slots__ = ("_now", "_passes")

    def __init__(self) -> None:
        self._now = 0.0
        self._passes: dict[W, float] = {}

    def keep(self, those: Iterable[W]) -> None:
        """Only these workers have turns from now on. A new one comes behind those that stay."""
        passes = self._passes
        self._passes = {each: passes.get(each, self._now) for each in those}

    def due(self, one: W) -> float:
        """When its next turn is due. It may be long ago, if it was passed over."""
        return self._passes[one]

    def take(self, one: W, weight: float) -> None:
        """It has its turn now; `weight` (above 0) says how soon the next one follows."""
        begins = max(self._passes[one], self._now)
        if begins > REBASE_AT:
            self._passes = {each: due - begins for each, due in self._passes.items()}
            begins = 0.0
        self._now = begins
        self._passes[one] = begins + 1.0 / weight
