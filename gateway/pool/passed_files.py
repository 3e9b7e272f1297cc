"""The gateway's end of the descriptor socket of one link (SPEC.md 6.7): open files that a worker
passes.

A message on the link names a descriptor by its number, and the worker has sent the descriptor
before. So nobody watches this socket: it is read when a number is named.

Numbers are named in any order. A response that is whole and ended goes out at once, while that of
an app that still runs waits for the end of its worker's turn; and a file waits behind the bodies of
its own call only. So what is read before the number that was named may be named later, and is kept
until then. Or it never is, if its response was given up in the worker. Nothing tells which, so a
bounded number of them is kept: where more come, the oldest is closed, and costs its response, if it
has one. They are closed when the worker has no call, and with the link. What was not read is in the
kernel, which bounds it too (the socket's buffer, and the files that a user may have under way,
RLIMIT_NOFILE).

A worker is another process, perhaps in another container, and may send anything. A packet has room
for one descriptor here, and the kernel closes what is beyond. It also closes what this process has
no room for (EMFILE), or what a security module forbids: then the packet comes without it, and one
response is lost.
"""

import os
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from ...protocol.errors import RemoteProtocolError

CONTROL_ROOM: Final = socket.CMSG_LEN(struct.calcsize("i"))
"""Bytes of control data: one descriptor."""
READ_FLAGS: Final = socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
"""Flags of each read. The worker has made the socket, and may have it blocking."""
NUMBER_SIZE: Final = 8
MOST_UNNAMED: Final = 512
"""Descriptors that are kept until a message names them: more than a worker's socket holds by
default (278), and more files than a link has responses that overtake each other."""
MOST_READ: Final = 50_000
"""Packets that are read for one number: more than a socket of 32 MiB holds. A worker that sends on
meanwhile would keep the gateway busy for ever."""
MOST_CLOSED: Final = 1_000
"""Packets that are read at a time while no call is open."""

Control = Iterable[tuple[int, int, bytes]]
"""The control data of a read: level, type, data."""


def descriptor_in(control: Control) -> int | None:
    """The descriptor in the control data of a read; None if there is none."""
    for level, kind, data in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS) and len(data) >= 4:
            return int(struct.unpack_from("i", data)[0])
    return None


def passed_files(control: Control) -> "PassedFiles | None":
    """What came with the first bytes of a link; None if it is no descriptor socket, which closes
    it."""
    fd = descriptor_in(control)
    if fd is None:
        return None
    try:
        sock = socket.socket(fileno=fd)
    except OSError:  # no socket
        os.close(fd)
        return None
    if (sock.family, sock.type) != (socket.AF_UNIX, socket.SOCK_SEQPACKET):
        sock.close()
        return None
    return PassedFiles(sock)


class PassedFiles:
    __slots__ = ("_kept", "_last", "_sock")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._last = 0
        """The number of the descriptor that came last."""
        self._kept: dict[int, int] = {}
        """Number -> descriptor, of those that were read and not named yet, the oldest first."""

    def take(self, number: int) -> int | None:
        """Takes the descriptor that a message names. None if it is not there any more: the kernel
        could not hand it over, or too many others came behind it. Raises RemoteProtocolError if the
        worker has not sent it."""
        if number <= self._last:
            return self._kept.pop(number, None)
        for _ in range(MOST_READ):
            before = self._last
            fd = self._receive()
            if self._last == number:
                return fd
            if fd is not None:
                self._keep(fd)
            if self._last == before or self._last > number:
                break
        raise RemoteProtocolError(f"descriptor {number} was named, and is not there")

    def close_named(self, number: int) -> None:
        """Closes the descriptor of a response that nobody waits for. Raises as `take` does."""
        fd = self.take(number)
        if fd is not None:
            os.close(fd)

    def read_ahead(self) -> None:
        """Reads what is there, so that what is never named can't fill the socket while a call lasts
        for hours. Raises RemoteProtocolError."""
        for _ in range(MOST_UNNAMED):
            before = self._last
            fd = self._receive()
            if fd is not None:
                self._keep(fd)
            if self._last == before:
                return

    def close_unnamed(self) -> None:
        """Closes what is there, while no call is open that could name it."""
        self._close_kept()
        with suppress(RemoteProtocolError):
            for _ in range(MOST_CLOSED):
                before = self._last
                fd = self._receive()
                if fd is not None:
                    os.close(fd)
                if self._last == before:
                    return

    def close(self) -> None:
        """Closes the socket, with what is still in it, and what nobody has named."""
        self._close_kept()
        self._sock.close()

    def _keep(self, fd: int) -> None:
        """Keeps the descriptor that came last until it is named."""
        kept = self._kept
        if len(kept) == MOST_UNNAMED:
            os.close(kept.pop(next(iter(kept))))
        kept[self._last] = fd

    def _close_kept(self) -> None:
        for fd in self._kept.values():
            os.close(fd)
        self._kept.clear()

    def _receive(self) -> int | None:
        """Reads one packet, if there is one, and notes its number. Returns its descriptor; None
        without one. Raises RemoteProtocolError for a packet that does not follow the protocol."""
        try:
            data, control, flags, _ = self._sock.recvmsg(NUMBER_SIZE + 1, CONTROL_ROOM, READ_FLAGS)
        except OSError:  # nothing is there
            return None
        fd, number = descriptor_in(control), int.from_bytes(data)
        cut = bool(flags & socket.MSG_CTRUNC)
        if len(data) != NUMBER_SIZE or number <= self._last or (fd is None) is not cut:
            if fd is not None:
                os.close(fd)
            if not data and fd is None:
                return None  # its end
            raise RemoteProtocolError(f"a packet of {len(data)} bytes is no descriptor {number}")
        self._last = number
        return fd
