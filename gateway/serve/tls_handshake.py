"""TLS handshakes: from an accepted socket to a connection, or to nothing.

The poller drives them as it drives connections. A client that stalls has its slot for the time-out
only. When all slots are taken accepting pauses, and those that have had `HURRY` seconds make room:
whoever holds slots on purpose does not shut the others out.
"""

import socket
from logging import getLogger
from typing import Final

import trio

from ...protocol.messages import Address
from ..exchange.errors import RequestError
from ..settings import TlsSettings
from ..tls.certificates import Certificates
from ..tls.session import TlsError, TlsSession
from ..transport.poller import READ, WRITE
from ..transport.tls_transport import TlsOutgoing, TlsTransport
from .http1_connection import ClientConnection
from .service_state import ServiceState

log = getLogger("propylon.gateway")

READ_SIZE: Final = 65_536
HURRY: Final = 1.0
"""Seconds; a handshake is two round trips and some milliseconds of work."""
RENEWAL_EVERY: Final = 0.5
"""Seconds between two looks at the certificates' files."""

PLAIN_HTTP: Final = RequestError(
    400, "This port speaks HTTPS, and the request came in plain HTTP: use https:// in the address."
)


class Handshakes:
    """Those in progress in this process."""

    def __init__(
        self, state: ServiceState, certificates: Certificates, settings: TlsSettings
    ) -> None:
        self.state = state
        self.settings = settings
        self._certificates = certificates
        self._running: set[Handshake] = set()
        self.full_at = 0.0
        """Monotonic seconds of the last sweep that found no room."""
        self._room = trio.Event()

    @property
    def full(self) -> bool:
        return len(self._running) >= self.settings.max_handshakes

    async def room(self) -> None:
        """Returns when another handshake may begin."""
        while self.full:
            if self._room.is_set():  # else another listener waits for it already
                self._room = trio.Event()
            await self._room.wait()

    def begin(
        self,
        sock: socket.socket,
        client: Address | None,
        server: Address | None,
        _: str = "",
        known: bool = True,
    ) -> None:
        """A `Begin`; that the scheme is https is known here."""
        session = self._certificates.session()
        handshake = Handshake(sock, client, server, session, self, known=known)
        self._running.add(handshake)
        handshake.open()

    def ended(self, handshake: "Handshake") -> None:
        self._running.discard(handshake)
        self._room.set()

    async def renew(self) -> None:
        """Looks after the certificates' files, for ever."""
        certificates = self._certificates
        while True:
            await trio.sleep(RENEWAL_EVERY)
            if certificates.changed():
                # In a thread: an encrypted key takes its time on purpose.
                await trio.to_thread.run_sync(certificates.reload)
            certificates.warn_daily()


class Handshake:
    __slots__ = (
        "_client",
        "_deadline",
        "_handshakes",
        "_hurried",
        "_known",
        "_outgoing",
        "_running",
        "_server",
        "_session",
        "_sock",
        "_spoken",
    )

    def __init__(
        self,
        sock: socket.socket,
        client: Address | None,
        server: Address | None,
        session: TlsSession,
        handshakes: Handshakes,
        *,
        known: bool = True,
    ) -> None:
        self._sock = sock
        self._known = known
        self._client = client
        self._server = server
        self._session = session
        self._outgoing = TlsOutgoing(sock, session)
        self._handshakes = handshakes
        now = handshakes.state.clock()
        self._deadline = now + handshakes.settings.handshake_timeout
        self._hurried = now + HURRY
        self._running = True
        self._spoken = False
        """Whether the client has sent anything."""

    def open(self) -> None:
        self._handshakes.state.connections.add(self)
        self._handshakes.state.poller.add(self._sock.fileno(), self, READ)

    def readable(self) -> None:
        if not self._running:
            return
        try:
            self._read()
        except BlockingIOError:
            pass
        except TlsError as error:
            self._fail(str(error))
        except OSError:
            self._broken_off()
        except Exception:
            # As in a connection: this client's trouble alone.
            log.exception("a handshake failed")
            self._close()

    def _read(self) -> None:
        data = self._sock.recv(READ_SIZE)
        if not data:
            self._broken_off()
            return
        if not self._spoken and (b"A" <= data[:1] <= b"Z" or data[:1] in b"\r\n"):
            self._answer_plain(data)
            return
        self._spoken = True
        early = b""
        try:
            if complete := self._session.handshake(data):
                early = self._session.decrypt(b"")
        finally:
            if output := self._session.output:
                self._outgoing.answer(output)
        if complete:
            self._succeed(early)
        elif self._outgoing.size:
            self._handshakes.state.poller.want(self._sock.fileno(), READ | WRITE)

    def writable(self) -> None:
        if not self._running:
            return
        try:
            if self._outgoing.size:
                self._outgoing.send_kept()
            if not self._outgoing.size:
                self._handshakes.state.poller.want(self._sock.fileno(), READ)
        except OSError:
            self._broken_off()

    # -- the end -----------------------------------------------------------------------------

    def _succeed(self, early: bytes) -> None:
        transport = TlsTransport(self._sock, self._session, self._outgoing, early)
        connection = self._hand_over(transport)
        if early or self._session.ended:
            connection.readable()

    def _answer_plain(self, data: bytes) -> None:
        self._handshakes.state.client_faults.say("plain HTTP came to a TLS port", self._client)
        self._hand_over(self._sock).refuse(data, PLAIN_HTTP)

    def _hand_over(self, sock: socket.socket | TlsTransport) -> ClientConnection:
        state = self._handshakes.state
        self._leave()
        connection = ClientConnection(sock, self._client, self._server, state, known=self._known)
        connection.open()
        if state.draining:
            connection.drain()
        return connection

    def _broken_off(self) -> None:
        if self._spoken:
            self._fail("the client broke off")
        else:  # a load balancer that looks whether the port is open
            self._close()

    def _fail(self, reason: str) -> None:
        self._handshakes.state.client_faults.say(f"TLS handshake failed: {reason}", self._client)
        self._close()

    def _leave(self) -> None:
        """The socket is somebody else's from here on."""
        self._running = False
        self._handshakes.state.connections.discard(self)
        self._handshakes.state.poller.remove(self._sock.fileno())
        self._handshakes.ended(self)

    def _close(self) -> None:
        if self._running:
            self._leave()
            self._sock.close()

    # -- deadlines ---------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        handshakes = self._handshakes
        if handshakes.full:
            handshakes.full_at = now  # for all in this sweep, though the first makes room
        if now >= self._deadline or (now >= self._hurried and handshakes.full_at == now):
            self._fail("it was not finished in time")

    def drain(self) -> None:
        """It may finish soon: its connection then drains."""
        self._deadline = min(self._deadline, self._handshakes.state.clock() + HURRY)

    def cut(self) -> None:
        self._close()
