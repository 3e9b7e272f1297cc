"""`propylon reopen`: who has still to open its logs again.

logrotate renames the files, asks us to open them anew, and when that was done it may compress what
it has renamed. A process that still writes there would lose its lines. So the answer to `reopen`
comes when every process has its new files and has written the last line of the old ones.

The supervisor orders all processes to open their logs, and with a second order, which carries a
token, to confirm that. Children read orders in their sequence, so the confirmation says that the
first one was carried out. Older code, which runs on for a while after an upgrade, carries out the
first order too but does not know the second; it is named as a process that has not answered.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final

import trio

REOPENED_WITHIN: Final = 10.0
"""Seconds that all processes have to open their logs again."""

Process = int | str
"""The number of a child, or the name of a zygote."""


class Confirmations:
    """The confirmations that one request waits for."""

    def __init__(self, token: int, names: Mapping[Process, str]) -> None:
        self.token = token
        """The token of the order to confirm."""
        self._awaited = dict(names)
        self._problems: list[str] = []
        self._come = trio.Event()
        if not names:
            self._come.set()

    def come(self, process: Process, problem: str) -> None:
        """A process has opened its logs, or says why not."""
        name = self._awaited.pop(process, None)
        if name is not None and problem:
            self._problems.append(f"{name}: {problem}")
        if not self._awaited:
            self._come.set()

    async def all_come(self) -> str:
        """Waits for all. Returns what is wrong, as a sentence; "" if every process has done it."""
        with trio.move_on_after(REOPENED_WITHIN):
            await self._come.wait()
        late = [f"{name}: no answer in {REOPENED_WITHIN:g} s" for name in self._awaited.values()]
        return "; ".join([*self._problems, *late])


class LogReopening:
    """The requests that are under way."""

    def __init__(self) -> None:
        self._token = 0
        self._waiting: list[Confirmations] = []

    @contextmanager
    def waiting_for(self, names: Mapping[Process, str]) -> Generator[Confirmations]:
        """Takes the confirmations of these processes, which are given with names for people."""
        self._token += 1
        confirmations = Confirmations(self._token, names)
        self._waiting.append(confirmations)
        try:
            yield confirmations
        finally:
            self._waiting.remove(confirmations)

    @property
    def token(self) -> int:
        """The token of the latest request that is under way; 0 for none."""
        return self._token if self._waiting else 0

    def confirmed(self, process: Process, token: int, problem: str) -> None:
        """A process has carried out the order of this token, and so all before it."""
        for each in self._waiting:
            if each.token <= token:
                each.come(process, problem)

    def process_ended(self, process: Process) -> None:
        """It writes nothing any more."""
        for each in self._waiting:
            each.come(process, "")
