"""One making for all who ask for the same at the same time.

To collect metrics takes every gateway process and worker some work. If ten scrapers ask at once, or
one asks again and again without waiting, that work is done once, and all of them get what it
brings. So there is never more than one collection under way, whoever asks.

One that asks again as soon as it has its answer would still keep all of them at work for nothing
else. So a rest follows each making, which is longer the longer that has taken: making is at most a
fifth of the time. Who asks during the rest gets what is made at its end. Whoever asks every few
seconds never meets one.
"""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, Generic, TypeVar

import trio

REST: Final = 4.0
"""How many times as long as a making the rest is that follows it."""
LONGEST_REST: Final = 1.0
"""Seconds."""

T = TypeVar("T")


class SharedMaking(Generic[T]):
    def __init__(
        self,
        make: Callable[[], Awaitable[T]],
        nursery: trio.Nursery,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`nursery` runs the making, which goes on if one who waits for it gives up."""
        self._make = make
        self._nursery = nursery
        self._clock = clock
        self._under_way: _Outcome[T] | None = None
        """What is being made, or is made after a rest."""
        self._rests_until = 0.0

    async def get(self) -> T:
        """Returns what the making that is under way brings, or begins one, after the rest. Raises
        RuntimeError if that fails."""
        outcome = self._under_way
        if outcome is None:
            outcome = self._under_way = _Outcome[T]()
            self._nursery.start_soon(self._run, outcome)
        return await outcome.get()

    async def _run(self, outcome: "_Outcome[T]") -> None:
        await trio.sleep(max(self._rests_until - self._clock(), 0.0))
        began = self._clock()
        try:
            outcome.give(await self._make())
        except Exception as error:  # whoever waits is told, each for itself
            outcome.fail(error)
        finally:
            ended = self._clock()
            self._rests_until = ended + min(REST * (ended - began), LONGEST_REST)
            self._under_way = None


class _Outcome(Generic[T]):
    """A result that several wait for."""

    def __init__(self) -> None:
        self._there = trio.Event()
        self._results: list[T] = []
        self._error: Exception | None = None

    def give(self, result: T) -> None:
        self._results.append(result)
        self._there.set()

    def fail(self, error: Exception) -> None:
        self._error = error
        self._there.set()

    async def get(self) -> T:
        await self._there.wait()
        if self._error is not None:
            raise RuntimeError("what was shared could not be made") from self._error
        return self._results[0]
