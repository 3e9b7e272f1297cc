"""All logs of a process, which are opened again when logrotate has moved their files."""

from collections.abc import Iterator
from typing import Final, Protocol

import trio

from ...protocol.supervision.messages import Problem
from .console_log import console_logs

SETTLED_WITHIN: Final = 5.0
"""Seconds that a file has to take the last lines of before it was moved."""


class Reopenable(Protocol):
    def reopen(self) -> str:
        """Opens the file of the log's name again and goes on there. Returns why it cannot, or
        ""."""
        ...

    @property
    def settled(self) -> bool:
        """Whether the file that was opened last is written to, and the one before is complete."""
        ...

    def problems(self) -> Iterator[Problem]: ...


class Logs:
    """The process's own log and the logs that were added."""

    def __init__(self) -> None:
        self._others: list[Reopenable] = []
        self._problem = ""

    def add(self, other: Reopenable) -> None:
        self._others.append(other)

    def reopen(self) -> None:
        """Opens every file again. If one cannot be opened, its log goes on in the old file, and an
        error is logged."""
        self._problem = "; ".join(filter(None, [each.reopen() for each in self._all()]))

    async def settled(self) -> str:
        """Waits until the last line for the files before is written. Returns why the logs could not
        be opened again, or why that does not end; "" if all is well."""
        with trio.move_on_after(SETTLED_WITHIN):
            for each in self._all():
                while not each.settled:  # noqa: ASYNC110 - a thread writes, and has no trio event
                    await trio.sleep(0.01)
            return self._problem
        return self._problem or f"a log takes nothing for {SETTLED_WITHIN:g} s"

    def problems(self, now: float) -> Iterator[Problem]:
        """Yields the problems of this moment."""
        for each in self._all():
            yield from each.problems()

    def _all(self) -> Iterator[Reopenable]:
        yield from console_logs()
        yield from self._others
