"""The problems that the supervisor sees itself, beside those that its children report."""

from collections.abc import Callable
from time import monotonic
from typing import Final

import trio

from ...protocol.supervision.problems import REPORT_EVERY, ProblemSource
from .problems import Problems

SUPERVISOR: Final = -1
"""Stands for the supervisor among the numbers of children."""


class OwnProblems:
    def __init__(self, problems: Problems, clock: Callable[[], float]) -> None:
        """`clock` is the one that `problems` are told; sources are told monotonic seconds, as in
        every process."""
        self._problems = problems
        self._clock = clock
        self._sources: list[ProblemSource] = []

    def add(self, source: ProblemSource) -> None:
        self._sources.append(source)

    async def run(self) -> None:
        """Asks every source once a second, for ever."""
        while True:
            now = monotonic()
            seen = [one for source in self._sources for one in source(now)]
            self._problems.heard(SUPERVISOR, seen, self._clock())
            await trio.sleep(REPORT_EVERY)
