"""Where a pool's workers come in: one listening Unix socket for each pool and gateway process.

Workers dial the gateway, so discovery, readiness and coming back after a restart are one
mechanism, and adding capacity is starting one more worker.

Who may connect is decided by the kernel: by the permissions of the socket, whose group is that of
the directory. Credentials of the peer (SO_PEERCRED) would say less. They know a process's primary
group only, while two containers share a volume by a supplementary one (Kubernetes' fsGroup), and
from another user namespace they name nobody.
"""

import socket
from logging import getLogger
from typing import Final

import trio

from ..directories import Untrusted, bind_socket
from ..poller import Poller
from .member import Member
from .pool import Pool

log = getLogger("propylon.gateway")

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


async def welcome_workers(
    listener: socket.socket, pool: Pool, gateway: int, poller: Poller
) -> None:
    """Accepts workers for ever. A worker's trouble stays on its own link."""
    while True:
        await trio.lowlevel.wait_readable(listener)
        try:
            sock, _ = listener.accept()
        except OSError as error:
            log.error("pool %s cannot take a worker in: %s", pool.settings.name, error)
            await trio.sleep(0.1)
            continue
        sock.setblocking(False)
        Member(pool, sock, gateway, poller)
