"""Which gateways to connect to, and when to try again."""

import os
import socket
import struct
from collections.abc import Container
from pathlib import Path
from typing import Final

from .app_children import keep_from_children

FIRST_DELAY: Final = 0.1
"""Seconds before a gateway that refused is tried again; doubles up to LONGEST_DELAY."""
LONGEST_DELAY: Final = 1.0


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
            return sorted(entry.path for entry in entries if entry.name.endswith(".sock"))
    except OSError:  # not there yet: the gateway makes it
        return []


def connect(path: str) -> socket.socket:
    """A connected, non-blocking socket. Connecting a Unix socket does not wait: it is done or it
    fails at once (unix(7): EAGAIN when the backlog is full). Raises OSError, also for a gateway
    that runs as somebody else."""
    sock = keep_from_children(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    try:
        sock.setblocking(False)
        sock.connect(path)
        _check_user(sock)
    except OSError:
        sock.close()
        raise
    return sock


def _check_user(sock: socket.socket) -> None:
    """Whoever can write to the directory could put a socket there; clients' requests come only from
    a gateway that runs as us, as root, or in our group (SPEC.md 2.2)."""
    size = struct.calcsize("3i")
    _, uid, gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    if uid not in (0, os.geteuid()) and gid not in (os.getegid(), *os.getgroups()):
        raise PermissionError(f"it is of another user, uid {uid}, and of none of our groups")
