"""The opening handshake of a WebSocket, as far as it is the same in every HTTP version.

RFC 6455 section 4 describes the handshake over HTTP/1.1: a GET with an Upgrade field, answered
with 101. RFC 8441 describes it over HTTP/2: an extended CONNECT, answered with 200. How a request
asks for a WebSocket, and how a response's head looks, is thus the HTTP version's. What both share
is here: the WebSocket's version, the page's origin, the subprotocols and the extensions.

A handshake has two halves, since the answer goes out only after the app has accepted: what a
request must be (`check_handshake`, `check_origin`), and the fields of the answer
(`accept_fields`).

The `Sec-WebSocket-Key` proves that a server understands WebSockets and has not taken the request
for a plain GET. HTTP/1.1 has it, HTTP/2 does not (RFC 8441 section 5): there the server has said
so in its settings.
"""

import base64
import hashlib
import re
from typing import Final

from ...protocol.messages import Pairs
from ..exchange.errors import RequestError, ResponseError
from ..exchange.exchange import Request
from ..http.grammar import TOKEN

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
"""Sixteen bytes in base64: the last of 22 digits has only two bits to say."""
_VERSION: Final = re.compile(rb"[0-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5]")
_EXTENSION: Final = re.compile(
    TOKEN.pattern + rb"(?:[ \t]*+;[ \t]*+" + TOKEN.pattern + rb"(?:[ \t]*+=[ \t]*+(?:"
    + TOKEN.pattern + rb'|"(?:\\?[!#$%&\'*+\-.^_`|~0-9A-Za-z])+"))?)*'
)  # fmt: skip
"""One offer; what stands in quotes is a token, too (RFC 6455 section 9.1)."""

VERSION_13: Final[Pairs] = ((b"upgrade", b"websocket"), (b"sec-websocket-version", b"13"))
"""Fields of a 426, which names the protocol that is required (RFC 9110 section 15.5.22, RFC 6455
section 4.4)."""

_OURS: Final = frozenset({
    b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-protocol",
})  # fmt: skip
"""Fields of the answer that only the gateway writes; the app's are dropped."""


def check_handshake(request: Request, *, has_key: bool = True) -> None:
    """Raises RequestError for a request that breaks RFC 6455 section 4.2.1. `has_key` says whether
    this HTTP version proves the handshake with a key."""
    version = _only(request, b"sec-websocket-version")
    if version is not None and _VERSION.fullmatch(version) is None:
        raise RequestError(400, "The Sec-WebSocket-Version is not a number from 0 to 255.")
    if version != b"13":
        raise RequestError(426, "This server speaks WebSocket version 13.", VERSION_13)
    key = _only(request, b"sec-websocket-key")
    if has_key and (key is None or _KEY.fullmatch(key) is None):
        raise RequestError(400, "The Sec-WebSocket-Key is not sixteen bytes in base64.")
    _only(request, b"origin")
    _check_list(request, b"sec-websocket-protocol", TOKEN, "Sec-WebSocket-Protocol")
    _check_list(request, b"sec-websocket-extensions", _EXTENSION, "Sec-WebSocket-Extensions")


def check_origin(request: Request, allowed: frozenset[bytes]) -> None:
    """Raises RequestError 403 if a page of another origin asks (RFC 6455 section 10.2). A client
    that sends no Origin is not a browser and passes."""
    origin = _only(request, b"origin")
    if origin is not None and origin.lower() not in allowed:
        raise RequestError(403, "WebSockets from this origin are not allowed.")


def extension_offers(request: Request) -> list[bytes]:
    """The client's Sec-WebSocket-Extensions, one entry for each offer, in its order."""
    fields = [value for name, value in request.headers if name == b"sec-websocket-extensions"]
    return [offer.strip(b" \t") for offer in b",".join(fields).split(b",")] if fields else []


def accept_fields(
    request: Request, subprotocol: str | None, extension: bytes, headers: Pairs
) -> Pairs:
    """The fields of the answer that accepts a checked handshake: the proof of its key, if it has
    one, the chosen subprotocol and extension, and then the app's own `headers`. Raises
    ResponseError for a subprotocol that can't be sent."""
    fields: list[tuple[bytes, bytes]] = []
    key = _only(request, b"sec-websocket-key")
    if key is not None:
        proof = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
        fields.append((b"sec-websocket-accept", base64.b64encode(proof)))
    if subprotocol is not None:
        name = subprotocol.encode("latin-1", "replace")
        if TOKEN.fullmatch(name) is None:
            raise ResponseError(f"the subprotocol {subprotocol!r} is no token")
        fields.append((b"sec-websocket-protocol", name))
    if extension:
        fields.append((b"sec-websocket-extensions", extension))
    fields += [field for field in headers if field[0].lower() not in _OURS]
    return tuple(fields)


def _only(request: Request, name: bytes) -> bytes | None:
    """A field's value, or None. Raises RequestError 400 if the field is there twice, since two
    readers could take different ones."""
    values = [value for field, value in request.headers if field == name]
    if len(values) > 1:
        raise RequestError(400, f"A WebSocket's handshake has one {name.decode()} at most.")
    return values[0] if values else None


def _check_list(request: Request, name: bytes, entry: re.Pattern[bytes], shown: str) -> None:
    """Raises RequestError 400 unless every field of this name is a list of one or more entries of
    this form (the rule `1#` of RFC 6455 section 4.3)."""
    for field, value in request.headers:
        if field == name:
            entries = [found for part in value.split(b",") if (found := part.strip(b" \t"))]
            if not entries or any(entry.fullmatch(found) is None for found in entries):
                raise RequestError(400, f"The {shown} field is malformed.")
