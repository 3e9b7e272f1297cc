"""Homes by the client's address (`--balance sticky-address`). Pure.

The usual way is `hash(address) % number of workers`, and it is wrong here: when a worker comes or
goes, nearly all clients move. Rendezvous hashing moves those only that have to (Thaler and
Ravishankar, A Name-Based Mapping Scheme for Rendezvous, 1996): each replica has a score for each
address, and the address is at home with the highest. When a replica goes, its own clients move, to
all others evenly. When one comes, it takes its share, evenly from all others. No table has to be
kept or shared: every gateway process computes the same scores.

Weights make the scores -weight / ln(hash), with the hash as a number between 0 and 1, which gives
each replica its share and keeps the property: a weight that changes moves clients to or from its
replica only (Schindelhauer and Schomaker, Weighted Distributed Hash Tables, 2005). A fresh worker
has its whole share at once: to move its clients step by step would move them twice.

The address is the one that the app is told: the client's, as far as a trusted proxy has named it
(`--forwarded-allow-ips`). Of an IPv6 address the first 64 bits count, since a client changes the
others every day (RFC 8981). A client without an address (a Unix socket) has no home.
"""

from collections.abc import Mapping
from hashlib import blake2b
from ipaddress import IPv6Address
from math import log
from typing import Final

from ..exchange.exchange import Exchange
from .sticky import Home

MOST_KNOWN: Final = 10_000
"""Addresses whose home is remembered: to compute it costs about a microsecond for each worker."""
_WHOLE: Final = 2.0**64


def network_of(host: str) -> str:
    """The part of a client's address that stays the same."""
    if ":" not in host:
        return host
    try:
        number = int(IPv6Address(host.partition("%")[0]))
    except ValueError:
        return host
    return f"{number >> 64:x}::"


def score(host: str, replica: str, weight: float) -> float:
    """How much this address belongs to this replica."""
    digest = blake2b(host.encode("utf-8", "replace"), digest_size=8, key=replica.encode()[:64])
    part = (int.from_bytes(digest.digest(), "big") + 0.5) / _WHOLE
    return -weight / log(part) if part < 1.0 else weight * _WHOLE


class StickyAddresses:
    """The homes of one pool's clients, as their addresses have them."""

    __slots__ = ("_known", "_weights")

    def __init__(self) -> None:
        self._weights: dict[str, float] = {}
        self._known: dict[str, str] = {}
        """Host -> the name of the replica."""

    def rank(self, replicas: Mapping[str, Home]) -> None:
        weights = {name: each.share for name, each in replicas.items()}
        if weights != self._weights:
            self._weights = weights
            self._known.clear()

    def home(self, exchange: Exchange) -> str | None:
        if exchange.client is None or not self._weights:
            return None
        host = exchange.client[0]
        home = self._known.get(host)
        if home is None:
            of = network_of(host)
            home = max(self._weights, key=lambda name: (score(of, name, self._weights[name]), name))
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[host] = home
        return home

    def settle(self, exchange: Exchange, replica: str) -> None:
        """Does nothing: the address says it all."""
