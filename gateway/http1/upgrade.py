"""How HTTP/1.1 changes to another protocol: Upgrade, and 101 (RFC 9110 section 7.8). Pure.

What the other protocol itself asks for is not known here. The WebSocket's part of its handshake,
the same in every HTTP version, is `websocket.handshake`.
"""

from ...protocol.messages import Pairs
from ..exchange.errors import RequestError
from ..exchange.exchange import Request
from .response_head import ResponseHeads


def check_upgrade(request: Request, behind: int) -> None:
    """Raises RequestError for an upgrade to a WebSocket that no client sends (RFC 6455 section
    4.1). `behind`: bytes that came with the head and may not."""
    if request.method != "GET" or request.http_version == "1.0":
        raise RequestError(400, "A WebSocket begins with a GET in HTTP/1.1.")
    if request.content_length != 0 or behind:
        raise RequestError(400, "Nothing may follow a WebSocket handshake before its answer.")


def switching_protocols(protocol: bytes, fields: Pairs, heads: ResponseHeads) -> bytes:
    """The 101 response. Raises ResponseError for a field that can't be sent."""
    return b"".join([
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: " + protocol + b"\r\n"
        b"connection: upgrade\r\n",
        *heads.fields(fields),
        b"\r\n",
    ])  # fmt: skip
