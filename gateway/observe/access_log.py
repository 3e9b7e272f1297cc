"""The access log: one line for each exchange, made in batches off the hot path.

An exchange that ends costs one append. A few times a second (or at a full batch) what has
gathered becomes lines, which a thread writes. Exchanges are not kept longer than that, however
slow the file or the pipe is.
"""

import os
import sys
from collections.abc import Callable
from time import monotonic, time
from typing import Final

import trio

from ..exchange import Exchange
from .formats import Entry, compile_format
from .line_writer import LineWriter

FLUSH_EVERY: Final = 0.25
"""Seconds."""
BATCH: Final = 512
"""Exchanges that are not left waiting for the clock."""
LAST_WRITE: Final = 0.5
"""Seconds that the end waits for a file or a pipe that takes nothing."""


class AccessLog:
    """Gathers ended exchanges and has their lines written."""

    def __init__(self, path: str, logformat: str) -> None:
        """`path`: "-" for standard output, else a file to append to. Raises OSError, ValueError."""
        self._format: Callable[[Entry], str] = compile_format(logformat)
        try:
            self._writer = LineWriter(_open(path), "the access log")
        except OSError as error:
            raise OSError(f"access-logfile {path} cannot be written: {error.strerror}") from None
        self._ended: list[tuple[Exchange, float]] = []
        self._full = trio.Event()

    def finished(self, exchange: Exchange, seconds: float) -> None:
        exchange.body = b""  # all that is large; it may wait here for a moment
        exchange.source = None
        ended = self._ended
        ended.append((exchange, seconds))
        if len(ended) == BATCH:
            self._full.set()

    async def run(self) -> None:
        """For ever; what waits when it is cancelled is written by `close`."""
        while True:
            with trio.move_on_after(FLUSH_EVERY):
                await self._full.wait()
            self._full = trio.Event()
            self._make_lines()

    def close(self) -> None:
        """Writes what still waits, if it can be written in time."""
        self._make_lines()
        self._writer.close(LAST_WRITE)

    def _make_lines(self) -> None:
        ended, self._ended = self._ended, []
        if ended:
            wall = time() - monotonic()
            self._writer.write([
                self._format((exchange, seconds, exchange.opened + seconds + wall)).encode() + b"\n"
                for exchange, seconds in ended
            ])  # fmt: skip


def _open(path: str) -> int:
    if path == "-":
        return sys.stdout.fileno()
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
