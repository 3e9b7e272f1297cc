"""The autoscaler: how many workers a pool shall have, between two numbers. Pure.

The problem
===========

`--workers 2..8` says that two are enough at night and eight at noon. The plain way is a threshold:
one worker more when more than 80 % of the slots are in use, one fewer below 30 %. It fails in four
ways. A pool of two threads with 80 % in use makes its requests wait; one of two hundred does not,
so no percentage is right for both. A new worker helps only when its app has started, which takes
from half a second to a minute, and until then the pool looks as busy as before: the rule orders
worker after worker for one and the same burst. What it has grown by is given back in the first
quiet second, and has to be started again in the next loud one. And where every CPU is busy, or the
memory nearly full, each worker more makes it worse.

So the questions are kept apart: do requests wait, how much work is there, what would a worker cost,
and is there room for it.

Do requests wait?
=================

A pool grows for one reason only: requests wait for longer than `queue_time`. Where slots are
bounded (WSGI threads, --limit-concurrency) they wait in the gateway's queue, and it says for how
long: the oldest of those that wait, and the mean of those that have gone (their seconds together,
by their number). With several gateway processes each is offered all slots, and what they send
together waits inside of the workers, for a thread. Workers say how many do so; L calls that wait
while c end in a second have waited for L / c seconds on average (Little's law). What waits because
its route has its share of the pool already (`[[routes]] limit_concurrency`) does not count: the
share is there to keep it waiting. An ASGI worker takes whatever comes, so its queue is its event
loop, and the wait is the loop's lag. The least lag of all its workers counts, since new requests go
to the others. The default of `queue_time`, 0.1 s, is what people begin to notice (Nielsen,
Usability Engineering, 1993, chapter 5).

One look, which comes once a second, may have seen a burst that is over when anything has started.
So GROW_AFTER looks in a row must have seen waiting.

How much work is there?
=======================

The number of slots that work keeps busy is R = arrivals per second x seconds for each (Little's
law; in erlangs). As long as nobody waits, R is the mean of the slots in use. When requests wait,
all slots are in use and this shows no R any more; but what is lacking shows in the queue. Of the
calls that have ended one may compute what a slot gets done, and arrivals are what has ended, and
what the queue has grown by, and what was refused:

    R = busy slots x (ended + growth of the queue + refused) / ended

With exactly R slots the queue would never end. The waiting falls off fastest in the first square
root of R beyond it (Halfin and Whitt, Operations Research 29, 1981): with R + sqrt(R) slots about
one request in five still waits, whatever R is, and that one for less than one service time. And
those that wait already should be gone within DRAIN seconds. So

    wanted = R + sqrt(R) + waiting / (calls per slot and second x DRAIN)

in slots, and that by the slots of a worker. If no call has ended, the work is not known, and the
number is doubled. It is never more than doubled: an app that has become slow because its database
has, looks like much work, and eight times the connections would not help the database.

In ASGI workers nothing bounds the slots; there the CPU is the server, one for each event loop. A
loop that is late with its CPU busy has more work than is known: doubled. One that is late with an
idle CPU is blocked by its own app, and another helps a little: one more.

What does a worker cost?
========================

Its start: for as long as any worker of the pool starts, nothing more is ordered, because what was
ordered does not show yet. This is also what holds an app that cannot start, and the seconds after a
crash. How long it takes is measured each time.

That an idle worker is kept costs memory; that it is missing costs a start, which needs a CPU for
all its time and lets requests wait. Who rents skis for as many days as buying them would have cost
pays at most twice what he had to (Karlin and others, Algorithmica 3, 1988). So it is kept for
`idle_time`, but at least START_TIMES of its measured starts. Then a pool that grows and shrinks as
badly as possible spends no more than a tenth of its time in starting, and MOST_PATIENCE bounds what
one slow start may mean.

Over this time the *most* slots in use at any look count, not the mean. Of a load R the largest of
sixty looks is about R + 2.4 sqrt(R) (Poisson), so the margin above is in it. A worker goes if the
others had sufficed for that with SPARE to spare, which keeps growing and shrinking apart; of the
CPU of event loops no more than CALM may be in use, because at 70 % a request waits for 2.3 service
times on average (M/M/1), and at 95 % for 19. A quarter of the workers goes at once, at most: what
was misjudged by then is less than what is spare. If the pool has to grow again within the time that
it waited before, the shrinking was a mistake, and the next time is twice as long, up to
MOST_REGRET times: so a burst every two minutes is learned, and its workers stay.

Is there room?
==============

If slots were free while requests waited, they waited for something else: for the worker that they
stick to. More workers are no cure. Nor are they while the workers that there are take more and more
calls at once, since they seek their limit and have met no sign yet that it is too high.

No worker is added if BUSY of the CPUs is in use that this instance may use: it could only take time
from others. Its workers of all pools and its gateways count, and where a control group has a quota,
all that runs in the group: what the apps have started, and other programs of the container. What
the rest of the machine does is not counted: the kernel divides the CPUs between groups by their
weights, and a pool whose calls wait for a database has to grow beside a busy neighbour, too. Nor
are more added than CPUs are left for, going by what the others use. And none if memory would be
short: with it, and one more for the next reload's canary, each as large as the largest worker of
the pool, no more than ROOM of the limit may be in use. Above FULL, the pool gives a worker back
each CALMED_AFTER seconds, down to the least number: the kernel would take one by force, with the
calls that it runs. Of a large machine no more than MOST_FREE is kept, or half of that.

    steady --they wait--> waiting --GROW_AFTER looks--> starting --all are ready--> steady
                             |                             ^
                             +--no room, or caught up--> held

In any state a look may find that nobody waits (`steady`), or that a worker starts (`starting`).
During a reload the pool does not shrink, because its capacity must not fall; but it grows, at the
price of workers that start twice.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from ...control.durations import duration

SCALER_EVERY: Final = 1.0
"""Seconds between two looks."""
GROW_AFTER: Final = 2
"""Looks in a row that see waiting before a pool grows."""
RECENT: Final = 5
"""Looks from which the work is computed, at most."""
DRAIN: Final = 10.0
"""Seconds in which the requests that wait should have gone when a pool has grown."""
START_TIMES: Final = 10
"""A worker is kept for at least so many times what its start takes."""
MOST_PATIENCE: Final = 600.0
"""Seconds that slow starts may keep idle workers for; a longer `idle_time` counts as it is."""
MOST_REGRET: Final = 8
"""How often the patience may be doubled together: 60 seconds become eight minutes."""
SPARE: Final = 0.8
"""The part of the remaining slots that the busiest moment may have used."""
CALM: Final = 0.7
"""The same for the CPU of the remaining workers' event loops."""
SLOTS_WITHOUT_BOUND: Final = 1_000
"""Slots of one worker that bound nothing: its event loop does."""
BUSY: Final = 0.9
"""The part of a CPU above which it counts as busy."""
ROOM: Final = 0.9
"""The part of the memory limit that may be in use when a worker is added."""
FULL: Final = 0.95
"""The part of the memory limit above which a worker is given back."""
MOST_FREE: Final = 2**30
"""Bytes. Between two looks no app grows by more, however large the machine is."""
CALMED_AFTER: Final = 10.0
"""Seconds until the memory of a worker that was given back is free, and can be seen to be."""
LEAST_WORKER: Final = 32 * 2**20
"""Bytes of a worker that has not said how large it is."""

