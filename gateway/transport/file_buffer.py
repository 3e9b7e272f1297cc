"""Bytes, and pieces of open files, that wait for a client's socket to take them.

The bytes in front are sent as ever (`sendmsg`), with a word to the kernel that more follows, so
that a head and the beginning of its file share a packet. A piece of a file is sent by sendfile(2):
its pages go from the page cache to the socket, and no byte is copied here or kept in memory,
however long the client takes.
"""

import errno
import os
import socket
from collections import deque
from collections.abc import Iterable
from typing import Final, Protocol

from ...protocol.send_buffer import SendBuffer

_OF_THE_FILE: Final = frozenset({
    errno.EIO, errno.EINVAL, errno.ENOSYS, errno.ESTALE, errno.EOVERFLOW, errno.EBADF,
})  # fmt: skip
"""Errors of sendfile(2) that are not the client's."""


class FileFaultError(OSError):
    """A file that cannot be sent to its end."""


class SendableFile(Protocol):
    """A file that stays open as long as somebody has this object."""

    @property
    def fd(self) -> int: ...

    @property
    def name(self) -> str: ...


class _Piece:
    """A piece of a file, of which the beginning may have been sent."""

    __slots__ = ("count", "file", "offset")

    def __init__(self, file: SendableFile, offset: int, count: int) -> None:
        self.file = file
        self.offset = offset
        self.count = count

    def grow(self, file: SendableFile, offset: int, count: int) -> bool:
        """Takes on a further piece, if it is of the same file and follows. Returns whether it
        was."""
        if file is not self.file or offset != self.offset + self.count:
            return False
        self.count += count
        return True

    def send_to(self, sock: socket.socket) -> int:
        """Returns how many bytes the socket took. Raises OSError."""
        file = self.file
        try:
            sent = os.sendfile(sock.fileno(), file.fd, self.offset, self.count)
        except OSError as error:
            if error.errno not in _OF_THE_FILE:
                raise
            raise FileFaultError(
                error.errno, f"the file {file.name} could not be read to its end: {error.strerror}"
            ) from error
        if not sent:
            what = f"became shorter while it was sent: {self.offset} bytes are left"
            raise FileFaultError(errno.ENODATA, f"the file {file.name} {what}")
        self.offset += sent
        self.count -= sent
        return sent


class FileBuffer(SendBuffer):
    __slots__ = ("_behind",)

    def __init__(self, before: SendBuffer) -> None:
        """Takes over what waits already."""
        super().__init__()
        self._behind: deque[_Piece | bytes | memoryview] = deque()
        """What comes behind `buffers`; it begins with a piece of a file."""
        self.add_all(before.buffers)

    def add_all(self, buffers: Iterable[bytes | memoryview]) -> None:
        if not self._behind:
            super().add_all(buffers)
            return
        for data in buffers:
            if data:
                self._behind.append(data)
                self.size += len(data)

    def add_file(self, file: SendableFile, offset: int, count: int) -> None:
        """Adds a piece of a file behind what waits."""
        self.size += count
        last = self._behind[-1] if self._behind else None
        if not isinstance(last, _Piece) or not last.grow(file, offset, count):
            self._behind.append(_Piece(file, offset, count))

    @property
    def in_memory(self) -> int:
        """Bytes that wait and are in no file."""
        return self.size - sum(one.count for one in self._behind if isinstance(one, _Piece))

    def clear(self) -> None:
        super().clear()
        self._behind.clear()

    def send_to(self, sock: socket.socket) -> int:
        """Sends what the socket takes, and returns how many bytes these were. Raises OSError if the
        client is gone, and FileFaultError."""
        total = 0
        try:
            while self.size:
                sent, took_all = self._send_some(sock)
                total += sent
                if not took_all:
                    break
        except BlockingIOError:
            pass
        return total

    def _send_some(self, sock: socket.socket) -> tuple[int, bool]:
        """Sends the bytes in front, or the piece of a file. Returns how much the socket took, and
        whether that was all."""
        behind = self._behind
        while behind and not self.buffers and not isinstance(behind[0], _Piece):
            piece = behind.popleft()
            assert not isinstance(piece, _Piece)
            self.buffers.append(piece)
        if self.buffers:
            sent = sock.sendmsg(self.buffers, (), socket.MSG_MORE if behind else 0)
            self.sent(sent)
            return sent, not self.buffers
        piece = behind[0]
        assert isinstance(piece, _Piece)
        sent = piece.send_to(sock)
        self.size -= sent
        if piece.count:
            return sent, False
        behind.popleft()
        return sent, True
