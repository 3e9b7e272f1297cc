"""The events that a worker may send about a call, and whether each has the shape that it must have.
Pure.

The codec checks the types of a message's places, and the link what a response's headers are. An
EVENT is a map, and what is in it is checked here, where it enters the gateway: behind this, header
fields are pairs of bytes. Whether they may stand in a response is for the HTTP version to say.
"""

from typing import Final, cast

from ...protocol.messages import Pairs
from ..exchange.errors import ResponseError

NORMAL_CLOSURE: Final = 1000
"""What a WebSocket is closed with where the app names no code (RFC 6455 section 7.4.1)."""


def acceptance_of(event: dict[str, object]) -> tuple[str | None, Pairs]:
    """Subprotocol and header fields of a `websocket.accept`. Raises ResponseError."""
    subprotocol, fields = event.get("subprotocol"), event.get("headers") or ()
    if not (subprotocol is None or isinstance(subprotocol, str)):
        raise ResponseError(f"the subprotocol {subprotocol!r} is no text")
    if not isinstance(fields, tuple) or not all(
        isinstance(field, tuple) and [type(part) for part in field] == [bytes, bytes]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        for field in cast("tuple[object, ...]", fields)
    ):
        raise ResponseError("its header fields are not pairs of bytes")
    return subprotocol, cast("Pairs", fields)


def closure_of(event: dict[str, object]) -> tuple[int, str]:
    """Code and reason of a `websocket.close`."""
    code, reason = event.get("code"), event.get("reason")
    return code if isinstance(code, int) else NORMAL_CLOSURE, str(reason or "")


def phrase_of(event: dict[str, object]) -> tuple[int, bytes] | None:
    """Status and reason phrase of a `propylon.reason`; None if it does not say them."""
    status, phrase = event.get("status"), event.get("reason")
    return (status, phrase) if isinstance(status, int) and isinstance(phrase, bytes) else None
