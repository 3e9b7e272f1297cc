"""Why a worker is not linked to its gateways. It is told what the dialer meets, and the time.

A gateway may come seconds after its workers, and each new socket is refused for a moment. So what
mends itself soon is no problem: a missing gateway is one after NO_GATEWAY_AFTER seconds, and a
socket where nobody listens is a part of that, as long as no other gateway is there.
"""

import errno
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from ...protocol.errors import VersionMismatch
from ...protocol.supervision.messages import Problem
from ...protocol.supervision.problems import problem

NO_GATEWAY_AFTER: Final = 2.0
FORGOTTEN_AFTER: Final = 5.0
"""Seconds after which a gateway's other version is forgotten, unless it was met again."""
_DENIED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


class LinkProblems:
    __slots__ = ("_alone_since", "_directory", "_failed", "_unseen", "_versions")

    def __init__(self, directory: Path) -> None:
        """`directory` is where the pool's sockets are looked for."""
        self._directory = str(directory)
        self._alone_since: float | None = None
        """When the last link ended; None as long as there is one."""
        self._unseen: OSError | None = None
        """Why the directory cannot be read."""
        self._failed: dict[str, OSError] = {}
        """Socket -> why it could not be connected to, the last time."""
        self._versions: dict[str, tuple[VersionMismatch, float]] = {}
        """Socket -> how its gateway's version differs, and when that was seen."""

    def looked(
        self, found: Collection[str], fault: OSError | None, linked: bool, now: float
    ) -> None:
        """The directory was looked at. `linked` says whether there is any link."""
        self._unseen = fault
        for gone in self._failed.keys() - found:
            del self._failed[gone]
        for gone in self._versions.keys() - found:
            del self._versions[gone]
        if linked:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now

    def refused(self, path: str, error: OSError) -> None:
        """A socket could not be connected to."""
        self._failed[path] = error

    def connected(self, path: str) -> None:
        self._failed.pop(path, None)

    def differs(self, path: str, mismatch: VersionMismatch, now: float) -> None:
        """The gateway at a socket has no version in common with us."""
        self._versions[path] = mismatch, now

    def at(self, now: float) -> Iterator[Problem]:
        """Yields the problems of this moment."""
        if self._unseen is not None:
            yield _denied(
                self._directory,
                f"run directory {self._directory} cannot be read",
                self._unseen,
                stat.S_IRUSR,
            )
        alone = self._alone_since is not None and now - self._alone_since >= NO_GATEWAY_AFTER
        denied = False
        for path, error in self._failed.items():
            if error.errno in _DENIED or isinstance(error, PermissionError):
                denied = True
                yield _denied(path, f"no link to {path}", error, stat.S_IWUSR)
        fresh = {
            path: mismatch
            for path, (mismatch, seen) in self._versions.items()
            if now - seen < FORGOTTEN_AFTER
        }
        for path, mismatch in fresh.items():
            what = mismatch.sentence("this worker", f"the gateway at {path}")
            yield problem(
                "protocol version", path, f"no link: {what}", mismatch.remedy("worker", "gateway")
            )
        if not alone or denied or fresh or self._unseen is not None:
            return
        if self._failed:
            names = ", ".join(sorted(self._failed))
            yield problem("dead socket", self._directory, f"nobody listens at {names}")
        else:
            yield problem(
                "no gateway", self._directory, f"waiting for a gateway at {self._directory}"
            )


def _denied(path: str, what: str, error: OSError, wanted: int) -> Problem:
    """`wanted` is the bit of the owner's permissions that the attempt needs."""
    why = error.strerror or str(error)
    by_mode = _allowed(path, wanted)
    if error.errno == errno.EROFS:
        return problem("permissions", path, f"{what}: {why}", "mount the volume without readOnly")
    kind = "access denied" if error.errno is not None and by_mode else "permissions"
    return problem(kind, path, f"{what}: {why}{'' if by_mode else _owner(path)}")


def _allowed(path: str, wanted: int) -> bool:
    """Whether the permissions of a file and of its directory let us in. False if they cannot be
    read."""
    try:
        return _has(os.stat(path), wanted) and _has(os.stat(os.path.dirname(path)), stat.S_IXUSR)
    except OSError:
        return False


def _has(status: os.stat_result, wanted: int) -> bool:
    if os.geteuid() == 0:
        return True
    if status.st_uid == os.geteuid():
        return bool(status.st_mode & wanted)
    if status.st_gid in (os.getegid(), *os.getgroups()):
        return bool(status.st_mode & wanted >> 3)
    return bool(status.st_mode & wanted >> 6)


def _owner(path: str) -> str:
    """Whose a file is, and who we are; "" if that cannot be seen."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return (
        f" (uid {status.st_uid}, gid {status.st_gid}, mode {stat.S_IMODE(status.st_mode):04o}; "
        f"we are uid {os.geteuid()}, gid {os.getegid()})"
    )
