"""Homes by a cookie (`--balance sticky-cookie`). Pure.

The cookie has to name a replica to every gateway process, also to one that is started later, and
must tell a client nothing: not how many workers there are, nor which. Nor may a client choose a
worker by writing a cookie of its own and so load one of them.

A usual signed cookie is a name with a MAC over it, under a key that all gateway processes share and
keep through each reload, upgrade and restart. But the name would be readable, and the key would be
one more thing to keep and hand over. So the key is the worker's: its supervisor gives every replica
a name that nobody can guess (128 bits, HMAC of pool and number under the instance's secret), which
outlives the process and travels to the gateways in HELLO (`who`, `replica`), and never to a client.
The cookie's value is a MAC under that name: HMAC-SHA256(replica, pool), half of it, in base64url.

A gateway computes the value of each of its workers and looks the client's up among them. A value
that is forged, stale or another instance's is found nowhere, and is as no value: the client gets a
home, and a cookie for it. All gateways of a pool compute the same, in whatever container, and a
gateway that starts again goes on where the last one has ended. To compare takes as long for a wrong
value as for a right one, as far as a client could measure: a look into a table of hashes.

The cookie lives as long as the browser's session (no Expires), is for all paths, hidden from
scripts (HttpOnly), not sent by other sites' pages (SameSite=Lax), and over https only over https
(Secure). RFC 6265, section 4.1.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Final

from ..exchange.exchange import Exchange
from .sticky import Home

COOKIE: Final = "propylon_sticky"
_BYTES: Final = 16
"""Bytes of a MAC in a cookie: no more can be guessed than of the replica's name."""


def cookie_name(pool: str) -> bytes:
    """The cookie's name. Pools may share a host, and each needs its own; a pool's name is nothing
    for clients."""
    mark = "" if pool == "default" else f"_{sha256(pool.encode()).hexdigest()[:8]}"
    return f"{COOKIE}{mark}".encode()


@lru_cache(maxsize=1_024)
def cookie_value(replica: str, pool: str) -> bytes:
    mac = hmac.digest(replica.encode(), pool.encode(), "sha256")
    return urlsafe_b64encode(mac[:_BYTES]).rstrip(b"=")


class StickyCookies:
    """The homes of one pool's clients, as their cookies have them."""

    __slots__ = ("_name", "_pool", "_replicas")

    def __init__(self, pool: str) -> None:
        self._pool = pool
        self._name = cookie_name(pool) + b"="
        self._replicas: dict[bytes, str] = {}
        """Value -> the name of the replica."""

    def rank(self, replicas: Mapping[str, Home]) -> None:
        self._replicas = {cookie_value(name, self._pool): name for name in replicas}

    def home(self, exchange: Exchange) -> str | None:
        return self._replicas.get(self._told(exchange))

    def settle(self, exchange: Exchange, replica: str) -> None:
        """Gives the client the cookie, if it has another one or none."""
        value = cookie_value(replica, self._pool) if replica else b""
        if not value or self._told(exchange) == value:
            exchange.give_cookie(b"")
            return
        secure = b"; Secure" if exchange.scheme in ("https", "wss") else b""
        exchange.give_cookie(
            b"%s%s; Path=/; HttpOnly; SameSite=Lax%s" % (self._name, value, secure)
        )

    def _told(self, exchange: Exchange) -> bytes:
        """The cookie's value in the request; b"" if it has none."""
        name = self._name
        for field, value in exchange.request.headers:
            if field == b"cookie" and name in value:
                for pair in value.split(b";"):
                    pair = pair.strip()
                    if pair.startswith(name):
                        return pair[len(name) :]
        return b""
