"""The queue of a pool: calls that wait for a slot, and which of them is next. Pure: given the time.

A pool has one queue in front of all its workers, as a bank has one line in front of all its
counters: no call waits behind a slow one while another worker is free. The queue is bounded twice,
because either bound alone would fail:

- By length (`queue_size`). Without it, an outage of a minute would leave the requests of a minute
  to be answered afterwards, and most of their clients would have left.
- By time (`queue_timeout`). Without it, a short queue in front of one slow worker would let its
  clients wait without end.

**Who is next?** In the order of arrival, everybody waits about as long, and while a pool keeps up,
that is best: nobody waits for much longer than the others. When more comes than the workers can do,
it is the worst. The queue fills to one of its bounds and stays full, so that every call that is
served has waited for the whole of it: 1,024 calls in front of 16 threads that need 50 ms each are
3.2 seconds. Clients and proxies have time limits of their own, and there is no telling which. If
theirs is shorter, each is served when it is about to leave or has left: all threads are busy, and
nobody has a response. Simulated for three times the capacity and clients of two seconds' patience,
5 % of the work is of use to anybody.

Three cures are known, and were put side by side (`tests/simulations/queue_rules.py`, the table in
docs/OVERLOAD.md):

- A shorter queue. It refuses the burst that would have been over in a moment.
- CoDel (RFC 8289; for servers "Fail at scale", ACM Queue 13:8, 2015): a queue that has not been
  empty for a while lets new calls wait for a few milliseconds only. Waits are short, but those who
  were refused are missing when the burst ends, or when a slow call makes the others wait: goodput
  falls from 97 to 76 % under bursts, and at 95 % of the capacity 5 % are refused for nothing.
- The newest first (adaptive LIFO, in the same article). Nobody is refused who could be served. The
  newest has waited for milliseconds and its client is there; those who have waited for long wait
  on, for whatever room is left over, until they leave or their time is up.

So the newest goes first, but only under overload, and there lies the question: when is that? The
article says, when the queue has not been empty for 100 ms. With calls that take a second that is
so in every ordinary minute, and then newest-first does harm: at 95 % of the capacity it more than
doubles the 99th percentile, because it makes a few wait for very long. What matters is not for how
long there has been a queue, but for how long one waits in it. CoDel has the word for it: the
*target* (`queue_target`, 1 s), the wait that is still acceptable.

    the oldest call has waited for no longer than the target    the oldest is next
    for longer, and all that wait are served within the target  the oldest is next
    for longer, and they are not                                the newest is next

The second line is for what is over: a second without a worker, or a burst. Those who have waited
for long then would otherwise never be served while clients ask again as soon as they have their
answers: the newest first keeps the oldest waiting, and that kept the newest first, until its time
was up. That was a 503 after half a minute from a pool that could have served it in half a second.
How long all would take follows from how many were taken in the last period, which is as long as the
target. It counts when it is whole, so that the order does not change to and fro.

As soon as those who have waited for long are served, gone or refused, the order is that of arrival
again. A burst that is worked off within the target is served in order, and so is a queue whose
bound is shorter than that. With a target of 0 the order of arrival holds always: for shops that
sell tickets to whoever came first.

**Who is refused?** One who comes to a full queue, while the oldest is next. While the newest is
next, the oldest makes room: it is last in the line now, and has the least of its patience left.

**Who may pass?** A liveness probe that waits behind a thousand requests has its worker killed, and
then there is one worker less. So requests of some routes (`[[routes]] priority = "high"`) have a
line of their own, which is served first: Envoy has these two priorities, and HAProxy classes of
them. Whoever may pass without a bound can starve the rest, for example with a probe that checks
too much. So the line is bounded twice as well:

- While both lines wait, one slot after `MOST_IN_A_ROW` goes to the others.
- It has half of the places at most. When the queue is full, one that may pass takes the place of
  the one that is the last of the others.

**A client may leave at any moment.** Its call is taken out at once, wherever it stands (which is
why the line is no deque), so that the length counts those who wait and nobody else, and refusing
costs no search in a full queue.
"""

from collections import OrderedDict
from math import ceil
from typing import Final, Generic, Literal, TypeVar

LONGEST_RETRY_AFTER: Final = 30
"""Seconds that a refused client is asked to stay away at most."""
MOST_IN_A_ROW: Final = 4
"""Calls of high priority that are next one after the other while others wait. So those have a fifth
of the slots at least."""

Order = Literal["oldest-first", "newest-first"]

W = TypeVar("W")


