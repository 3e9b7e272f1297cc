"""A client's socket behind TLS, after the handshake.

The queue of bytes that the client has yet to take could be above the encryption or below it.
OpenSSL wants a write that it could not finish to be repeated with the same bytes, so a queue above
would have to remember what was offered. The queue is below: its bytes are encrypted already, and
OpenSSL is done with them. So one queue and one loop serve with TLS and without (`client_socket`),
and a plain connection pays nothing for this.

OpenSSL also sends by itself: it answers key updates, and sends an alert when something is wrong.
These bytes go out at once if nothing is kept, and otherwise behind what is. A client that asks for
ever and takes nothing would have us keep ever more, so these bytes are counted (`MOST_UNASKED`).
"""

import socket
from collections.abc import Iterable
from typing import ClassVar, Final

from ..tls.session import TlsError, TlsSession
from .client_socket import ClientSocket
from .file_buffer import SendableFile
from .poller import Watched, read_now

MOST_UNASKED: Final = 65_536
"""Bytes of answers to the client's TLS messages (key updates) that may be among what it has yet to
take."""


class TlsTransport(ClientSocket):
    """A `Transport`: plain bytes here, encrypted ones on the wire."""

    __slots__ = ("_early", "_session", "_unasked")

    sends_files: ClassVar[bool] = False

    def __init__(self, below: ClientSocket, session: TlsSession, early: bytes | None) -> None:
        """Takes everything over from the socket `below`, which carried the handshake and is of no
        use any more. `early` is plain text that came together with the handshake's end; b"" if that
        was the end of the connection, None if nothing came."""
        super().__init__(below._sock, below._context)
        self._joined, self._events = below._joined, below._events
        self._unsent, self.blocked, self.send_by = below._unsent, below.blocked, below.send_by
        self._at_close = below._at_close
        self._session = session
        self._early = early
        self._unasked = 0
        """Bytes of such answers that were kept since the queue was last empty."""

    def join(self, owner: Watched) -> None:
        """Gives the transport an owner, as a socket's `join` does. It is called at once for bytes
        that came early, because the kernel does not have them any more."""
        super().join(owner)
        if self._early is not None:
            read_now(owner)

    def recv(self) -> bytes | None:
        """Returns all plain text that one read of the socket completes: b"" at the end, None if
        there is none. Raises OSError."""
        session = self._session
        if self._early is not None:
            plain, self._early = self._early, None
        elif session.ended:
            return b""  # a half-closed client counts as gone
        else:
            data = ClientSocket.recv(self)  # in Python 3.11 `super()` is dear
            if not data:
                return data  # an end without a close_notify: HTTP's framing shows what was cut off
            try:
                plain = session.decrypt(data)
            finally:
                # An answer to a key update, or the alert that says what was wrong.
                if output := session.output:
                    self._answer(output)
        if session.ended:
            # With it came the client's last bytes. The poller tells of the end when these are
            # handled, since the socket has one now.
            self._sock.shutdown(socket.SHUT_RD)
        elif not plain:
            if self._unasked > MOST_UNASKED:
                raise TlsError("the client asks and does not listen")
            return None
        return plain

    def drop(self) -> bool:
        """Reads once and drops it. It is decrypted, since the client's end may be among it."""
        return self.recv() != b""

    def _answer(self, data: bytes) -> None:
        if self.kept:
            self._unsent.add(data)  # behind the rest, when its time comes
        else:
            super().send(data)
        if self.kept:
            self._unasked += len(data)

    def send(self, data: bytes) -> None:
        ClientSocket.send(self, self._session.encrypt(data))

    def gather(self, buffers: Iterable[bytes]) -> bool:
        return super().gather((self._session.encrypt(b"".join(buffers)),))

    def gather_file(self, file: SendableFile, offset: int, count: int) -> bool:
        """Must not be called: a file would go out as it is."""
        raise AssertionError("files are sent as bytes through TLS")

    def send_kept(self) -> int:
        """Offers the kernel what is kept; returns how many encrypted bytes it took. Raises
        OSError."""
        sent = super().send_kept()
        if not self.kept:
            self._unasked = 0
        return sent

    def shut_writing(self) -> None:
        self._say_end()
        super().shut_writing()

    def close(self) -> None:
        """Closes at once, and tells the client that nothing is missing. It is harmless when called
        twice."""
        if not self.closed:
            self._say_end()
            super().close()

    def _say_end(self) -> None:
        """Sends close_notify (RFC 8446 section 6.1), if there is room for it. It is never kept: the
        socket is shut next. To send the rest of it then would fail, as if the client had gone
        before it took the response."""
        if not self.kept:
            try:
                self._sock.send(self._session.close())
            except OSError:
                pass  # there is no room, or the client is gone
