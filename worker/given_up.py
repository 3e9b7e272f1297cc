"""Calls that nobody waits for any more: when they are cancelled, and which of them are stuck."""

from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from ..protocol.messages import CLIENT_GONE
from .session import LOST, HostedCall

CLIENT_GRACE: Final = 30.0
"""Seconds from http.disconnect to cancellation when the client, or the link, is gone."""
DEADLINE_GRACE: Final = 5.0
"""Seconds, when the gateway gave the call up for its deadline or a shutdown."""


@dataclass(slots=True)
class _GivenUp:
    call: HostedCall
    cancel_at: float
    stuck_from: float
    """Since when there is nothing left that could end it."""
    cancelled: bool = False


class GivenUpCalls:
    def __init__(self, *, cancellable: bool) -> None:
        """A thread cannot be cancelled: what runs on one is past help at once."""
        self._cancellable = cancellable
        self._calls: list[_GivenUp] = []

    def add(self, call: HostedCall, code: int, now: float) -> None:
        """`code` is that of the RESET, or LOST."""
        cancel_at = now + (CLIENT_GRACE if code in (LOST, CLIENT_GONE) else DEADLINE_GRACE)
        stuck_from = cancel_at if self._cancellable else now
        self._calls.append(_GivenUp(call, cancel_at, stuck_from))

    def due(self, now: float, running: Container[HostedCall]) -> list[HostedCall]:
        """Calls whose grace is over, each once. What runs no more is forgotten."""
        if not self._calls:
            return []
        self._calls = [each for each in self._calls if each.call in running]
        due = [each for each in self._calls if not each.cancelled and each.cancel_at <= now]
        for each in due:
            each.cancelled = True
        return [each.call for each in due]

    def stuck(self, now: float, patience: float) -> int:
        """How many have ignored their end for so many seconds. One that still waits for a thread
        is not stuck, whatever it waits for."""
        return sum(each.call.began > 0 and now - each.stuck_from > patience for each in self._calls)