class PoolQueue(Generic[W]):
    """The waiters of one pool."""

    __slots__ = (
        "_passed",
        "_patience",
        "_rate",
        "_size",
        "_taken",
        "_taken_since",
        "_target",
        "line",
        "urgent",
    )

    def __init__(self, size: int, patience: float, target: float = 0.0) -> None:
        """`size` is the most calls that wait at once; `patience` is the number of seconds that each
        may wait, 0 for as long as its client does; `target` is the wait in seconds beyond which the
        newest may go first, 0 for never."""
        self._size = size
        self._patience = patience
        self._target = target
        self._passed = 0
        """How many of high priority were next, one after the other, while others waited."""
        self._taken = 0
        self._taken_since = 0.0
        """How many calls were taken in this period, and when it began."""
        self._rate = 0.0
        """Calls that were taken in a second of the period before."""
        self.line: OrderedDict[W, float] = OrderedDict()
        """Each call, and since when it waits (in monotonic seconds), in the order of arrival.
        Others may only look whether it is empty, as they do with every call that ends."""
        self.urgent: OrderedDict[W, float] = OrderedDict()
        """The same, of high priority."""

    def put(
        self, waiter: W, now: float, priority: Literal["default", "high"] = "default"
    ) -> W | None:
        """Puts a call at the end. Returns the one that has no place because of it, which is not in
        the queue any more, or never was; None if all have one."""
        line, refused = self.line, None
        if priority == "high":
            if len(self.urgent) >= (self._size + 1) // 2:
                return waiter
            if len(self) >= self._size:
                refused = line.popitem(last=self._order(line, now) == "oldest-first")[0]
            self.urgent[waiter] = now
            return refused
        if len(self) >= self._size:
            if not line or self._order(line, now) == "oldest-first":
                return waiter
            refused = line.popitem(last=False)[0]
        line[waiter] = now
        return refused

    def remove(self, waiter: W) -> None:
        """Takes out a call whose client has left."""
        if waiter in self.line:
            del self.line[waiter]
        else:
            self.urgent.pop(waiter, None)

    def since(self, waiter: W) -> float | None:
        """Since when a call waits, in monotonic seconds; None if it does not."""
        return self.line.get(waiter, self.urgent.get(waiter))

    def take(self, now: float) -> W:
        """Takes out the one that is next. Raises KeyError if there is none."""
        line = self._next_line()
        self._passed = self._passed + 1 if line is self.urgent and self.line else 0
        if self._target:
            if now - self._taken_since >= self._target:
                self._rate = self._rate_at(now)
                self._taken, self._taken_since = 0, now
            self._taken += 1
        return line.popitem(last=self._order(line, now) == "newest-first")[0]

    def _next_line(self) -> OrderedDict[W, float]:
        if self.urgent and not (self.line and self._passed >= MOST_IN_A_ROW):
            return self.urgent
        return self.line

    def take_overdue(self, now: float) -> W | None:
        """Takes the oldest call of a line out if it has waited for too long. Returns None if it may
        wait on; no call behind it has waited longer."""
        if self._patience:
            for line in (self.line, self.urgent):
                if line and now - line[next(iter(line))] > self._patience:
                    return line.popitem(last=False)[0]
        return None

    # -- what it looks like ------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.line) + len(self.urgent)

    def order(self, now: float) -> Order:
        """Which call is next of those that may not pass others."""
        return self._order(self.line, now)

    def _order(self, line: OrderedDict[W, float], now: float) -> Order:
        late = self._target and line and now - line[next(iter(line))] > self._target
        overload = late and len(self) > self._rate_at(now) * self._target
        return "newest-first" if overload else "oldest-first"

    def _rate_at(self, now: float) -> float:
        """Calls that were taken in a second of the last period that is whole. While none is taken,
        this one grows: nobody knows when it goes on."""
        seconds = now - self._taken_since
        return self._taken / seconds if seconds >= self._target else self._rate

    def oldest(self, now: float) -> float:
        """Seconds that the oldest call has waited; 0.0 if none waits."""
        return max((now - line[next(iter(line))] for line in self._lines()), default=0.0)

    def _lines(self) -> list[OrderedDict[W, float]]:
        return [line for line in (self.line, self.urgent) if line]

    def next_has_waited(self, now: float) -> float:
        """Seconds that the one that is next has waited; 0.0 if none waits."""
        line = self._next_line()
        if not line:
            return 0.0
        newest = self._order(line, now) == "newest-first"
        return now - line[next(reversed(line) if newest else iter(line))]


def retry_after(oldest: float) -> int:
    """Seconds after which a client that is refused now should ask again (RFC 9110 section 10.2.3):
    about as long as the oldest call has waited, which is `oldest` seconds. A burst that began a
    moment ago may be over in a moment. What has lasted for half a minute is likely to go on, and
    clients that ask again each second would be a part of it."""
    return min(max(1, ceil(oldest)), LONGEST_RETRY_AFTER)
