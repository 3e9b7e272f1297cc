"""How many calls an ASGI worker takes at once with `--limit-concurrency auto`: sought while it
works. Pure: time is passed in.

The problem
===========

No number is right for every app. One that waits for other services serves ten times more with a
thousand calls at once than with ten. One that computes has its only processor busy with a handful.
Each call beyond that makes all others slower and gains nothing, and the calls that wait inside of
the worker have left the pool's queue, where another worker could have had them, where the newest
go first under overload, and where clients that leave cost nothing. And the number changes by
itself, with the database's mood and the time of day.

Two signs can be seen from inside. When the event loop has more to do than it can, it runs late: a
timer that is due fires when all that was ready before has had its turn. That is the **lag**, and it
says that computing is the bottleneck, whatever the calls do. When something behind the app is the
bottleneck, the loop idles and the **latency** grows with the number of calls, since they queue over
there. Neither says how many would be right, only "too many" or "not yet". So the limit is sought,
as TCP seeks its window: additive increase, multiplicative decrease (Chiu and Jain, Computer
Networks 17, 1989). A gradient, as in TCP Vegas or Netflix's concurrency-limits, needs a latency
that means the same from one second to the next; that of an app does not, because its endpoints take
different times and the mix of them changes. So latency is believed here only after a proof.

The rule
========

The limit counts the calls that have not begun to answer. What streams its response, runs a
background task behind it or is an open WebSocket comes on top: such a call may idle for hours, and
a limit that was cut below their number would let nothing new in for as long.

Once in each PERIOD, the first line that is true:

    nothing could come in since it fell              see "Calls that idle"
    lag above LAG_TARGET                             it falls: square root of the proportion
    half of it was in use, latency above `allowed`   it falls: in proportion
    half of it was in use, no sign was ever seen     it is doubled
    half of it was in use                            it grows by its square root, or more
    else                                             it stays

- The lag of a period is the *mean* of all looks, and it counts only if each of them was LATE. The
  largest would be decided by one call that blocks the loop once, although the loop idles for the
  rest of the second. CoDel tells a burst from a standing queue in the same way (RFC 8289). Where
  only some looks were late it is no sign, but the limit is not doubled either.
- A fall leaves a half at least and nine tenths at most. The square root is for calls that block the
  loop for longer than LAG_TARGET each: no limit brings that lag down, and the loop must not idle.
- LAG_TARGET is a tenth of a second, which people do not notice yet (Nielsen, Usability Engineering,
  1993, chapter 5).
- What falls is the smaller of the limit and the most calls that were seen: a limit that nobody has
  reached says nothing. The first sign takes no more than half of the limit all the same, since one
  accident is no overload.
- It grows only while it is used. Otherwise a quiet night would let it grow to a number that the
  morning's first burst is not warned by.
- The square root is Netflix's: a large limit has to be sought in larger steps, and the ripple stays
  a small part of it. From the fourth growth in a row on, each is longer by one square root more:
  the place where the limit last fell is passed, so what held it there is gone (as in CUBIC, RFC
  9438).
- `allowed` is LATENCY_TOLERANCE times the *floor*, and LATENCY_SLACK seconds more than it at least:
  a call of a millisecond that takes three has lost nothing, and a worker whose calls are as short
  as that needs many of them at once, since they travel in batches.

The proof
=========

The floor is the latency of an app that is not crowded: the least that was seen. A latency far above
it can mean a crowd. It can also mean that other endpoints are asked for, or that the app has become
slower for all. Fewer calls would then be slow too, and a rule that goes on cutting ends at the
least limit for nothing. Nor may the floor creep upwards: behind a constant crowd it would creep,
and the limit with it, until there is none. So the floor is measured again when latency has cut the
limit to half, or PROBE_AFTER periods after latency was first found too long:

    doubling --the first sign--> seeking --probe is due--> clearing --crowd is gone--> probing
                                    ^                                                     |
                                    +----------------measured, or PROBE_MOST--------------+

While it *clears*, the limit is a quarter, until no more calls wait than that, and for as long as
the latency was. What calls take while it *probes* is the floor then (Envoy's adaptive concurrency
filter does the same, on a timer). If the latency before was too long by this floor, it was the
crowd, and the limit goes on from where it was. Else the cuts were wrong, and it is what it was
before them. Both together take PROBE_MOST periods at most. A probe that has measured nothing
proves nothing, so the cuts were wrong too.

Calls that idle
===============

A call of long polling waits for news before it answers, half a minute perhaps, and needs nothing
for that. A limit that was cut below the number of such calls would let nothing in until they have
their news. But a crowd leaves: where N calls take L seconds each, N / L end in a second (Little's
law), and those that compute keep the loop late. So if nothing could come in for a whole period
after a cut, the loop is not late, and less than IDLE_PART of that has left, then what is left
idles. The cut is made up for: it counts for the rest only, the crowd, and what idles comes on top.
After a cut for latency that is a probe at once, since the latency may have been theirs. Calls that
wait for a few seconds only end as fast as a crowd's do, and are taken for one.

Measuring
=========

Latency is the time from a call's start to the head of its response. A stream or a WebSocket says
nothing by how long it lasts. Both ends are read from the clock of the last look: no call pays for a
clock. That a call has taken 0.0 or 0.1 seconds then is coarse, but the mean of many is right,
because the looks fall on no particular part of a call. It is the mean of LATENCY_PERIODS, and a cut
begins a new one. A median would not see a crowd that half of the calls have no part in. What has
taken longer than a probe may is left out: it cannot be proved, and mostly it was to last. Where
fewer than one call was under way on average, it is not believed. Calls that only compute begin and
end between two looks, and seem to take no time: the lag speaks for them.

The limit is bounded by LEAST_LIMIT, since a worker that takes one call at a time would learn
nothing more, and by the slots that a worker has without it.
"""

