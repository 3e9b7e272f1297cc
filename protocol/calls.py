"""The states of one call, as two tables.

A call has two halves that run at the same time: the gateway speaks the request half, the worker
the response half. Each half is a table of state -> move -> next state, and an absent move is
illegal. The moves are message kinds; the last piece of a body is a move of its own (`kind | LAST`),
and so is a piece that also ends the call (`kind | LAST | ENDS`).

Two rules stand outside of the tables (SPEC.md 6):
- After the gateway's RESET, messages of the worker about the call were on their way: they are
  dropped, except END. The call, and its slot, live until END.
- After the worker's END, messages of the gateway about the call were on their way: they are
  dropped.
"""

from typing import Final

from .credit import ReceiveWindow
from .errors import LocalProtocolError, RemoteProtocolError
from .messages import (
    CREDIT,
    END,
    EVENT,
    FILE,
    MAX_BODY,
    REQUEST_BODY,
    RESET,
    RESPONSE,
    RESPONSE_BODY,
    RESPONSE_FILE,
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
    # The gateway has abandoned the call. Nothing more may be sent.
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
        RESPONSE_FILE | LAST: "complete",
        RESPONSE_FILE | LAST | ENDS: "ended",
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
        RESPONSE_FILE | LAST: "complete",
        RESPONSE_FILE | LAST | ENDS: "ended",
        RESET: "failed",
        END: "ended",
    },
    # The response's head was sent.
    "body": {
        RESPONSE_BODY: "body",
        RESPONSE_BODY | LAST: "complete",
        RESPONSE_BODY | LAST | ENDS: "ended",
        FILE | LAST: "complete",
        FILE | LAST | ENDS: "ended",
        EVENT: "body",
        CREDIT: "body",
        RESET: "failed",
        END: "ended",
    },
    # The response is whole, and the app still runs (a background task, a generator's clean-up). It
    # may read the part of the request that has come, so credit still flows; no more has to come.
    "complete": {CREDIT: "complete", EVENT: "complete", END: "ended"},
    # The worker has reset the call; its slot is not free yet.
    "failed": {END: "ended"},
    "ended": {},
}
"""What the worker may send about a call."""


class Call:
    """What both sides keep of one call. Hosts and pools subclass it to add what they need. Its link
    asks for the moves below; others read."""

    __slots__ = ("call_id", "receive_window", "request", "response", "send_credit")

    def __init__(self) -> None:
        self.call_id = 0
        self.request = "complete"
        self.response = "opened"
        self.send_credit = 0
        """Bytes of body that our side may still send."""
        self.receive_window: ReceiveWindow | None = None
        """The account of received bytes. It is made when a body comes in several pieces, which most
        bodies do not."""

    def open(self, call_id: int, request: str, send_credit: int) -> None:
        """Begins its life, at either end of a link, once. `request`: "body" if more of the
        request's body comes behind OPEN, else "complete"."""
        self.call_id = call_id
        self.request = request
        self.send_credit = send_credit

    def move_request(self, move: int) -> bool:
        """Makes a move of the gateway's half; False: it is illegal, and nothing has changed."""
        after = REQUEST_TABLE[self.request].get(move)
        if after is None:
            return False
        self.request = after
        return True

    def move_response(self, move: int) -> bool:
        """Makes a move of the worker's half; False: it is illegal, and nothing has changed."""
        after = RESPONSE_TABLE[self.response].get(move)
        if after is None:
            return False
        self.response = after
        return True

    # -- credit ------------------------------------------------------------------------------

    def spend(self, count: int, overhead: int = 0) -> None:
        """Spends credit for `count` bytes of body to send and the `overhead` of its message. Raises
        LocalProtocolError if there is not enough."""
        if count > MAX_BODY:
            raise LocalProtocolError(f"a body message carries {MAX_BODY} bytes at most")
        cost = count + overhead
        if cost > self.send_credit:
            raise LocalProtocolError(f"{cost} bytes with credit for {self.send_credit}")
        self.send_credit -= cost

    def allow(self, count: int) -> None:
        """Adds `count` bytes of credit that the peer gives. Raises RemoteProtocolError if that
        makes no sense."""
        if count <= 0 or self.send_credit + count > 2**31 - 1:
            raise RemoteProtocolError(f"CREDIT of {count} bytes on top of {self.send_credit}")
        self.send_credit += count

    def count_received(
        self, size: int, window: int, first: int, *, last: bool, overhead: int = 0
    ) -> None:
        """Counts a body message of `size` bytes, the `last` of its body or not, and its `overhead`.
        `window` is the size of a call's window, and `first` the credit that it begins with. Raises
        RemoteProtocolError without the credit."""
        if size > MAX_BODY:
            raise RemoteProtocolError(f"a body message of {size} bytes")
        if self.receive_window is None:
            if last:  # whole in one piece, and every window holds that: no account to keep
                return
            self.receive_window = ReceiveWindow(window, allowed=first)
        self.receive_window.arrived(size + overhead)

    def receive_into(self, window: ReceiveWindow) -> None:
        """Uses a window that exists already as the account of received bytes."""
        self.receive_window = window
