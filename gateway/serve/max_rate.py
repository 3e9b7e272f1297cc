"""How much a WebSocket's client may send: a bucket of tokens. Pure.

A message costs the app a call, however small it is, and a byte costs everybody on its way. So there
is one bucket for messages (--ws-max-rate) and one for bytes (--ws-max-byte-rate), each with a token
for each of them. Tokens come back evenly, and can be saved up for some seconds, since people and
games send in bursts.
"""

from typing import Final

SAVED_UP: Final = 10.0
"""Seconds of silence that pay for a burst."""


class MaxRate:
    __slots__ = ("_at", "_left", "_most", "_rate")

    def __init__(self, rate: int, now: float) -> None:
        """`rate`: messages, or bytes, a second, in the long run."""
        self._rate = rate
        self._most = self._left = rate * SAVED_UP
        self._at = now

    def is_exceeded(self, count: int, now: float) -> bool:
        """Whether `count` more are too many."""
        self._left = min(self._most, self._left + (now - self._at) * self._rate) - count
        self._at = now
        return self._left < 0


def max_rate(rate: int, now: float) -> MaxRate | None:
    """A full bucket; None for a rate of 0, which is no limit."""
    return MaxRate(rate, now) if rate else None
