"""Autoscaling: has each pool whose --workers is a range looked at once a second, and its moves
carried out.

The decision is `fleet.autoscaler`'s. Here stands where its facts come from. Of waiting and work the
gateway processes know, and say so when they are asked for their metrics; each worker says how late
its event loop is, what CPU time it has used and how large it is; the fleet knows who starts; the
kernel knows the memory. An instance without a gateway (`propylon worker`) sees no queue, and one
without workers has nothing to start: there nothing is scaled.

CPU time is said once a second, by each process at a moment of its own. Between two looks a process
may have said it twice or not at all, so the use of CPUs is that of the last CPU_OVER looks. Room
for one worker more is what *all* leave of it: pools of a fixed number, gateways, and what else runs
in the container (`CpuRoom`).

Gateways count a call as running that they have given to a worker. With several of them it may wait
there for a thread, and then it counts as waiting here. Of workers that another supervisor has
started nobody says so.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, cast

import trio

from ...protocol.supervision.messages import Vitals
from ..config.config import PoolConfig
from ..config.cpus import CpuUse, cpu_limit, cpu_uses
from ..config.memory import MemoryUse, memory_use
from ..control.status import MoveStatus, ScalerStatus
from ..metrics.snapshot import Snapshot
from .fleet.autoscaler import (
    LEAST_WORKER,
    SCALER_EVERY,
    Autoscaler,
    MachineLook,
    Move,
    PoolLook,
    ScalerSettings,
)
from .fleet.controller import FleetController
from .fleet.replica import Process
from .generations import Deployment, Generations
from .traffic import PoolCounts, pool_counts, processes_cpu

CPU_OVER: Final = 3
"""Looks over which the use of CPUs is averaged."""


class LoadFigures(Protocol):
    """What gateways and workers have reported, and where moves are counted."""

    async def collect(self) -> None: ...
    def total(self) -> Snapshot: ...
    def scaled(self, pool: str, *, up: bool) -> None: ...


class WorkerFigures(Protocol):
    """What is known of workers besides."""

    @property
    def vitals(self) -> Mapping[int, Vitals]: ...
    def elsewhere(self, pool: str) -> int: ...


@dataclass(slots=True)
class ScaledPool:
    """The autoscaler of one pool, and what it has seen and done last."""

    scaler: Autoscaler
    counts: PoolCounts | None = None
    looked: float = 0.0
    """When these were counted."""
    cpu: deque[tuple[float, float]] = field(
        default_factory=lambda: deque[tuple[float, float]](maxlen=CPU_OVER + 1)
    )
    """When its workers had used how many seconds of CPU time."""
    move: Move | None = None
    moved_at: float = 0.0
    workers: int = 0
    """The number that was wanted at the last look."""

    def counted(self, counts: PoolCounts, now: float) -> tuple[PoolCounts, float]:
        """Takes what was counted up to now. Returns what had been at the look before, and the
        seconds since then."""
        before, self.counts = self.counts or counts, counts
        since, self.looked = (now - self.looked if self.looked else 0.0), now
        self.cpu.append((now, counts.cpu))
        return before, since

    def wanted(self, workers: int, now: float) -> None:
        """Takes the number that is wanted, which others may have set."""
        if workers == self.workers:
            return
        self.scaler.moved_by_others(now)
        if self.workers:
            self.moved(Move(workers, self.workers, "an operator or a reload has set it"), now)
        self.workers = workers

    def resume(self, workers: int) -> None:
        """Takes the number from before an upgrade, which nobody has changed."""
        self.workers = workers

    def moved(self, move: Move, at: float) -> None:
        self.move, self.moved_at, self.workers = move, at, move.workers


class CpuRoom:
    """How much of the CPUs is in use that this instance may use: of whichever limit is nearest to
    its end, its own processes' or a control group's."""

    def __init__(self, uses: Callable[[], Mapping[str, CpuUse]] = cpu_uses) -> None:
        self._uses = uses
        self._seen: dict[str, deque[tuple[float, float]]] = {}
        """Limit -> when how many seconds of CPU time had been used."""

    def look(self, own: float, now: float) -> tuple[float, float]:
        """Returns how many CPUs are in use, and of how many. `own`: seconds of CPU time that this
        instance's processes have used up to now."""
        uses = {**self._uses(), "": CpuUse(own, cpu_limit())}
        self._seen = {
            name: self._seen.get(name) or deque[tuple[float, float]](maxlen=CPU_OVER + 1)
            for name in uses
        }
        found: list[tuple[float, float]] = []
        for name, use in uses.items():
            self._seen[name].append((now, use.used))
            found.append((_rate(self._seen[name]), use.limit))
        return max(found, key=lambda one: one[0] / one[1])


