"""The access log: one line for each exchange, made as it ends and written in batches.

The line is made at once: to make hundreds of them in a row would hold up everybody's answers, and
to keep the exchanges until then would keep their memory. A few times a second (or at a full batch)
the lines go to a thread that writes them, however slow the file or the pipe is.
"""

import os
from functools import partial
from logging import getLogger
from time import monotonic, time
from typing import Final

import trio

from ..exchange.exchange import Exchange
from ..settings import DEFAULT_ACCESS_LOGFORMAT
from .configured import ACCESS, FIELDS, RecordWriter, configured
from .formats import Format, compile_format
from .line_writer import LineWriter
from .log_file import STDOUT, LogFile
from .terminal import columns, is_terminal, wants_colour
from .terminal_format import terminal_format

log = getLogger("propylon.gateway")

FLUSH_EVERY: Final = 0.25
"""Seconds."""
BATCH: Final = 512
"""Lines that are not left waiting for the clock."""
LAST_WRITE: Final = 0.5
"""Seconds that the end waits for a file or a pipe that takes nothing."""


class AccessLog:
    """Gathers ended exchanges and has their lines written."""

    def __init__(
        self, path: str, logformat: str, config: str = "", use_colors: bool | None = None
    ) -> None:
        """`path`: "-" for standard output, else a file to append to; `config`: --log-config, whose
        handlers take its place if it has some for this log. Raises OSError, ValueError."""
        line = compile_format(logformat)
        self._format: Format = line
        handlers = configured(config, ACCESS, or_root=False) if config else []
        self._file = LogFile("access-logfile", path, STDOUT)
        self._writer: LineWriter | RecordWriter
        if handlers:
            self._writer = RecordWriter(handlers)
            fields = compile_format(FIELDS)
            self._format = lambda entry: fields(entry) + line(entry)
            self._file.stream = STDOUT  # nothing of ours is open
        else:
            fd = self._file.open()
            if logformat == DEFAULT_ACCESS_LOGFORMAT and is_terminal(fd):
                colour = wants_colour(fd, use_colors, os.environ)
                self._format = terminal_format(colour, partial(columns, fd))
            self._writer = LineWriter(fd, "the access log")
        self._lines: list[bytes] = []
        self._epoch = time() - monotonic()
        """The monotonic clock's zero by the wall's, which somebody may set."""
        self._full = trio.Event()

    def finished(self, exchange: Exchange, seconds: float) -> None:
        lines = self._lines
        ended = exchange.opened + seconds + self._epoch
        try:
            lines.append(self._format((exchange, seconds, ended)) + b"\n")
        except Exception:  # a fault of ours: it costs a line, and not the client's connection
            log.exception("a line of the access log could not be made")
        if len(lines) == BATCH:
            self._full.set()

    async def run(self) -> None:
        """For ever; what waits when it is cancelled is written by `close`."""
        while True:
            with trio.move_on_after(FLUSH_EVERY):
                await self._full.wait()
            self._full = trio.Event()
            self._write()

    def reopen(self) -> None:
        """Goes on in the file that has its name now."""
        if self._file.stream is not None:
            return
        self._write()  # what is over belongs into the file before
        try:
            self._writer.use(self._file.open())
        except OSError as error:
            log.error("%s; what is open is written on", error)

    def close(self) -> None:
        """Writes what still waits, if it can be written in time."""
        self._write()
        self._writer.close(LAST_WRITE)

    def _write(self) -> None:
        self._epoch = time() - monotonic()
        lines, self._lines = self._lines, []
        if lines:
            self._writer.write(lines)
