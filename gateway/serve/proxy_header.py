"""Where connections come in that begin with a PROXY header.

The header is read before anything else is: what follows it, a TLS hello perhaps, is left in the
kernel for whoever takes the socket over. So bytes are only looked at (MSG_PEEK) until the header
is whole; while it is not, all of them are its own and can be taken.
"""

import socket
from collections.abc import Callable
from logging import getLogger
from typing import Final

from ...protocol.messages import Address
from ..listen.proxy_protocol import LONGEST, ProxyProtocolError, read_proxy_header
from ..peers import PeerSet
from ..settings import TrustSettings
from ..transport.poller import READ
from .log_throttle import LogThrottle
from .service_state import ServiceState

log = getLogger("propylon.gateway")

PATIENCE: Final = 5.0
"""Seconds for a header. The sender has it ready when it connects; the specification asks for at
least 3, so that one retransmission fits in (section 2)."""

Begin = Callable[[socket.socket, Address | None, Address | None, str, bool], None]
"""Takes over a socket whose header has been read, with its client, server and scheme, and whether
the client is known. One that is not (UNKNOWN) must not be trusted as the proxy is."""


class ProxyGate:
    def __init__(self, settings: TrustSettings, state: ServiceState) -> None:
        self._allowed = PeerSet(settings.proxy_allow_from)
        self.state = state
        self._throttle = LogThrottle()

    def enter(
        self, sock: socket.socket, peer: Address | None, server: Address | None, begin: Begin
    ) -> None:
        """A connection just accepted: `begin` follows when its header is there, or it closes."""
        if not self._allowed.has(peer):
            self.refused(peer, "it is not among --proxy-allow-from")
            sock.close()
            return
        Greeting(self, sock, peer, server, begin).open()

    def refused(self, peer: Address | None, why: str) -> None:
        """Logs why a connection was closed, once per source and minute."""
        source = peer[0] if peer is not None else "a Unix socket"
        if self._throttle.may(source, self.state.clock()):
            log.warning("closed a connection from %s: %s", source, why)


class Greeting:
    """A connection whose header is still to come."""

    __slots__ = ("_begin", "_came", "_deadline", "_gate", "_peer", "_server", "_sock")

    def __init__(
        self,
        gate: ProxyGate,
        sock: socket.socket,
        peer: Address | None,
        server: Address | None,
        begin: Begin,
    ) -> None:
        self._gate = gate
        self._sock = sock
        self._peer = peer
        self._server = server
        self._begin = begin
        self._came = b""
        self._deadline = gate.state.clock() + PATIENCE

    def open(self) -> None:
        self._gate.state.connections.add(self)
        self._gate.state.poller.add(self._sock.fileno(), self, READ)
        self.readable()  # a proxy sends the header with its first packet

    def readable(self) -> None:
        came = self._came
        try:
            seen = self._sock.recv(LONGEST, socket.MSG_PEEK)
            header = read_proxy_header(came + seen) if seen else None
            taken = header.length - len(came) if header is not None else len(seen)
            # Not more than was seen, so that it comes whole.
            self._came = came + self._sock.recv(taken) if taken else came
        except BlockingIOError:
            return
        except ProxyProtocolError as error:
            self._refuse(str(error))
            return
        except OSError:
            self._close()  # it was reset: health checks end so
            return
        if header is not None:
            self._leave()
            client, server = header.client or self._peer, header.server or self._server
            known = header.client is not None
            self._begin(self._sock, client, server, header.scheme or "http", known)
        elif not seen and came:
            self._refuse("it ended within its PROXY header")
        elif not seen:
            self._close()  # a health check: connects, and that is all

    def writable(self) -> None:
        """Nothing is sent."""

    def _refuse(self, why: str) -> None:
        self._gate.refused(self._peer, why)
        self._close()

    def _leave(self) -> None:
        self._gate.state.connections.discard(self)
        self._gate.state.poller.remove(self._sock.fileno())

    def _close(self) -> None:
        self._leave()
        self._sock.close()

    def sweep(self, now: float) -> None:
        if now >= self._deadline:
            self._refuse("its PROXY header did not come in time")

    def drain(self) -> None:
        """It has not asked for anything yet."""
        self._close()

    def cut(self) -> None:
        self._close()
