"""WebSockets that are to be closed with 1012, and when. Pure: time is passed in.

A WebSocket has no end of its own, so when its worker is replaced or the service ends, it is told to
come back. All at once would mean that all clients come back at once, to workers that have just
begun: many are spread over seconds. What they do in the meantime goes on as before.
"""

from collections.abc import Hashable
from typing import Final, Protocol

FEW: Final = 20
"""So many are closed at once: no server notices twenty handshakes."""
RATE: Final = 100.0
"""WebSockets a second, if that is fast enough: a small part of the handshakes that a gateway
process can do."""
LONGEST: Final = 10.0
"""Seconds, however many there are: whoever deploys waits for it."""


class Restartable(Hashable, Protocol):
    def restart(self) -> None: ...


class Restarts:
    def __init__(self, most: float) -> None:
        """`most`: seconds within which all are closed, if that is sooner than LONGEST."""
        self._longest = min(LONGEST, most)
        self._waiting: dict[Restartable, None] = {}
        """In their order; each once."""
        self._added = False
        self._rate = 0.0
        self._allowed = 0.0
        self._last = 0.0

    def add(self, one: Restartable) -> None:
        self._waiting[one] = None
        self._added = True

    def sweep(self, now: float) -> None:
        """Closes those whose turn it is. Called a few times a second."""
        waiting = self._waiting
        if not waiting:
            return
        if self._added:
            if not self._rate:  # nobody was waiting
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
