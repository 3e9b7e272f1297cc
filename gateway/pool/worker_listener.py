"""Where a pool's workers come in: one listening Unix socket for each pool and gateway process.

Workers dial the gateway, so discovery, readiness and coming back after a restart are one
mechanism, and adding capacity is starting one more worker.

Who may connect is decided by the kernel: by the permissions of the socket, whose group is that of
the directory. Credentials of the peer (SO_PEERCRED) would say less. They know a process's primary
group only, while two containers share a volume by a supplementary one (Kubernetes' fsGroup), and
from another user namespace they name nobody.
"""

import os
import socket
from logging import getLogger
from typing import Final

import trio

from ..directories import Policy, Untrusted, bind_socket, open_directory, remove_socket
from ..transport.poller import Poller
from .link_member import Member
from .pool import Pool

log = getLogger("propylon.gateway")

LOOK_EVERY: Final = 1.0
"""Seconds between two looks whether workers can still find the socket."""
FOLDER_MODE: Final = 0o750
MODE: Final = 0o660
"""Who may write to it is an app worker: its owner, and the directory's group."""


def bind(path: str) -> socket.socket:
    """The pool's socket. Raises OSError."""
    try:
        sock = bind_socket(path, MODE)
    except Untrusted as why:
        raise OSError(f"the directory of pool socket {path} {why}") from None
    sock.listen(128)
    sock.setblocking(False)
    return sock


class WorkerListener:
    """The listening socket, and its name in the pool's directory."""

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        self.path = path
        self._sock = bind(path)
        self._fault = ""
        """Why it could not be made anew, as it was logged."""

    async def welcome(self, pool: Pool, gateway: int, poller: Poller) -> None:
        """Accepts workers for ever. A worker's trouble stays on its own link."""
        while True:
            with trio.move_on_after(LOOK_EVERY) as quiet:
                await trio.lowlevel.wait_readable(self._sock)
            if quiet.cancelled_caught:
                if not pool.winding_down:
                    self._look(pool.settings.name)
                continue
            try:
                sock, _ = self._sock.accept()
            except OSError as error:
                log.error("pool %s cannot take a worker in: %s", pool.settings.name, error)
                await trio.sleep(0.1)
                continue
            sock.setblocking(False)
            Member(pool, sock, gateway, poller)

    def _look(self, pool: str) -> None:
        """A cleaner of temporary files may have removed the name: no worker finds us then, and
        nobody notices before one has to come back."""
        if os.path.lexists(self.path):
            return
        try:
            os.close(open_directory(os.path.dirname(self.path), Policy(shared=True), FOLDER_MODE))
            sock = bind(self.path)
        except (OSError, Untrusted) as error:
            if self._fault != str(error):
                self._fault = str(error)
                log.error("pool %s: %s is gone, and not made anew: %s", pool, self.path, error)
            return
        self._sock.close()
        self._sock, self._fault = sock, ""
        log.warning("pool %s: %s was removed by somebody, and is made anew", pool, self.path)

    def close(self) -> None:
        self._sock.close()
        remove_socket(self.path)
