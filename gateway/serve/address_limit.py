"""The layer that counts the connections of each address, and refuses what is too much.

It stands below TLS, so a refused connection costs a look-up, and above the PROXY header, so that it
counts clients and not the load balancer in front of them. A proxy that is trusted with its
clients' addresses is not counted, nor is a Unix socket: behind either are many clients.

A household has a whole /64 network of IPv6 addresses (RFC 6177), and whoever means harm uses all of
them; so such a network counts as one address. A refused connection is reset without an answer. One
would take a parser, and with TLS a handshake, for a client that has too much already.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from ipaddress import AddressValueError, IPv6Address
from typing import Final

from ..exchange.endpoint import Endpoint
from ..peers import PeerSet
from ..transport.client_socket import ClientSocket
from .begin import Begin
from .service_state import ServiceState

TOO_MANY: Final = "too many connections at once (--limit-connections-per-address)"


class AddressLimit:
    def __init__(self, most: int, trusted: PeerSet, state: ServiceState, *, named: bool) -> None:
        """`most` connections at once of each address. `named`: a PROXY header names the client, and
        the peer itself is never the one."""
        self._most = most
        self._trusted: Callable[[str], bool] = trusted.names
        self._trusts_all = trusted.everybody and not named
        self._state = state
        self._open: dict[str, int] = {}
        """Address or network -> its connections now."""

    def before(self, begin: Begin) -> Begin:
        """Returns a `Begin` that calls the given one for a connection that is not too much."""
        return partial(self._begin, begin)

    def _begin(self, begin: Begin, transport: ClientSocket, endpoint: Endpoint) -> None:
        client = endpoint.client
        if client is None or not endpoint.is_known or self._is_trusted(client[0]):
            begin(transport, endpoint)
            return
        counted = network_of(client[0])
        open_now = self._open.get(counted, 0)
        if open_now >= self._most:
            self._state.counts.refuse("address")
            self._state.client_faults.say(TOO_MANY, client)
            transport.reset()
            return
        self._open[counted] = open_now + 1
        transport.at_close(partial(self._closed, counted))
        begin(transport, endpoint)

    def _is_trusted(self, host: str) -> bool:
        return self._trusts_all or self._trusted(host)

    def _closed(self, counted: str) -> None:
        left = self._open[counted] - 1
        if left:
            self._open[counted] = left
        else:
            del self._open[counted]


@lru_cache(maxsize=4_096)
def network_of(host: str) -> str:
    """What an address is counted by: itself, or its /64 if it is of IPv6."""
    try:
        number = int(IPv6Address(host.partition("%")[0]))
    except AddressValueError:
        return host
    return f"{IPv6Address(number >> 64 << 64)}/64"
