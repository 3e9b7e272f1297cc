"""How HTTP/1.1 changes to another protocol: Upgrade, and 101 (RFC 9110 section 7.8). Pure.

The rules of the other protocol stand elsewhere: `websocket.handshake` has those of a WebSocket,
which are the same in every HTTP version.
"""

from ...protocol.messages import Pairs
from ..exchange.errors import RequestError
from ..exchange.exchange import Request
from .response_head import ResponseHeads


def check_upgrade(request: Request, behind: int) -> None:
    """Raises RequestError for an upgrade to a WebSocket that breaks RFC 6455 section 4.1. `behind`
    is the number of bytes that came behind the head, where none may come."""
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
