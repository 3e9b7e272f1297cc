"""One call's life, as two tables.

A call has two halves that run at the same time: the gateway speaks the request half, the worker
the response half. Each half is a table of state -> move -> next state, and an absent move is
illegal. The moves are message kinds; the last piece of a body is a move of its own (`kind | LAST`),
and so is a piece that also ends the call (`kind | LAST | ENDS`).

Two rules stand outside of the tables (SPEC.md 6):
- After the gateway's RESET, what the worker still says about the call was on its way: it is
  dropped, END excepted. The call, and its slot, live until END.
- After the worker's END, what the gateway still says was on its way: it is dropped.
"""

from typing import Final

from .credit import ReceiveWindow
from .messages import (
    CREDIT,
    END,
    EVENT,
    REQUEST_BODY,
    RESET,
    RESPONSE,
    RESPONSE_BODY,
    RESPONSE_START,
    STARTED,
    WS_MESSAGE,
)

LAST: Final = 32
ENDS: Final = 64

Table = dict[str, dict[int, str]]

REQUEST_TABLE: Final[Table] = {
    # OPEN said that more of the body comes.
    "body": {
        REQUEST_BODY: "body",
        REQUEST_BODY | LAST: "complete",
        EVENT: "body",
        CREDIT: "body",
        RESET: "reset",
    },
    # The whole request was sent. WebSocket messages travel in this state: an upgrade has no body.
    "complete": {EVENT: "complete", WS_MESSAGE: "complete", CREDIT: "complete", RESET: "reset"},
    # Given up. Nothing more may be sent.
    "reset": {},
}
"""What the gateway may send about a call."""

RESPONSE_TABLE: Final[Table] = {
    # Sent to the worker. STARTED keeps this state's moves but one.
    "opened": {
        STARTED: "started",
        EVENT: "started",
        WS_MESSAGE: "started",
        CREDIT: "opened",
        RESPONSE_START: "body",
        RESPONSE | LAST: "complete",
        RESPONSE | LAST | ENDS: "ended",
        RESET: "failed",
        END: "ended",
    },
    "started": {
        EVENT: "started",
        WS_MESSAGE: "started",
        CREDIT: "started",
        RESPONSE_START: "body",
        RESPONSE | LAST: "complete",
        RESPONSE | LAST | ENDS: "ended",
        RESET: "failed",
        END: "ended",
    },
    # The response's head was sent.
    "body": {
        RESPONSE_BODY: "body",
        RESPONSE_BODY | LAST: "complete",
        RESPONSE_BODY | LAST | ENDS: "ended",
        EVENT: "body",
        CREDIT: "body",
        RESET: "failed",
        END: "ended",
    },
    # The response is whole, the app still runs (a background task, a generator's clean-up). It
    # may read what has come of the request, so credit still flows; more need not come.
    "complete": {CREDIT: "complete", EVENT: "complete", END: "ended"},
    # The worker gave the call up; its slot is not free yet.
    "failed": {END: "ended"},
    "ended": {},
}
"""What the worker may send about a call."""


class Call:
    """What both sides keep of one call. Hosts and pools subclass it to add what they need."""

    __slots__ = ("call_id", "receive_window", "request", "response", "send_credit")

    def __init__(self) -> None:
        self.call_id = 0
        self.request = "complete"
        self.response = "opened"
        self.send_credit = 0
        """Bytes of body that our side may still send."""
        self.receive_window: ReceiveWindow | None = None
        """Made when the first bytes come that are not the whole body: most calls never need it."""
