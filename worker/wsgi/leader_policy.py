"""When a follower may be promoted to leader, and when a leader had better step down.

`leader` explains the two ways in which a WSGI worker runs: one thread that leads and calls the app
too, which is the fastest while calls only compute, and followers beside a main thread that leads,
which is needed as soon as calls wait. Which of them suits an app cannot be known beforehand, and it
changes from one minute to the next: the same view computes while the cache is warm and waits while
it is cold. So it is tried. A trial that fails costs those who wait a millisecond or two, until the
main thread takes the lead back; so the pause before the next trial doubles from one failure to the
next. A trial that has gone well for a while has earned its failure, and the pause is short again.

A leader may also do badly without being held up: no call of its takes a millisecond, and yet each
waits a little. Therefore its calls are measured, in samples: what they took against what they
computed.

Pure: the host has the clock, and says how its calls went.
"""

from typing import Final

SHORTEST: Final = 0.004
"""Seconds from a trial that has failed to the next one."""
LONGEST: Final = 0.5
"""Seconds to the next trial at most, however many have failed in a row."""
WORTH_IT: Final = 0.03
"""Seconds of a trial after which it has gained more than its end costs."""
SAMPLE: Final = 16
"""Calls that are judged together."""
TOLERANCE: Final = 0.000_1
"""Seconds that a call may wait on average, about the cost of a change of threads. It may wait for a
quarter of its computing time besides, since other threads need the interpreter now and then."""


class LeaderPolicy:
    """Decides how often a follower is promoted."""

    __slots__ = ("_allowed_from", "_patience")

    def __init__(self) -> None:
        self._allowed_from = 0.0
        self._patience = SHORTEST

    def may_promote(self, now: float) -> bool:
        return now >= self._allowed_from

    def failed(self, now: float) -> None:
        """Notes that a trial has failed: the leader was held up or its calls wait, so followers are
        needed for a while."""
        worth_it = now - self._allowed_from >= WORTH_IT
        self._patience = SHORTEST if worth_it else min(self._patience * 2, LONGEST)
        self._allowed_from = now + self._patience


def better_in_parallel(calls: int, computed: float, waited: float) -> bool:
    """Whether calls would better have run in parallel. `computed` and `waited` are seconds of all
    calls together."""
    return waited > calls * TOLERANCE + computed / 4
