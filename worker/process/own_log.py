"""The worker's own log lines: `time level message`, never in the app's way, in a process whose
logging is the app's to configure.

Standard error is often a pipe whose reader may stall (a log shipper, a container runtime under
pressure), and a `write` that blocks would stop the app's event loop with every call on it. The
supervisor and the gateway have a thread for that. A worker has none: a thread that is there before
the app is imported breaks what the import may do (gevent's `patch_all`), and none survives a fork.
It writes without waiting instead, keeps what was not taken, and tries again with the next line and
at every tick of the host. What is kept is bounded; what is dropped is counted, and the count is
logged when the reader is back.

How to write without waiting depends on what standard error is. The flag O_NONBLOCK belongs to an
open file *description*, which the app, the supervisor and the shell share: it is never set on
theirs. A pipe or a terminal is opened once more by way of /proc instead, which makes a description
of our own. A socket is asked for each `send` (MSG_DONTWAIT). Where the pipe may not be opened (it
is another user's), a line is written when poll(2) says that there is room; up to PIPE_BUF bytes
are whole then, and only two writers who see the same last page can have one of them wait. Files
don't block.
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
from time import monotonic, sleep  # the app's import may put others into their module
from typing import Any, Final

MOST_KEPT: Final = 1024 * 1024
"""Bytes of lines that wait; further lines are counted and dropped."""
LAST_WRITE: Final = 0.5
"""Seconds that the end of the process waits for a reader that takes nothing."""
STDERR: Final = 2

NAME: Final = "propylon.worker"

_COLOURS: Final = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}

_descriptions: Final[list[int]] = []
"""Those of our own of standard error."""

Write = Callable[[bytes], int]
"""Takes bytes, or a part of them, at once. Raises BlockingIOError if that would wait, OSError."""


class _OwnLogger(logging.Logger):
    """Is not silenced by a dictConfig or fileConfig of the app's, which by default disables every
    logger that it does not name: the app's tracebacks would vanish with it. Who wants this one
    otherwise names it, and sets its level and handlers."""

    @property
    def disabled(self) -> bool:
        return False

    @disabled.setter
    def disabled(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, value: bool
    ) -> None:
        """Nobody means it."""


def keep_enabled() -> logging.Logger:
    """The worker's logger, which stays as it is set up."""
    logger = logging.getLogger(NAME)
    logger.__class__ = _OwnLogger
    return logger


_logger: Final = logging.getLogger(NAME)


class _LineFormatter(logging.Formatter):
    """As the supervisor's and the gateway's lines are."""

    def __init__(self, colour: bool) -> None:
        super().__init__(datefmt="%Y-%m-%d %H:%M:%S")
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        level = record.levelname.lower()
        padded = f"{level:<7}"
        if self._colour and level in _COLOURS:
            padded = f"{_COLOURS[level]}{padded}\x1b[0m"
        line = f"{self.formatTime(record, self.datefmt)} {padded} {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class OwnLog(logging.Handler):
    """Writes records without ever waiting, but at the end of the process for a moment."""

    def __init__(self, path: str = "", colour: bool = False, fd: int = STDERR) -> None:
        """`path`: a file to append to; "" is the standard stream `fd`. Raises OSError."""
        super().__init__()
        self.setFormatter(_LineFormatter(colour))
        self._path = path
        self._file: int | None = _open(path) if path else None
        self._write = _writer(fd if self._file is None else self._file)
        self._kept: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        # Else a fork would say once more what its parent has still to say.
        os.register_at_fork(after_in_child=self._forget)
        # `logging` itself knows no handler any more once the app has configured it.
        atexit.register(self._finish)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # a fault of ours: it costs a line. `handleError` would print
            line = f"a line of the log could not be made: {error!r}, of {record.msg!r}"
        self._keep(line.encode("utf-8", "backslashreplace") + b"\n")
        self._send()

    def retry(self) -> None:
        """Writes what waits, as far as it is taken. Never blocks."""
        if self._kept:
            self.acquire()
            try:
                self._send()
            finally:
                self.release()

    def flush(self) -> None:
        """By `logging`, when an app configures it, and at exit. Never blocks."""
        self.retry()

    def _finish(self) -> None:
        """At exit. Waits, but not for long."""
        until = monotonic() + LAST_WRITE
        self.retry()
        while self._kept and monotonic() < until:
            sleep(0.01)
            self.retry()

    def reopen(self) -> None:
        """Goes on in the file that has its name now."""
        if self._file is None:
            return
        try:
            file = _open(self._path)
        except OSError as error:
            why = f"{self._path} cannot be opened again: {error.strerror}; what is open is used"
            _logger.error("%s", why)
            return
        self.acquire()
        try:
            before, self._file, self._write = self._file, file, _writer(file)
        finally:
            self.release()
        os.close(before)

    def use_stderr(self) -> None:
        """Writes as anybody would."""
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
    """Where `faulthandler` writes: it asks nobody whether the reader has stalled."""
    own = _own_description(STDERR)
    return STDERR if own is None else own


