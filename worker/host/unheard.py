"""A response that an app goes on sending after its client has left. Pure: told the time.

ASGI HTTP 2.3: "messages received by a server after the connection has been closed are not
considered errors. In this case the send awaitable callable should act as a no-op." What listens for
`http.disconnect` ends by itself, and so does what has an end: a file, a report. A loop without an
end that never listens would go on for ever, and since a `send` that does nothing never waits, no
other call of its worker would have a turn again. So each `send` lets the others run, and one that
has gone on for a while takes its time, as with a client that reads slowly; in the end the call is
cancelled. A response that has stated its length has an end, and is left alone.

A WebSocket's app hears of it by an error at each `send`. One that takes no notice of many is slowed
and ended likewise; one that says every few seconds how far its work is may finish that.
"""

from collections.abc import Iterable
from typing import Any, Final

FULL_SPEED: Final = 1.0
"""Seconds for which the sends only let others run."""
PACE: Final = 0.05
"""Seconds that each `send` lasts from then on."""
PATIENCE: Final = 30.0
"""Seconds after which a response without a length is taken for endless."""


MANY: Final = 10.0
"""Events a second for which a WebSocket's app takes no notice of the error; PACE allows for 20."""


class UnheardResponse:
    __slots__ = ("_began", "_bounded", "_often", "_pieces", "complete")

    def __init__(self, often: float = 0.0) -> None:
        """`often`: pieces a second that are a going on. A single piece is none."""
        self._often = often
        self._began = 0.0
        """When the first piece was sent to nobody."""
        self._pieces = 0
        self._bounded = False
        self.complete = False
        """The app has sent the end of it: what it does from then on is its own."""

    def head(self, headers: Iterable[Any]) -> None:
        """The response's fields, as the app gives them."""
        self._bounded = any(bytes(name).lower() == b"content-length" for name, _ in headers)

    def piece(self, more: bool, now: float) -> float:
        """A part of the body, with `more` to come or not. Seconds that its `send` should last;
        0.0: others have a turn, no more."""
        if not more:
            self.complete = True
            return 0.0
        if not self._pieces:
            self._began = now
        self._pieces += 1
        return PACE if not self._bounded and now - self._began > FULL_SPEED else 0.0

    def is_endless(self, now: float, *, hurry: bool) -> bool:
        """Whether it has gone on for so long that it will not end by itself; in a `hurry`, when
        the worker stops, that is soon said."""
        if self._bounded or self.complete or self._pieces < 2:
            return False
        lasted = now - self._began
        return lasted > (FULL_SPEED if hurry else PATIENCE) and self._pieces >= self._often * lasted
