"""Bytes on their way to one client: straight to the kernel, or kept while it takes no more.

Whoever has bytes sends them in the same turn, without a task. Only when the socket would block
does a task take over, and until it has caught up the response's source gets no credit, so that a
slow client slows its own call and nothing else.
"""

import socket
from collections import deque
from collections.abc import Callable

import trio


class Outgoing:
    __slots__ = ("_kept", "_nursery", "_on_progress", "_sock", "size")

    def __init__(
        self,
        sock: socket.socket,
        nursery: trio.Nursery,
        on_progress: Callable[[int], None],
    ) -> None:
        """`on_progress(bytes)` is called when kept bytes have gone out, -1 when none ever will."""
        self._sock = sock
        self._nursery = nursery
        self._on_progress = on_progress
        self._kept: deque[memoryview] = deque()
        self.size = 0
        """Bytes kept."""

    def send(self, data: bytes) -> bool:
        """Sends or keeps `data`. False: the client is gone."""
        if not self._kept:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return False
            if sent == len(data):
                return True
            self._nursery.start_soon(self._catch_up)
        else:
            sent = 0
        self._kept.append(memoryview(data)[sent:])
        self.size += len(data) - sent
        return True

    def forget(self) -> None:
        """The connection is closed: nothing that is kept will go out."""
        self._kept.clear()
        self.size = 0

    async def _catch_up(self) -> None:
        try:
            while self._kept:
                await trio.lowlevel.wait_writable(self._sock)
                self._send_kept()
        except (OSError, trio.ClosedResourceError):
            self._on_progress(-1)

    def _send_kept(self) -> None:
        """As much as the kernel takes in one turn; other connections want one too."""
        first = self._kept[0]
        try:
            sent = self._sock.send(first)
        except BlockingIOError:
            return
        if sent == len(first):
            self._kept.popleft()
        else:
            self._kept[0] = first[sent:]
        self.size -= sent
        self._on_progress(sent)
