"""Finds the gateways of a pool, connects to them, and decides when to try again.

When a gateway process is replaced or has died, hundreds of workers lose their link at the same
moment, and all want a new one. They must not come as a herd: a gateway that takes two hundred
workers in at once serves nobody meanwhile, and what has failed together would fail together again.

Three things keep them apart. A worker looks for sockets ten times a second, from the moment of its
own start on, so the first dials spread over a tenth of a second by themselves. A delay after a
failure is made longer or shorter by up to a half by chance, so those that were frozen together, and
look at the same moments, part at their first failure (Brooker, "Exponential Backoff And Jitter",
AWS Architecture Blog, 2015). And the gateway takes one worker in for each turn of its loop, between
which it serves (`gateway/pool/worker_listener.py`). A new socket is dialed without any delay: with
one worker, which is the usual number, everybody would wait for it.
"""

import os
import random
import socket
import stat
import struct
from collections.abc import Callable, Container
from pathlib import Path
from typing import Final

from ..process.app_children import keep_from_children

FIRST_DELAY: Final = 0.1
"""Seconds before a gateway that refused is tried again, on average. They double up to
LONGEST_DELAY."""
LONGEST_DELAY: Final = 1.0
SO_PEERGROUPS: Final = 59
"""The socket option of asm-generic/socket.h, for which Python has no name."""
MOST_GROUPS: Final = 256
"""Groups for which Python's getsockopt() has room."""


class DialPlan:
    """Looks for sockets in a pool's directory. Each has a back-off of its own."""

    __slots__ = ("_backoff", "_chance", "_directory", "fault", "found")

    def __init__(self, directory: Path, chance: Callable[[], float] = random.random) -> None:
        """`chance` returns a number from 0 to 1."""
        self._directory = directory
        self._chance = chance
        self.found: list[str] = []
        """The sockets that were there at the last look."""
        self.fault: OSError | None = None
        """Why the directory could not be read then. That it is missing is no fault: the gateway
        makes it."""
        self._backoff: dict[str, tuple[float, float]] = {}  # path: (not before, next delay)

    def due(self, now: float, linked: Container[str]) -> list[str]:
        """Returns the paths of sockets to dial now. `linked` are those with a link."""
        try:
            found, self.fault = _list(self._directory), None
        except FileNotFoundError:
            found, self.fault = [], None
        except OSError as error:
            found, self.fault = [], error
        self.found = found
        for gone in self._backoff.keys() - found:
            del self._backoff[gone]
        return [
            path
            for path in found
            if path not in linked and self._backoff.get(path, (now, 0))[0] <= now
        ]

    def ended(self, path: str, now: float, *, for_long: bool = False) -> None:
        """A dial failed, or a link ended. `for_long` says that the gateway itself ends."""
        _, delay = self._backoff.get(path, (0.0, LONGEST_DELAY if for_long else FIRST_DELAY))
        jittered = delay * (0.5 + self._chance())
        self._backoff[path] = (now + jittered, min(delay * 2, LONGEST_DELAY))

    def succeeded(self, path: str) -> None:
        """The gateway has said HELLO: the next failure starts with a short delay again."""
        self._backoff.pop(path, None)


def sockets_in(directory: Path, suffix: str = ".sock") -> list[str]:
    """The paths of the sockets in a directory; none if it cannot be read."""
    try:
        return _list(directory, suffix)
    except OSError:
        return []


def _list(directory: Path, suffix: str = ".sock") -> list[str]:
    """Raises OSError."""
    with os.scandir(directory) as entries:
        return sorted(
            entry.path
            for entry in entries
            if entry.name.endswith(suffix) and not entry.is_symlink()
        )


def connect(path: str) -> socket.socket:
    """Returns a connected, non-blocking socket. To connect a Unix socket does not wait: it succeeds
    or fails at once (unix(7): EAGAIN if the backlog is full). Raises OSError, also if the gateway
    is not trusted."""
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
    """Raises PermissionError unless the gateway is trusted (SPEC.md 2.2): every user who may write
    to the directory could have put a socket there. A gateway is trusted if it runs as our user, as
    root, or in the directory's group, as its primary or a supplementary one, and we are in that
    group too."""
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
    """The peer's supplementary groups; None if the kernel does not tell them (before Linux 4.13,
    gVisor, a process in too many groups)."""
    try:
        data = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, MOST_GROUPS * 4)
    except OSError:
        return None
    return struct.unpack(f"{len(data) // 4}I", data)


def _is_kept_by_its_group(directory: os.stat_result, peer: int) -> bool:
    """Whether only root, our user, the peer and the group could have put a socket there."""
    owners = (0, os.geteuid(), peer)
    return directory.st_uid in owners and not directory.st_mode & stat.S_IWOTH
