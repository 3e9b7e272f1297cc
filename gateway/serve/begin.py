"""How a connection comes in: one `begin(transport, endpoint)` above the other.

What a listener accepts may have to say first who sends it (a PROXY header), then agree on TLS, and
only then does it speak HTTP, in the version that ALPN has chosen. Each of these is a layer: it
begins with a transport and with what is known of its ends, does its part, and calls the `begin`
above it with the transport and the endpoint as they are then. Which layers a listener has is
decided where the process is assembled, and no layer knows which others there are.
"""

from collections.abc import Callable

from ..exchange.endpoint import Endpoint
from ..exchange.errors import RequestError
from ..transport.client_socket import ClientSocket
from ..transport.transport import Transport
from .http1_connection import Http1Connection
from .service_state import ServiceState

Begin = Callable[[ClientSocket, Endpoint], None]
"""Takes a client's transport over, with what is known of its ends."""


class HttpVersions:
    """The last layer: the driver of the HTTP version that a client speaks."""

    def __init__(self, state: ServiceState) -> None:
        self._state = state

    def begin(self, transport: Transport, endpoint: Endpoint, alpn: str = "") -> None:
        """`alpn`: what the TLS handshake has agreed on (RFC 7301); "" for nothing."""
        Http1Connection(transport, endpoint, self._state).open()

    def refuse(
        self, transport: Transport, endpoint: Endpoint, data: bytes, error: RequestError
    ) -> None:
        """Has `data`, the first that came, answered with an error, whatever it asks for."""
        connection = Http1Connection(transport, endpoint, self._state)
        connection.open()
        connection.refuse(data, error)
