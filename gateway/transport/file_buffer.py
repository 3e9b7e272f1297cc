"""Bytes, and pieces of open files, that wait for a client's socket to take them.

The bytes in front are sent as ever (`sendmsg`), with a word to the kernel that more follows, so
that a head and the beginning of its file share a packet. A piece of a file is sent by sendfile(2):
its pages go from the page cache to the socket, and no byte is copied here or kept in memory,
however long the client takes.

Meanwhile the kernel may have found a better use for that memory, and sendfile would wait for the
disk, and everybody with it. Who adds a piece has made sure that it is in memory. When the socket
takes more after a pause, that is asked again; what is not there any more is brought back by
somebody else (`SendableFile.bring`), and the socket is left alone until then.
"""

import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable
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

    def is_in_memory(self, offset: int, count: int) -> bool:
        """Whether these bytes can be sent without a wait for a disk."""
        ...

    def bring(self, offset: int, count: int, then: Callable[[], None]) -> None:
        """Has them read, and calls `then`, later and in any case."""
        ...


CHECKED_AT_ONCE: Final = 262_144
"""Bytes that are looked for in memory together."""


class _Piece:
    """A piece of a file, of which the beginning may have been sent."""

    __slots__ = ("checked", "count", "file", "offset")

    def __init__(self, file: SendableFile, offset: int, count: int) -> None:
        self.file = file
        self.offset = offset
        self.count: int = count
        self.checked: int = count
        """Bytes of the beginning that are known to be in memory."""

    def grow(self, file: SendableFile, offset: int, count: int) -> bool:
        """Takes on a further piece, if it is of the same file and follows. Returns whether it
        was."""
        if file is not self.file or offset != self.offset + self.count:
            return False
        if self.checked == self.count:
            self.checked += count
        self.count += count
        return True

    def doubt(self) -> None:
        """Forgets what is known to be in memory."""
        self.checked = 0

    def trust(self) -> None:
        """Takes it that the piece has been brought, as far as it can be."""
        self.checked = min(self.count, CHECKED_AT_ONCE)

    def is_checked(self) -> bool:
        """Whether some of it is in memory."""
        if not self.checked:
            size = min(self.count, CHECKED_AT_ONCE)
            if self.file.is_in_memory(self.offset, size):
                self.checked = size
        return self.checked > 0

    def send_to(self, sock: socket.socket) -> int:
        """Returns how many bytes the socket took. Raises OSError."""
        file = self.file
        try:
            sent = os.sendfile(sock.fileno(), file.fd, self.offset, self.checked)
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
        self.checked -= sent
        return sent


class FileBuffer(SendBuffer):
    __slots__ = ("_behind", "_came", "_paused", "brings")

    def __init__(self, before: SendBuffer, came: Callable[[], None]) -> None:
        """Takes over what waits already. `came` is called when what was brought is there."""
        super().__init__()
        self._came = came
        self._paused = False
        """Whether the socket has had enough since it was last sent something."""
        self.brings = False
        """Whether what comes next is being brought."""
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
        if self._paused:
            self._paused = False
            for piece in self._behind:
                if isinstance(piece, _Piece):
                    piece.doubt()
        total = 0
        try:
            while self.size and not self.brings:
                sent, took_all = self._send_some(sock)
                total += sent
                if not took_all:
                    self._paused = True
                    break
        except BlockingIOError:
            self._paused = True
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
        if not piece.is_checked():
            self.brings = True
            size = min(piece.count, CHECKED_AT_ONCE)
            piece.file.bring(piece.offset, size, lambda: self._was_brought(piece))
            return 0, True
        wanted, sent = piece.checked, piece.send_to(sock)
        self.size -= sent
        if not piece.count:
            behind.popleft()
        return sent, sent == wanted

    def _was_brought(self, piece: _Piece) -> None:
        # Also if it could not be read: then the kernel says why, when it is to be sent.
        piece.trust()
        self.brings = False
        self._came()
