"""Request ids: each exchange gets a name that its client, its app and all logs can use. Pure.

A proxy in front has often named the request already. Its id is taken, so that one name leads
through the logs of both; but only from a peer that is trusted (`--forwarded-allow-ips`), since a
stranger's id could repeat another request's, and only if it is one well-formed value. Otherwise the
id is made here, and replaces what the client has sent. The app always gets exactly one.

An id belongs to an exchange and not to its head: heads that repeat are cached, ids are not.
"""

import re
from typing import Final

from ...protocol.messages import Pairs
from ..exchange.endpoint import Endpoint
from ..exchange.exchange import Exchange
from ..peers import PeerSet
from .uuid7 import Uuid7

_WELL_FORMED: Final = re.compile(rb"[A-Za-z0-9._:+/=@\-]{1,128}")
"""Ids as proxies make them: UUIDs, hex, base64, AWS' "1-67891233-abcdef012345678912345678". No
blank, quote, comma, semicolon, bracket or backslash, which would need escaping somewhere."""


class RequestIds:
    __slots__ = ("_make", "_name", "_peers")

    def __init__(self, name: bytes, peers: PeerSet, uuids: Uuid7) -> None:
        """`name` is the field's, in lower case. `peers` may name requests."""
        self._name = name
        self._peers = peers
        self._make = uuids.make

    def identify(self, exchange: Exchange, endpoint: Endpoint) -> None:
        """Names the exchange, and gives the app the id as the last field of the request.
        `endpoint` is the connection's, whatever a trusted field has said of the client."""
        request = exchange.request
        request_id = self._given(request.told_ids, endpoint) if request.told_ids else ""
        request_id = request_id or self._make()
        exchange.identify(request_id)
        request.carry((self._name, request_id.encode()))

    def _given(self, told: tuple[bytes, ...], endpoint: Endpoint) -> str:
        """The id that a trusted peer has given; "" if there is none."""
        if len(told) != 1 or not endpoint.is_known or not self._peers.has(endpoint.client):
            return ""
        return told[0].decode() if _WELL_FORMED.fullmatch(told[0]) else ""

    def returned(self, exchange: Exchange, fields: Pairs) -> Pairs:
        """The fields of a response with the request's id. An app that has set the field itself
        knows better."""
        if any(name.lower() == self._name for name, _ in fields):
            return fields
        return (*fields, (self._name, exchange.request_id.encode()))
