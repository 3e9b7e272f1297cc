"""Decides when WebSockets are closed with 1012 (service restart). Pure: time is passed in.

A WebSocket has no end of its own. When its worker is replaced or the service ends, its client is
asked to connect again. If all were asked at once, all would come back at once, to workers that have
just started. So many of them are spread over seconds, and work as before in the meantime.
"""

from collections.abc import Hashable
from typing import Final, Protocol

FEW: Final = 20
"""WebSockets that are closed at once. No server notices twenty handshakes."""
RATE: Final = 100.0
"""WebSockets a second, if that is fast enough: a small part of the handshakes that a gateway
process can do."""
LONGEST: Final = 10.0
"""Seconds within which all are closed, however many there are. A deployment waits for it."""


class Restartable(Hashable, Protocol):
    def restart(self) -> None: ...


class Restarts:
    def __init__(self, most: float) -> None:
        """`most` is the number of seconds within which all are closed, if it is below LONGEST."""
        self._longest = min(LONGEST, most)
        self._waiting: dict[Restartable, None] = {}
        """The WebSockets that wait to be closed, in their order; each once."""
        self._added = False
        self._rate = 0.0
        self._allowed = 0.0
        self._last = 0.0

    def add(self, one: Restartable) -> None:
        self._waiting[one] = None
        self._added = True

    def sweep(self, now: float) -> None:
        """Closes as many as are due. To be called a few times a second."""
        waiting = self._waiting
        if not waiting:
            return
        if self._added:
            if not self._rate:  # none was waiting
                self._last, self._allowed = now, float(FEW)
            self._added = False
            self._rate = max(self._rate, RATE, len(waiting) / max(self._longest, 0.001))
        self._allowed += (now - self._last) * self._rate
        self._last = now
        count = min(int(self._allowed), len(waiting))
        self._allowed -= count
        for one in list(waiting)[:count]:
            del waiting[one]
            one.restart()
        if not waiting:
            self._rate = 0.0
