"""The worker's own log, `time level message` or JSON, in a process whose logging is the app's. It
never blocks the app.

Standard error is often a pipe with a reader that may stall (a log shipper, a container runtime
under pressure), and a `write` that blocks would stop the app's event loop with every call on it.
The supervisor and the gateway have a thread for writing. A worker must not have one: a thread that
is there before the app is imported breaks what the import may do (gevent's `patch_all`), and a
thread does not survive a fork. So the worker writes without waiting. It keeps what was not taken
and tries again with the next line and at every tick of the host. What it keeps is bounded; further
lines are dropped and counted, and the count is logged when the reader is back.

How to write without waiting depends on the kind of standard error. The flag O_NONBLOCK belongs to
the open file *description*, which the app, the supervisor and the shell share, so it is never set
there. A pipe or a terminal is opened once more through /proc, which makes a description of our own.
A socket is told not to wait with each `send` (MSG_DONTWAIT). A pipe of another user cannot be
opened again; there a line is written when poll(2) says that there is room. Up to PIPE_BUF bytes
then go out whole; only if two writers see the same last page can one of them have to wait. Files do
not block.
"""

import atexit
import configparser
import faulthandler
import json
import logging
import logging.config
import os
import select
import socket
import stat
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from time import monotonic, sleep  # by name: an app's import may replace them in their module
from typing import Any, Final

MOST_KEPT: Final = 1024 * 1024
"""Bytes of lines that wait. Further lines are counted and dropped."""
LAST_WRITE: Final = 0.5
"""Seconds that the end of the process waits for a reader that takes nothing."""
STDERR: Final = 2

NAME: Final = "propylon.worker"

_COLOURS: Final = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}

_descriptions: Final[list[int]] = []
"""Descriptors that were opened here for standard error."""

Write = Callable[[bytes], int]
"""Writes bytes, or a part of them, and returns how many. Raises BlockingIOError if it would have to
wait, and OSError."""


class _OwnLogger(logging.Logger):
    """A logger that cannot be disabled. By default a dictConfig or fileConfig disables every logger
    that it does not name, and the app's tracebacks, which this one logs, would vanish. An app that
    wants it otherwise names the logger and sets its level and handlers."""

    @property
    def disabled(self) -> bool:
        return False

    @disabled.setter
    def disabled(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, value: bool
    ) -> None:
        """Does nothing."""


def keep_enabled() -> logging.Logger:
    """Returns the worker's logger, after it was made one that cannot be disabled."""
    logger = logging.getLogger(NAME)
    logger.__class__ = _OwnLogger
    return logger


_logger: Final = logging.getLogger(NAME)


