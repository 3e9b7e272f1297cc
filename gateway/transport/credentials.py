"""Who is at the other end of a Unix socket, as the kernel knows it (unix(7)). A leaf."""

import socket
import struct
from typing import Final, NamedTuple

SO_PEERGROUPS: Final = 59
"""Of asm-generic/socket.h; Python has no name for it."""
MOST_GROUPS: Final = 256
"""As many as Python's getsockopt() has room for."""


class Credentials(NamedTuple):
    """Of the process that has connected, or that listens, as they were at that moment."""

    pid: int
    """0: in another pid namespace, which ours does not see."""
    uid: int
    gid: int

    def __str__(self) -> str:
        return f"uid {self.uid}, pid {self.pid}" if self.pid else f"uid {self.uid}"


def credentials(sock: socket.socket) -> Credentials:
    """Of the peer. Raises OSError."""
    size = struct.calcsize("3i")
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return Credentials(*struct.unpack("3i", data))


def peer_groups(sock: socket.socket) -> tuple[int, ...]:
    """The peer's supplementary groups; () where the kernel does not tell (before Linux 4.13)."""
    try:
        data = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, MOST_GROUPS * 4)
    except OSError:
        return ()
    return struct.unpack(f"{len(data) // 4}I", data)
