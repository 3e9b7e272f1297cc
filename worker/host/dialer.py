"""Which gateways to connect to, and when to try again."""

import os
import socket
import stat
import struct
from collections.abc import Container
from pathlib import Path
from typing import Final

from ..process.app_children import keep_from_children

FIRST_DELAY: Final = 0.1
"""Seconds before a gateway that refused is tried again; doubles up to LONGEST_DELAY."""
LONGEST_DELAY: Final = 1.0
SO_PEERGROUPS: Final = 59
"""Of asm-generic/socket.h; Python has no name for it."""
MOST_GROUPS: Final = 256
"""As many as Python's getsockopt() has room for."""


class DialPlan:
    """Looks for sockets in the pool's directory; each has its own back-off."""

    __slots__ = ("_backoff", "_directory")

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._backoff: dict[str, tuple[float, float]] = {}  # path: (not before, next delay)

    def due(self, now: float, linked: Container[str]) -> list[str]:
        """Paths of sockets to dial now."""
        found = sockets_in(self._directory)
        for gone in self._backoff.keys() - found:
            del self._backoff[gone]
        return [
            path
            for path in found
            if path not in linked and self._backoff.get(path, (now, 0))[0] <= now
        ]

    def ended(self, path: str, now: float, *, for_long: bool = False) -> None:
        """A dial failed, or its link ended; `for_long`: the gateway itself is going."""
        _, delay = self._backoff.get(path, (0.0, LONGEST_DELAY if for_long else FIRST_DELAY))
        self._backoff[path] = (now + delay, min(delay * 2, LONGEST_DELAY))

    def succeeded(self, path: str) -> None:
        """The gateway greeted: what comes next starts with a short delay again."""
        self._backoff.pop(path, None)


def sockets_in(directory: Path) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return sorted(
                entry.path
                for entry in entries
                if entry.name.endswith(".sock") and not entry.is_symlink()
            )
    except OSError:  # not there yet: the gateway makes it
        return []


def connect(path: str) -> socket.socket:
    """A connected, non-blocking socket. Connecting a Unix socket does not wait: it is done or it
    fails at once (unix(7): EAGAIN when the backlog is full). Raises OSError, also for a gateway
    that is not to be trusted."""
    sock = keep_from_children(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    try:
        sock.setblocking(False)
        sock.connect(path)
        _check_user(sock, path)
    except OSError:
        sock.close()
        raise
    return sock


def _check_user(sock: socket.socket, path: str) -> None:
    """Whoever can write to the directory could put a socket there; clients' requests come only from
    a gateway that runs as us, as root, or in the directory's group, if we are in it too, as primary
    or supplementary one (SPEC.md 2.2)."""
    size = struct.calcsize("3i")
    _, uid, gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    if uid in (0, os.geteuid()):
        return
    directory = os.lstat(os.path.dirname(path))
    if directory.st_gid in (os.getegid(), *os.getgroups()):
        theirs = _groups_of(sock)
        if gid == directory.st_gid or directory.st_gid in (theirs or ()):
            return
        if theirs is None and _is_kept_by_its_group(directory, uid):
            return
    raise PermissionError(f"it is of another user, uid {uid}, and of none of our groups")


def _groups_of(sock: socket.socket) -> tuple[int, ...] | None:
    """The peer's supplementary groups; None where the kernel does not tell (before Linux 4.13,
    gVisor, a process in more groups than fit)."""
    try:
        data = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, MOST_GROUPS * 4)
    except OSError:
        return None
    return struct.unpack(f"{len(data) // 4}I", data)


def _is_kept_by_its_group(directory: os.stat_result, peer: int) -> bool:
    """Whether only root, we, the peer and the group could have put a socket there."""
    owners = (0, os.geteuid(), peer)
    return directory.st_uid in owners and not directory.st_mode & stat.S_IWOTH