class Autoscaling:
    def __init__(
        self,
        generations: Generations,
        controller: FleetController,
        deployment: Deployment,
        figures: LoadFigures,
        workers: WorkerFigures,
        memory: Callable[[], MemoryUse | None] = memory_use,
        cpus: CpuRoom | None = None,
    ) -> None:
        self._generations = generations
        self._controller = controller
        self._deployment = deployment
        self._figures = figures
        self._workers = workers
        self._memory = memory
        self._cpus = cpus or CpuRoom()
        self._pools: dict[str, ScaledPool] = {}

    async def run(self, clock: Callable[[], float]) -> None:
        """Looks for ever. `clock` is the supervisor's."""
        while True:
            await trio.sleep(SCALER_EVERY)
            if self._controller.phase not in ("starting", "serving"):
                continue
            if self.pools(clock()):
                await self._figures.collect()
                now = clock()
                self.look(self.pools(now), now)  # a reload may have ended meanwhile

    # -- one look ------------------------------------------------------------------------------

    def look(self, pools: list[PoolConfig], now: float) -> None:
        total = self._figures.total()
        looks = {pool.name: self._pool_look(pool, total, now) for pool in pools}
        machine = self._machine(total, now)
        for pool in pools:
            scaled, look = self._pools[pool.name], looks[pool.name]
            if pool.name in self._generations.scaled or self._is_resized(pool.name, look.workers):
                scaled.scaler.moved_by_others(now)
                continue
            move = scaled.scaler.look(
                look, machine, now, reloading=self._controller.rollout is not None
            )
            if move is not None:
                scaled.moved(move, now)
                self._deployment.move(pool.name, move)
                self._figures.scaled(pool.name, up=move.workers > move.before)
                machine = _with_move(machine, look, move)

    def pools(self, now: float) -> list[PoolConfig]:
        """The pools that have a range. Each has an autoscaler from now on, and no other has."""
        pools = [pool for pool in self._generations.current.pools if pool.scales]
        self._pools = {
            pool.name: self._pools.get(pool.name) or ScaledPool(Autoscaler(_settings(pool), now))
            for pool in pools
        }
        for pool in pools:
            self._pools[pool.name].scaler.configure(_settings(pool))
        return pools

    def _pool_look(self, pool: PoolConfig, total: Snapshot, now: float) -> PoolLook:
        scaled, counts = self._pools[pool.name], pool_counts(total, pool.name)
        before, seconds = scaled.counted(counts, now)
        wanted = self._generations.workers[pool.name]
        scaled.wanted(wanted, now)
        vitals = self._vitals(pool.name)
        inside = min(sum(one.queued for one in vitals), counts.running)
        ended, waits = counts.ended - before.ended, counts.waits - before.waits
        wait = (counts.waited - before.waited) / waits if waits > 0 else 0.0
        return PoolLook(
            workers=wanted,
            ready=sum(1 for _ in self._serving(pool.name)),
            starting=self._starting(pool.name),
            elsewhere=self._workers.elsewhere(pool.name),
            slots=counts.slots,
            running=counts.running - inside,
            queued=counts.queued + inside,
            oldest_waiter=counts.oldest_waiter,
            wait=wait + inside * seconds / max(ended, 1),
            ended=ended,
            refused=counts.refused - before.refused,
            cpu=_rate(scaled.cpu),
            sought=bool(vitals) and all(one.limit_sought for one in vitals),
            lag=min((one.lag for one in vitals), default=0.0),
            rss=max((one.rss for one in vitals), default=0),
        )

    def _vitals(self, pool: str) -> list[Vitals]:
        """What those workers of a pool have said last that serve."""
        known = self._workers.vitals
        return [known[one.id] for one in self._serving(pool) if one.id in known]

    def _is_resized(self, pool: str, workers: int) -> bool:
        """Whether a reload is about to change the number of its workers. Some of those that it adds
        may serve already, and a move that goes by the number of before would end them."""
        rollout = self._controller.rollout
        return rollout is not None and rollout.wanted(pool) != workers

    def _serving(self, pool: str) -> Iterator[Process]:
        fleet = self._controller.fleet
        for process in fleet.ready("worker"):
            if process.replica_id.pool == pool and not fleet.hung(process):
                yield process

    def _starting(self, pool: str) -> int:
        """How many workers have no process that is ready."""
        return sum(
            replica.current is None or replica.current.stage == "starting"
            for replica_id, replica in self._controller.fleet.replicas.items()
            if replica_id.pool == pool
        )

    def _machine(self, total: Snapshot, now: float) -> MachineLook:
        """Workers that start, of whatever pool, will be as large as others, and are not yet."""
        memory = self._memory()
        cpu, cpus = self._cpus.look(processes_cpu(total), now)
        coming = 0
        for pool in self._generations.current.pools:
            rss = max((one.rss for one in self._vitals(pool.name)), default=0)
            coming += self._starting(pool.name) * (rss or LEAST_WORKER)
        return MachineLook(
            cpus=cpus,
            cpu=cpu,
            memory=memory.used if memory else 0,
            coming=coming,
            memory_limit=memory.limit if memory else 0,
        )

    # -- what is told --------------------------------------------------------------------------

    def status(self, pool: PoolConfig, now: float) -> ScalerStatus | None:
        if not pool.scales:
            return None
        scaled = self._pools.get(pool.name) or ScaledPool(Autoscaler(_settings(pool), now))
        move, scaler = scaled.move, scaled.scaler
        by_operator = pool.name in self._generations.scaled
        return ScalerStatus(
            least=pool.workers,
            most=pool.most_workers,
            state="scaled" if by_operator else scaler.state,
            why="" if by_operator else scaler.why,
            patience=scaler.patience,
            move=None
            if move is None
            else MoveStatus(
                before=move.before, workers=move.workers, why=move.why, ago=now - scaled.moved_at
            ),
        )

    # -- an upgrade ----------------------------------------------------------------------------

    def save(self, now: float) -> dict[str, Any]:
        """Pool -> its last move, and how long its start takes. What was seen is not worth it."""
        return {
            name: {
                "start_time": scaled.scaler.start_time,
                "before": scaled.move.before if scaled.move else 0,
                "workers": scaled.move.workers if scaled.move else 0,
                "why": scaled.move.why if scaled.move else "",
                "ago": now - scaled.moved_at,
            }
            for name, scaled in self._pools.items()
        }

    def restore(self, saved: object, now: float) -> None:
        """Takes what another version has saved. What is not understood is left out."""
        if not isinstance(saved, dict):
            return
        known = cast("dict[str, object]", saved)
        for pool in self.pools(now):
            one = known.get(pool.name)
            match one:
                case {
                    "start_time": int() | float() as start_time,
                    "before": int(before),
                    "workers": int(workers),
                    "why": str(why),
                    "ago": int() | float() as ago,
                }:
                    scaled = self._pools[pool.name]
                    scaled.scaler.started_in(start_time)
                    if workers:
                        scaled.moved(Move(workers, before, why), now - ago)
                        scaled.resume(self._generations.workers[pool.name])
                case _:
                    pass


def _settings(pool: PoolConfig) -> ScalerSettings:
    return ScalerSettings(
        least=pool.workers,
        most=pool.most_workers,
        queue_time=pool.workers_queue_time,
        idle_time=pool.workers_idle_time,
    )


def _rate(seen: deque[tuple[float, float]]) -> float:
    """How many CPUs were in use between the first and the last of the sums."""
    (began, first), (ended, last) = seen[0], seen[-1]
    return max(last - first, 0.0) / (ended - began) if ended > began else 0.0


def _with_move(machine: MachineLook, look: PoolLook, move: Move) -> MachineLook:
    """The machine when a move has had its effect, for the pools that are looked at next."""
    size = (move.workers - move.before) * (look.rss or LEAST_WORKER)
    if size > 0:
        return replace(machine, coming=machine.coming + size)
    return replace(machine, memory=max(machine.memory + size, 0))
