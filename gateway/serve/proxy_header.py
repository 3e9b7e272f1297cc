"""The layer for connections that begin with a PROXY header (`listen.proxy_protocol`).

The header is read before anything else is: what follows it, a TLS hello perhaps, is left in the
kernel for the layer above. So bytes are only looked at (MSG_PEEK) until the header is whole; while
it is not, all of them are its own and can be taken.
"""

from dataclasses import replace
from functools import partial
from logging import getLogger
from typing import ClassVar, Final

from ..exchange.endpoint import Endpoint
from ..listen.proxy_protocol import (
    LONGEST_HEADER,
    ProxyHeader,
    ProxyProtocolError,
    read_proxy_header,
)
from ..peers import PeerSet
from ..settings import TrustSettings
from ..transport.client_socket import ClientSocket
from .begin import Begin
from .log_throttle import LogThrottle
from .service_state import ServiceState

log = getLogger("propylon.gateway")

PROXY_HEADER_TIMEOUT: Final = 5.0
"""Seconds for a header. The sender has it ready when it connects; the specification asks for at
least 3, so that one retransmission fits in (section 2)."""


class ProxyHeaders:
    """The PROXY headers that this process waits for."""

    def __init__(self, settings: TrustSettings, state: ServiceState) -> None:
        self._allowed = PeerSet(settings.proxy_allow_from)
        self.state = state
        self._throttle = LogThrottle()

    def before(self, begin: Begin) -> Begin:
        """Returns a `Begin` that reads a connection's header and calls the given one, with the
        endpoint that the header names."""
        return partial(self._await, begin)

    def _await(self, begin: Begin, transport: ClientSocket, endpoint: Endpoint) -> None:
        if not self._allowed.has(endpoint.client):
            self.refused(endpoint, "it is not among --proxy-allow-from")
            transport.close()
            return
        PendingHeader(self, transport, endpoint, begin).open()

    def refused(self, peer: Endpoint, why: str) -> None:
        """Logs why a connection was closed, once per source and minute."""
        source = peer.client[0] if peer.client is not None else "a Unix socket"
        if self._throttle.may(source, self.state.clock()):
            log.warning("closed a connection from %s: %s", source, why)


class PendingHeader:
    """A connection with a header that is still to come."""

    __slots__ = ("_begin", "_came", "_deadline", "_endpoint", "_headers", "_transport")

    protocol: ClassVar[str] = "proxy_header"

    def __init__(
        self, headers: ProxyHeaders, transport: ClientSocket, endpoint: Endpoint, begin: Begin
    ) -> None:
        self._headers = headers
        self._transport = transport
        self._endpoint = endpoint
        self._begin = begin
        self._came = b""
        self._deadline = headers.state.clock() + PROXY_HEADER_TIMEOUT

    @property
    def held(self) -> int:
        return len(self._came)

    def open(self) -> None:
        self._headers.state.connections.add(self)
        self._transport.join(self)

    def readable(self) -> None:
        came = self._came
        try:
            seen = self._transport.peek(LONGEST_HEADER)
            if seen is None:
                return
            header = read_proxy_header(came + seen) if seen else None
            taken = header.length - len(came) if header is not None else len(seen)
            # Not more than was seen, so that it comes whole.
            self._came = came + self._transport.take(taken)
        except ProxyProtocolError as error:
            self._refuse(str(error))
            return
        except OSError:
            self._close()  # it was reset: health checks end so
            return
        if header is not None:
            self._headers.state.connections.discard(self)
            self._begin(self._transport, _told(self._endpoint, header))
        elif not seen and came:
            self._refuse("it ended within its PROXY header")
        elif not seen:
            self._close()  # a health check: connects, and that is all

    def writable(self) -> None:
        """Does nothing: nothing is sent before the header."""

    def _refuse(self, why: str) -> None:
        self._headers.refused(self._endpoint, why)
        self._close()

    def _close(self) -> None:
        self._headers.state.connections.discard(self)
        self._transport.close()

    def sweep(self, now: float) -> None:
        if now >= self._deadline:
            self._refuse("its PROXY header did not come in time")

    def drain(self) -> None:
        """Closes the connection, which has not asked for anything yet."""
        self._close()

    def end_if_idle(self) -> None:
        """Does nothing: the request behind the header is on its way."""

    def cut(self) -> None:
        self._close()


def _told(peer: Endpoint, header: ProxyHeader) -> Endpoint:
    """Returns the endpoint that the header names; if it names none, `peer`."""
    return replace(
        peer,
        client=header.client or peer.client,
        server=header.server or peer.server,
        scheme=header.scheme or peer.scheme,
        is_known=header.client is not None,
    )
