"""Where a pool's workers come in: one listening Unix socket for each pool and gateway process.

Workers dial the gateway, so discovery, readiness and coming back after a restart are one
mechanism, and adding capacity is starting one more worker.
"""

import os
import socket
from logging import getLogger

import trio

from ..credentials import credentials
from ..poller import Poller
from .member import Member
from .pool import Pool

log = getLogger("propylon.gateway")


def bind(path: str) -> socket.socket:
    """The pool's socket, mode 0660: who may write to it is an app worker. Raises OSError."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # bind() applies the umask and chmod would come too late for a quick peer.
    umask = os.umask(0o117)
    try:
        sock.bind(path)
    finally:
        os.umask(umask)
    sock.listen(128)
    sock.setblocking(False)
    return sock


def is_welcome(sock: socket.socket) -> bool:
    """Whether the peer runs as us, as root, or in our group (containers that share a volume)."""
    _, uid, gid = credentials(sock)
    return uid in (0, os.geteuid()) or gid in (os.getegid(), *os.getgroups())


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
        if is_welcome(sock):
            Member(pool, sock, gateway, poller)
        else:
            log.error("pool %s refused a peer of another user", pool.settings.name)
            sock.close()
