"""When one thread may do everything: hear the links, call the app and answer, like an event loop.

While calls only compute that is the fastest way: the interpreter runs one thread at a time anyway,
and a call that changes threads costs a tenth of a millisecond. As soon as calls wait for something
it is the slowest, since they would wait one after the other. Which of them an app is cannot be
known, only tried; this is how often it is tried, and what ends it.

Pure: the host has the clock, and says how its calls went.
"""

from typing import Final

SHORTEST: Final = 0.01
"""Seconds without another attempt behind one that has failed. A failure costs those who wait a
millisecond or two until it is noticed."""
LONGEST: Final = 0.5
"""Seconds, however many attempts have failed in a row."""
WORTH_IT: Final = 0.03
"""Seconds: what went well for so long has gained more than its end has cost."""
SAMPLE: Final = 16
"""Calls that are judged together."""
TOLERANCE: Final = 0.000_1
"""Seconds that a call may wait on average: about what its change of threads would cost. Beside it
a quarter of what it computes is allowed, for a machine that is busy with other processes."""


class SoloPolicy:
    __slots__ = ("_allowed_from", "_calls", "_computed", "_patience", "_waited")

    def __init__(self) -> None:
        self._allowed_from = 0.0
        self._patience = SHORTEST
        self._calls = 0
        self._computed = 0.0
        self._waited = 0.0

    def may_begin(self, now: float) -> bool:
        return now >= self._allowed_from

    def failed(self, now: float) -> None:
        """The thread was held up, or its calls wait: others are needed for a while."""
        worth_it = now - self._allowed_from >= WORTH_IT
        self._patience = SHORTEST if worth_it else min(self._patience * 2, LONGEST)
        self._allowed_from = now + self._patience
        self._forget()

    def ran(self, took: float, computed: float) -> bool:
        """A call took so many seconds, and so many of processor time; whether the last calls have
        waited so long that they should do so beside each other."""
        self._calls += 1
        self._computed += computed
        self._waited += took - computed
        if self._calls < SAMPLE:
            return False
        wait = self._waited > SAMPLE * TOLERANCE + self._computed / 4
        self._forget()
        return wait

    def _forget(self) -> None:
        self._calls, self._computed, self._waited = 0, 0.0, 0.0
