"""A thread that writes lines to a file or a pipe, either of which may block for ever.

Several gateway processes, and the app's own prints, share one standard output. A `write` to a pipe
stays in one piece only up to PIPE_BUF bytes (pipe(7)), while one that appends to a file stays in
one piece at any length. So a pipe gets no more than PIPE_BUF bytes at once, unless a single line is
longer.

Two kinds of errors. A full volume has room again when somebody deletes something, so the thread
keeps what it has in hand, goes on at the very byte when there is room, and lets further lines wait
as it does for a reader that has stalled. After any other error the lines are lost: whoever read
the pipe does not come back.
"""

import errno
import os
import select
import stat
import threading
from collections.abc import Iterator
from logging import getLogger
from typing import Final

log = getLogger("propylon.gateway")

MOST_WAITING: Final = 4 * 1024 * 1024
"""Bytes of lines that wait while nothing is taken. Further lines are counted and dropped."""
MOST_PER_WRITE: Final = 1024 * 1024
"""Bytes of one `write` to a file."""
LOOKS_FOR_ROOM_EVERY: Final = 0.5
"""Seconds between two attempts to write to a full volume."""
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
LAST_WRITE: Final = 0.5
"""Seconds that the end of the process waits for a file or a pipe that takes nothing."""


class LineWriter:
    def __init__(self, fd: int, name: str) -> None:
        """`name` is how the error log calls it. Raises OSError for a descriptor that is closed."""
        self._fd = fd
        self._name = name
        self._at_once = _at_once(fd)
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._written = threading.Condition(self._lock)
        self._lines: list[bytes] = []
        self._size = 0
        """Bytes that wait or are being written."""
        self._dropped = 0
        self._ended = False
        self._next_fd: int | None = None
        """The descriptor for the lines from now on, until the thread has taken it."""
        self._before: list[bytes] = []
        """Lines that still belong to the old descriptor."""
        self.fault: OSError | None = None
        """Why the last attempt to write has failed; None if it has not. Only the thread sets it."""
        self._failed = 0
        """Lines lost to an error that was logged. Only the thread uses it."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def write(self, lines: list[bytes]) -> None:
        """Takes lines, each with its newline. It never blocks."""
        size = sum(map(len, lines))
        with self._changed:
            if self._size + size <= MOST_WAITING:
                self._lines += lines
                self._size += size
            else:
                self._take_some(lines)
            self._changed.notify()

    def _take_some(self, lines: list[bytes]) -> None:
        """Takes the lines for which there is room. The lock is held."""
        for line in lines:
            if self._size + len(line) > MOST_WAITING:
                self._dropped += 1
            else:
                self._lines.append(line)
                self._size += len(line)

    def use(self, fd: int) -> None:
        """Writes the next lines to another descriptor. The old one is closed once the lines before
        are written, which may take long if nothing is taken from it."""
        with self._changed:
            unused, self._next_fd = self._next_fd, fd
            if unused is None:
                self._before, self._lines = self._lines, []
            self._changed.notify()
        if unused is not None:
            os.close(unused)

    @property
    def settled(self) -> bool:
        """Whether the descriptor of the last `use` is the one that is written to, and every line
        before it is in the old one."""
        return self._next_fd is None

    def flush(self, seconds: float) -> bool:
        """Waits until every line is written, or until the seconds are over. Returns whether all
        are."""
        with self._written:
            return self._written.wait_for(lambda: not self._size, seconds)

    def close(self, seconds: float) -> None:
        """Ends the thread. Waits until the lines are written, or until the seconds are over, and
        logs how many were lost."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join(seconds)
        if self._thread.is_alive():
            with self._changed:
                left, dropped = len(self._before) + len(self._lines), self._dropped
            # The lines that the thread is writing may still get through.
            log.error("%s takes nothing: at least %d lines were lost", self._name, left + dropped)

    # -- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        while lines := self._next():
            for chunk, count in chunks(lines, self._at_once):
                try:
                    self._write_all(chunk)
                except OSError as error:
                    if not self._failed:
                        log.error("%s cannot be written: %s", self._name, error)
                    self.fault = error
                    self._failed += count
                else:
                    self.fault = None
                    self._say_what_was_lost()
                with self._lock:
                    self._size -= len(chunk)
                    if not self._size:
                        self._written.notify_all()

    def _next(self) -> list[bytes]:
        """Waits for lines and returns them; [] at the end. Takes a new descriptor on the way."""
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._lines or self._ended or self._next_fd is not None
                )
                if self._before:
                    lines, self._before = self._before, []
                    return lines
                lines, self._lines = self._lines, []
                fd, self._next_fd = self._next_fd, None
                ended = self._ended
            if fd is not None:
                os.close(self._fd)
                self._fd, self._at_once = fd, _at_once(fd)
            if lines or ended:
                return lines

    def _write_all(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:  # a process that shares it has made it non-blocking
                poll = select.poll()
                poll.register(self._fd, select.POLLOUT)
                poll.poll()
            except OSError as error:
                if error.errno not in NO_ROOM or not self._waits_for_room(error):
                    raise

    def _waits_for_room(self, error: OSError) -> bool:
        """Waits a moment. Returns whether to try again: not if the lines are to go elsewhere, or if
        this is the end."""
        self.fault = error
        with self._changed:
            return not self._changed.wait_for(
                lambda: self._ended or self._next_fd is not None, LOOKS_FOR_ROOM_EVERY
            )

    def _say_what_was_lost(self) -> None:
        """Logs what was lost, once lines are taken again. Earlier it would be of no use: the same
        reader may hold up the error log."""
        if self._failed:
            log.warning("%s is written again; %d lines were lost", self._name, self._failed)
            self._failed = 0
        if self._dropped:
            with self._changed:
                dropped, self._dropped = self._dropped, 0
            log.error("%s is too slow: %d lines were dropped", self._name, dropped)


def _at_once(fd: int) -> int:
    return select.PIPE_BUF if stat.S_ISFIFO(os.fstat(fd).st_mode) else MOST_PER_WRITE


def chunks(lines: list[bytes], most: int) -> Iterator[tuple[bytes, int]]:
    """Yields whole lines, joined to `most` bytes or less, with the number of the lines. A longer
    line stands alone."""
    if lines and sum(map(len, lines)) <= most:
        yield b"".join(lines), len(lines)
        return
    joined: list[bytes] = []
    size = 0
    for line in lines:
        if joined and size + len(line) > most:
            yield b"".join(joined), len(joined)
            joined, size = [], 0
        joined.append(line)
        size += len(line)
    if joined:
        yield b"".join(joined), len(joined)
