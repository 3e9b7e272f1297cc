"""How a connection comes in: one `begin(transport, endpoint)` above the other.

An accepted connection may first carry a PROXY header, then agree on TLS, and only then speak HTTP,
in the version that ALPN has chosen. Each of these is a layer: it begins with a transport and an
endpoint, does its part, and calls the `begin` above it with the transport and the endpoint as they
are then. `assemble` decides which layers a listener has, and no layer knows the others.
"""

from collections.abc import Callable
from functools import partial

from ..exchange.endpoint import Endpoint
from ..exchange.errors import RequestError
from ..http2.engine import ErrorCode
from ..tls.http2_ciphers import is_forbidden
from ..transport.client_socket import ClientSocket
from ..transport.transport import Transport
from .http1_connection import Http1Connection
from .http2_connection import Http2Connection
from .service_state import ServiceState

Begin = Callable[[ClientSocket, Endpoint], None]
"""Takes over a client's transport, with its endpoint."""


class HttpVersions:
    """The last layer: the driver of the HTTP version that a client speaks."""

    def __init__(self, state: ServiceState, *, prior_knowledge: bool = False) -> None:
        """`prior_knowledge`: whether HTTP/2 is spoken to clients that begin with it though nothing
        was agreed on, which is allowed without TLS only (RFC 9113 section 3.3)."""
        self._state = state
        self._prior_knowledge = prior_knowledge

    def begin(
        self, transport: Transport, endpoint: Endpoint, alpn: str = "", cipher: str = ""
    ) -> None:
        """Begins a connection. `alpn` and `cipher` are what the TLS handshake has agreed on (RFC
        7301, and by OpenSSL's name); "" for none."""
        if alpn == "h2":
            connection = Http2Connection(transport, endpoint, self._state)
            connection.open()
            if cipher and is_forbidden(cipher):
                code, sentence = ErrorCode.INADEQUATE_SECURITY, f"HTTP/2 forbids {cipher}"
                connection.refuse(code, f"{sentence}, which the handshake has agreed on")
        else:
            http2 = partial(self._take_over, endpoint) if self._prior_knowledge else None
            Http1Connection(transport, endpoint, self._state, http2).open()

    def _take_over(self, endpoint: Endpoint, transport: Transport, received: bytes) -> None:
        """Takes a client over that has begun with HTTP/2."""
        Http2Connection(transport, endpoint, self._state, received).open()

    def refuse(
        self, transport: Transport, endpoint: Endpoint, data: bytes, error: RequestError
    ) -> None:
        """Answers `data`, the first bytes, with an error, whatever they ask for."""
        Http1Connection(transport, endpoint, self._state).open_refused(data, error)
