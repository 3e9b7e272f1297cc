"""A worker with an event loop, and the queues of gateways before it, call by call.

The loop runs one step at a time, in the order in which steps became ready, and a tick of the host
is one of them: so it is late as a real one is. A call computes, waits, or asks for something behind
the app that does a few things at once, in that order or another. What decides how many calls run is
the real rule (`worker.host.adaptive_limit`, of which each gateway has its part), or a fixed number.
"""

import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from propylon.worker.host.adaptive_limit import AdaptiveLimit
from propylon.worker.host.announced_slots import as_busy_as, part_of
from propylon.worker.host.host import TICK

Step = tuple[Literal["computes", "waits", "behind"], float]
MOST = 10_000


@dataclass(frozen=True, kw_only=True)
class Scenario:
    rate: Callable[[float], float]
    """Requests a second, at a time."""
    steps: Callable[[float, random.Random], Sequence[Step]]
    """What a call that begins at a time does."""
    behind: Callable[[float], int] = lambda _: 1
    """How many calls what is behind the app serves at once."""
    patience: float = 2.0
    """Seconds after which a client that waits in the queue leaves."""
    fixed: int = 0
    """A fixed limit, for each gateway; 0: the adaptive one."""
    gateways: int = 1
    """Requests come to one or another."""


@dataclass
class Second:
    """What one second has come to."""

    at: int
    limit: int
    verdict: str = ""
    done: int = 0
    left: int = 0
    """Clients that have left the queue."""
    waited: float = 0.0
    """Seconds that one of the calls that began has waited in the queue at most."""
    took: list[float] = field(default_factory=list[float])
    """Seconds in the worker, of each call that was done."""
    busy: float = 0.0
    """Seconds of computing."""


class LimitedWorker:
    def __init__(self, scenario: Scenario, seed: int = 1) -> None:
        self.scenario = scenario
        self.limit = AdaptiveLimit(MOST)
        self.seconds: list[Second] = []
        self._random = random.Random(seed)
        self._now = self._ticked = 0.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._ready: deque[tuple[float, Callable[[], None]]] = deque()
        self._is_busy = False
        self._queues: list[deque[float]] = [deque() for _ in range(scenario.gateways)]
        self._running = [0] * scenario.gateways
        """Calls of each gateway."""
        self._behind = 0
        self._behind_queue: deque[tuple[float, Callable[[], None]]] = deque()

    def run(self, seconds: int) -> list[Second]:
        self._begin_second()
        self._at(TICK, lambda: self._tick(TICK))
        self._arrive()
        while self._timers[0][0] < seconds:
            self._now, _, act = heapq.heappop(self._timers)
            act()
        return self.seconds

    # -- time --------------------------------------------------------------------------------

    def _at(self, when: float, act: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, act))

    def _begin_second(self) -> None:
        number = self.scenario.fixed or self.limit.limit
        self.seconds.append(Second(len(self.seconds), number, self.limit.verdict))
        self._at(len(self.seconds), self._begin_second)

    # -- the gateways ------------------------------------------------------------------------

    def _arrive(self) -> None:
        gateway = (
            self._random.randrange(self.scenario.gateways) if self.scenario.gateways > 1 else 0
        )
        self._queues[gateway].append(self._now)
        self._fill(gateway)
        rate = self.scenario.rate(self._now)
        self._at(self._now + self._random.expovariate(rate), self._arrive)

    def _fill(self, gateway: int) -> None:
        most = self.scenario.fixed or part_of(self.limit.limit, self.scenario.gateways)
        queue, second = self._queues[gateway], self.seconds[-1]
        while queue and self._now - queue[0] > self.scenario.patience:
            queue.popleft()
            second.left += 1
        while queue and self._running[gateway] < most:
            second.waited = max(second.waited, self._now - queue.popleft())
            self._running[gateway] += 1
            steps = deque(self.scenario.steps(self._now, self._random))
            self._go_on(steps, gateway, self._now, self._ticked)

    # -- the worker --------------------------------------------------------------------------

    def _computes(self, cost: float, then: Callable[[], None]) -> None:
        self._ready.append((cost, then))
        if not self._is_busy:
            self._turn()

    def _turn(self) -> None:
        self._is_busy = bool(self._ready)
        if self._is_busy:
            cost, then = self._ready.popleft()
            self.seconds[-1].busy += cost
            self._at(self._now + cost, lambda: (then(), self._turn()))

    def _tick(self, due: float) -> None:
        self._computes(0.0, lambda: self._look(due))

    def _look(self, due: float) -> None:
        self._ticked = self._now
        most, gateways = max(self._running), self.scenario.gateways
        in_use = as_busy_as(most, self.limit.limit, gateways)
        self.limit.look(self._now, in_use, self._now - due)
        for gateway in range(gateways):
            self._fill(gateway)
        due = self._now + TICK
        self._at(due, lambda: self._tick(due))

    def _go_on(self, steps: deque[Step], gateway: int, began: float, looked: float) -> None:
        def goes_on() -> None:
            self._go_on(steps, gateway, began, looked)

        if not steps:
            self._running[gateway] -= 1
            self.limit.responded(looked)
            self.seconds[-1].done += 1
            self.seconds[-1].took.append(self._now - began)
            self._fill(gateway)
            return
        kind, time = steps.popleft()
        if kind == "computes":
            self._computes(time, goes_on)
        elif kind == "waits":
            self._at(self._now + time, goes_on)
        else:
            self._behind_queue.append((time, goes_on))
            self._serve_behind()

    def _serve_behind(self) -> None:
        while self._behind_queue and self._behind < self.scenario.behind(self._now):
            time, then = self._behind_queue.popleft()
            self._behind += 1
            self._at(self._now + time, lambda then=then: self._served(then))

    def _served(self, then: Callable[[], None]) -> None:
        self._behind -= 1
        self._serve_behind()
        then()
