"""A log's destination: a standard stream, or a file that can be opened again (logrotate).

A named pipe is opened without waiting for its reader, and one that nobody reads is an error.
"""

import errno
import os
import stat
from typing import Final, Literal

STDOUT: Final = 1
STDERR: Final = 2
_STREAMS: Final = {"/dev/stdout": STDOUT, "/dev/stderr": STDERR}
"""Not opened by name: a socket cannot be, nor what another user has opened."""


def own_description(fd: int) -> int | None:
    """Another description, non-blocking, of the same pipe or terminal; None where there is none
    to be had. The flag O_NONBLOCK of `fd` itself belongs to all who share it."""
    try:
        if not (stat.S_ISFIFO(os.fstat(fd).st_mode) or os.isatty(fd)):
            return None
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None


class LogFile:
    """Where one log goes."""

    def __init__(self, option: str, path: str, standard: Literal[1, 2]) -> None:
        """`option`: its name, for sentences; `path`: "-" for the `standard` stream."""
        self._option = option
        self._path = path
        self.stream: int | None = standard if path == "-" else _STREAMS.get(path)
        """Descriptor of a standard stream, which is never closed; None for a file of ours."""

    def open(self) -> int:
        """A descriptor to write to. Raises OSError with a sentence that names the option."""
        if self.stream is not None:
            try:
                os.fstat(self.stream)
            except OSError:  # it was closed before we were started: nobody wants to read this
                return os.open(os.devnull, os.O_WRONLY)
            return self.stream
        try:
            return os.open(
                self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o666
            )
        except OSError as error:
            why = "nobody reads this pipe" if error.errno == errno.ENXIO else error.strerror
            raise OSError(f"{self._option} {self._path} cannot be written: {why}") from None
