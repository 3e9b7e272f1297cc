"""The layer of TLS: from a client's socket to an HTTP connection over TLS, or to nothing.

The poller drives handshakes as it drives connections. A client that stalls has its slot for the
time-out only. When all slots are taken, accepting pauses, and handshakes that have had `HURRY`
seconds make room, so that clients that hold slots on purpose do not shut the others out.
"""

from dataclasses import replace
from logging import getLogger
from typing import ClassVar, Final

import trio

from ..exchange.endpoint import Endpoint
from ..exchange.errors import RequestError
from ..settings import TlsSettings
from ..tls.certificates import Certificates
from ..tls.session import TlsError, TlsSession
from ..transport.client_socket import ClientSocket
from ..transport.tls_transport import TlsTransport
from .begin import HttpVersions
from .service_counts import HandshakeResult
from .service_state import ServiceState

log = getLogger("propylon.gateway")

HURRY: Final = 1.0
"""Seconds that a handshake has if slots are short. It takes two round trips and some milliseconds
of work."""
RENEWAL_EVERY: Final = 0.5
"""Seconds between two looks at the certificates' files."""

PLAIN_HTTP: Final = RequestError(
    400, "This port speaks HTTPS, and the request came in plain HTTP: use https:// in the address."
)


class Handshakes:
    """The handshakes in progress in this process."""

    def __init__(
        self, state: ServiceState, certificates: Certificates, settings: TlsSettings
    ) -> None:
        self.state = state
        self.versions = HttpVersions(state)
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

    def begin(self, transport: ClientSocket, endpoint: Endpoint) -> None:
        """Begins a handshake, as a `Begin`. The HTTP version that it chooses follows, over TLS."""
        handshake = Handshake(transport, endpoint, self._certificates.session(), self)
        self._running.add(handshake)
        handshake.open()

    def ended(self, handshake: "Handshake") -> None:
        self._running.discard(handshake)
        self._room.set()

    async def renew(self) -> None:
        """Reloads the certificates' files when they change, for ever."""
        certificates = self._certificates
        while True:
            await trio.sleep(RENEWAL_EVERY)
            if certificates.changed():
                # In a thread: an encrypted key takes its time on purpose.
                await trio.to_thread.run_sync(certificates.reload)
            certificates.warn_daily()


class Handshake:
    __slots__ = (
        "_deadline",
        "_endpoint",
        "_handshakes",
        "_hurried",
        "_running",
        "_session",
        "_spoken",
        "_transport",
    )

    protocol: ClassVar[str] = "tls_handshake"

    def __init__(
        self,
        transport: ClientSocket,
        endpoint: Endpoint,
        session: TlsSession,
        handshakes: Handshakes,
    ) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._session = session
        self._handshakes = handshakes
        now = handshakes.state.clock()
        self._deadline = now + handshakes.settings.handshake_timeout
        self._hurried = now + HURRY
        self._running = True
        self._spoken = False
        """Whether the client has sent anything."""

    @property
    def held(self) -> int:
        return self._transport.held

    def open(self) -> None:
        self._handshakes.state.connections.add(self)
        self._transport.join(self)

    def readable(self) -> None:
        if not self._running:
            return
        try:
            data = self._transport.recv()
            if data:
                self._hear(data)
            elif data is not None:
                self._broken_off()
        except TlsError as error:
            self._fail(str(error))
        except OSError:
            self._broken_off()
        except Exception:
            # A barrier, as in a connection: the other clients go on.
            log.exception("a handshake failed")
            self._close()

    def _hear(self, data: bytes) -> None:
        if not self._spoken and (b"A" <= data[:1] <= b"Z" or data[:1] in b"\r\n"):
            self._refuse_plain(data)
            return
        self._spoken = True
        session = self._session
        early = b""
        try:
            if complete := session.handshake(data):
                early = session.decrypt(b"")
        finally:
            if output := session.output:
                self._transport.send(output)
        if complete:
            self._finish(early if early or session.ended else None)

    def writable(self) -> None:
        if not self._running:
            return
        try:
            self._transport.send_kept()
        except OSError:
            self._broken_off()

    # -- the end -----------------------------------------------------------------------------

    def _finish(self, early: bytes | None) -> None:
        """Hands the client to its HTTP version. `early` is what it sent behind its part of the
        handshake."""
        session = self._session
        transport = TlsTransport(self._transport, session, early)
        endpoint = replace(self._endpoint, scheme="https", extensions={"tls": session.facts()})
        self._leave()
        self._handshakes.state.counts.end_handshake("ok", session.version)
        self._handshakes.versions.begin(transport, endpoint, session.alpn, session.cipher)

    def _refuse_plain(self, data: bytes) -> None:
        handshakes, client = self._handshakes, self._endpoint.client
        handshakes.state.counts.end_handshake("plain_http")
        handshakes.state.client_faults.say("plain HTTP came to a TLS port", client)
        endpoint = replace(self._endpoint, scheme="http")
        self._leave()
        handshakes.versions.refuse(self._transport, endpoint, data, PLAIN_HTTP)

    def _broken_off(self) -> None:
        if self._spoken:
            self._fail("the client broke off", "client_left")
        else:  # a load balancer that looks whether the port is open
            self._close()

    def _fail(self, reason: str, result: HandshakeResult = "failed") -> None:
        self._handshakes.state.counts.end_handshake(result)
        self._handshakes.state.client_faults.say(
            f"TLS handshake failed: {reason}", self._endpoint.client
        )
        self._close()

    def _leave(self) -> None:
        """Leaves the transport to its next owner."""
        self._running = False
        self._handshakes.state.connections.discard(self)
        self._handshakes.ended(self)

    def _close(self) -> None:
        if self._running:
            self._leave()
            self._transport.close()

    # -- deadlines ---------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        handshakes = self._handshakes
        if handshakes.full:
            handshakes.full_at = now  # for all in this sweep, though the first makes room
        if now >= self._deadline or (now >= self._hurried and handshakes.full_at == now):
            self._fail("it was not finished in time", "timeout")

    def drain(self) -> None:
        """Shortens the handshake's time. It may finish, and its connection then drains."""
        self._deadline = min(self._deadline, self._handshakes.state.clock() + HURRY)

    def end_if_idle(self) -> None:
        """Does nothing: the request behind the handshake is on its way."""

    def cut(self) -> None:
        if self._running:
            self._handshakes.state.counts.end_handshake("cut")
        self._close()