def retry() -> None:
    """Writes what waits, as far as it is taken: called at every tick of the host."""
    for handler in _logger.handlers:
        if isinstance(handler, OwnLog):
            handler.retry()


def reopen() -> None:
    """Goes on in the log file that has the name now."""
    for handler in _logger.handlers:
        if isinstance(handler, OwnLog):
            handler.reopen()


def _open(path: str) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
    return os.open(path, flags, 0o666)


def _writer(fd: int) -> Write:
    """How one writes there without waiting."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return len  # it was closed before we were started: nobody wants to read this
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
    """Another description, non-blocking, of the same pipe or terminal; None where there is none
    to be had."""
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
    """In a process that the app has forked: what is ours of standard error is closed, as a daemon
    that closes its own would else hold the pipe, and whoever reads it waits for its end."""
    faulthandler.disable()
    for handler in _logger.handlers:
        if isinstance(handler, OwnLog):
            handler.use_stderr()
    for own in _descriptions:
        with suppress(OSError):
            os.close(own)
    _descriptions.clear()


def begin(level: str, path: str = "", colour: bool = False) -> None:
    """Gives `propylon.worker` a handler of its own; it stays out of the root logger, which is the
    app's."""
    try:
        handler = OwnLog(path, colour)
    except OSError as error:
        handler = OwnLog("", colour)
        why = f"error-logfile {path} cannot be written: {error.strerror}; standard error is used"
        handler.handle(logging.LogRecord(NAME, logging.ERROR, "", 0, why, None, None))
    keep_enabled()
    _logger.handlers = [handler]
    _logger.setLevel(level.upper())
    _logger.propagate = False


LIKE_OURS: Final = (
    NAME, "propylon", "uvicorn.error", "uvicorn", "gunicorn.error", "hypercorn.error", "_granian",
)  # fmt: skip
"""Names under which a logging configuration may mean our log: our own and other servers'."""


def configure(config: str) -> None:
    """Applies --log-config, before the app is imported, as other servers do: JSON text of what
    dictConfig takes, or of `{"ini": TEXT}` for fileConfig. Our own lines go where the
    configuration sends those of a logger that is ours by name, or else of the root logger; if it
    has neither they go on as before. Raises what `logging.config` raises."""
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
    """Those that a record of the logger reaches."""
    found: list[logging.Handler] = []
    one: logging.Logger | None = logger
    while one is not None:
        found += [handler for handler in one.handlers if not isinstance(handler, OwnLog)]
        one = one.parent if one.propagate else None
    return found


def _unblocked(handler: logging.Handler) -> logging.Handler:
    """A handler for a standard stream, which would wait for its reader, as one that never does."""
    if type(handler).__name__ != "StreamHandler":  # not one of its subclasses, such as a file's
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
