"""Abandoned calls, for which no client waits: when they are cancelled, and which of them are stuck.

A client that leaves does not end its call. The app hears of it and goes on as it likes, since it
may be in the middle of an order or a payment. A call is cancelled only for what would have ended it
anyway:

- the gateway has reset it, because its deadline is over (`--request-timeout`) or the gateway ends;
- its client has left, it has not begun to answer, and that deadline is over;
- its client has left, and it sends a response without an end (see `unheard`).

At a stop it has the same time as any other call, unless it sends without an end.
"""

import math
from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from ...protocol.messages import CLIENT_GONE
from ..app.request_scope import call_name
from .link_session import LOST, HostedCall

GRACE: Final = 5.0
"""Seconds from `http.disconnect` to a cancellation, at least."""


@dataclass(slots=True)
class _Abandoned:
    call: HostedCall
    cancel_at: float
    """Monotonic seconds; inf if there is no deadline."""
    stuck_from: float
    """Monotonic seconds since when nothing is left that could end it."""
    may_answer: bool
    """Whether its deadline is for the beginning of a response. Then one that has begun is in
    time, although no client gets it."""
    cancelled: bool = False

    def cancel(self, now: float) -> None:
        self.cancelled = True
        self.stuck_from = min(self.stuck_from, now)

    def why(self, now: float, *, hurry: bool) -> str:
        """Why the call is cancelled now; "" if it is not. `hurry` says that the worker stops."""
        unheard = self.call.unheard
        if unheard is not None and unheard.is_endless(now, hurry=hurry):
            return "its client has left, and it sends on and on"
        if self.cancel_at > now or (self.may_answer and unheard is not None):
            return ""
        return "nobody waits for it any more, and its time is over"


class AbandonedCalls:
    def __init__(self, *, cancellable: bool) -> None:
        """`cancellable` says whether a call can be cancelled. One that runs on a thread cannot."""
        self._cancellable = cancellable
        self._calls: list[_Abandoned] = []

    def add(self, call: HostedCall, code: int, now: float) -> None:
        """Takes a call that was abandoned. `code` is the code of the RESET, or LOST."""
        if code in (LOST, CLIENT_GONE):
            deadline = max(now + GRACE, _deadline(call))
            self._calls.append(_Abandoned(call, deadline, deadline, may_answer=True))
            return
        cancel_at = now + GRACE
        stuck_from = cancel_at if self._cancellable else now
        self._calls.append(_Abandoned(call, cancel_at, stuck_from, may_answer=False))

    def due(
        self, now: float, running: Container[HostedCall], *, hurry: bool
    ) -> list[tuple[HostedCall, str]]:
        """Returns the calls to cancel now, each once, and a sentence for the log. Calls that do not
        run any more are forgotten. `hurry` says that the worker stops."""
        if not self._calls:
            return []
        self._calls = [each for each in self._calls if each.call in running]
        due: list[tuple[HostedCall, str]] = []
        for each in self._calls:
            if not each.cancelled and (why := each.why(now, hurry=hurry)):
                each.cancel(now)
                verb = "is cancelled" if self._cancellable else "goes on in its thread"
                name = call_name(each.call.message)
                due.append((each.call, f"{name} {verb}: {why}{each.call.log_end()}"))
        return due

    def stuck(self, now: float, patience: float) -> int:
        """How many calls have gone on for `patience` seconds after nothing was left to end them. A
        call that still waits for a thread is not stuck."""
        return sum(each.call.began > 0 and now - each.stuck_from > patience for each in self._calls)


def _deadline(call: HostedCall) -> float:
    """When its gateway would have reset the call if the client were still there; inf if never."""
    theirs = call.session.link.theirs
    limit = theirs.request_timeout if theirs is not None else 0.0
    if not limit or call.message[0] != "http" or call.response == "body":
        return math.inf
    return call.began + limit
