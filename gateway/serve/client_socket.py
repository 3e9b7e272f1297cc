"""A client's socket: bytes out at once or kept, what epoll watches, and how it ends.

HTTP and WebSocket connections use it alike; the second takes it over from the first. A slow client
is felt here: while bytes are kept for it, their source gets no credit, and `send_by` runs.
"""

import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Iterable
from typing import Final

from ..exchange.exchange import Source
from ..transport.poller import HANGUP, READ, WRITE, Watched
from ..transport.send_queue import Outgoing
from ..transport.tls_transport import TlsTransport
from .service_state import ServiceState

READ_SIZE: Final = 65_536
MOST_BUFFERED: Final = 65_536
"""Bytes not taken by the client at which its own bytes are no longer read."""
LINGER: Final = 2.0
"""Seconds that a client has to read the end before the socket goes."""


class ClientSocket:
    __slots__ = (
        "_events",
        "_outgoing",
        "_owed",
        "_queued",
        "_service",
        "_sock",
        "closed",
        "paused",
        "send_by",
    )

    def __init__(self, sock: socket.socket | TlsTransport, service: ServiceState) -> None:
        self._sock = sock
        self._service = service
        self._outgoing = sock.outgoing if isinstance(sock, TlsTransport) else Outgoing(sock)
        self._owed = 0
        """Body bytes kept, for which the source has not been given credit again."""
        self._events = READ
        self._queued = 0
        self.paused = False
        """Whether the connection does not want to read."""
        self.send_by = 0.0
        """Monotonic seconds by which the client must take some of what is kept; 0.0: nothing is."""
        self.closed = False

    def join(self, owner: Watched) -> None:
        """From here on the poller brings the owner what the client sends."""
        self._service.poller.add(self._sock.fileno(), owner, READ)
        self._watch()  # a handshake's last bytes may be kept

    def hand_over(self, owner: Watched) -> None:
        self._service.poller.take_over(self._sock.fileno(), owner)

    def recv(self) -> bytes | None:
        """One read: b"" at the end, None if there is nothing. Raises OSError."""
        try:
            data = self._sock.recv(READ_SIZE)
        except BlockingIOError:
            data = None
        if self._outgoing.blocked:  # TLS may have had to answer
            self._await_room()
        return data

    @property
    def kept(self) -> int:
        """Bytes that the client has yet to take."""
        return self._outgoing.size

    def send(self, data: bytes) -> None:
        """Sends it at once, behind what was gathered. Raises OSError: nobody is there."""
        self._outgoing.send(data)
        if self._outgoing.blocked:
            self._await_room()

    def _await_room(self) -> None:
        if not self.send_by:
            self.send_by = self._service.clock() + self._service.settings.send_timeout
        self._watch()

    def gather(self, buffers: Iterable[bytes]) -> bool:
        """Bytes that wait for what else this turn has for the client. Returns whether they are the
        first: then `send_kept` is to be called at the turn's end."""
        outgoing = self._outgoing
        first = not outgoing.size
        outgoing.gather(buffers)
        return first

    @property
    def gathered(self) -> bool:
        """Whether there are bytes that the kernel was not offered yet."""
        return self._outgoing.size > 0 and not self._outgoing.blocked

    @property
    def settled(self) -> bool:
        """Whether nothing was gathered, and all that has gone out is accounted for: else that is
        for `send_kept` to do, or for the time when the socket takes bytes again."""
        return self._outgoing.blocked or not (self._outgoing.size or self._owed)

    def charge(self, source: Source | None, count: int) -> None:
        """`count` body bytes of the source were sent or gathered: it has its credit again as soon
        as nothing is kept before or of them."""
        if self._outgoing.size:
            self._owed += count
        elif source is not None:
            source.consumed(count)

    def send_kept(self, source: Source | None) -> bool:
        """The socket takes bytes again, or the turn has gathered some. Returns whether nothing is
        kept any more. Raises OSError."""
        outgoing = self._outgoing
        count = outgoing.send_kept() if outgoing.size else 0
        if outgoing.blocked:
            if count or not self.send_by:
                self.send_by = self._service.clock() + self._service.settings.send_timeout
            credit = min(self._owed, count)
        else:
            self.send_by = 0.0
            credit = self._owed
        self._watch()
        if credit:
            self._owed -= credit
            if source is not None:
                source.consumed(credit)
        return not outgoing.size

    def forget_source(self) -> None:
        """What is kept now is nobody's any more: its source has ended."""
        self._owed = 0

    def moves(self) -> bool:
        """Whether the client has taken some of what the kernel holds for it since this was last
        asked, and has yet to take more."""
        before, self._queued = self._queued, self._in_kernel()
        return 0 < self._queued < before

    def _in_kernel(self) -> int:
        """Bytes sent that the client's side has not acknowledged (SIOCOUTQ, tcp(7))."""
        try:
            answer = fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, bytes(4))
        except OSError:
            return 0
        return int.from_bytes(answer, sys.byteorder)

    def pause(self, paused: bool = True) -> None:
        """Reads no more, or reads again; the client's end is noticed all the same."""
        if paused is not self.paused:
            self.paused = paused
            self._watch()

    def _watch(self) -> None:
        events = (HANGUP if self.paused else READ) | (WRITE if self._outgoing.blocked else 0)
        if events != self._events and not self.closed:
            self._events = events
            self._service.poller.want(self._sock.fileno(), events)

    # -- the end -----------------------------------------------------------------------------

    def shut_writing(self) -> None:
        """Nothing more will be sent; the client may still be sending, and to close over that
        would reset the connection and take our last bytes with it (RFC 9112 section 9.6). Raises
        OSError."""
        self._outgoing.finish()
        self._sock.shutdown(socket.SHUT_WR)
        self.pause(False)

    def reset(self) -> None:
        """Closes so that the client sees that something is missing."""
        if not self.closed:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._forget()

    def close(self) -> None:
        """Closes at once, and says over TLS that nothing is missing; harmless when done twice."""
        if not self.closed:
            self._outgoing.finish()
            self._forget()

    def _forget(self) -> None:
        self.closed = True
        self._owed = 0
        self._outgoing.forget()
        self._service.poller.remove(self._sock.fileno())
        self._sock.close()
