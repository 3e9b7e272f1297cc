"""How many calls an ASGI worker should take at once, found while it works. Pure: time is passed in.

No number is right for every app. One that waits for other services serves ten times more with a
thousand calls at once than with ten. One that computes has its only processor busy with a handful,
and each call beyond that makes all others slower: it gains nothing, and the calls that wait inside
of the worker have left the pool's queue, where another worker could have had them. And the number
changes by itself, with the database's mood and the time of day.

But two things can be seen from inside. When the event loop has more to do than it can, it runs
late: a timer that was due now fires when all that was ready before has had its turn. That is the
**lag**, and it says that computing is the bottleneck, whatever the calls do. When something behind
the app is the bottleneck, the loop idles and the **latency** grows with the number of calls, since
they queue over there. Neither says how many would be right, only "too many" or "not yet". So the
limit is sought, as TCP seeks its window (AIMD: Chiu and Jain, 1989; Vegas: Brakmo and Peterson,
1995; for servers: Netflix's concurrency-limits, Envoy's adaptive concurrency filter), once in each
period of about a second:

    lag above LAG_TARGET                               the limit falls by a fifth
    latency above LATENCY_TOLERANCE times the floor    it falls in proportion, by a half at most
    neither, and at least half of it was in use        it grows by its square root
    else                                               it stays

- What falls is the smaller of the limit and the most calls that ran: a limit that nobody has
  reached says nothing, and must come down at once when it is needed.
- It grows only while it is used. Otherwise a quiet night would let it grow to a number that the
  morning's first burst is not warned by.
- The square root is Netflix's: a large limit has to be sought in larger steps, and the ripple stays
  a small part of it.
- The *floor* is the least latency that was seen, that of an app that is not crowded. It must not be
  remembered for ever, or an app that has become slower for good would be held down by how fast it
  was. Nor may it simply creep upwards: behind a constant crowd it would creep, and the limit with
  it, until there is none. So it is measured again, PROBE_AFTER periods after the latency was found
  too long: for two periods the limit is a quarter. In the first of them the crowd leaves, and what
  calls take in the second is the floor from then on (Envoy's `min_rtt_calc_params` does the same).
- Lag is the stronger sign, so it is heeded first. It is a tenth of a second: what a person does not
  notice yet (Nielsen, 1993), and above what a garbage collection costs a busy loop.

It is bounded by LEAST_LIMIT, since a worker that takes one call at a time would learn nothing more,
and by the limit that a worker has without it.

No worker has it: it is a rule that is studied here. A worker would have to know the seconds from a
call's start to the head of its response (a stream or a WebSocket says nothing by how long it
lasts), which calls do not note.
"""

from math import sqrt
from typing import Final, Literal

FIRST_LIMIT: Final = 32
LEAST_LIMIT: Final = 4
PERIOD: Final = 1.0
"""Seconds between two changes: a change has to be felt before the next one."""
LAG_TARGET: Final = 0.1
LAG_CUT: Final = 0.8
LATENCY_TOLERANCE: Final = 2.0
PROBE_AFTER: Final = 60
"""Periods. A probe of two costs about a thirtieth of the throughput at most, while it is crowded
all the time, and nothing otherwise."""
PROBE_PART: Final = 0.25

Verdict = Literal["begins", "grows", "stays", "lag", "latency", "clears", "probes"]
"""`clears` and `probes` are the two periods in which the floor is measured again."""


class AdaptiveLimit:
    """The limit of one worker, and what it was last changed for."""

    __slots__ = (
        "_count",
        "_floor",
        "_lag",
        "_most",
        "_peak",
        "_probe_in",
        "_since",
        "_took",
        "_usual",
        "limit",
        "verdict",
    )

    def __init__(self, most: int) -> None:
        """`most`: the limit is never above it."""
        self.limit = min(FIRST_LIMIT, most)
        self.verdict: Verdict = "begins"
        """What the last period came to."""
        self._most = most
        self._floor = 0.0
        """Seconds that a call takes while there is no crowd; 0.0 if not known yet."""
        self._probe_in = 0
        """Periods until the floor is measured again; 0 if there is no need."""
        self._usual = 0
        """The limit before that, and after it."""
        self._since: float | None = None
        self._peak = 0
        self._lag = self._took = 0.0
        self._count = 0

    def ended(self, took: float) -> None:
        """A call has taken so many seconds until its response began."""
        self._took += took
        self._count += 1

    def look(self, now: float, running: int, lag: float) -> bool:
        """Notes how many calls run, and by how many seconds the loop was late. To be called several
        times a period, with monotonic seconds. Returns whether the limit has changed."""
        if self._since is None:
            self._since = now
        self._peak, self._lag = max(self._peak, running), max(self._lag, lag)
        if now - self._since < PERIOD:
            return False
        before = self.limit
        self._decide()
        self._since, self._peak, self._count = now, running, 0
        self._lag = self._took = 0.0
        return self.limit != before

    def _decide(self) -> None:
        latency = self._took / self._count if self._count else 0.0
        used = min(self.limit, self._peak)
        if self.verdict == "clears":
            self.verdict = "probes"
            return
        if self.verdict == "probes":
            self._floor = latency or self._floor
            self.verdict, wanted = "stays", self._usual
        elif self._probe_in == 1:
            self._probe_in, self._usual = 0, self.limit
            self.verdict, wanted = "clears", used * PROBE_PART
        else:
            self._probe_in = max(0, self._probe_in - 1)
            wanted = self._sought(latency, used)
        self.limit = min(max(int(wanted), LEAST_LIMIT), self._most)

    def _sought(self, latency: float, used: int) -> float:
        """The next limit, by the table above."""
        if latency:
            self._floor = min(latency, self._floor or latency)
        if self._lag > LAG_TARGET and used:
            self.verdict = "lag"
            return used * LAG_CUT
        if latency > self._floor * LATENCY_TOLERANCE:
            self.verdict = "latency"
            self._probe_in = self._probe_in or PROBE_AFTER
            return used * max(0.5, self._floor * LATENCY_TOLERANCE / latency)
        if 2 * self._peak >= self.limit:
            self.verdict = "grows"
            return self.limit + sqrt(self.limit)
        self.verdict = "stays"
        return self.limit
