"""Builds the status report. It keeps facts about processes that the fleet does not need."""

import os
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

from ...protocol.supervision.messages import LinkedWorker, Name, StopWaits, Vitals
from ..config.memory import memory_limit
from ..control.status import (
    MOST_ENDED,
    MOST_LINKED,
    EndedStatus,
    GatewayStatus,
    LinkedStatus,
    PoolStatus,
    ReloadStatus,
    StatusReport,
    WorkerStatus,
)
from .fleet.controller import FleetController
from .fleet.events import ReloadEnded
from .fleet.replica import Process
from .generations import Generations, Plan
from .upgrade.saved_state import SavedLinks

LINKED_BY: Final = 2.0
"""Seconds after which the status says that a worker has no link."""


@dataclass(frozen=True, slots=True)
class _End:
    what: str
    how: str
    at: float


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """Workers of another supervisor in one pool, as one gateway reports them."""

    gateway: int
    """The gateway's number."""
    workers: tuple[LinkedWorker, ...]


@dataclass(slots=True)
class StatusBuilder:
    began: float
    addresses: tuple[str, ...] = ()
    """URLs, also of sockets that a stop has closed."""
    admin: tuple[str, ...] = ()
    """URLs of the admin listener."""
    vitals: dict[int, Vitals] = field(default_factory=dict[int, Vitals])
    """Process -> the vitals that it reported last."""
    waits: dict[int, StopWaits] = field(default_factory=dict[int, StopWaits])
    """Gateway -> what a stop waits for, as it reported last."""
    _ends: deque[_End] = field(default_factory=lambda: deque[_End](maxlen=MOST_ENDED))
    _elsewhere: dict[tuple[int, str], _Elsewhere] = field(
        default_factory=dict[tuple[int, str], _Elsewhere]
    )
    """(Gateway's process, pool) -> workers of other supervisors."""
    _last_reload: tuple[ReloadEnded, float] | None = None

    def begin(self, at: float) -> None:
        self.began = at

    def rss(self, child: int) -> int:
        """Bytes of resident memory that a process had when it reported last; 0 if not known."""
        return self.vitals[child].rss if child in self.vitals else 0

    def found_limit(self, processes: Iterable[Process], pool: str) -> int:
        """How many calls at once the workers of a pool have found to be right, the most of them; 0
        if they do not seek that. A new one begins there: in a reload the pool would have less
        capacity otherwise until its new workers have found out."""
        return max(
            (
                self.vitals[process.id].limit
                for process in processes
                if process.replica_id.pool == pool and process.id in self.vitals
            ),
            default=0,
        )

    def ended(self, child: Process, how: str, now: float) -> None:
        self.vitals.pop(child.id, None)
        self.waits.pop(child.id, None)
        self._elsewhere = {key: w for key, w in self._elsewhere.items() if key[0] != child.id}
        why = f" ({child.why})" if child.why else ""
        self._ends.appendleft(_End(str(child), f"{how}{why}", now))

    def linked(self, gateway: Process, pool: str, workers: Iterable[LinkedWorker]) -> None:
        """Takes all workers of a pool that a gateway is linked to and that are not ours."""
        self._elsewhere[gateway.id, pool] = _Elsewhere(gateway.replica_id.number, tuple(workers))

    def save_linked(self) -> list[SavedLinks]:
        """What an upgrade hands over: without it no pool of `propylon gateway` would be usable
        until a new gateway process has been linked and says so."""
        return [
            SavedLinks(gateway=gateway, pool=pool, workers=there.workers)
            for (gateway, pool), there in self._elsewhere.items()
        ]

    def reload_ended(self, ended: ReloadEnded, now: float) -> None:
        self._last_reload = (ended, now)

    def report(
        self, plan: Plan, generations: Generations, controller: FleetController, now: float
    ) -> StatusReport:
        children = sorted(
            controller.fleet.processes.values(), key=lambda p: (p.replica_id, p.since)
        )
        linked = self._linked()
        return StatusReport(
            version=version("propylon"),
            pid=os.getpid(),
            uptime=now - self.began,
            phase=controller.phase,
            ready=controller.phase == "serving" and self._is_ready(plan, generations, controller),
            run_dir=plan.run_dir,
            memory_limit=memory_limit() or 0,
            addresses=self.addresses,
            admin=self.admin,
            generation=controller.fleet.generation,
            reload=self._reload(controller, now),
            gateways=tuple(
                GatewayStatus(
                    number=child.replica_id.number,
                    pid=child.pid,
                    state="hung" if controller.fleet.hung(child) else child.state,
                    uptime=now - child.since,
                )
                for child in children
                if child.replica_id.kind == "gateway"
            ),
            pools=tuple(
                PoolStatus(
                    name=pool.name,
                    app=pool.app,
                    wanted=generations.workers[pool.name],
                    weight=pool.for_workers["weight"],
                    labels=dict(text.split("=", 1) for text in pool.for_workers["label"]),
                    max_rss=int(pool.for_workers["workers_max_rss"]),
                    workers=tuple(
                        self._worker(child, controller, now)
                        for child in children
                        if child.replica_id.pool == pool.name
                    ),
                )
                for pool in generations.current.pools
                if plan.with_workers
            ),
            linked=linked[:MOST_LINKED],
            more_linked=len(linked[MOST_LINKED:]),
            ended=tuple(EndedStatus(what=e.what, how=e.how, ago=now - e.at) for e in self._ends),
        )

    def _is_ready(self, plan: Plan, generations: Generations, controller: FleetController) -> bool:
        pools = [pool.name for pool in generations.current.pools]
        return self.usable_pools(plan, controller).issuperset(pools)

    def usable_pools(self, plan: Plan, controller: FleetController) -> set[str]:
        """The pools with a worker that is ready and does not hang. Where there are gateways, one of
        them has to be ready and linked to it, and not hang either. A worker of another supervisor
        must not be about to leave: if all are, the pod ends, or their container does, and its
        clients should go elsewhere."""
        fleet = controller.fleet
        ready = {c.id: c.replica_id.pool for c in fleet.ready("worker") if not fleet.hung(c)}
        if not plan.gateways:
            return set(ready.values())
        gateways = [c.id for c in fleet.ready("gateway") if not fleet.hung(c)]
        linked = {
            worker for gateway in gateways for _, all in fleet.links.all(gateway) for worker in all
        }
        usable = {pool for worker, pool in ready.items() if worker in linked}
        return usable | (self._usable_elsewhere() if gateways else set())

    def _usable_elsewhere(self) -> set[str]:
        """The pools with a worker of another supervisor that answers, and stays."""
        return {
            pool
            for (_, pool), there in self._elsewhere.items()
            if any(one.ready and not one.late and not one.leaving for one in there.workers)
        }

    def leaving_pools(self) -> set[str]:
        """The pools with a worker of another supervisor that answers, and is about to leave."""
        return {
            pool
            for (_, pool), there in self._elsewhere.items()
            if any(one.leaving and not one.late for one in there.workers)
        }

    def linked_pools(self) -> set[str]:
        """The pools that workers of other supervisors are connected to."""
        return {pool for (_, pool), there in self._elsewhere.items() if there.workers}

    def elsewhere(self, pool: str) -> int:
        """How many workers of other supervisors serve a pool."""
        return sum(one.pool == pool and one.state == "ready" for one in self._linked())

    def _linked(self) -> tuple[LinkedStatus, ...]:
        """An entry for each worker of another supervisor, over all gateways that are linked to
        it."""
        known: dict[tuple[str, Name, Name], list[tuple[int, LinkedWorker]]] = {}
        for (_, pool), there in self._elsewhere.items():
            for worker in there.workers:
                who = worker.id or worker.worker
                known.setdefault((pool, who, worker.pid), []).append((there.gateway, worker))
        found = [_linked(pool, said) for (pool, _, _), said in known.items()]
        return tuple(sorted(found, key=lambda one: (one.pool, one.worker, one.pid)))

    def _worker(self, child: Process, controller: FleetController, now: float) -> WorkerStatus:
        vitals = self.vitals.get(child.id, Vitals())
        hung = controller.fleet.hung(child)
        wanted = child.replica.wants_why if child is child.replica.current else ""
        return WorkerStatus(
            number=child.replica_id.number,
            pid=child.pid,
            generation=child.generation,
            state="hung" if hung else child.state,
            uptime=now - child.since,
            why=child.why or wanted or self._link_fault(child, controller, now),
            rss=vitals.rss,
            calls=vitals.calls,
            queued=vitals.queued,
            limit=vitals.limit,
            limit_verdict=vitals.limit_verdict,
            limit_why=vitals.limit_why,
            lag=vitals.lag,
            oldest_call=vitals.oldest_call,
            requests=vitals.requests,
        )

    def _link_fault(self, child: Process, controller: FleetController, now: float) -> str:
        """Why a worker that has been ready for a while gets no requests; "" if it gets them."""
        if child.state != "ready" or now - child.since < LINKED_BY:
            return ""
        missing = controller.fleet.unlinked(child)
        return f"no link to gateway {', '.join(map(str, missing))}" if missing else ""

    def _reload(self, controller: FleetController, now: float) -> ReloadStatus | None:
        rollout = controller.rollout
        if rollout is not None:
            return ReloadStatus(
                state=rollout.state,
                generation=rollout.generation,
                done=rollout.done,
                of=rollout.of,
                ago=now - rollout.since,
            )
        if self._last_reload is None:
            return None
        ended, at = self._last_reload
        return ReloadStatus(
            state="overtaken" if ended.overtaken else "committed" if ended.committed else "aborted",
            generation=ended.generation,
            why=ended.why,
            detail=ended.detail,
            done=ended.done,
            of=ended.of,
            ago=now - at,
        )


def _linked(pool: str, said: list[tuple[int, LinkedWorker]]) -> LinkedStatus:
    """The status of one worker, made of what gateways, by their numbers, report of it."""
    workers = [worker for _, worker in said]
    ready, late = any(w.ready for w in workers), any(w.late for w in workers)
    return LinkedStatus(
        pool=pool,
        worker=str(workers[0].worker or "?"),
        pid=_number(workers[0].pid),
        generation=_number(workers[0].generation),
        state=("late" if late else "ready") if ready else "not ready",
        calls=sum(w.running for w in workers),
        requests=sum(w.answered for w in workers),
        gateways=tuple(sorted({gateway for gateway, _ in said})),
        weight=workers[0].weight,
        slots=sum(w.slots for w in workers),
        labels={name: str(value) for name, value in workers[0].labels.items()},
    )


def _number(value: Name) -> int:
    return value if isinstance(value, int) else 0