class LineFormatter(logging.Formatter):
    """Formats lines in the way in which the supervisor and the gateway do."""

    def __init__(self, colour: bool = False, sender: str = "") -> None:
        """`sender` names the process in front of its messages; "" does not."""
        super().__init__(datefmt="%Y-%m-%d %H:%M:%S")
        self._colour = colour
        self._sender = f"{sender}: " if sender else ""

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        padded = f"{level:<7}"
        if self._colour and level in _COLOURS:
            padded = f"{_COLOURS[level]}{padded}\x1b[0m"
        line = (
            f"{self.formatTime(record, self.datefmt)} {padded} {self._sender}{record.getMessage()}"
        )
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class OwnLog(logging.Handler):
    """A handler that never waits, except for LAST_WRITE at the end of the process."""

    def __init__(
        self, path: str = "", formatter: logging.Formatter | None = None, fd: int = STDERR
    ) -> None:
        """`path` is a file to append to; "" means the standard stream `fd`. Raises OSError."""
        super().__init__()
        self.setFormatter(formatter or LineFormatter())
        self._path = path
        self._file: int | None = _open(path) if path else None
        self._write = _writer(fd if self._file is None else self._file)
        self._kept: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        # Else a forked process would write the lines that its parent still has to write.
        os.register_at_fork(after_in_child=self._forget)
        # `logging` forgets its handlers when the app configures it, so this is not left to it.
        atexit.register(self._finish)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # a fault of ours costs a line; `handleError` would print
            why = f"a line of the log could not be made: {error!r}, of {record.msg!r}"
            line = self.format(logging.LogRecord(NAME, logging.ERROR, "", 0, why, None, None))
        self._keep(line.encode("utf-8", "backslashreplace") + b"\n")
        self._send()

    def retry(self) -> None:
        """Writes the lines that wait, as far as they are taken. It never blocks."""
        if self._kept:
            self.acquire()
            try:
                self._send()
            finally:
                self.release()

    def flush(self) -> None:
        """Does what `retry` does. `logging` calls it when an app configures it, and at exit."""
        self.retry()

    def _finish(self) -> None:
        """Writes the lines that wait, within LAST_WRITE. Called at exit."""
        until = monotonic() + LAST_WRITE
        self.retry()
        while self._kept and monotonic() < until:
            sleep(0.01)
            self.retry()

    def reopen(self) -> str:
        """Opens the file of this name again and goes on there (logrotate). Returns why it cannot,
        or ""."""
        if self._file is None:
            return ""
        try:
            file = _open(self._path)
        except OSError as error:
            why = f"{self._path} cannot be opened again: {error.strerror}; what is open is used"
            _logger.error("%s", why)
            return why
        self.acquire()
        try:
            before, self._file, self._write = self._file, file, _writer(file)
        finally:
            self.release()
        os.close(before)
        return ""

    def use_stderr(self) -> None:
        """Writes to standard error itself from now on, and may block there."""
        self._file, self._write = None, _write_to_stderr

    def _keep(self, line: bytes) -> None:
        if self._size + len(line) > MOST_KEPT:
            self._dropped += 1
        else:
            self._kept.append(line)
            self._size += len(line)

    def _send(self) -> None:
        kept = self._kept
        try:
            while kept:
                line = kept[0]
                sent = self._write(line)
                if sent < len(line):
                    kept[0] = line[sent:]
                    self._size -= sent
                    continue
                kept.popleft()
                self._size -= sent
                if self._dropped:
                    dropped, self._dropped = self._dropped, 0
                    kept.append(self._lost(dropped))
                    self._size += len(kept[-1])
        except BlockingIOError:
            pass
        except OSError:
            self._dropped += len(kept)
            kept.clear()
            self._size = 0

    def _lost(self, count: int) -> bytes:
        text = f"the log is too slow: {count} lines of this worker (pid {os.getpid()}) were dropped"
        record = logging.LogRecord(NAME, logging.ERROR, "", 0, text, None, None)
        return self.format(record).encode() + b"\n"

    def _forget(self) -> None:
        self._kept.clear()
        self._size = self._dropped = 0


@cache
def stacks_fd() -> int:
    """The descriptor for `faulthandler`, which does not check whether a reader has stalled: a
    non-blocking one if possible."""
    own = _own_description(STDERR)
    return STDERR if own is None else own


def retry() -> None:
    """Writes the lines that wait, as far as they are taken. The host calls it at every tick."""
    for handler in _logger.handlers:
        if isinstance(handler, OwnLog):
            handler.retry()


def reopen() -> str:
    """Opens the log's file again and goes on there (logrotate). Returns why it cannot, or ""."""
    problems = [one.reopen() for one in _logger.handlers if isinstance(one, OwnLog)]
    return "; ".join(filter(None, problems))


def _open(path: str) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
    return os.open(path, flags, 0o666)


