"""The worker listener: a listening Unix socket for each pool and gateway process.

Workers dial the gateway. So discovery, readiness and reconnection after a restart are one
mechanism, and to add capacity is to start one more worker.

The kernel decides who may connect, by the permissions of the socket, which has the group of its
directory. Credentials of the peer (SO_PEERCRED) would say less. They show the primary group of a
process only, while two containers share a volume by a supplementary group (Kubernetes' fsGroup);
and for a process in another user namespace they show no user at all.
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
"""The socket's mode: its owner and the directory's group may connect."""


def bind(path: str) -> socket.socket:
    """Makes the pool's socket. Raises OSError."""
    try:
        sock = bind_socket(path, MODE)
    except Untrusted as why:
        raise OSError(f"the directory of pool socket {path} {why}") from None
    sock.listen(128)
    sock.setblocking(False)
    return sock


class WorkerListener:
    """The listening socket of one pool, with its name in the pool's directory."""

    def __init__(self, path: str) -> None:
        """Makes the socket. Raises OSError."""
        self.path = path
        self._sock = bind(path)
        self._fault = ""
        """Why the socket could not be made anew, as it was logged last."""

    async def welcome(self, pool: Pool, gateway: int, poller: Poller) -> None:
        """Accepts workers for ever. A fault of one worker ends its own link only."""
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
        """Makes the socket anew if its name is gone: a cleaner of temporary files may have removed
        it, and without the name no worker can connect again."""
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
