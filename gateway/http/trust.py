"""Whether a request's forwarded fields are believed, and what the app is then told. Pure.

A field that is malformed, from a peer that is trusted, is 400: each of them decides about
something (who it is, whether cookies are safe, where links lead), so guessing is no choice, and a
proxy that is set up wrongly is seen at its first request. `unknown` and `_hidden` are no mistake:
then there is no client.
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

_WORDS: Final = {
    b"forwarded": "forwarded", b"x-real-ip": "real-ip", b"x-forwarded-for": "for",
    b"x-forwarded-proto": "proto", b"x-forwarded-host": "host", b"x-forwarded-port": "port",
    b"x-forwarded-prefix": "prefix",
}  # fmt: skip
"""Field -> its word in the settings. Other X-Forwarded-* say nothing that is believed here; apps
that know them (X-Forwarded-User) have them from trusted peers."""


@dataclass(slots=True)
class Word:
    """What one kind of field says; empty for what it does not."""

    hops: list[Address | None] = field(default_factory=list[Address | None])
    """From the nearest on; the last is the client."""
    scheme: str = ""
    host: bytes = b""


class TrustPolicy:
    """Decides for each request that has forwarded fields."""

    def __init__(self, settings: TrustSettings, tell: Callable[[str], None] | None = None) -> None:
        """`tell`: hears, once for each, of the fields that trusted peers send in vain."""
        self._peers = PeerSet(settings.forwarded_allow_ips)
        self._trusted_fields = frozenset(settings.forwarded_fields)
        self._dropped = {name for name, word in _WORDS.items() if word not in self._trusted_fields}
        self._tell = tell
        self._told: set[bytes] = set()

    def apply(self, exchange: Exchange) -> None:
        """Changes what the exchange says of its client, scheme, server, host and mount point, if
        its peer is trusted; the app then sees the fields that are believed, too, as they came. What
        is not believed the peer has perhaps passed on from its client, and it is dropped, as all
        of them were with a stranger's head. Raises RequestError 400."""
        request = exchange.request
        if not self._peers.has(exchange.client):
            return
        fields: dict[bytes, list[bytes]] = {}
        heard = request.forwarded
        if not self._dropped.isdisjoint(name for name, _ in heard):
            heard = self._without_dropped(heard)
        for name, value in heard:
            fields.setdefault(name, []).append(value)
        word = _agreed(self._of_x_forwarded(fields), self._of_forwarded(fields))
        if word.hops:
            exchange.client = word.hops[-1]
        if word.scheme:
            exchange.scheme = word.scheme
        port_text = self._nearest(fields, "port")
        if word.host or port_text:
            _move(exchange, word.host, port(port_text) if port_text else 0)
        root = prefix(self._nearest(fields, "prefix"))
        if root and request.path != b"*":
            exchange.root_path = root
            exchange.path = root.encode() + exchange.path
        request.headers += heard

    def _without_dropped(self, forwarded: Pairs) -> Pairs:
        for name, _ in forwarded:
            if name in self._dropped and name not in self._told:
                self._told.add(name)
                if self._tell is not None:
                    self._tell(
                        f"a trusted proxy sends {name.decode()}, which may be its client's own and "
                        f"is dropped; if the proxy sets or removes it, add {_WORDS[name]} to "
                        "--forwarded-fields"
                    )
        return tuple(pair for pair in forwarded if pair[0] not in self._dropped)

    def _of_x_forwarded(self, fields: dict[bytes, list[bytes]]) -> Word:
        """For all but -For the right-most entry counts, the peer's own: whether further proxies
        each add one differs from proxy to proxy, and so can't be counted on."""
        word = Word()
        if "for" in self._trusted_fields:
            for entry in list_from_right(fields.get(b"x-forwarded-for", ())):
                word.hops.append(node(entry))
                if not self._goes_on(word.hops):
                    break
        told = self._nearest(fields, "proto")
        word.scheme = scheme(told) if told else ""
        word.host = self._nearest(fields, "host")
        return word

    def _of_forwarded(self, fields: dict[bytes, list[bytes]]) -> Word:
        """Each hop's element has its own scheme and host: those nearest to the client count."""
        word = Word()
        if "forwarded" not in self._trusted_fields:
            return word
        for element in forwarded_from_right(fields.get(b"forwarded", ())):
            if b"proto" in element:
                word.scheme = scheme(element[b"proto"])
            if b"host" in element:
                word.host = element[b"host"]
            if b"for" not in element:
                break  # who wrote the next one is not known
            word.hops.append(node(element[b"for"]))
            if not self._goes_on(word.hops):
                break
        return word

    def _goes_on(self, hops: Sequence[Address | None]) -> bool:
        """Whether the last hop is a trusted proxy, so that its own entry counts too."""
        hop = hops[-1]
        return hop is not None and self._peers.names(hop[0])

    def _nearest(self, fields: dict[bytes, list[bytes]], name: str) -> bytes:
        """What the peer itself says, b"" for nothing or nothing that is believed."""
        if name not in self._trusted_fields:
            return b""
        values = fields.get(b"x-forwarded-" + name.encode(), ())
        return next(list_from_right(values), b"")


def _agreed(one: Word, other: Word) -> Word:
    """A proxy that writes only one kind lets a client's own field of the other kind pass. Which
    kind it writes is not known, so where both speak they must say the same."""
    client = [word.hops[-1] for word in (one, other) if word.hops]
    names = {hop[0] if hop else "" for hop in client}
    hosts = {word.host.lower() for word in (one, other) if word.host}
    schemes = {word.scheme for word in (one, other) if word.scheme}
    for what, said in (("client", names), ("host", hosts), ("scheme", schemes)):
        if len(said) > 1:
            raise RequestError(400, f"Forwarded and X-Forwarded-* name a different {what}.")
    return Word(one.hops or other.hops, one.scheme or other.scheme, one.host or other.host)


def _move(exchange: Exchange, authority: bytes, told_port: int) -> None:
    """The request was made to another host or port than ours."""
    request = exchange.request
    usual = _USUAL_PORT.get(exchange.scheme, 80)
    if not authority:
        # The Host field is the client's own and has the port that the client used.
        server = exchange.server
        name = server[0] if server is not None and server[1] is not None else request.host
        exchange.server = (name, told_port)
        return
    name, own_port = host(authority)
    exchange.server = (name.strip("[]"), told_port or own_port or usual)
    if told_port and not own_port and told_port != usual:
        authority = b"%s:%d" % (authority.removesuffix(b":"), told_port)
    request.host = name
    request.headers = _with_host(request.headers, authority)


def _with_host(headers: Pairs, authority: bytes) -> Pairs:
    return ((b"host", authority), *(pair for pair in headers if pair[0] != b"host"))
