"""Decides whether a request's forwarded fields are trusted, and what they change. Pure.

A malformed field from a trusted peer gets 400. Each field decides about something (who the client
is, whether cookies are safe, where links lead), so a guess could do harm, and an operator sees a
proxy that is set up wrongly at its first request. `unknown` and `_hidden` are not malformed: they
mean that the client's address is not known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...protocol.messages import Address, Pairs
from ..exchange.errors import RequestError
from ..exchange.exchange import Exchange
from ..peers import PeerSet
from ..settings import TrustSettings
from .forwarded import forwarded_from_right, host, list_from_right, node, port, prefix, scheme

_USUAL_PORT: Final = {"http": 80, "https": 443}

_NAMES: Final = {
    b"forwarded": "forwarded", b"x-real-ip": "real-ip", b"x-forwarded-for": "for",
    b"x-forwarded-proto": "proto", b"x-forwarded-host": "host", b"x-forwarded-port": "port",
    b"x-forwarded-prefix": "prefix",
}  # fmt: skip
"""Field -> its name in the settings. Other X-Forwarded-* fields change nothing here. Apps that use
them (X-Forwarded-User) get them from trusted peers."""


@dataclass(slots=True)
class ForwardedFacts:
    """What one kind of field says of a request; each part is empty if the field lacks it."""

    hops: list[Address | None] = field(default_factory=list[Address | None])
    """Addresses from the nearest hop on; the last one is the client's. None: not known."""
    scheme: str = ""
    host: bytes = b""


class TrustPolicy:
    """Applies the forwarded fields of each request that has any, as the operator's settings say."""

    def __init__(self, settings: TrustSettings, tell: Callable[[str], None] | None = None) -> None:
        """`tell` gets a sentence for each field that a trusted peer sends and that is dropped,
        once."""
        self._peers = PeerSet(settings.forwarded_allow_ips)
        self._trusted_fields = frozenset(settings.forwarded_fields)
        self._dropped = {
            name for name, facts in _NAMES.items() if facts not in self._trusted_fields
        }
        self._tell = tell
        self._told: set[bytes] = set()

    def apply(self, exchange: Exchange) -> None:
        """Changes the exchange's client, scheme, server, host and mount point, if its peer is
        trusted.

        The app then gets the trusted fields as they came. A field that is not trusted may come from
        the peer's own client, so the app does not get it. From a peer that is not trusted it gets
        none of these fields. Raises RequestError 400 for a malformed field.
        """
        request = exchange.request
        if not self._peers.has(exchange.client):
            return
        fields: dict[bytes, list[bytes]] = {}
        heard = request.forwarded
        if not self._dropped.isdisjoint(name for name, _ in heard):
            heard = self._without_dropped(heard)
        for name, value in heard:
            fields.setdefault(name, []).append(value)
        facts = _agreed(self._of_x_forwarded(fields), self._of_forwarded(fields))
        request.is_meant_for(request.host, request.headers + heard)
        exchange.came_from(
            facts.hops[-1] if facts.hops else exchange.client,
            facts.scheme or exchange.scheme,
            exchange.server,
        )
        port_text = self._nearest(fields, "port")
        if facts.host or port_text:
            _move(exchange, facts.host, port(port_text) if port_text else 0)
        root = prefix(self._nearest(fields, "prefix"))
        if root and request.path != b"*":
            exchange.mount(root, root.encode() + exchange.path)

    def _without_dropped(self, forwarded: Pairs) -> Pairs:
        for name, _ in forwarded:
            if name in self._dropped and name not in self._told:
                self._told.add(name)
                if self._tell is not None:
                    self._tell(
                        f"a trusted proxy sends {name.decode()}, which may be its client's own and "
                        f"is dropped; if the proxy sets or removes it, add {_NAMES[name]} to "
                        "--forwarded-fields"
                    )
        return tuple(pair for pair in forwarded if pair[0] not in self._dropped)

    def _of_x_forwarded(self, fields: dict[bytes, list[bytes]]) -> ForwardedFacts:
        """What X-Forwarded-* fields say. Of all but X-Forwarded-For only the right-most entry
        counts, which is the peer's own: not every proxy adds an entry of these."""
        hops: list[Address | None] = []
        if "for" in self._trusted_fields:
            for entry in list_from_right(fields.get(b"x-forwarded-for", ())):
                hops.append(node(entry))
                if not self._goes_on(hops):
                    break
        told = self._nearest(fields, "proto")
        return ForwardedFacts(hops, scheme(told) if told else "", self._nearest(fields, "host"))

    def _of_forwarded(self, fields: dict[bytes, list[bytes]]) -> ForwardedFacts:
        """What `Forwarded` says. Each hop's element has its own scheme and host; the trusted ones
        nearest to the client count."""
        hops: list[Address | None] = []
        their_scheme, their_host = "", b""
        if "forwarded" not in self._trusted_fields:
            return ForwardedFacts(hops)
        for element in forwarded_from_right(fields.get(b"forwarded", ())):
            if b"proto" in element:
                their_scheme = scheme(element[b"proto"])
            if b"host" in element:
                their_host = element[b"host"]
            if b"for" not in element:
                break  # it is not known which proxy wrote the next one
            hops.append(node(element[b"for"]))
            if not self._goes_on(hops):
                break
        return ForwardedFacts(hops, their_scheme, their_host)

    def _goes_on(self, hops: Sequence[Address | None]) -> bool:
        """Whether the last hop is a trusted proxy, so that its own entry counts too."""
        hop = hops[-1]
        return hop is not None and self._peers.names(hop[0])

    def _nearest(self, fields: dict[bytes, list[bytes]], name: str) -> bytes:
        """The right-most entry of a field, which the peer has written; b"" if there is none or if
        the field is not trusted."""
        if name not in self._trusted_fields:
            return b""
        values = fields.get(b"x-forwarded-" + name.encode(), ())
        return next(list_from_right(values), b"")


