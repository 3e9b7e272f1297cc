"""Our own log: `time level message` or JSON, on standard error or in a file, without ever blocking.

Standard error is often a pipe, and its reader (a log shipper, a container runtime under pressure)
may stall. A `write` would then block the loop that serves every client, or the supervisor. So lines
are queued, and a thread writes them (`line_writer`). Lines that do not fit are dropped and counted,
and the count is logged when the reader is back. The pipe itself is never made non-blocking, because
that flag belongs to all processes that share it, the app and the shell among them.
"""

import logging
import os
from collections.abc import Iterator
from typing import Final

from ...protocol.supervision.messages import Problem
from .line_writer import LAST_WRITE, LineWriter
from .log_file import STDERR, LogFile
from .terminal import wants_colour

COLOURS: Final = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
RESET: Final = "\x1b[0m"

log = logging.getLogger("propylon.gateway")


class ConsoleFormatter(logging.Formatter):
    def __init__(self, colour: bool, sender: str = "") -> None:
        """`sender` names the process in front of its messages; "" does not."""
        super().__init__(datefmt="%Y-%m-%d %H:%M:%S")
        self._colour = colour
        self._sender = f"{sender}: " if sender else ""

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        padded = f"{level:<7}"
        if self._colour and level in COLOURS:
            padded = f"{COLOURS[level]}{padded}{RESET}"
        line = (
            f"{self.formatTime(record, self.datefmt)} {padded} {self._sender}{record.getMessage()}"
        )
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def shows_colour(path: str, use_colors: bool | None) -> bool:
    """Whether the log at `path` ("-" is standard error) has colours. A file has them only if
    --use-colors asks for them."""
    stream = LogFile("error-logfile", path, STDERR).stream
    if stream is None:
        return bool(use_colors)
    return wants_colour(stream, use_colors, os.environ)


class ConsoleLog(logging.Handler):
    """A handler that writes records to a stream or a file and never waits."""

    def __init__(self, path: str, formatter: logging.Formatter) -> None:
        """`path` is "-" for standard error, else a file to append to. Raises OSError."""
        super().__init__()
        self._file = LogFile("error-logfile", path, STDERR)
        fd = self._file.open()
        self.setFormatter(formatter)
        self._writer = LineWriter(fd, "the log")

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # a fault of ours costs a line; `handleError` would print
            why = f"a line of the log could not be made: {error!r}, of {record.msg!r}"
            line = self.format(logging.LogRecord(log.name, logging.ERROR, "", 0, why, None, None))
        self._writer.write([line.encode("utf-8", "backslashreplace") + b"\n"])

    def reopen(self) -> str:
        """Opens the file of this name again and goes on there (logrotate). Returns why it cannot,
        or ""."""
        if self._file.stream is not None:
            return ""
        try:
            self._writer.use(self._file.open())
        except OSError as error:
            log.error("%s; what is open is written on", error)
            return str(error)
        return ""

    @property
    def settled(self) -> bool:
        """Whether the file that was opened last is written to, and the one before is complete."""
        return self._writer.settled

    def problems(self) -> Iterator[Problem]:
        """Yields the problems of this moment."""
        return self._file.problems(self._writer.fault)

    def flush(self) -> None:
        """Waits for what was logged to be written, LAST_WRITE at most. `logging` calls it at exit
        too."""
        self._writer.flush(LAST_WRITE)


def console_logs() -> list[ConsoleLog]:
    """This process's own log, unless --log-config has another place for it."""
    handlers = logging.getLogger("propylon").handlers
    return [handler for handler in handlers if isinstance(handler, ConsoleLog)]


def flush_log() -> None:
    """Waits until what was logged is written, LAST_WRITE at most. To be called before exec(2) or
    `os._exit`."""
    for handler in logging.getLogger("propylon").handlers:
        handler.flush()
