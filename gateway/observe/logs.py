"""All logs of a process, which are opened again when logrotate has moved their files."""

from typing import Protocol

from .console_log import reopen_log


class Reopenable(Protocol):
    def reopen(self) -> None:
        """Opens the file of the log's name again and goes on there."""
        ...


class Logs:
    """The process's own log and the logs that were added."""

    def __init__(self) -> None:
        self._others: list[Reopenable] = []

    def add(self, other: Reopenable) -> None:
        self._others.append(other)

    def reopen(self) -> None:
        """Opens every file again. If one cannot be opened, its log goes on in the old file, and an
        error is logged."""
        reopen_log()
        for other in self._others:
            other.reopen()
