"""The opening handshake of a WebSocket over HTTP/1.1, RFC 6455 section 4. Pure.

`101` goes out only after the app has accepted, so the handshake has two halves: what a request
must be, and the head that answers it.
"""

import base64
import hashlib
import re
from typing import Final

from ...protocol.messages import Pairs
from ..exchange.errors import RequestError, ResponseError
from ..exchange.exchange import Request
from ..http.grammar import TOKEN
from .response_head import ResponseHeads

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
"""What a 426 says of the protocol that is spoken (RFC 9110 section 15.5.22, RFC 6455 4.4)."""


def check_handshake(request: Request, behind: int) -> None:
    """Raises RequestError for an upgrade that no WebSocket client sends. `behind`: bytes that
    came with the head and may not."""
    if request.method != "GET" or request.http_version == "1.0":
        raise RequestError(400, "A WebSocket begins with a GET in HTTP/1.1.")
    if request.content_length != 0 or behind:
        raise RequestError(400, "Nothing may follow a WebSocket handshake before its answer.")
    version = _only(request, b"sec-websocket-version")
    if version is not None and _VERSION.fullmatch(version) is None:
        raise RequestError(400, "The Sec-WebSocket-Version is not a number from 0 to 255.")
    if version != b"13":
        raise RequestError(426, "This server speaks WebSocket version 13.", VERSION_13)
    key = _only(request, b"sec-websocket-key")
    if key is None or _KEY.fullmatch(key) is None:
        raise RequestError(400, "The Sec-WebSocket-Key is not sixteen bytes in base64.")
    _only(request, b"origin")
    _check_list(request, b"sec-websocket-protocol", TOKEN, "Sec-WebSocket-Protocol")
    _check_list(request, b"sec-websocket-extensions", _EXTENSION, "Sec-WebSocket-Extensions")


def check_origin(request: Request, allowed: frozenset[bytes]) -> None:
    """Raises RequestError 403 if a browser's page of another origin asks (RFC 6455 10.2).
    A client that sends no Origin is no browser."""
    origin = _only(request, b"origin")
    if origin is not None and origin.lower() not in allowed:
        raise RequestError(403, "WebSockets from this origin are not allowed.")


def accept_head(
    request: Request,
    subprotocol: str | None,
    extension: bytes,
    headers: Pairs,
    heads: ResponseHeads,
) -> bytes:
    """The 101 response. Raises ResponseError for a subprotocol or header that can't be sent."""
    key = _only(request, b"sec-websocket-key")
    assert key is not None, "the handshake was checked"
    accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    lines = [
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-accept: " + accept + b"\r\n"
    ]
    if subprotocol is not None:
        name = subprotocol.encode("latin-1", "replace")
        if TOKEN.fullmatch(name) is None:
            raise ResponseError(f"the subprotocol {subprotocol!r} is no token")
        lines.append(b"sec-websocket-protocol: " + name + b"\r\n")
    if extension:
        lines.append(b"sec-websocket-extensions: " + extension + b"\r\n")
    own = (b"sec-websocket-accept", b"sec-websocket-extensions", b"sec-websocket-protocol")
    lines += heads.fields(tuple(field for field in headers if field[0].lower() not in own))
    lines.append(b"\r\n")
    return b"".join(lines)


def extension_offers(request: Request) -> list[bytes]:
    """The client's Sec-WebSocket-Extensions, one entry for each offer, in its order."""
    fields = [value for name, value in request.headers if name == b"sec-websocket-extensions"]
    return [offer.strip(b" \t") for offer in b",".join(fields).split(b",")] if fields else []


def _only(request: Request, name: bytes) -> bytes | None:
    """A field's value, None if it is not there. Raises RequestError 400 if it is there twice:
    whoever looks at one of them may not see what another has looked at."""
    values = [value for field, value in request.headers if field == name]
    if len(values) > 1:
        raise RequestError(400, f"A WebSocket's handshake has one {name.decode()} at most.")
    return values[0] if values else None


def _check_list(request: Request, name: bytes, entry: re.Pattern[bytes], shown: str) -> None:
    """Raises RequestError 400 unless every field of this name is a list of such entries, with one
    at least (the rule `1#` of RFC 6455 section 4.3)."""
    for field, value in request.headers:
        if field == name:
            entries = [found for part in value.split(b",") if (found := part.strip(b" \t"))]
            if not entries or any(entry.fullmatch(found) is None for found in entries):
                raise RequestError(400, f"The {shown} field is malformed.")
