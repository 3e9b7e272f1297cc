"""Where a log goes: a standard stream, or a file that can be opened again (logrotate).

A named pipe is opened without waiting for its reader. A pipe without a reader is an error.
"""

import errno
import os
import stat
from collections.abc import Iterator
from typing import Final, Literal

from ...protocol.supervision.messages import Problem
from ...protocol.supervision.problems import problem
from .line_writer import NO_ROOM

STDOUT: Final = 1
STDERR: Final = 2
_STREAMS: Final = {"/dev/stdout": STDOUT, "/dev/stderr": STDERR}
"""Paths that mean a descriptor of ours. They are not opened by name, because a socket, or a file
that another user has opened, could not be."""


def own_description(fd: int) -> int | None:
    """Opens the same pipe or terminal once more, non-blocking, and returns the descriptor; None if
    that is not possible. The flag O_NONBLOCK of `fd` itself belongs to all processes that share its
    open file description (open(2))."""
    try:
        if not (stat.S_ISFIFO(os.fstat(fd).st_mode) or os.isatty(fd)):
            return None
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None


class LogFile:
    """The destination of one log."""

    def __init__(self, option: str, path: str, standard: Literal[1, 2]) -> None:
        """`option` is named in errors; a `path` of "-" means the `standard` stream."""
        self._option = option
        self._path = path
        self.stream: int | None = standard if path == "-" else _STREAMS.get(path)
        """The descriptor of a standard stream, which is never closed; None for a file."""

    def open(self) -> int:
        """Returns a descriptor to write to. Raises OSError with a sentence that names the
        option."""
        if self.stream is not None:
            try:
                os.fstat(self.stream)
            except OSError:  # it was closed before this process started: the log is not wanted
                return os.open(os.devnull, os.O_WRONLY)
            return self.stream
        try:
            return os.open(
                self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o666
            )
        except OSError as error:
            why = "nobody reads this pipe" if error.errno == errno.ENXIO else error.strerror
            raise OSError(f"{self._option} {self._path} cannot be written: {why}") from None

    def problems(self, fault: OSError | None) -> Iterator[Problem]:
        """Yields what is wrong with it. `fault`: why the last attempt to write has failed."""
        if fault is None:
            return
        name = f"{self._option} {self._path}"
        what = f"{name} cannot be written: {fault.strerror}"
        if fault.errno in NO_ROOM:
            yield problem("full volume", name, what)
        else:  # which the writer has logged
            yield problem("log", name, what, logged=True)
