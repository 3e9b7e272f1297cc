"""Threads that read what is not in memory, so that the gateway's loop never waits for a disk.

What a site sends is in the kernel's page cache, nearly always, and is read from there in
microseconds. Sometimes it is not, and then a read takes as long as the disk does, or the file
server at the other end of a network: milliseconds, or for ever. `preadv2` with RWF_NOWAIT (Linux
4.14) reads what is in memory and fails for the rest. Only the rest comes here. The threads are
daemons, a few, and made when they are needed first: one that hangs with its file server holds no
exit up, and no more than so many can hang.
"""

import errno
import os
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Final

from .disk_file import DiskFile

THREADS: Final = 4
_NO_NOWAIT: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
"""Errors of file systems that can't tell what is in memory."""

PROBE_EVERY: Final = 131_072
"""Bytes between two samples of what is in memory. The kernel reads ahead in pieces of this size."""
_ONE_BYTE: Final = [bytearray(1)]

Done = Callable[[bytes | OSError], None]


class DiskThreads:
    def __init__(self, call_soon_threadsafe: Callable[[Callable[[], None]], None]) -> None:
        """`call_soon_threadsafe` has a function called on the gateway's loop (`Poller`)."""
        self._call_soon = call_soon_threadsafe
        self._jobs: SimpleQueue[tuple[DiskFile, int, int, Done]] = SimpleQueue()
        self._started = 0
        self._busy = 0

    def read(self, file: DiskFile, size: int, offset: int, done: Done) -> None:
        """Reads in a thread, and calls `done` on the loop with the bytes (b"" at the file's end) or
        the error."""
        self._busy += 1
        if self._busy > self._started < THREADS:
            try:
                Thread(target=self._work, name="propylon-disk", daemon=True).start()
                self._started += 1
            except RuntimeError as error:  # as many as the container may have
                if not self._started:
                    why = OSError(errno.EAGAIN, str(error))
                    self._call_soon(lambda: self._deliver(done, why))
                    return
        self._jobs.put((file, size, offset, done))

    def _work(self) -> None:
        while True:
            self._do(*self._jobs.get())

    def _do(self, file: DiskFile, size: int, offset: int, done: Done) -> None:
        """Does one job; the file is not held until there is another."""
        found: bytes | OSError
        try:
            found = os.pread(file.fd, size, offset)
        except OSError as error:
            found = error
        self._call_soon(lambda: self._deliver(done, found))

    def _deliver(self, done: Done, found: bytes | OSError) -> None:
        self._busy -= 1
        done(found)


def read_from_memory(fd: int, size: int, offset: int) -> bytes | None:
    """What the page cache has of a file, at most `size` bytes; b"" at its end; None if a disk would
    have to be waited for. Raises OSError."""
    buffer = bytearray(size)
    try:
        count = os.preadv(fd, [buffer], offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno in _NO_NOWAIT:
            return None
        raise
    del buffer[count:]
    return bytes(buffer)


def is_in_memory(fd: int, offset: int, count: int) -> bool:
    """Whether the page cache has these bytes of a file, as far as samples tell; not if the file
    ends before them. Raises OSError."""
    at, last = offset, offset + count - 1
    try:
        while os.preadv(fd, _ONE_BYTE, at, os.RWF_NOWAIT):
            if at == last:
                return True
            at = min(at + PROBE_EVERY, last)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_NOWAIT:
            raise
    return False
