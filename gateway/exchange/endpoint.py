"""Between whom a connection is, as far as the layers below HTTP know it. A leaf.

The accept loop knows a socket's two addresses. A PROXY header may say who is really at its ends,
and over what the client came to the proxy. TLS adds what the handshake has found. Each of them
makes a new `Endpoint` of the one before (`dataclasses.replace`), so that the HTTP driver at the top
gets one fact instead of a list of them, whatever layers lie below it.
"""

from dataclasses import dataclass
from typing import Final

from ...protocol.messages import Address


@dataclass(frozen=True, slots=True)
class Endpoint:
    client: Address | None
    """None: it came over a Unix socket."""
    server: Address | None
    """Where the client has connected to; a Unix socket's path stands with the port None."""
    scheme: str = "http"
    """http or https: what the client used, to us or to the proxy that said so."""
    is_known: bool = True
    """Whether `client` is the client. Else it is a proxy that could not say who is (PROXY UNKNOWN),
    and it must not be trusted as the proxy is."""
    extensions: dict[str, object] | None = None
    """ASGI's, as far as they are facts of the connection (`tls`); shared, never changed."""


NOWHERE: Final = Endpoint(None, None)
"""Of an exchange that nobody's connection has opened."""
