"""When one thread may do everything: hear the links, call the app and answer, like an event loop.

While calls only compute that is the fastest way: the interpreter runs one thread at a time anyway,
and a call that changes threads costs a tenth of a millisecond. As soon as calls wait for something
it is the slowest, since they would wait one after the other. Which of them an app is cannot be
known, only tried; this is how often it is tried, and what ends it.

Pure: the host has the clock, and says how its calls went.
"""

from typing import Final

SHORTEST: Final = 0.004
"""Seconds without another attempt behind one that has failed. A failure costs those who wait a
millisecond or two until it is noticed."""
LONGEST: Final = 0.5
"""Seconds, however many attempts have failed in a row."""
WORTH_IT: Final = 0.03
"""Seconds: what went well for so long has gained more than its end has cost."""
SAMPLE: Final = 16
"""Calls that are judged together."""
TOLERANCE: Final = 0.000_1
"""Seconds that a call may wait on average: about what its change of threads would cost. A quarter
of what it computes is allowed beside it: other threads want the interpreter now and then."""


class SoloPolicy:
    __slots__ = ("_allowed_from", "_patience")

    def __init__(self) -> None:
        self._allowed_from = 0.0
        self._patience = SHORTEST

    def may_begin(self, now: float) -> bool:
        return now >= self._allowed_from

    def failed(self, now: float) -> None:
        """The thread was held up, or its calls wait: others are needed for a while."""
        worth_it = now - self._allowed_from >= WORTH_IT
        self._patience = SHORTEST if worth_it else min(self._patience * 2, LONGEST)
        self._allowed_from = now + self._patience


def better_in_parallel(calls: int, computed: float, waited: float) -> bool:
    """Whether so many calls, which have computed and waited so many seconds in all, should have
    waited beside each other."""
    return waited > calls * TOLERANCE + computed / 4
