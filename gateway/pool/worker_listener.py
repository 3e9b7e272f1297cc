"""The worker listener: a listening Unix socket for each pool and gateway process.

Workers dial the gateway. So discovery, readiness and reconnection after a restart are one
mechanism, and to add capacity is to start one more worker.

The kernel decides who may connect, by the permissions of the socket, which has the group of its
directory. Credentials of the peer (SO_PEERCRED) would say less. They show the primary group of a
process only, while two containers share a volume by a supplementary group (Kubernetes' fsGroup);
and for a process in another user namespace they show no user at all.

A name in a directory is not ours for ever. A cleaner of temporary files removes it, or a gateway
that was told to use the same directory takes it over, and may be killed. So the name is looked at
every second, and made anew when it is gone or nobody listens there; what hinders that is a problem
(`protocol.supervision.problems`).
"""

import errno
import os
import socket
from collections.abc import Iterator
from logging import getLogger
from time import monotonic
from typing import Final

import trio

from ...protocol.supervision.messages import Problem
from ...protocol.supervision.problems import REMEDIES, ROOM, Recurring, problem
from ..directories import Policy, Untrusted, bind_socket, open_directory, remove_socket
from ..transport.poller import Poller
from .link_member import Member
from .pool import Pool

log = getLogger("propylon.gateway")

LOOK_EVERY: Final = 1.0
"""Seconds between two looks whether workers can still find the socket."""
BACKLOG: Final = 1_024
"""Workers that may dial in one moment, all after a gateway has started. Others would be refused and
try again (connect(2): EAGAIN); the kernel may allow fewer (net.core.somaxconn)."""
FOLDER_MODE: Final = 0o750
MODE: Final = 0o660
"""The socket's mode: its owner and the directory's group may connect."""
TRIED_EVERY: Final = 0.1
"""Seconds between two attempts to accept a worker for which there is no descriptor."""
_OTHER_REMEDIES: Final = {
    errno.EROFS: "mount the volume without readOnly",
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EMFILE: REMEDIES["open files"],
    errno.ENFILE: REMEDIES["open files"],
}
"""Errors for which other permissions do not help."""


def bind(path: str) -> socket.socket:
    """Makes the pool's socket. Raises OSError."""
    try:
        sock = bind_socket(path, MODE)
    except Untrusted as why:
        raise OSError(f"the directory of pool socket {path} {why}") from None
    sock.listen(BACKLOG)
    sock.setblocking(False)
    return sock


class WorkerListener:
    """The listening socket of one pool, with its name in the pool's directory."""

    def __init__(self, path: str, pool: str) -> None:
        """Makes the socket of the pool. Raises OSError."""
        self.path = path
        self._pool = pool
        self._sock = bind(path)
        self._name = _identity(path)
        self._unmade: Problem | None = None
        """Why no worker can find the socket at this moment."""
        self._no_file = Recurring("open files", f"workers of pool {pool}")

    async def welcome(self, pool: Pool, gateway: int, poller: Poller) -> None:
        """Accepts workers for ever. A fault of one worker ends its own link only."""
        while True:
            with trio.move_on_after(LOOK_EVERY) as quiet:
                await trio.lowlevel.wait_readable(self._sock)
            if quiet.cancelled_caught:
                if not pool.winding_down:
                    self.look()
                continue
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue  # the worker has gone
            except OSError as error:
                what = f"pool {self._pool} cannot take a worker in: {error.strerror}"
                self._no_file.met(what, monotonic())
                await trio.sleep(TRIED_EVERY)
                continue
            sock.setblocking(False)
            Member(pool, sock, gateway, poller)

    def problems(self, now: float) -> Iterator[Problem]:
        """Yields the problems of this moment."""
        yield from self._no_file.at(now)
        if self._unmade is not None:
            yield self._unmade

    def look(self) -> None:
        """Makes the socket anew if its name is gone, or belongs to a process that has ended without
        taking it away, since without it no worker can connect."""
        there = _identity(self.path)
        if there is not None and (there == self._name or not _is_abandoned(self.path)):
            self._unmade = None if there == self._name else _taken(self._pool, self.path)
            return
        try:
            os.close(open_directory(os.path.dirname(self.path), Policy(shared=True), FOLDER_MODE))
            sock = bind(self.path)
        except (OSError, Untrusted) as error:
            self._unmade = _not_made(self._pool, self.path, error)
            return
        self._sock.close()
        self._sock, self._name, self._unmade = sock, _identity(self.path), None
        log.warning("pool %s: %s was removed by somebody, and is made anew", self._pool, self.path)

    def close(self) -> None:
        self._sock.close()
        if _identity(self.path) == self._name:
            remove_socket(self.path)


def _identity(path: str) -> tuple[int, int] | None:
    """Which file has this name; None if there is none, or if that cannot be seen."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_abandoned(path: str) -> bool:
    """Whether nobody listens at a socket any more (connect(2): ECONNREFUSED)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) == errno.ECONNREFUSED


def _taken(pool: str, path: str) -> Problem:
    return problem(
        "pool socket",
        path,
        f"pool {pool}: {path} is another process's now",
        "end the other gateway, or give it another --run-dir (PROPYLON_RUN_DIR); then the socket "
        "is made anew",
    )


def _not_made(pool: str, path: str, error: OSError | Untrusted) -> Problem:
    why = (error.strerror if isinstance(error, OSError) else None) or str(error)
    remedy = ""
    if isinstance(error, OSError):
        remedy = _OTHER_REMEDIES.get(error.errno or 0, "")
    what = f"pool {pool}: {path} is gone, and not made anew: {why}"
    return problem("pool socket", path, what, remedy)
