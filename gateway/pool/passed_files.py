"""The gateway's end of the descriptor socket of one link (SPEC.md 6.7): open files that a worker
passes.

A message on the link names a descriptor by its number, and the worker has sent the descriptor
before. So nobody watches this socket: it is read when a number is named, and what is read before
that number belongs to responses that were given up on their way. What nobody names stays in the
kernel, which bounds it (the socket's buffer, and the files that a user may have under way,
RLIMIT_NOFILE); it is closed when the worker has no call, and with the link.

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
MOST_CLOSED: Final = 1_000
"""Descriptors that nobody has named, of which so many are closed at a time. More are never under
way, unless a worker sends on meanwhile."""

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
    __slots__ = ("_last", "_sock")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._last = 0
        """The number of the descriptor that came last."""

    def take(self, number: int) -> int | None:
        """Takes the descriptor that a message names; those before it are closed. None if the kernel
        could not hand it over. Raises RemoteProtocolError if the worker has not sent it."""
        for _ in range(MOST_CLOSED):
            if self._last >= number:
                break
            fd = self._receive()
            if self._last == number:
                return fd
            if fd is not None:
                os.close(fd)
        raise RemoteProtocolError(f"descriptor {number} was named, and is not there")

    def close_unnamed(self) -> None:
        """Closes what is there, while no call is open that could name it."""
        with suppress(RemoteProtocolError):
            for _ in range(MOST_CLOSED):
                before = self._last
                fd = self._receive()
                if fd is not None:
                    os.close(fd)
                if self._last == before:
                    return

    def close(self) -> None:
        """Closes the socket, with what is still in it."""
        self._sock.close()

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
