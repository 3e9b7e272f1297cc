"""The access log: one line for each exchange, written in batches off the hot path.

An exchange that ends costs one append. A few times a second (or at a full batch) what has
gathered is formatted and written in one go, in a thread, since a file or a pipe may block.
"""

import os
import sys
from collections.abc import Callable
from logging import getLogger
from typing import IO

import trio

from ..exchange import Exchange
from .formats import Entry, compile_format

log = getLogger("propylon.gateway")

FLUSH_EVERY = 0.25
"""Seconds."""
BATCH = 512
"""Entries that are not left waiting for the clock."""
MOST_WAITING = 65_536
"""Entries kept while the file does not take them; more are counted and dropped."""


class AccessLog:
    """Gathers ended exchanges and writes their lines."""

    def __init__(self, path: str, logformat: str) -> None:
        """`path`: "-" for standard output, else a file to append to. Raises OSError, ValueError."""
        self._format: Callable[[Entry], str] = compile_format(logformat)
        self._file: IO[bytes] = (
            sys.stdout.buffer if path == "-" else open(path, "ab", buffering=0)  # noqa: SIM115
        )
        self._waiting: list[Entry] = []
        self._dropped = 0
        self._full = trio.Event()

    def finished(self, exchange: Exchange, seconds: float) -> None:
        waiting = self._waiting
        if len(waiting) >= MOST_WAITING:
            self._dropped += 1
            return
        waiting.append((exchange, seconds))
        if len(waiting) == BATCH:
            self._full.set()

    async def run(self) -> None:
        """Writes for ever; what waits when it is cancelled is written by `close`."""
        while True:
            with trio.move_on_after(FLUSH_EVERY):
                await self._full.wait()
            self._full = trio.Event()
            if self._waiting:
                data = self._take()
                try:
                    await trio.to_thread.run_sync(self._write, data)
                except OSError as error:
                    log.error("the access log cannot be written: %s", error)
                    await trio.sleep(1.0)

    def close(self) -> None:
        """Writes what still waits."""
        if self._waiting:
            try:
                self._write(self._take())
            except OSError as error:
                log.error("the access log cannot be written: %s", error)

    def _take(self) -> bytes:
        waiting, self._waiting = self._waiting, []
        lines = [self._format(entry) for entry in waiting]
        if self._dropped:
            log.error("%d lines of the access log were dropped: it is too slow", self._dropped)
            self._dropped = 0
        return ("\n".join(lines) + "\n").encode()

    def _write(self, data: bytes) -> None:
        """All of it, whole lines: several gateway processes append to the same file."""
        left = memoryview(data)
        while left:
            left = left[os.write(self._file.fileno(), left) :]
