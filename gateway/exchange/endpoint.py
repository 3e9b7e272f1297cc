"""The two ends of a connection, as far as the layers below HTTP know them. A leaf.

The accept loop knows a socket's two addresses. A PROXY header may name the real ends, and the
scheme that the client used to the proxy. TLS adds what the handshake has found. Each layer makes a
new `Endpoint` from the one before (`dataclasses.replace`), so the HTTP driver at the top gets one
value, whatever layers lie below it.
"""

from dataclasses import dataclass
from typing import Final

from ...protocol.messages import Address


@dataclass(frozen=True, slots=True)
class Endpoint:
    client: Address | None
    """None if the connection came over a Unix socket."""
    server: Address | None
    """The address that the client has connected to; for a Unix socket its path, with port None."""
    scheme: str = "http"
    """http or https: the client's scheme, on this connection or as a proxy has it."""
    is_known: bool = True
    """Whether `client` is the client. If not, it is a proxy that could not name its client (PROXY
    UNKNOWN), and the request must not be trusted as the proxy is."""
    extensions: dict[str, object] | None = None
    """ASGI extensions that are facts of the connection (`tls`); shared, never changed."""


NOWHERE: Final = Endpoint(None, None)
"""The endpoint of an exchange that no connection has opened."""
