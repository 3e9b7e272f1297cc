"""Files that an app answers with: what is sent of them, and how they are read where the gateway
does not do it.

An app names a path (ASGI's `http.response.pathsend`), or gives a file object that it has opened
(`http.response.zerocopysend`, WSGI's `wsgi.file_wrapper`). What counts is where the object stands,
and up to the file's end as it is now: what somebody appends meanwhile is not sent.
"""

import fcntl
import io
import os
import stat
from types import FunctionType
from typing import Any, Final, NamedTuple, cast

_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_UNFIT: Final = os.O_PATH | os.O_DIRECT
"""Flags of descriptors that nobody can read at any offset and in any size (open(2))."""
UNKNOWN: Final = 1 << 62
"""The count of bytes up to wherever the file ends."""
_BUFFERED: Final = (io.BufferedReader, io.BufferedRandom)


class FilePart(NamedTuple):
    """A part of an open file."""

    fd: int
    offset: int
    length: int
    """Bytes; UNKNOWN for a file that says it has none, since such a one may have some (procfs)."""
    passable: bool
    """Whether another process can read it by its descriptor."""

    def cut(self, length: int) -> "FilePart":
        """The part without what is beyond so many bytes."""
        return self._replace(length=min(self.length, length))


class NotAFile(ValueError):
    """What an app gave is no file that could be sent."""


def open_path(path: object) -> FilePart:
    """Opens a file to be sent whole; the caller closes it. Raises OSError, TypeError, NotAFile."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"the path of http.response.pathsend is a string, not {path!r}")
    fd = os.open(cast("str", path), _FLAGS)  # O_NONBLOCK: a FIFO would wait for its writer
    try:
        return part_of(fd, 0, None)
    except BaseException:
        os.close(fd)
        raise


def part_of(fd: int, offset: int, count: int | None) -> FilePart:
    """The part of an open file that is there: `count` bytes from `offset` on, or up to the file's
    end. Raises NotAFile, OSError."""
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        raise NotAFile("only regular files can be sent: this is a folder, a pipe or a device")
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    if flags & os.O_ACCMODE == os.O_WRONLY:
        raise NotAFile("the file is not open for reading")
    there = max(found.st_size - offset, 0) if found.st_size else UNKNOWN
    count = there if count is None else min(count, there)
    return FilePart(fd, offset, count, passable=found.st_size > 0 and not flags & _UNFIT)


def at_its_position(file: Any) -> FilePart | None:
    """The rest of a file object of the app, from where it stands. None if its bytes are not those
    of a descriptor: it has none (PEP 3333 asks for a `fileno` of its own), or is something that
    changes what it reads (gzip, or a wrapper that decrypts). Then it can only be read as an
    object."""
    try:
        reader = _reader_of(file)
        if reader is None:
            return None
        if isinstance(reader, io.BufferedRandom):
            reader.flush()  # what it has yet to write belongs to the file too
        return part_of(reader.fileno(), reader.tell(), None)
    except (OSError, ValueError, AttributeError, TypeError):
        return None


def _reader_of(file: Any) -> Any:
    """The file of the standard library by which an object reads: itself, or the one whose `read` it
    has as its own, as objects do that wrap a file to say more of it (Django's File, tempfile's
    wrapper). None for an object that reads in another way, or has no descriptor."""
    if not callable(file.fileno):
        return None
    read = file.read
    if isinstance(read, FunctionType) and read.__globals__.get("__name__") == "tempfile":
        read = cast("Any", read).__wrapped__  # its wrapper keeps the file from being deleted
    reader: Any = getattr(read, "__self__", None)
    raw = reader.raw if type(reader) in _BUFFERED else reader
    return reader if type(raw) is io.FileIO and read.__name__ == "read" else None


class FileReader:
    """Reads a part of a file in pieces, as a `Fragmenter` cuts a body: where the descriptor could
    not be passed, and for a file that has more of the response behind it."""

    __slots__ = ("_offset", "_owns", "_rest", "done", "part")

    def __init__(self, part: FilePart, *, owns: bool) -> None:
        """`owns` says whether `close` closes the file."""
        self.part = part
        self._owns = owns
        self._offset = part.offset
        self._rest = part.length
        self.done = False

    @property
    def begun(self) -> bool:
        return self.done or self._offset > self.part.offset

    def take(self, limit: int) -> bytes | None:
        """The next piece, of at most `limit` bytes; an empty one at the end. None if the limit
        allows nothing, and when all was taken. Raises OSError."""
        if self.done or (limit <= 0 and self._rest):
            return None
        size = min(limit, self._rest)
        data = os.pread(self.part.fd, size, self._offset) if size else b""
        self._offset += len(data)
        self._rest -= len(data)
        self.done = not (data and self._rest)
        return data

    def close(self) -> None:
        if self._owns:
            self._owns = False
            os.close(self.part.fd)
