"""What is known of the processes besides what the fleet needs, and the status made of it."""

import os
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

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

Told = dict[str, Any]
"""What a gateway says of one worker."""
LINKED_BY: Final = 2.0
"""Seconds after which a worker without a link is worth a word."""


@dataclass(frozen=True, slots=True)
class _End:
    what: str
    how: str
    at: float


@dataclass(slots=True)
class StatusBuilder:
    began: float
    addresses: tuple[str, ...] = ()
    """URLs; of sockets that a stop has closed, too."""
    vitals: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    """Process -> what it said of itself last."""
    waits: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    """Gateway -> what it said last that a stop waits for."""
    _ends: deque[_End] = field(default_factory=lambda: deque[_End](maxlen=MOST_ENDED))
    _elsewhere: dict[tuple[int, str], list[Told]] = field(
        default_factory=dict[tuple[int, str], list[Told]]
    )
    """Gateway child and pool -> what the gateway said of workers that are not ours."""
    _last_reload: tuple[ReloadEnded, float] | None = None

    def ended(self, child: Process, how: str, now: float) -> None:
        self.vitals.pop(child.id, None)
        self.waits.pop(child.id, None)
        self._elsewhere = {key: w for key, w in self._elsewhere.items() if key[0] != child.id}
        why = f" ({child.why})" if child.why else ""
        self._ends.appendleft(_End(str(child), f"{how}{why}", now))

    def linked(self, gateway: Process, pool: str, workers: Iterable[Told]) -> None:
        """All workers of the pool that the gateway knows, and that are not ours."""
        self._elsewhere[gateway.id, pool] = [
            {**worker, "gateway": gateway.replica_id.number} for worker in workers
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
            addresses=self.addresses,
            generation=controller.fleet.generation,
            reload=self._reload(controller, now),
            gateways=tuple(
                GatewayStatus(
                    number=child.replica_id.number,
                    pid=child.pid,
                    state=child.state,
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
        fleet = controller.fleet
        pools = [pool.name for pool in generations.current.pools]
        if not plan.gateways:
            ready = {
                c.replica_id.pool for c in fleet.ready("worker") if not fleet.heartbeats.hung(c.id)
            }
            return ready.issuperset(pools)
        gateways = [c.id for c in fleet.ready("gateway") if not fleet.heartbeats.hung(c.id)]
        usable = {pool for gateway in gateways for pool, w in fleet.links.all(gateway) if w}
        usable |= {one.pool for one in self._linked() if one.state == "ready"}
        return bool(gateways) and usable.issuperset(pools)

    def _linked(self) -> tuple[LinkedStatus, ...]:
        """One for each worker from elsewhere, whichever gateways know it."""
        known: dict[tuple[str, object, object], list[Told]] = {}
        for (_, pool), workers in self._elsewhere.items():
            for worker in workers:
                who = worker.get("id") or worker.get("worker")
                known.setdefault((pool, who, worker.get("pid")), []).append(worker)
        found = [_linked(pool, said) for (pool, _, _), said in known.items()]
        return tuple(sorted(found, key=lambda one: (one.pool, one.worker, one.pid)))

    def _worker(self, child: Process, controller: FleetController, now: float) -> WorkerStatus:
        known = self.vitals.get(child.id, {})
        hung = controller.fleet.heartbeats.hung(child.id)
        replica = controller.fleet.replicas.get(child.replica_id)
        due = replica.due if replica is not None and replica.current is child else ""
        return WorkerStatus(
            number=child.replica_id.number,
            pid=child.pid,
            generation=child.generation,
            state="hung" if hung else child.state,
            uptime=now - child.since,
            why=child.why or due or self._link_fault(child, controller, now),
            **{
                name: known[name]
                for name in ("rss", "calls", "queued", "lag", "oldest_call", "requests")
                if isinstance(known.get(name), int | float)
            },
        )

    def _link_fault(self, child: Process, controller: FleetController, now: float) -> str:
        """Of a worker that has been ready for a while, and gets no requests."""
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


def _linked(pool: str, said: list[Told]) -> LinkedStatus:
    """Of what each gateway says of one worker."""
    first = said[0]
    ready, late = any(w.get("ready") for w in said), any(w.get("late") for w in said)
    return LinkedStatus(
        pool=pool,
        worker=str(first.get("worker") or "?"),
        pid=_number(first.get("pid")),
        generation=_number(first.get("generation")),
        state=("late" if late else "ready") if ready else "not ready",
        calls=sum(_number(w.get("running")) for w in said),
        requests=sum(_number(w.get("answered")) for w in said),
        gateways=tuple(sorted({_number(w.get("gateway")) for w in said})),
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