from math import sqrt
from typing import Final, Literal

FIRST_LIMIT: Final = 32
LEAST_LIMIT: Final = 4
PERIOD: Final = 1.0
"""Seconds between two changes: a change has to be felt before the next one."""
LAG_TARGET: Final = 0.1
LATE: Final = LAG_TARGET / 4
"""Seconds from which on a look counts as late."""
LATENCY_TOLERANCE: Final = 2.0
LATENCY_SLACK: Final = 0.05
LEAST_CUT: Final = 0.9
"""The part of the limit that a cut leaves at most."""
MOST_CUT: Final = 0.5
"""And at least."""
SHORT_STEPS: Final = 3
"""Growths in a row that are one square root long."""
LATENCY_PERIODS: Final = 2
PROBE_AFTER: Final = 60
"""Periods. A probe of three costs a thirtieth of the throughput at most, while it is crowded all
the time, and nothing otherwise."""
PROBE_MOST: Final = 8
PROBE_PART: Final = 0.25
IDLE_PART: Final = 0.25
"""Of what a crowd would do. The latency of one that grows is less than that of all of it."""
LEAST_EVIDENCE: Final = 4
"""Calls from which a latency is believed."""

LimitPhase = Literal["doubling", "seeking", "clearing", "probing"]
LimitVerdict = Literal["begins", "grows", "stays", "lag", "latency", "probes", "restores"]