ScalerState = Literal["steady", "waiting", "starting", "held"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalerSettings:
    least: int
    most: int
    queue_time: float = 0.1
    """Seconds that requests may wait before the pool grows."""
    idle_time: float = 60.0
    """Seconds that a worker is kept that is not needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLook:
    """What one look at a pool has seen. Counts and sums are since the look before."""

    workers: int
    """Workers that are wanted now."""
    ready: int
    """Of these, the ones that serve."""
    starting: int = 0
    """Of these, the ones that have no process which is ready: they start, or have crashed."""
    elsewhere: int = 0
    """Workers of other supervisors that serve the same pool."""
    slots: int = 0
    """Calls that all that serve are willing to run at once."""
    running: int = 0
    """Calls that the apps run."""
    queued: int = 0
    """Calls that wait for a slot, or inside of a worker for a thread."""
    oldest_waiter: float = 0.0
    """Seconds that the oldest of them has waited for a slot."""
    wait: float = 0.0
    """Seconds that a call has waited on average, for a slot and inside of its worker."""
    ended: int = 0
    """Calls that workers have ended."""
    refused: int = 0
    """Requests that the gateway has refused because they found no slot in time."""
    cpu: float = 0.0
    """CPUs that the workers have used: seconds of CPU time by seconds."""
    sought: bool = False
    """Whether all its workers are about to take more calls at once (--limit-concurrency auto)."""
    lag: float = 0.0
    """Seconds by which the least late of all event loops was late."""
    rss: int = 0
    """Bytes of the largest worker; 0 if not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLook:
    """What this instance may have of the machine, and what it uses."""

    cpus: float
    cpu: float = 0.0
    """CPUs that all its processes have used since the look before."""
    memory: int = 0
    """Bytes in use, of `memory_limit`."""
    coming: int = 0
    """Bytes that workers which start will take, beside those in use already."""
    memory_limit: int = 0
    """Bytes; 0 if not known."""


@dataclass(frozen=True, slots=True)
class Move:
    """A pool shall have another number of workers."""

    workers: int
    before: int
    why: str
    """The rest of the sentence "it has so many workers, because ..."."""


@dataclass(slots=True)
class _Seen:
    at: float
    pool: PoolLook


class Autoscaler:
    """The autoscaler of one pool. It is told each look, and returns a move if one is due."""

    def __init__(self, settings: ScalerSettings, now: float) -> None:
        self.settings = settings
        self.state: ScalerState = "steady"
        self.why = ""
        """Why the pool does not move although requests wait; "" if it is not held."""
        self.start_time = 0.0
        """Seconds that the last start of workers has taken; 0.0 if none was seen."""
        self._seen: deque[_Seen] = deque()
        """The looks since the number of workers that serve has changed, as far back as the patience
        goes, or the recent ones."""
        self._waiting = 0
        """Looks in a row that have seen waiting."""
        self._quiet_since = now
        """Since when nobody has waited and nothing was changed."""
        self._starting_since = now
        self._regret = 1
        self._shrunk_at = -math.inf
        self._grown_since = False
        """Whether the pool has grown since it last shrank."""
        self._gave_back_at = -math.inf

    def configure(self, settings: ScalerSettings) -> None:
        self.settings = settings

    @property
    def patience(self) -> float:
        """Seconds that a worker is kept that is not needed."""
        cost = min(self.start_time * START_TIMES, MOST_PATIENCE)
        return max(self.settings.idle_time, cost) * self._regret

    def started_in(self, seconds: float) -> None:
        """Older code has seen how long a start takes."""
        self.start_time = seconds

    def moved_by_others(self, now: float) -> None:
        """The number was set by an operator or a reload: what was seen before counts no more."""
        self.state, self.why = "steady", ""
        self._begin_anew(now)

    def look(
        self, pool: PoolLook, machine: MachineLook, now: float, *, reloading: bool = False
    ) -> Move | None:
        """Takes a look. Returns the move that is due, which counts as carried out."""
        move = self._out_of_bounds(pool) or self._short_of_memory(pool, machine, now)
        if move:
            return self._moved(move, now)
        if pool.starting or not pool.ready:
            self._starts(now)
            return None
        if self.state == "starting":
            self.start_time = now - self._starting_since
            self._begin_anew(now)
        self._remember(pool, now)
        if not self._waits(pool):
            self.state, self.why, self._waiting = "steady", "", 0
            move = None if reloading else self._fewer(pool, now)
        else:
            self._waiting += 1
            self._quiet_since = now
            self.state, self.why = "waiting", ""
            move = self._more(pool, machine) if self._waiting >= GROW_AFTER else None
        return self._moved(move, now) if move else None

    # -- what is seen --------------------------------------------------------------------------

    def _waits(self, pool: PoolLook) -> bool:
        return self._wait(pool) > self.settings.queue_time

    def _wait(self, pool: PoolLook) -> float:
        """Seconds that requests wait, wherever they do."""
        return max(pool.oldest_waiter, pool.wait, pool.lag)

    def _remember(self, pool: PoolLook, now: float) -> None:
        if self._seen and self._seen[-1].pool.ready + self._seen[-1].pool.elsewhere != (
            pool.ready + pool.elsewhere
        ):
            self._seen.clear()
        self._seen.append(_Seen(now, pool))
        kept = max(self.patience, (RECENT + 1) * SCALER_EVERY)
        while now - self._seen[0].at > kept:
            self._seen.popleft()

    def _starts(self, now: float) -> None:
        if self.state != "starting":
            self.state, self.why, self._starting_since = "starting", "", now
        self._waiting = 0
        self._quiet_since = now

    def _begin_anew(self, now: float) -> None:
        self._seen.clear()
        self._waiting = 0
        self._quiet_since = now
        if self.state != "starting":
            self.state, self.why = "steady", ""

    # -- more ----------------------------------------------------------------------------------

    def _more(self, pool: PoolLook, machine: MachineLook) -> Move | None:
        wait = _in_words(self._wait(pool))
        if not self._by_lag(pool) and self._has_free_slots():
            return self._hold(f"requests wait {wait} for a certain worker, and slots are free")
        if pool.sought:
            return self._hold(
                f"requests wait {wait}, and its workers find out how many they can take at once"
            )
        if pool.workers >= self.settings.most:
            return self._hold(f"requests wait {wait}, and it may have no more workers")
        if machine.cpu >= BUSY * machine.cpus:
            return self._hold(f"requests wait {wait}, and all CPUs are busy")
        target = self._target(pool)
        if target is None:
            return self._hold(f"requests have waited {wait}, and it is catching up")
        target = min(target, 2 * pool.workers, self.settings.most)
        target = min(target, pool.workers + self._places_of_cpu(pool, machine))
        places = self._places_of_memory(pool, machine)
        if places < 1:
            return self._hold(f"requests wait {wait}, and there is no memory for one worker more")
        limit = _in_words(self.settings.queue_time)
        where = "event loops were late by" if self._by_lag(pool) else "requests have waited"
        why = f"{where} {wait}, for longer than {limit}"
        return Move(min(target, pool.workers + places), pool.workers, why)

    def _hold(self, why: str) -> None:
        self.state, self.why = "held", why

    def _by_lag(self, pool: PoolLook) -> bool:
        return pool.lag >= self._wait(pool)

    def _has_free_slots(self) -> bool:
        """Whether slots have been free while requests waited for one worker: they stick to it, or
        two gateway processes have chosen it at once. More workers would not help them."""
        looks = [one.pool for one in self._recent()[-self._waiting :]]
        return all(one.running < SPARE * one.slots for one in looks)

    def _target(self, pool: PoolLook) -> int | None:
        """The workers that the work needs, more than there are; None if those that there are
        suffice, and only have to catch up."""
        if self._by_lag(pool):
            busy = pool.cpu >= BUSY * pool.ready
            return 2 * pool.workers if busy else pool.workers + 1
        looks = [seen.pool for seen in self._recent()]
        growth = looks[-1].queued - looks[0].queued
        needed = self._slots_needed(pool)
        if needed is None:
            return 2 * pool.workers
        each = max(pool.slots, 1) / (pool.ready + pool.elsewhere)
        target = math.ceil(needed / each) - pool.elsewhere
        if target > pool.workers:
            return target
        return None if growth < 0 else pool.workers + 1

    def _slots_needed(self, pool: PoolLook) -> float | None:
        """None if it cannot be known."""
        seen = self._recent()
        looks = [one.pool for one in seen]
        since = looks[1:]
        ended = sum(one.ended for one in since)
        seconds = seen[-1].at - seen[0].at
        if not ended or seconds <= 0:
            return None
        busy = sum(one.running for one in since) / len(since)
        more = looks[-1].queued - looks[0].queued + sum(one.refused for one in since)
        work = busy * max(ended + more, 0) / ended
        rate = ended / seconds / max(busy, 1.0)
        return work + math.sqrt(work) + pool.queued / (rate * DRAIN)

    def _recent(self) -> list[_Seen]:
        """The looks that have seen waiting, and the one before, RECENT and one at most."""
        count = min(self._waiting, RECENT) + 1
        return list(self._seen)[-count:]

    def _places_of_cpu(self, pool: PoolLook, machine: MachineLook) -> int:
        """How many workers more find a CPU, but at least one: there is some room."""
        each = pool.cpu / pool.ready
        free = max(machine.cpus - machine.cpu, 0.0)
        return max(1, math.floor(free / each)) if each * pool.workers > free else pool.workers

    def _places_of_memory(self, pool: PoolLook, machine: MachineLook) -> int:
        if not machine.memory_limit:
            return pool.workers
        kept = min(machine.memory_limit * (1 - ROOM), MOST_FREE)
        free = machine.memory_limit - kept - machine.memory - machine.coming
        return max(math.floor(free / (pool.rss or LEAST_WORKER)) - 1, 0)

    # -- fewer ---------------------------------------------------------------------------------

    def _fewer(self, pool: PoolLook, now: float) -> Move | None:
        patience = self.patience
        if pool.workers <= self.settings.least or now - self._quiet_since < patience:
            return None
        looks = [seen.pool for seen in self._seen if now - seen.at <= patience]
        busiest = max(one.running + one.queued for one in looks)
        cpu = max(one.cpu for one in looks)
        each = max(pool.slots, 1) / (pool.ready + pool.elsewhere)
        by_slots = math.ceil(busiest / (each * SPARE)) - pool.elsewhere
        by_cpu = math.ceil(cpu / CALM)
        needed = max(by_slots, by_cpu, self.settings.least)
        if needed >= pool.workers:
            return None
        target = max(needed, pool.workers - max(1, pool.workers // 4))
        use = f"{busiest} of {pool.slots} slots were in use"
        if by_cpu > by_slots or each >= SLOTS_WITHOUT_BOUND:
            use = f"its workers used {cpu:.1f} CPUs"
        why = f"for {duration(patience)} {use} at most, and nobody waited"
        return Move(target, pool.workers, why)

    def _short_of_memory(self, pool: PoolLook, machine: MachineLook, now: float) -> Move | None:
        kept = min(machine.memory_limit * (1 - FULL), MOST_FREE / 2)
        if not machine.memory_limit or machine.memory < machine.memory_limit - kept:
            return None
        if pool.workers <= self.settings.least or now - self._gave_back_at < CALMED_AFTER:
            return None
        self._gave_back_at = now
        used = f"{machine.memory / machine.memory_limit:.0%}"
        return Move(pool.workers - 1, pool.workers, f"{used} of the memory is in use")

    def _out_of_bounds(self, pool: PoolLook) -> Move | None:
        within = min(max(pool.workers, self.settings.least), self.settings.most)
        if within == pool.workers:
            return None
        least, most = self.settings.least, self.settings.most
        return Move(within, pool.workers, f"it shall have {least} to {most} workers")

    # -- how it is done ------------------------------------------------------------------------

    def _moved(self, move: Move, now: float) -> Move:
        if move.workers > move.before:
            if now - self._shrunk_at < self.patience:
                self._regret = min(self._regret * 2, MOST_REGRET)
            self._grown_since = True
            self.state, self.why, self._starting_since = "starting", "", now
        else:
            if not self._grown_since:
                self._regret = max(self._regret // 2, 1)
            self._grown_since, self._shrunk_at = False, now
        self._begin_anew(now)
        return move


def _in_words(seconds: float) -> str:
    """A wait; in milliseconds below a second, where a tenth would say too little."""
    return f"{seconds * 1_000:.0f} ms" if seconds < 0.9995 else duration(seconds)