def _agreed(one: ForwardedFacts, other: ForwardedFacts) -> ForwardedFacts:
    """Joins what both kinds of field say. A proxy that writes only one kind passes on the other
    kind as its client wrote it, and it is not known which kind the proxy writes. So if both kinds
    are there they must agree; else it raises RequestError 400."""
    client = [facts.hops[-1] for facts in (one, other) if facts.hops]
    names = {hop[0] if hop else "" for hop in client}
    hosts = {facts.host.lower() for facts in (one, other) if facts.host}
    schemes = {facts.scheme for facts in (one, other) if facts.scheme}
    for what, said in (("client", names), ("host", hosts), ("scheme", schemes)):
        if len(said) > 1:
            raise RequestError(400, f"Forwarded and X-Forwarded-* name a different {what}.")
    return ForwardedFacts(
        one.hops or other.hops, one.scheme or other.scheme, one.host or other.host
    )


def _move(exchange: Exchange, authority: bytes, told_port: int) -> None:
    """Makes the exchange one to the host and port that the client used at the proxy."""
    request = exchange.request
    usual = _USUAL_PORT.get(exchange.scheme, 80)
    if not authority:
        # The Host field is the client's own, so it has the port that the client used already.
        server = exchange.server
        name = server[0] if server is not None and server[1] is not None else request.host
        exchange.came_from(exchange.client, exchange.scheme, (name, told_port))
        return
    name, own_port = host(authority)
    server = (name.strip("[]"), told_port or own_port or usual)
    exchange.came_from(exchange.client, exchange.scheme, server)
    if told_port and not own_port and told_port != usual:
        authority = b"%s:%d" % (authority.removesuffix(b":"), told_port)
    request.is_meant_for(name, _with_host(request.headers, authority))


def _with_host(headers: Pairs, authority: bytes) -> Pairs:
    return ((b"host", authority), *(pair for pair in headers if pair[0] != b"host"))
