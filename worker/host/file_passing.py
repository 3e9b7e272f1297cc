"""Passes open files to a gateway, which sends them to its clients (SPEC.md 6.7).

A response that is a file would otherwise be read by the worker, piece by piece, as fast as its
client takes it: a thread or a task, and the worker's time, for as long as a download lasts. With
the descriptor the gateway does it, and the worker is free as soon as it has said so. The two need
share no file system.

The kernel carries descriptors beside bytes (SCM_RIGHTS, unix(7)). They travel on a socket of their
own, which belongs to the link: on the link itself every read of the gateway would have to ask for
them. One end of that socket goes to the gateway with the first bytes of HELLO. Whatever fails is
no fault of a response: the worker reads the file itself then.
"""

import errno
import logging
import socket
from array import array
from collections.abc import Iterable
from contextlib import suppress
from struct import Struct
from typing import Final

from ..process.app_children import keep_from_children

logger = logging.getLogger("propylon.worker")

_number = Struct(">Q").pack
_FULL: Final = frozenset({errno.EAGAIN, errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM})
"""Errors for which the next descriptor may be taken again."""


class FilePassing:
    """The worker's end of the descriptor socket of one link."""

    __slots__ = ("_last", "_ours", "_theirs")

    def __init__(self) -> None:
        self._last = 0
        """The number of the descriptor that was passed last."""
        self._ours: socket.socket | None = None
        """None if no descriptor can be passed (any more)."""
        self._theirs: socket.socket | None = None
        """The gateway's end, until it is on its way."""
        try:
            pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:  # too many open files
            logger.debug("files are read by the worker: %s", error)
            return
        for sock in pair:
            keep_from_children(sock).setblocking(False)
        self._ours, self._theirs = pair

    def send_first(self, link: socket.socket, buffers: Iterable[bytes | memoryview]) -> int:
        """Sends the first bytes of a link, as its `sendmsg` does, with the gateway's end of the
        descriptor socket. Returns how many bytes were taken. Raises OSError."""
        theirs = self._theirs
        if theirs is None:
            return link.sendmsg(buffers)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [theirs.fileno()]))
        try:
            sent = link.sendmsg(buffers, [rights])
        except OSError as error:
            if error.errno != errno.ETOOMANYREFS:  # as many are under way as the user may have
                raise
            self.close()
            return link.sendmsg(buffers)
        self._theirs = None
        theirs.close()
        return sent

    def pass_on(self, fd: int) -> int | None:
        """Passes a descriptor to the gateway. Returns its number, for the message that names it;
        None if the gateway takes none now. The caller keeps its own descriptor."""
        ours = self._ours
        if ours is None:
            return None
        number = self._last + 1
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [fd]))
        try:
            ours.sendmsg((_number(number),), [rights])
        except OSError as error:
            if error.errno not in _FULL:  # the gateway has closed its end, or has never got it
                logger.debug("files are read by the worker: %s", error)
                self.close()
            return None
        self._last = number
        return number

    def close(self) -> None:
        for sock in (self._ours, self._theirs):
            if sock is not None:
                with suppress(OSError):
                    sock.close()
        self._ours = self._theirs = None
