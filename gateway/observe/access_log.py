"""The access log: one line for each exchange, made when the exchange ends and written in batches.

Each line is made at once. To make hundreds of them in a row would hold up every client's response,
and to keep the exchanges until then would keep their memory. A few times a second, or when a batch
is full, the lines go to a thread that writes them, however slow the file or the pipe is.
"""

import os
from collections.abc import Iterator
from functools import partial
from logging import getLogger
from time import monotonic, time
from typing import Final

import trio

from ...protocol.supervision.messages import Problem
from ..exchange.exchange import Exchange
from ..settings import DEFAULT_ACCESS_LOGFORMAT
from .configured import ACCESS, FIELDS, RecordWriter, configured
from .formats import Format, compile_format
from .line_writer import LAST_WRITE, LineWriter
from .log_file import STDOUT, LogFile
from .terminal import columns, is_terminal, wants_colour
from .terminal_format import terminal_format

log = getLogger("propylon.gateway")

FLUSH_EVERY: Final = 0.25
"""Seconds between two batches."""
BATCH: Final = 128
"""Lines that make a batch full: it goes to the thread without waiting for the time. Many more of
them would not stay in the processor's cache until they are written."""


class AccessLog:
    """Gathers ended exchanges and has their lines written."""

    def __init__(
        self, path: str, logformat: str, config: str = "", use_colors: bool | None = None
    ) -> None:
        """`path` is "-" for standard output, else a file to append to. `config` is --log-config as
        JSON text; handlers that it names for this log replace the file. Raises OSError if the file
        cannot be opened and ValueError for a wrong format."""
        line = compile_format(logformat)
        self._format: Format = line
        handlers = configured(config, ACCESS, or_root=False) if config else []
        self._file = LogFile("access-logfile", path, STDOUT)
        self._writer: LineWriter | RecordWriter
        if handlers:
            self._writer = RecordWriter(handlers)
            fields = compile_format(FIELDS)
            self._format = lambda entry: fields(entry) + line(entry)
            self._file.stream = STDOUT  # no file of ours is open
        else:
            fd = self._file.open()
            if logformat == DEFAULT_ACCESS_LOGFORMAT and is_terminal(fd):
                colour = wants_colour(fd, use_colors, os.environ)
                self._format = terminal_format(colour, partial(columns, fd))
            self._writer = LineWriter(fd, "the access log")
        self._lines: list[bytes] = []
        self._epoch = time() - monotonic()
        """Wall-clock seconds at the monotonic clock's zero. The wall clock may be set, so this is
        read again for every batch."""

    def ended(self, exchange: Exchange) -> None:
        """Observes the end of an exchange."""
        lines = self._lines
        ended = exchange.ended
        try:
            entry = (exchange, ended - exchange.opened, ended + self._epoch)
            lines.append(self._format(entry) + b"\n")
        except Exception:  # a fault of ours costs a line, not the client's connection
            log.exception("a line of the access log could not be made")
        if len(lines) >= BATCH:
            self._write()

    async def run(self) -> None:
        """Writes a batch whenever it is time, for ever. After a cancellation `close` writes the
        lines that still wait."""
        while True:
            await trio.sleep(FLUSH_EVERY)
            self._write()

    def reopen(self) -> str:
        """Opens the file of this name again and goes on there (logrotate). Returns why it cannot,
        or ""."""
        if self._file.stream is not None:
            return ""
        self._write()  # exchanges that have ended belong to the old file
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

    def close(self) -> None:
        """Writes the lines that still wait, if the file takes them within LAST_WRITE."""
        self._write()
        self._writer.close(LAST_WRITE)

    def _write(self) -> None:
        self._epoch = time() - monotonic()
        lines, self._lines = self._lines, []
        if lines:
            self._writer.write(lines)
