"""A file that is open, and who closes it.

A response with a file is over for its source when the last piece was handed on, while the client
may take minutes to read it. So the connection still needs the descriptor when the source, the
handler and the exchange are gone; and a cache of open files may have it at the same time. To say
who of them is the last would need an owner that knows all of them. Instead everybody who needs the
file has this object, and it is closed when the last one lets go, whichever way that happens: a
response that ends, a client that leaves, an exception. So no path through the code can leak one.
"""

import errno
import fcntl
import os
import stat
from time import monotonic
from typing import Final, Literal

from .file_system import Store, store_of

Kind = Literal["file", "folder", "other"]
_UNFIT: Final = os.O_PATH | os.O_DIRECT

READ_FOR: Final = 1.0
"""Seconds for which what was read is taken to be in memory yet."""
IN_MEMORY_FOR: Final = 0.1
"""Seconds for which what was in memory is not looked for again."""


class DiskFile:
    """A file, its state when it was opened, and what was read of it just now."""

    __slots__ = (
        "_read",
        "_seen",
        "_store",
        "ctime_ns",
        "device",
        "fd",
        "kind",
        "mtime_ns",
        "name",
        "number",
        "size",
    )

    def __init__(self, fd: int, name: str) -> None:
        """Takes the descriptor over, in any case. `name` is for the log. Raises OSError."""
        self.fd = fd
        self.name = name
        found = os.fstat(fd)
        self.kind: Kind = _kind(found.st_mode)
        self.size = found.st_size
        """Bytes, when it was opened."""
        self.mtime_ns = found.st_mtime_ns
        self.device = found.st_dev
        self.ctime_ns = found.st_ctime_ns
        self.number = found.st_ino
        """The inode's."""
        self._store: Store | None = None
        """Where its file system has it; None if nobody knows yet."""
        self._seen = (0, 0, 0.0)
        """What was in memory when somebody looked last: from where, up to where, and when."""
        self._read = (0, 0, 0.0)
        """What was read last without a gap: from where, up to where, and when in monotonic
        seconds."""

    @property
    def is_readable(self) -> bool:
        """Whether it is open for reading, at any offset and in any size: not O_WRONLY, not O_PATH,
        and not O_DIRECT, which reads whole blocks only (open(2))."""
        flags = fcntl.fcntl(self.fd, fcntl.F_GETFL)
        return flags & os.O_ACCMODE != os.O_WRONLY and not flags & _UNFIT

    def note_seen(self, offset: int, size: int) -> None:
        """Notes that these bytes are in memory."""
        start, stop, at = self._seen
        now = monotonic()
        if start <= offset <= stop and now - at < IN_MEMORY_FOR:
            self._seen = (start, max(stop, offset + size), at)
        else:
            self._seen = (offset, offset + size, now)

    def was_seen(self, offset: int, size: int) -> bool:
        """Whether these bytes were in memory just now."""
        start, stop, at = self._seen
        return start <= offset and offset + size <= stop and monotonic() - at < IN_MEMORY_FOR

    def read(self, offset: int, count: int) -> bytes:
        """Returns `count` bytes. It is for what is in memory, since it waits for what is not.
        Raises OSError, also if the file has become shorter."""
        data = os.pread(self.fd, count, offset)
        if len(data) < count:
            raise OSError(errno.ENODATA, "it became shorter", self.name)
        return data

    def read_slowly(self, offset: int, size: int) -> bytes:
        """Returns up to `size` bytes, b"" at the end, however long that takes: for a thread. Raises
        OSError."""
        if self._store is None:
            self._store = store_of(self.fd)
        data = os.pread(self.fd, size, offset)
        start, stop, at = self._read
        now = monotonic()
        if stop != offset or now - at > READ_FOR:
            start = offset
        self._read = (start, offset + len(data), now)
        return data

    def was_read(self, offset: int, size: int) -> bool:
        """Whether these bytes are in memory because they were read just now, or always are. What
        is remote has to be asked for again: its server may want to be asked whether they still
        hold."""
        if self._store == "disk":
            start, stop, at = self._read
            return start <= offset and offset + size <= stop and monotonic() - at < READ_FOR
        return self._store == "memory" and offset + size <= self.size

    def __del__(self) -> None:
        os.close(self.fd)


class Descriptor:
    """A descriptor on its way to a thread that makes a `DiskFile` of it. It is closed if that never
    happens."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def take(self) -> int:
        fd, self._fd = self._fd, -1
        return fd

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return "file"
    return "folder" if stat.S_ISDIR(mode) else "other"