class AdaptiveLimit:
    """The limit of one worker, and what it was last changed for."""

    __slots__ = (
        "_best",
        "_count",
        "_crowd",
        "_crowded",
        "_cuts",
        "_floor",
        "_gone",
        "_growths",
        "_lag",
        "_late",
        "_left",
        "_looks",
        "_most",
        "_now",
        "_part",
        "_peak",
        "_periods",
        "_phase",
        "_probe_in",
        "_probed",
        "_since",
        "_took",
        "_usual",
        "_waiting",
        "limit",
        "verdict",
        "why",
    )

    def __init__(self, most: int, first: int = 0) -> None:
        """`most`: the limit is never above it. `first`: where to begin, found by other workers of
        the same pool; 0 if nobody has found any."""
        self.limit = min(first or FIRST_LIMIT, most)
        self.verdict: LimitVerdict = "begins"
        """What the last period came to."""
        self.why = "it has just begun"
        """What it was last changed for, as a sentence about the worker."""
        self._phase: LimitPhase = "seeking" if first else "doubling"
        self._most = most
        self._floor = 0.0
        """Seconds that a call takes while there is no crowd; 0.0 if not known yet."""
        self._best = self.limit
        """The largest limit that was without a sign since the floor was last measured."""
        self._usual = 0
        """The limit before a probe."""
        self._crowded = 0.0
        """The latency that the last cut was for; 0.0 if it was for a lag."""
        self._crowd, self._part = 0, 1.0
        """The calls that the last cut was of, and the part that it has left of them."""
        self._left = self._gone = 0
        """Calls that were waiting when the last period ended, and that have responded since."""
        self._growths = self._cuts = 0
        """In a row."""
        self._probe_in = 0
        """Periods until the floor is measured again; 0 if there is no need."""
        self._probed = 0
        """Periods that the probe has taken so far."""
        self._now = 0.0
        self._since: float | None = None
        """When the period began, in monotonic seconds."""
        self._peak = self._waiting = self._looks = 0
        self._lag = 0.0
        self._late = True
        """Whether each look of the period was late."""
        self._periods = self._count = 0
        """Periods, and calls, from which the latency is taken."""
        self._took = 0.0

    @property
    def is_sought(self) -> bool:
        """Whether the limit is on its way: it is about to be another, and the present one does not
        say what the worker can do."""
        if self.limit >= self._most:
            return False
        if self._phase == "doubling":
            return self._growths > 0
        return self._phase != "seeking" or self._growths > SHORT_STEPS

    def responded(self, began: float) -> None:
        """A response has begun, of a call that began after the look of this time."""
        took = self._now - began
        self._gone += 1
        if took <= PROBE_MOST * PERIOD:
            self._took += took
            self._count += 1

    def look(self, now: float, waiting: int, lag: float) -> bool:
        """Notes how many calls have not begun to answer, and by how many seconds the loop was late.
        To be called several times a period, with monotonic seconds. Returns whether the limit has
        changed."""
        self._now = now
        if self._since is None:
            self._since = now
            self._measure_anew()
            return False
        self._waiting, self._peak = waiting, max(self._peak, waiting)
        self._lag += lag
        self._looks += 1
        self._late = self._late and lag > LATE
        if now - self._since < PERIOD:
            return False
        before = self.limit
        wanted = self._decide(self._lag / self._looks, self._latency())
        self.limit = min(max(round(wanted), LEAST_LIMIT), self._most)
        self._since, self._peak, self._left = now, waiting, waiting
        self._gone = 0
        self._looks, self._lag, self._late = 0, 0.0, True
        return self.limit != before

    def _latency(self) -> float:
        """Seconds that calls have taken until their response began; 0.0 if not known now."""
        self._periods += 1
        if self._periods < LATENCY_PERIODS:
            return 0.0
        believed = self._count >= LEAST_EVIDENCE and self._took >= self._periods * PERIOD
        latency = self._took / self._count if believed else 0.0
        self._measure_anew()
        return latency

    def _measure_anew(self) -> None:
        self._periods, self._count, self._took = 0, 0, 0.0

    def _decide(self, lag: float, latency: float) -> float:
        """Returns the limit for the next period, by the tables above."""
        if (self._cuts or self._phase == "clearing") and self._is_held_by_idle(lag):
            return self._make_up()
        if self._phase == "clearing" or self._phase == "probing":
            return self._probe(latency)
        self._probe_in -= self._probe_in > 1
        if latency:
            self._floor = min(latency, self._floor or latency)
        is_late = lag > LAG_TARGET
        if is_late and self._late and self._peak:
            self.verdict, self.why = "lag", f"its event loop was late by {lag:.2f} s"
            limit = self._cut(sqrt(LAG_TARGET / lag))
            self._best = min(self._best, round(limit))
            return limit
        half_used = 2 * self._peak >= self.limit
        if half_used and latency > _allowed(self._floor):
            return self._too_slow(latency)
        if self._cuts and self._periods:
            return self.limit  # what it is good for is being measured
        self._cuts = 0
        if not half_used or (is_late and self._phase == "doubling"):
            self.verdict, self._growths = "stays", 0
            return self.limit
        return self._grow()

    def _grow(self) -> float:
        self._growths += 1
        if self._phase == "doubling":
            self.verdict, limit = "begins", 2.0 * self.limit
        else:
            steps = max(1, self._growths - SHORT_STEPS)
            self.verdict, limit = "grows", self.limit + steps * sqrt(self.limit)
        self.why = "it was in use, and nothing was slow"
        self._best = max(self._best, round(limit))
        return limit

    def _cut(self, part: float, latency: float = 0.0) -> float:
        self._phase, self._growths = "seeking", 0
        self._cuts += 1
        self._measure_anew()
        self._crowded, self._crowd = latency, min(self.limit, self._peak)
        self._part = min(max(part, MOST_CUT), LEAST_CUT)
        limit = self._crowd * self._part
        return max(limit, self.limit * MOST_CUT) if self._cuts == 1 else limit

    def _is_held_by_idle(self, lag: float) -> bool:
        """Whether the calls that were there when the limit was cut let nothing in, and idle."""
        if self._phase == "probing" or self._waiting <= self.limit or lag > LATE:
            return False
        gone = max(self._gone, self._left - self._waiting)
        return gone * self._crowded <= IDLE_PART * self._left * PERIOD

    def _make_up(self) -> float:
        """Makes the last cut one of the calls only that do not idle. Those that do are now and then
        more by the square root of their number (Poisson)."""
        rest = max((self._crowd - self._waiting) * self._part, LEAST_LIMIT)
        idle = self._waiting + sqrt(self._waiting)
        usual = round(idle + rest)
        self._cuts = 0
        self._measure_anew()
        self._best = max(self._best, usual)
        if not self._crowded:
            self._phase = "seeking"
            return usual
        if self._phase != "clearing":
            self._probed = 0
        self._phase, self.verdict, self._usual = "probing", "probes", usual
        return idle + max(rest * PROBE_PART, LEAST_LIMIT)

    def _too_slow(self, latency: float) -> float:
        """Cuts the limit, and begins a probe where one is due."""
        without = f"{self._floor:.2f} s without a crowd"
        self.verdict = "latency"
        self.why = f"responses have begun after {latency:.2f} s, and after {without}"
        limit = self._cut(_allowed(self._floor) / latency, latency)
        due = self._probe_in == 1 or limit <= self._best * MOST_CUT
        self._probe_in = self._probe_in or PROBE_AFTER
        if not due:
            return limit
        self._phase, self.verdict, self._probed = "clearing", "probes", 0
        self._usual = round(limit)
        return limit * PROBE_PART

    def _probe(self, latency: float) -> float:
        """A period of the probe has passed."""
        self._probed += 1
        if self._phase == "probing" and latency:
            return self._measured(latency)
        if self._probed >= PROBE_MOST:
            return self._measured(self._crowded)
        is_clear = self._waiting <= self.limit and self._probed * PERIOD >= self._crowded
        if self._phase == "clearing" and is_clear:
            self._phase = "probing"
            self._measure_anew()
        return self.limit

    def _measured(self, floor: float) -> float:
        """Ends the probe: an app that is not crowded takes so many seconds."""
        self._phase = "seeking"
        self._floor, self._probe_in, self._cuts = floor, 0, 0
        if self._crowded > _allowed(floor):
            self.verdict, self._best = "latency", self._usual
            return self._usual
        self.verdict, self.why = "restores", "with fewer calls at once it was not faster"
        return self._best


def _allowed(floor: float) -> float:
    """Seconds that calls may take, as they are not crowded at `floor`."""
    return max(floor * LATENCY_TOLERANCE, floor + LATENCY_SLACK)
