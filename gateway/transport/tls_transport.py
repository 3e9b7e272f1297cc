"""A client's socket behind TLS, used in the words of a socket.

Encryption lies between the connection and `Outgoing`: what is kept is encrypted already, so
OpenSSL never has half a record to finish, and a plain connection pays for none of this.
"""

import socket
from collections.abc import Iterable
from typing import Final

from ..tls.session import TlsError, TlsSession
from .send_queue import Outgoing

MOST_UNASKED: Final = 65_536
"""Bytes of answers to the client's TLS messages (key updates) that may be among what it has yet to
take."""


class TlsOutgoing(Outgoing):
    __slots__ = ("_session", "unasked")

    def __init__(self, sock: socket.socket, session: TlsSession) -> None:
        super().__init__(sock)
        self._session = session
        self.unasked = 0
        """Bytes of answers that were kept since there was nothing to keep."""

    def send(self, data: bytes) -> None:
        super().send(self._session.encrypt(data))

    def gather(self, buffers: Iterable[bytes]) -> None:
        super().gather((self._session.encrypt(b"".join(buffers)),))

    def send_kept(self) -> int:
        sent = super().send_kept()
        if not self.size:
            self.unasked = 0
        return sent

    def answer(self, data: bytes) -> None:
        """What OpenSSL has to say by itself goes out at once if nothing is kept, and else behind
        that, when its time comes: whoever keeps the account of it is not there now."""
        if self.size:
            self._kept.add(data)
        else:
            super().send(data)
        if self.size:
            self.unasked += len(data)

    def finish(self) -> None:
        try:
            super().send(self._session.close())
        except OSError:
            pass  # nobody is there to hear it


class TlsTransport:
    """After the handshake."""

    __slots__ = ("_early", "_session", "_sock", "extensions", "outgoing")

    def __init__(
        self, sock: socket.socket, session: TlsSession, outgoing: TlsOutgoing, early: bytes
    ) -> None:
        """`early`: plain text that came together with the handshake's end."""
        self._sock = sock
        self._session = session
        self._early = early
        self.outgoing = outgoing
        self.extensions: dict[str, object] = {"tls": session.facts()}
        """What the app is told of this connection, in each of its scopes."""

    def recv(self, size: int) -> bytes:
        """All plain text that one read of the socket completes: b"" at the end, BlockingIOError if
        there is none. Raises OSError."""
        session = self._session
        if self._early:
            plain, self._early = self._early, b""
        elif session.ended:
            return b""  # a half-closed client counts as gone
        else:
            data = self._sock.recv(size)
            if not data:
                return b""  # without a close_notify: what was cut off is seen by HTTP's framing
            try:
                plain = session.decrypt(data)
            finally:
                # An answer to a key update, or the alert that says what was wrong.
                if output := session.output:
                    self.outgoing.answer(output)
        if session.ended:
            # With it came the client's last bytes. The poller tells of the end when these are
            # handled, since the socket has one now.
            self._sock.shutdown(socket.SHUT_RD)
        if not plain and not session.ended:
            if self.outgoing.unasked > MOST_UNASKED:
                raise TlsError("the client asks and does not listen")
            raise BlockingIOError
        return plain

    def fileno(self) -> int:
        return self._sock.fileno()

    def shutdown(self, how: int) -> None:
        self._sock.shutdown(how)

    def setsockopt(self, level: int, name: int, value: bytes) -> None:
        self._sock.setsockopt(level, name, value)

    def close(self) -> None:
        self._sock.close()
