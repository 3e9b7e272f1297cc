"""The logs of a process that are opened again when logrotate has moved their files."""

from typing import Protocol

from .console_log import reopen_log


class Reopenable(Protocol):
    def reopen(self) -> None:
        """Goes on in the file that has the log's name now."""
        ...


class Logs:
    """This process's own log, and those that were added."""

    def __init__(self) -> None:
        self._others: list[Reopenable] = []

    def add(self, other: Reopenable) -> None:
        self._others.append(other)

    def reopen(self) -> None:
        """Opens every file again; one that cannot be opened is written on, and that is logged."""
        reopen_log()
        for other in self._others:
            other.reopen()
