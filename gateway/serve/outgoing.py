"""Bytes on their way to one client: straight to the kernel, or kept while it takes no more.

Whoever has bytes sends them in the same turn. Only when the socket would block are they kept, and
until it has caught up the response's source gets no credit, so that a slow client slows its own
call and nothing else.
"""

import socket
from collections import deque


class Outgoing:
    __slots__ = ("_kept", "_sock", "size")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._kept: deque[memoryview] = deque()
        self.size = 0
        """Bytes kept."""

    def send(self, data: bytes) -> None:
        """Sends `data`, or keeps what the kernel does not take. Raises OSError: nobody is there."""
        sent = 0
        if not self._kept:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                pass
            if sent == len(data):
                return
        self._kept.append(memoryview(data)[sent:])
        self.size += len(data) - sent

    def send_kept(self) -> int:
        """Sends of what is kept as much as one `send` takes; returns how many bytes that were.
        Raises OSError."""
        first = self._kept[0]
        try:
            sent = self._sock.send(first)
        except BlockingIOError:
            return 0
        if sent == len(first):
            self._kept.popleft()
        else:
            self._kept[0] = first[sent:]
        self.size -= sent
        return sent

    def finish(self) -> None:
        """Nothing comes after what was sent: TLS has a last message for that."""

    def forget(self) -> None:
        """The connection is closed: nothing that is kept will go out."""
        self._kept.clear()
        self.size = 0
