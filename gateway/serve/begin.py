"""How a connection comes in: one `begin(transport, endpoint)` above the other.

An accepted connection may first carry a PROXY header, then agree on TLS, and only then speak HTTP,
in the version that ALPN has chosen. Each of these is a layer: it begins with a transport and an
endpoint, does its part, and calls the `begin` above it with the transport and the endpoint as they
are then. `assemble` decides which layers a listener has, and no layer knows the others.
"""

from collections.abc import Callable

from ..exchange.endpoint import Endpoint
from ..exchange.errors import RequestError
from ..transport.client_socket import ClientSocket
from ..transport.transport import Transport
from .http1_connection import Http1Connection
from .http2_connection import Http2Connection
from .service_state import ServiceState

Begin = Callable[[ClientSocket, Endpoint], None]
"""Takes over a client's transport, with its endpoint."""


class HttpVersions:
    """The last layer: the driver of the HTTP version that a client speaks."""

    def __init__(self, state: ServiceState) -> None:
        self._state = state

    def begin(self, transport: Transport, endpoint: Endpoint, alpn: str = "") -> None:
        """Begins a connection. `alpn` is the protocol that the TLS handshake has agreed on (RFC
        7301); "" for none."""
        if alpn == "h2":
            Http2Connection(transport, endpoint, self._state).open()
        else:
            Http1Connection(transport, endpoint, self._state).open()

    def refuse(
        self, transport: Transport, endpoint: Endpoint, data: bytes, error: RequestError
    ) -> None:
        """Answers `data`, the first bytes, with an error, whatever they ask for."""
        connection = Http1Connection(transport, endpoint, self._state)
        connection.open()
        connection.refuse(data, error)
