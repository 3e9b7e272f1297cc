"""Pools under load, with the real autoscaler: threads behind the gateway's queue, or event loops.

Arrivals are Poisson, with a rate that depends on the time; service times are exponential. All
chance comes from one seeded generator, so a run is the same each time.
"""

import heapq
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from propylon.gateway.supervisor.fleet.autoscaler import (
    SCALER_EVERY,
    Autoscaler,
    MachineLook,
    Move,
    PoolLook,
    ScalerSettings,
)

MEGABYTE = 2**20

Rate = Callable[[float], float]
"""Seconds since the beginning -> requests per second."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    rate: Rate
    most_rate: float
    """An upper bound of `rate`."""
    service: float = 0.1
    """Seconds of an average call."""
    settings: ScalerSettings = field(default_factory=lambda: ScalerSettings(least=2, most=8))
    start_time: float = 2.0
    threads: int = 4
    gateways: int = 1
    cpus: float = 8.0
    cpu_share: float = 0.2
    """The part of a call that needs a CPU. The rest waits for something else."""
    memory_limit: int = 0
    size: int = 100 * MEGABYTE
    leak: int = 0
    """Bytes that a worker grows by each second."""
    lifetime: float = 0.0
    """Seconds after which a worker is replaced; 0: never."""


@dataclass(frozen=True)
class Moment:
    at: float
    rate: float
    workers: int
    ready: int
    running: float
    queued: float
    wait: float
    """The longest wait of any request that was begun in this second, or waits."""
    memory: int
    state: str


class SimulatedPool(ABC):
    """The workers of a pool, over time."""

    def __init__(self, scenario: Scenario, seed: int = 1) -> None:
        self.scenario = scenario
        self.random = Random(seed)
        self.now = 0.0
        self.workers = scenario.settings.least
        self.started = [0.0] * self.workers
        """When each of the workers was started that are ready, the oldest first."""
        self.starting: list[float] = []
        """When those will be ready that start."""
        self.scaler = Autoscaler(scenario.settings, 0.0)
        self.moves: list[tuple[float, Move]] = []
        self.moments: list[Moment] = []
        self.waits: list[tuple[float, float]] = []
        """When each request has come, and how long it has waited."""
        self._next = self._gap()

    @property
    def ready(self) -> int:
        return len(self.started)

    def run(self, until: float) -> "SimulatedPool":
        while self.now < until:
            self._advance(self.now + 1.0)
            look = self.look()
            self.moments.append(
                Moment(
                    self.now,
                    self.scenario.rate(self.now),
                    self.workers,
                    self.ready,
                    look.running,
                    look.queued,
                    max((wait for at, wait in self.waits[-2_000:] if at > self.now - 1), default=0),
                    self.memory,
                    self.scaler.state,
                )
            )
            move = self.scaler.look(look, self.machine(look), self.now)
            if move:
                self.moves.append((self.now, move))
                self._carry_out(move)
        return self

    def _advance(self, until: float) -> None:
        while self._next <= until:
            self._ready_by(self._next)
            self.now = self._next
            if self.random.random() * self.scenario.most_rate < self.scenario.rate(self.now):
                self.arrive()
            self._next = self.now + self._gap()
        self._ready_by(until)
        self.now = until
        self.catch_up(until)

    def _ready_by(self, at: float) -> None:
        while self.starting and self.starting[0] <= at:
            ready_at = self.starting.pop(0)
            self.catch_up(ready_at)
            self.started.append(ready_at)
            self.grown(ready_at)
        self.catch_up(at)
        if self.scenario.lifetime:
            self.started = [
                at if at - begun > self.scenario.lifetime else begun for begun in self.started
            ]

    def _carry_out(self, move: Move) -> None:
        while len(self.started) + len(self.starting) < move.workers:
            self.starting.append(self.now + self.scenario.start_time)
        while len(self.started) + len(self.starting) > move.workers:
            if self.starting:
                self.starting.pop()
            else:
                self.started.pop()
                self.shrunk()
        self.workers = move.workers

    def _gap(self) -> float:
        return self.random.expovariate(self.scenario.most_rate)

    def sizes(self) -> list[int]:
        one = self.scenario
        return [one.size + int(one.leak * (self.now - begun)) for begun in self.started]

    @property
    def memory(self) -> int:
        return sum(self.sizes()) + len(self.starting) * self.scenario.size

    def machine(self, look: PoolLook) -> MachineLook:
        one = self.scenario
        return MachineLook(
            cpus=one.cpus, cpu=look.cpu, memory=self.memory, memory_limit=one.memory_limit
        )

    def longest_wait(self, since: float, until: float) -> float:
        return max((wait for at, wait in self.waits if since <= at < until), default=0.0)

    @abstractmethod
    def arrive(self) -> None: ...
    @abstractmethod
    def catch_up(self, until: float) -> None: ...
    @abstractmethod
    def grown(self, at: float) -> None: ...
    @abstractmethod
    def shrunk(self) -> None: ...
    @abstractmethod
    def look(self) -> PoolLook: ...


class Threads(SimulatedPool):
    """WSGI workers: calls wait for a thread. A gateway process has as many calls on the workers as
    these have threads, so with several of them calls wait inside of the workers first, where only
    their number is seen, once a second."""

    def __init__(self, scenario: Scenario, seed: int = 1) -> None:
        self.queue: deque[float] = deque()
        self.ends: list[float] = []
        """When each of the running calls ends."""
        self._ended, self._waited, self._computed = 0, 0.0, 0.0
        super().__init__(scenario, seed)

    @property
    def slots(self) -> int:
        return self.ready * self.scenario.threads

    def arrive(self) -> None:
        self.queue.append(self.now)
        self._fill(self.now)

    def catch_up(self, until: float) -> None:
        while self.ends and self.ends[0] <= until:
            at = heapq.heappop(self.ends)
            self._ended += 1
            self._fill(at)

    def grown(self, at: float) -> None:
        self._fill(at)

    def shrunk(self) -> None:
        """What runs on the worker that goes is finished."""

    def _fill(self, at: float) -> None:
        one = self.scenario
        while self.queue and len(self.ends) < self.slots:
            came = self.queue.popleft()
            self.waits.append((came, at - came))
            self._waited += at - came
            took = self.random.expovariate(1 / one.service)
            self._computed += took * one.cpu_share
            crowd = max(1.0, len(self.ends) * one.cpu_share / one.cpus)
            heapq.heappush(self.ends, at + took * crowd)

    def look(self) -> PoolLook:
        inside = min(len(self.queue), self.slots * (self.scenario.gateways - 1))
        seen = self._waited if self.scenario.gateways == 1 else inside * SCALER_EVERY
        found = PoolLook(
            workers=self.workers,
            ready=self.ready,
            starting=len(self.starting),
            slots=self.slots,
            running=len(self.ends),
            queued=len(self.queue),
            oldest_waiter=self.now - self.queue[inside] if len(self.queue) > inside else 0.0,
            wait=seen / max(self._ended, 1),
            ended=self._ended,
            cpu=self._computed,
            rss=max(self.sizes()),
        )
        self._ended, self._waited, self._computed = 0, 0.0, 0.0
        return found


class EventLoops(SimulatedPool):
    """ASGI workers: each takes all calls that come, and its loop runs one at a time."""

    def __init__(self, scenario: Scenario, seed: int = 1) -> None:
        self.free_at = [0.0] * scenario.settings.least
        """When each loop has done what it has."""
        self._late = [0.0] * scenario.settings.least
        self._given = self._done_before = 0.0
        self._ended = 0
        super().__init__(scenario, seed)

    def arrive(self) -> None:
        idlest = min(range(self.ready), key=self.free_at.__getitem__)
        wait = max(self.free_at[idlest] - self.now, 0.0)
        took = self.random.expovariate(1 / self.scenario.service)
        self.waits.append((self.now, wait))
        self._late[idlest] = max(self._late[idlest], wait)
        self.free_at[idlest] = self.now + wait + took
        self._given += took
        self._ended += 1

    def catch_up(self, until: float) -> None: ...

    def grown(self, at: float) -> None:
        self.free_at.append(at)
        self._late.append(0.0)

    def shrunk(self) -> None:
        self.free_at.pop()
        self._late.pop()

    def look(self) -> PoolLook:
        owed = sum(max(each - self.now, 0.0) for each in self.free_at)
        done = self._given - owed
        used, self._done_before = max(done - self._done_before, 0.0), done
        found = PoolLook(
            workers=self.workers,
            ready=self.ready,
            starting=len(self.starting),
            slots=self.ready * 10_000,
            running=sum(each > self.now for each in self.free_at),
            ended=self._ended,
            cpu=used * self.scenario.cpu_share,
            lag=min(self._late),
            rss=max(self.sizes()),
        )
        self._ended, self._late = 0, [0.0] * self.ready
        return found
