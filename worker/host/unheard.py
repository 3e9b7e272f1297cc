"""A response that an app goes on sending after its client has left. Pure: time is passed in.

ASGI HTTP 2.3: "messages received by a server after the connection has been closed are not
considered errors. In this case the send awaitable callable should act as a no-op." An app that
listens for `http.disconnect` ends by itself, and so does a response with an end: a file, a report.
But an endless loop that never listens would go on for ever. And since a `send` that does nothing
never waits, no other call of its worker would have a turn again.

So each `send` lets the others run; and calls that go on sending take turns among themselves, one of
them at most in each turn of the event loop. Such a turn lasts `TURN`, in which each `send` of that
call returns at once. However many clients leave in the midst of their downloads, those who stay
wait for one of them, and not for hundreds. The first piece and the end do not stand in that line:
an app that only has to say a last word, or to hear an error, is soon done.

After a while each `send` takes its time, as with a client that reads slowly, and in the end the
call is cancelled. A response that has stated its length has an end, and is left alone.

The app of a WebSocket gets an error at each `send`. An app that ignores many of them is slowed and
ended in the same way. One that reports its progress every few seconds may finish its work.
"""

from collections.abc import Iterable
from typing import Any, Final

TURN: Final = 0.000_05
"""Seconds in which each `send` of one call returns at once while others stand in line: a few dozen.
To wait for a turn costs as much as ten of them."""
FULL_SPEED: Final = 1.0
"""Seconds behind which each `send` lasts as long as `PACE`."""
PACE: Final = 0.05
"""Seconds."""
PATIENCE: Final = 30.0
"""Seconds after which a response without a length is taken for endless."""
MANY: Final = 10.0
"""Events a second from which the app of a WebSocket ignores the error. PACE allows for 20."""


class UnheardResponse:
    __slots__ = ("_began", "_bounded", "_often", "_pieces", "_turn_ends", "complete", "goes_on")

    def __init__(self, often: float = 0.0) -> None:
        """`often` is the number of pieces a second from which the app goes on sending."""
        self._often = often
        self._began = 0.0
        """Monotonic seconds of the first piece after the client has left."""
        self._pieces = 0
        self._turn_ends = 0.0
        self._bounded = False
        self.complete = False
        """Whether the app has sent the end of the response."""
        self.goes_on = False
        """Whether it sends on and on, and takes turns with others that do."""

    def head(self, headers: Iterable[Any]) -> None:
        """Takes the response's fields, as the app gives them."""
        self._bounded = any(bytes(name).lower() == b"content-length" for name, _ in headers)

    def piece(self, more: bool, now: float) -> float:
        """Takes a piece of the body; `more` says whether the body goes on. Returns the seconds that
        its `send` should last; 0.0: it only lets others run, or waits for its turn."""
        if not more:
            self.goes_on, self.complete = self.complete, True
            return 0.0
        if not self._pieces:
            self._began = now
        self._pieces += 1
        self.goes_on = self._pieces > 1
        return PACE if not self._bounded and now - self._began > FULL_SPEED else 0.0

    def has_turn(self, now: float) -> bool:
        """Whether a `send` may return at once."""
        return now < self._turn_ends

    def begin_turn(self, now: float) -> None:
        """Notes that all others that stand in line have had a turn."""
        self._turn_ends = now + TURN

    def is_endless(self, now: float, *, hurry: bool) -> bool:
        """Whether the response has gone on for so long that it will not end by itself. `hurry` says
        that the worker stops; then a shorter time is enough."""
        if self._bounded or self.complete or self._pieces < 2:
            return False
        lasted = now - self._began
        return lasted > (FULL_SPEED if hurry else PATIENCE) and self._pieces >= self._often * lasted
