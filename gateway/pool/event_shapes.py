"""Checks the shape of the events that a worker may send about a call. Pure.

The codec checks the types of a message's fields, and the link checks the headers of a response. An
EVENT is a map, whose content is checked here, where it enters the gateway: from here on, header
fields are pairs of bytes. Whether they may stand in a response is decided by the HTTP version.
"""

from typing import Final, cast

from ...protocol.messages import Pairs
from ..exchange.errors import ResponseError

NORMAL_CLOSURE: Final = 1000
"""The code of a close for which the app names none (RFC 6455 section 7.4.1)."""


def acceptance_of(event: dict[str, object]) -> tuple[str | None, Pairs]:
    """The subprotocol and header fields of a `websocket.accept`. Raises ResponseError."""
    subprotocol = event.get("subprotocol")
    if not (subprotocol is None or isinstance(subprotocol, str)):
        raise ResponseError(f"the subprotocol {subprotocol!r} is no text")
    return subprotocol, _fields_of(event)


def _fields_of(event: dict[str, object]) -> Pairs:
    fields = event.get("headers") or ()
    if not isinstance(fields, tuple) or not all(
        isinstance(field, tuple) and [type(part) for part in field] == [bytes, bytes]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        for field in cast("tuple[object, ...]", fields)
    ):
        raise ResponseError("its header fields are not pairs of bytes")
    return cast("Pairs", fields)


def hints_of(event: dict[str, object]) -> Pairs:
    """The header fields of a `http.response.early_hint`: its links, and others. Raises
    ResponseError."""
    links = event.get("links") or ()
    if not isinstance(links, tuple) or not all(
        isinstance(link, bytes) for link in cast("tuple[object, ...]", links)
    ):
        raise ResponseError("its links are not bytes")
    return (
        *((b"link", link) for link in cast("tuple[bytes, ...]", links)),
        *_fields_of(event),
    )


def trailers_of(event: dict[str, object]) -> Pairs:
    """The fields of a `http.response.trailers`. Raises ResponseError."""
    return _fields_of(event)


def closure_of(event: dict[str, object]) -> tuple[int, str]:
    """The code and reason of a `websocket.close`."""
    code, reason = event.get("code"), event.get("reason")
    return code if isinstance(code, int) else NORMAL_CLOSURE, str(reason or "")


def phrase_of(event: dict[str, object]) -> tuple[int, bytes] | None:
    """The status and reason phrase of a `propylon.reason`; None if they are not there."""
    status, phrase = event.get("status"), event.get("reason")
    return (status, phrase) if isinstance(status, int) and isinstance(phrase, bytes) else None
