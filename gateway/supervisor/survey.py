"""What is known of the children besides what the table needs, and the status made of it. Pure."""

import os
from collections import deque
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from .children import ChildTable
from .messages import ReloadEnded
from .plan import Generations, Plan
from .seats import Child
from .status import (
    MOST_ENDED,
    EndedStatus,
    GatewayStatus,
    PoolStatus,
    ReloadStatus,
    StatusReport,
    WorkerStatus,
)


@dataclass(frozen=True, slots=True)
class _End:
    what: str
    how: str
    at: float


@dataclass(slots=True)
class Survey:
    began: float
    addresses: tuple[str, ...] = ()
    """URLs; of sockets that a stop has closed, too."""
    vitals: dict[int, dict[str, Any]] = field(default_factory=dict[int, dict[str, Any]])
    """Child -> what it said of itself last."""
    _ends: deque[_End] = field(default_factory=lambda: deque[_End](maxlen=MOST_ENDED))
    _last_reload: tuple[ReloadEnded, float] | None = None

    def ended(self, child: Child, how: str, now: float) -> None:
        self.vitals.pop(child.id, None)
        why = f" ({child.why})" if child.why else ""
        self._ends.appendleft(_End(str(child), f"{how}{why}", now))

    def reload_ended(self, ended: ReloadEnded, now: float) -> None:
        self._last_reload = (ended, now)

    def report(
        self, plan: Plan, generations: Generations, table: ChildTable, now: float
    ) -> StatusReport:
        children = sorted(table.crew.children.values(), key=lambda c: (c.place, c.since))
        return StatusReport(
            version=version("propylon"),
            pid=os.getpid(),
            uptime=now - self.began,
            phase=table.phase,
            run_dir=plan.run_dir,
            addresses=self.addresses,
            generation=table.crew.generation,
            reload=self._reload(table, now),
            gateways=tuple(
                GatewayStatus(
                    number=child.place.number,
                    pid=child.pid,
                    state=child.state,
                    uptime=now - child.since,
                )
                for child in children
                if child.place.kind == "gateway"
            ),
            pools=tuple(
                PoolStatus(
                    name=pool.name,
                    app=pool.app,
                    wanted=generations.workers[pool.name],
                    workers=tuple(
                        self._worker(child, table, now)
                        for child in children
                        if child.place.pool == pool.name
                    ),
                )
                for pool in generations.current.pools
                if plan.with_workers
            ),
            ended=tuple(EndedStatus(what=e.what, how=e.how, ago=now - e.at) for e in self._ends),
        )

    def _worker(self, child: Child, table: ChildTable, now: float) -> WorkerStatus:
        known = self.vitals.get(child.id, {})
        hung = table.crew.heartbeats.hung(child.id)
        seat = table.crew.seats.get(child.place)
        due = seat.due if seat is not None and seat.holder is child else ""
        return WorkerStatus(
            number=child.place.number,
            pid=child.pid,
            generation=child.generation,
            state="hung" if hung else child.state,
            uptime=now - child.since,
            why=child.why or due,
            **{
                name: known[name]
                for name in ("rss", "calls", "queued", "lag", "oldest_call", "requests")
                if isinstance(known.get(name), int | float)
            },
        )

    def _reload(self, table: ChildTable, now: float) -> ReloadStatus | None:
        rollout = table.rollout
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
