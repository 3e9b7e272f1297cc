"""Credentials of the process at the other end of a Unix socket (unix(7)). A leaf."""

import socket
import struct
from typing import Final, NamedTuple

SO_PEERGROUPS: Final = 59
"""The option of asm-generic/socket.h, for which Python has no name."""
MOST_GROUPS: Final = 256
"""The number of groups that Python's getsockopt() has room for."""


class Credentials(NamedTuple):
    """The credentials of a process when it connected, or began to listen."""

    pid: int
    """The process id; 0 if it is in a pid namespace that ours does not see."""
    uid: int
    gid: int

    def __str__(self) -> str:
        return f"uid {self.uid}, pid {self.pid}" if self.pid else f"uid {self.uid}"


def credentials(sock: socket.socket) -> Credentials:
    """Returns the credentials of the peer. Raises OSError."""
    size = struct.calcsize("3i")
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return Credentials(*struct.unpack("3i", data))


def peer_groups(sock: socket.socket) -> tuple[int, ...]:
    """Returns the peer's supplementary groups; () before Linux 4.13."""
    try:
        data = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, MOST_GROUPS * 4)
    except OSError:
        return ()
    return struct.unpack(f"{len(data) // 4}I", data)
