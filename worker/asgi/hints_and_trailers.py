"""What an ASGI app may send around its response: early hints before its head, and trailers behind
its body (ASGI extensions, "Early Hints" and "HTTP Trailers").

The gateway says of each call what its client takes of them (SPEC.md 5.5, 5.6), and the scope offers
that and no more. An app that sends them all the same does no harm. Hints are dropped, as ASGI lets
a server do. So are trailers: an app announces them in its `http.response.start` because it has
some, and ASGI sends them "in case the client has sent the `TE: trailers` header".

ASGI's text lets a hint come "after the Response Start message", and Starlette sends it before. Only
before the final response does HTTP know it (RFC 8297 section 2). A head is kept here until the body
begins, so hints are sent until then, and are dropped afterwards. Only the head of a response with
trailers goes out at once.

Trailers hold the end of a response up: what the app calls the last piece of its body travels as one
with more behind it, and the end travels behind the trailers.
"""

from collections.abc import Iterable
from typing import Any, Final, Literal

from ...protocol.messages import (
    EARLY_HINT,
    MOST_HINTS,
    TAKES_HINTS,
    TAKES_TRAILERS,
    TRAILERS,
    Pairs,
)
from ..app.response_head import checked_field, checked_headers

MOST_TRAILERS: Final = 256
"""Trailer fields of one response."""
_NOT_BEHIND_A_BODY: Final = frozenset({
    b"content-length", b"transfer-encoding", b"host", b"trailer", b"connection", b"te",
    b"content-encoding", b"content-type", b"content-range", b"authorization", b"cookie",
    b"set-cookie", b"expect", b"keep-alive", b"proxy-connection", b"upgrade",
})  # fmt: skip
"""Framing, routing, credentials and what is to be known before the body (RFC 9110 section
6.5.1)."""


class HintsAndTrailers:
    __slots__ = ("_debug", "_fields", "_hints", "_takes", "sent_ahead", "state")

    def __init__(self, takes: int) -> None:
        """`takes` are flags of OPEN: TAKES_HINTS, TAKES_TRAILERS."""
        self._takes = takes
        self._hints = MOST_HINTS if takes & TAKES_HINTS else 0
        """Hints that may still be sent."""
        self._debug = False
        """Whether debug information has come."""
        self._fields: list[tuple[bytes, bytes]] = []
        self.sent_ahead: Pairs | None = None
        """The fields of a head that was sent because trailers were announced, until the body
        begins."""
        self.state: Literal["none", "announced", "due", "given"] = "none"
        """How far the trailers are: not announced; announced, while the body is sent; due, behind
        its last piece; given."""

    @property
    def extensions(self) -> dict[str, object]:
        """What the scope offers."""
        offered: dict[str, object] = {}
        if self._takes & TAKES_HINTS:
            offered[EARLY_HINT] = {}
        if self._takes & TAKES_TRAILERS:
            offered[TRAILERS] = {}
        return offered

    @property
    def trailers_travel(self) -> bool:
        return bool(self._takes & TAKES_TRAILERS)

    def take_hint(self) -> bool:
        """Whether another hint is sent."""
        self._hints -= 1
        return self._hints >= 0

    def take_debug(self) -> bool:
        """Whether debug information may come: it does once."""
        came, self._debug = self._debug, True
        return not came

    def announce(self, fields: Pairs) -> None:
        """The app's response has trailers. `fields` are those of its head."""
        self.state = "announced"
        if self.trailers_travel:
            self.sent_ahead = fields

    def holds_end(self, more: bool) -> bool:
        """Takes whether the app has said that its body goes on; returns what the gateway is told.
        Raises RuntimeError for a piece behind the last one."""
        if self.state == "due":
            raise RuntimeError(
                "only http.response.trailers may follow the last http.response.body of a response "
                "that has announced trailers"
            )
        self.sent_ahead = None
        if self.state == "announced" and not more:
            self.state = "due"
            return True
        return more

    def add(self, event: dict[str, Any], *, body_is_over: bool) -> Pairs | None:
        """Takes the fields of a `http.response.trailers`. Returns all fields if they are the last,
        else None. Raises RuntimeError, TypeError, ValueError."""
        if self.state == "none":
            raise RuntimeError(
                f"{TRAILERS} was sent, and http.response.start had not announced it (trailers=True)"
            )
        if self.state == "given":
            raise RuntimeError(f"{TRAILERS} was sent after the response was complete")
        if self.state == "announced" and not body_is_over:
            raise RuntimeError(f"{TRAILERS} was sent before the last http.response.body")
        for name, value in checked_headers(event.get("headers", ())):
            if name in _NOT_BEHIND_A_BODY:
                raise ValueError(f"{name!r} may not be a trailer (RFC 9110 section 6.5.1)")
            self._fields.append((name, value))
        if len(self._fields) > MOST_TRAILERS:
            raise ValueError(f"a response has {MOST_TRAILERS} trailers at most")
        if event.get("more_trailers", False):
            return None
        self.state = "given"
        return tuple(self._fields)


def checked_links(event: dict[str, Any]) -> tuple[bytes, ...]:
    """The links of a `http.response.early_hint`. Raises TypeError, ValueError."""
    links: object = event.get("links", ())
    if isinstance(links, (str, bytes, bytearray)) or not isinstance(links, Iterable):
        raise TypeError(f"links of {EARLY_HINT} are an iterable of bytes, not {links!r}")
    checked: list[bytes] = []
    for link in links:  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(link, (bytes, bytearray, memoryview)):
            raise TypeError(f"links of {EARLY_HINT} are bytes, not {type(link).__name__}")  # pyright: ignore[reportUnknownArgumentType]
        checked.append(checked_field(b"link", bytes(link))[1])  # pyright: ignore[reportUnknownArgumentType]
    return tuple(checked)


def without_length(fields: Pairs) -> Pairs:
    """The fields without a Content-Length: in HTTP/1.1 only a body in chunks has trailers (RFC 9112
    section 7.1.2), and such a body states no length."""
    return tuple([field for field in fields if field[0].lower() != b"content-length"])
