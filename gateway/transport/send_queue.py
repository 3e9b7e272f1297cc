"""Bytes on their way to one client: straight to the kernel, or kept while it takes no more.

A complete response is sent at once. The parts of a longer one are gathered, so that what one turn
has of it is one `sendmsg`. When the socket would block, bytes are kept, and until it has caught up
the response's source gets no credit, so that a slow client slows its own call and nothing else.
"""

import socket
from collections.abc import Iterable

from ...protocol.send_buffer import SendBuffer


class Outgoing:
    __slots__ = ("_kept", "_sock", "blocked")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._kept = SendBuffer()
        self.blocked = False
        """Whether the kernel has refused some of what is kept, and will say when it takes more."""

    @property
    def size(self) -> int:
        """Bytes kept, gathered ones included."""
        return self._kept.size

    def send(self, data: bytes) -> None:
        """Sends what was gathered and `data`, or keeps what the kernel does not take. Raises
        OSError: nobody is there."""
        kept = self._kept
        if kept.size:
            kept.add(data)
            if not self.blocked:
                self.send_kept()
            return
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            kept.add(memoryview(data)[sent:])
            self.blocked = True

    def gather(self, buffers: Iterable[bytes]) -> None:
        """Keeps them for the next `send` or `send_kept`."""
        self._kept.add_all(buffers)

    def send_kept(self) -> int:
        """Sends of what is kept as much as the kernel takes; returns how many bytes that were.
        Raises OSError."""
        kept = self._kept
        try:
            sent = self._sock.sendmsg(kept.buffers)
        except BlockingIOError:
            sent = 0
        kept.sent(sent)
        self.blocked = kept.size > 0
        return sent

    def finish(self) -> None:
        """Nothing comes after what was sent: TLS has a last message for that."""

    def forget(self) -> None:
        """The connection is closed: nothing that is kept will go out."""
        self._kept.clear()
        self.blocked = False
