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


class FileBuffer:
    """It has what a `SendBuffer` has, for whoever only adds."""

    __slots__ = ("_came", "_paused", "_queue", "brings", "size")

    def __init__(self, before: SendBuffer, came: Callable[[], None]) -> None:
        """Takes over what waits already. `came` is called when what was brought is there."""
        self._came = came
        self._paused = False
        """Whether the socket has had enough since it was last sent something."""
        self.brings = False
        """Whether what comes next is being brought."""
        self._queue: deque[SendBuffer | _Piece] = deque()
        """Bytes and pieces of files, as they are to be sent; never bytes behind bytes, and none of
        them empty."""
        self.size: int = 0
        """Bytes in all of them."""
        self.add_all(before.buffers)

    def add(self, data: bytes | memoryview) -> None:
        """Adds bytes behind what waits."""
        self.add_all((data,))

    def add_all(self, buffers: Iterable[bytes | memoryview]) -> None:
        """Adds buffers behind what waits. Many small ones are joined."""
        queue = self._queue
        last = queue[-1] if queue else None
        if isinstance(last, SendBuffer):
            before = last.size
            last.add_all(buffers)
            self.size += last.size - before
            return
        last = SendBuffer()
        last.add_all(buffers)
        if last.size:
            queue.append(last)
            self.size += last.size

    def add_file(self, file: SendableFile, offset: int, count: int) -> None:
        """Adds a piece of a file behind what waits."""
        if not count:
            return  # of a response without a body (HEAD)
        self.size += count
        last = self._queue[-1] if self._queue else None
        if not isinstance(last, _Piece) or not last.grow(file, offset, count):
            self._queue.append(_Piece(file, offset, count))

    @property
    def in_memory(self) -> int:
        """Bytes that wait and are in no file."""
        return sum(one.size for one in self._queue if isinstance(one, SendBuffer))

    def clear(self) -> None:
        """Drops what waits, and lets the files go."""
        self._queue.clear()
        self.size = 0

    def send_to(self, sock: socket.socket) -> int:
        """Sends what the socket takes, and returns how many bytes these were. Raises OSError if the
        client is gone, and FileFaultError."""
        if self._paused:
            self._paused = False
            for piece in self._queue:
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
        """Sends the bytes or the piece in front. Returns how much the socket took, and whether that
        was all."""
        queue = self._queue
        first = queue[0]
        if isinstance(first, SendBuffer):
            wanted = first.size
            sent = sock.sendmsg(first.buffers, (), socket.MSG_MORE if len(queue) > 1 else 0)
            first.sent(sent)
            left = first.size
        elif first.is_checked():
            wanted, sent = first.checked, first.send_to(sock)
            left = first.count
        else:
            self.brings = True
            size = min(first.count, CHECKED_AT_ONCE)
            first.file.bring(first.offset, size, lambda: self._was_brought(first))
            return 0, True
        self.size -= sent
        if not left:
            queue.popleft()
        return sent, sent == wanted

    def _was_brought(self, piece: _Piece) -> None:
        # Also if it could not be read: then the kernel says why, when it is to be sent.
        piece.trust()
        self.brings = False
        self._came()