def _writer(fd: int) -> Write:
    """Returns a function that writes to a descriptor without waiting."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return len  # it was closed before this process started: the log is not wanted
    if stat.S_ISSOCK(mode):
        sock = socket.socket(fileno=os.dup(fd))
        return lambda data: sock.send(data, socket.MSG_DONTWAIT)
    if stat.S_ISREG(mode) or not os.get_blocking(fd):
        return lambda data: os.write(fd, data)
    own = _own_description(fd)
    if own is not None:
        return lambda data: os.write(own, data)
    poll = select.poll()
    poll.register(fd, select.POLLOUT)

    def write(data: bytes) -> int:
        if not poll.poll(0):
            raise BlockingIOError
        return os.write(fd, data[: select.PIPE_BUF])

    return write


def _own_description(fd: int) -> int | None:
    """Opens the same pipe or terminal once more, non-blocking, and returns the descriptor; None if
    that is not possible."""
    try:
        if not (stat.S_ISFIFO(os.fstat(fd).st_mode) or os.isatty(fd)):
            return None
        own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
    _descriptions.append(own)
    return own


def _write_to_stderr(data: bytes) -> int:
    return os.write(STDERR, data)


def let_go() -> None:
    """Closes our descriptors of standard error in a process that the app has forked. A daemon
    closes its own standard error; with ours still open, the pipe's reader would wait for an end of
    file that does not come."""
    faulthandler.disable()
    for handler in _logger.handlers:
        if isinstance(handler, OwnLog):
            handler.use_stderr()
    for own in _descriptions:
        with suppress(OSError):
            os.close(own)
    _descriptions.clear()


def begin(level: str, path: str = "", formatter: logging.Formatter | None = None) -> None:
    """Gives the logger `propylon.worker` a handler of its own. The root logger, which belongs to
    the app, is left as it is."""
    try:
        handler = OwnLog(path, formatter)
    except OSError as error:
        handler = OwnLog("", formatter)
        why = f"error-logfile {path} cannot be written: {error.strerror}; standard error is used"
        handler.handle(logging.LogRecord(NAME, logging.ERROR, "", 0, why, None, None))
    keep_enabled()
    _logger.handlers = [handler]
    _logger.setLevel(level.upper())
    _logger.propagate = False


def begin_again(formatter: logging.Formatter) -> None:
    """Goes on as another process: a worker that a zygote has forked. Opens the file again, which
    may have been moved since."""
    for handler in _logger.handlers:  # those of --log-config have formatters of another kind
        if type(handler.formatter) is type(formatter):
            handler.setFormatter(formatter)
    reopen()


LIKE_OURS: Final = (
    NAME, "propylon", "uvicorn.error", "uvicorn", "gunicorn.error", "hypercorn.error", "_granian",
)  # fmt: skip
"""Loggers whose handlers take our log, the nearest first: our own names and those of other
servers, for which the configuration may have been written."""


def configure(config: str) -> None:
    """Applies --log-config, before the app is imported, as other servers do.

    `config` is JSON text: what dictConfig takes, or `{"ini": TEXT}` for fileConfig. Our own lines
    go to the handlers of the first logger in LIKE_OURS that the configuration names, or else of the
    root logger; if it names neither, they go on as before. Raises what `logging.config` raises.
    """
    known: dict[str, Any] = json.loads(config)
    if "ini" in known:
        parser = configparser.ConfigParser()
        parser.read_string(known["ini"])
        logging.config.fileConfig(parser, disable_existing_loggers=False)
        names = {
            parser.get(section, "qualname", fallback="")
            for section in parser.sections()
            if section.startswith("logger_")
        }
    else:
        logging.config.dictConfig({"disable_existing_loggers": False, **known})
        names = set(known.get("loggers", {}))
    chosen = next((name for name in LIKE_OURS if name in names), "")
    source = logging.getLogger(chosen or None)
    handlers = _effective_handlers(source)
    if handlers:
        _logger.handlers = [_unblocked(handler) for handler in handlers]
        _logger.propagate = False
        if chosen and source.level:
            _logger.setLevel(source.level)


def _effective_handlers(logger: logging.Logger) -> list[logging.Handler]:
    """The handlers that a record of the logger reaches."""
    found: list[logging.Handler] = []
    one: logging.Logger | None = logger
    while one is not None:
        found += [handler for handler in one.handlers if not isinstance(handler, OwnLog)]
        one = one.parent if one.propagate else None
    return found


def _unblocked(handler: logging.Handler) -> logging.Handler:
    """Replaces a handler for a standard stream, which would wait for its reader, by one that does
    not. Any other handler is returned as it is."""
    if type(handler).__name__ != "StreamHandler":  # nor a subclass of it, such as FileHandler
        return handler
    stream: object = getattr(handler, "stream", None)
    fd = 1 if stream is sys.stdout else STDERR if stream is sys.stderr else 0
    if not fd:
        return handler
    own = OwnLog(fd=fd)
    own.setFormatter(handler.formatter)
    own.setLevel(handler.level)
    own.filters = handler.filters
    return own
