"""How many messages a WebSocket's client may send: a bucket of tokens. Pure.

A message costs the app a call, however small it is. A client has a token for each message; tokens
come back evenly, and can be saved up for some seconds, since people and games send in bursts.
"""

from typing import Final

SAVED_UP: Final = 10.0
"""Seconds of silence that pay for a burst."""


class MessageRate:
    __slots__ = ("_at", "_left", "_most", "_rate")

    def __init__(self, rate: int, now: float) -> None:
        """`rate`: messages a second, in the long run."""
        self._rate = rate
        self._most = self._left = rate * SAVED_UP
        self._at = now

    def is_exceeded(self, count: int, now: float) -> bool:
        """Whether `count` more messages are too many."""
        self._left = min(self._most, self._left + (now - self._at) * self._rate) - count
        self._at = now
        return self._left < 0
