"""The children and their replicas, and what can be done with them. Pure: `children` decides it."""

from collections.abc import Iterable, Iterator
from typing import Final, Literal

from .backoff import Backoff
from .events import Drain, FleetCommand, Kill, ReplicaId, Say, Spawn
from .heartbeats import Heartbeats
from .links import Links
from .replica import FleetSettings, Process, Replica

GATEWAY_STARTUP: Final = 30.0
FAILED_GRACE: Final = 3.0
"""Seconds that a child which failed to start has to exit before it is killed."""
MARGIN: Final = 1.0
"""Seconds that gateways are given beyond the deadline that they keep themselves."""
APP_SHUTDOWN: Final = 12.0
"""The same for workers: an app's lifespan shutdown may take 10 seconds after its last call."""
HUNG_GRACE: Final = 3.0
"""Seconds that a hung worker, whose replacement serves, has to come round and drain."""
SUSPICIOUS: Final = 5
"""Answers of which every one was an error: no coincidence, where the old generation has others."""


class Fleet:
    def __init__(
        self, settings: FleetSettings, places: Iterable[ReplicaId], first_id: int = 1
    ) -> None:
        self.settings = settings
        self.replicas: dict[ReplicaId, Replica] = {replica_id: Replica() for replica_id in places}
        self.processes: dict[int, Process] = {}
        self.links = Links()
        self.heartbeats = Heartbeats(settings.heartbeat_timeout)
        self.generation = 1
        """Of those that are started to replace somebody, or to fill a replica."""
        self._pools: dict[int, frozenset[str]] = {1: self._pool_names()}
        """Generation -> the pools that its gateways know."""
        self._next_id = first_id
        self._decisions: list[FleetCommand] = []

    @property
    def next_id(self) -> int:
        return self._next_id

    def configure(self, settings: FleetSettings) -> None:
        self.settings = settings
        self.heartbeats.timeout = settings.heartbeat_timeout

    # -- decisions ---------------------------------------------------------------------------

    def decide(self, decision: FleetCommand) -> None:
        self._decisions.append(decision)

    def take_decisions(self) -> list[FleetCommand]:
        decisions, self._decisions = self._decisions, []
        return decisions

    # -- births ------------------------------------------------------------------------------

    def fill(self, replica_id: ReplicaId, now: float) -> None:
        """Starts a current in an empty replica."""
        replica = self.replicas[replica_id]
        replica.retry_at = None
        replica.current = self._spawn(replica_id, self.generation, now, replaces=False)

    def succeed(self, replica_id: ReplicaId, generation: int, now: float) -> None:
        """Starts a replacement, who takes over when `is_fit` and told to."""
        replica = self.replicas[replica_id]
        if replica.replacement is not None:
            self.dismiss(replica.replacement, now)
        replica.retry_at = None
        replica.replacement = self._spawn(
            replica_id, generation, now, replaces=replica.current is not None
        )

    def _spawn(
        self, replica_id: ReplicaId, generation: int, now: float, *, replaces: bool
    ) -> Process:
        child = Process(
            self._next_id, replica_id, generation, now, now + self.startup_timeout(replica_id)
        )
        self._next_id += 1
        self.processes[child.id] = child
        self.decide(Spawn(child.id, replica_id, generation, replaces))
        return child

    def startup_timeout(self, replica_id: ReplicaId) -> float:
        """The operator's limit is about the app, and may be short."""
        limit = self.settings.startup_timeout
        return max(GATEWAY_STARTUP, limit) if replica_id.kind == "gateway" else limit

    def became_ready(self, child: Process, now: float) -> None:
        child.state, child.since, child.served = "ready", now, True
        replica = self.replicas[child.replica_id]
        replica.proven = True
        if child is replica.current:
            child.deadline = None  # a replacement's start includes being linked
        if child.replica_id.kind == "worker":
            self.heartbeats.heard(child.id, now)

    def restore(
        self, child: Process, replica: Literal["holder", "successor", "none"], now: float
    ) -> None:
        """A child that older code of this process has known."""
        self.processes[child.id] = child
        self._next_id = max(self._next_id, child.id + 1)
        self._pools.setdefault(child.generation, self._pool_names())
        replica_id = self.replicas.get(child.replica_id)
        if replica_id is None or replica == "none":
            return
        replica_id.proven = True
        if replica == "holder":
            replica_id.current, replica_id.due = child, child.wish
        else:
            replica_id.replacement = child
        if child.state == "ready" and child.replica_id.kind == "worker":
            self.heartbeats.heard(child.id, now)

    def fill_empty(self, now: float) -> None:
        for replica_id, replica in self.replicas.items():
            replica.proven = True
            if replica.current is None and replica.replacement is None:
                self.fill(replica_id, now)

    # -- ends --------------------------------------------------------------------------------

    def terminate(self, child: Process, deadline: float | None, why: str = "") -> None:
        child.state = "stopping"
        child.deadline = deadline
        child.why = why or child.why
        self.heartbeats.gone(child.id)
        self.decide(Drain(child.id))

    def dismiss(self, child: Process, now: float, why: str = "") -> None:
        """It goes when it has finished what it has."""
        if child.state == "ready":
            hung = self.heartbeats.hung(child.id)
            self.terminate(child, now + (HUNG_GRACE if hung else self.leave_time(child)), why)
        elif child.state == "starting":
            self.terminate(child, now + FAILED_GRACE, why)

    def leave_time(self, child: Process) -> float:
        """Seconds that it may take to finish what it has."""
        more = MARGIN if child.replica_id.kind == "gateway" else APP_SHUTDOWN
        return self.settings.graceful_timeout + more

    def kill_if_late(self, child: Process) -> None:
        child.deadline, child.killed = None, True
        why = f" ({child.why})" if child.why else ""
        self.decide(Say("warning", f"{child} did not stop in time{why}; killing it"))
        self.decide(Kill(child.id))

    def forget(self, child: Process) -> None:
        """It has ended."""
        self.processes.pop(child.id, None)
        self.heartbeats.gone(child.id)
        self.links.gone(child.id)
        in_use = {child.generation for child in self.processes.values()} | {self.generation}
        self._pools = {number: self._pools[number] for number in self._pools if number in in_use}

    # -- places ------------------------------------------------------------------------------

    def add_places(self, places: Iterable[ReplicaId], generation: int) -> None:
        for replica_id in places:
            self.replicas.setdefault(replica_id, Replica())
        self._pools[generation] = frozenset(p.pool for p in places if p.kind == "worker")

    def retire(self, replica_id: ReplicaId, now: float, why: str) -> None:
        """The replica is not wanted any more."""
        replica = self.replicas.pop(replica_id)
        for child in (replica.current, replica.replacement):
            if child is not None:
                self.dismiss(child, now, why)

    def _pool_names(self) -> frozenset[str]:
        return frozenset(
            replica_id.pool for replica_id in self.replicas if replica_id.kind == "worker"
        )

    # -- successions: what a rollout asks ----------------------------------

    def is_fit(self, replica_id: ReplicaId) -> bool:
        replica = self.replicas.get(replica_id)
        child = replica.replacement if replica else None
        return child is not None and child.state == "ready" and self.is_linked(child)

    def promote(self, replica_id: ReplicaId, now: float) -> int:
        """The replacement holds the replica from now on; the child that leaves, or 0."""
        replica = self.replicas[replica_id]
        leaves, replica.current, replica.replacement = replica.current, replica.replacement, None
        why, replica.due, replica.urgent, replica.retry_at = replica.due, "", False, None
        replica.backoff = Backoff()
        if replica.current is not None:
            replica.current.deadline, replica.due = None, replica.current.wish
        if leaves is None:
            return 0
        self.dismiss(leaves, now, why or "replaced")
        return leaves.id

    def is_here(self, child: int) -> bool:
        return child in self.processes

    def is_used(self, child: int) -> bool:
        here = self.processes.get(child)
        if here is None or here.replica_id.kind == "gateway":
            return False
        return self.links.used_by(child, self._gateways(here), here.replica_id.pool)

    def good_answers(self, generation: int) -> int:
        """How many answers without an error workers of other generations have given."""
        workers = [c for c in self.processes.values() if c.replica_id.kind == "worker"]
        counts = [self.links.answers(c.id) for c in workers if c.generation != generation]
        return sum(answers - errors for answers, errors in counts)

    def complaint(self, generation: int, good_before: int) -> str:
        """Only errors from a worker of the new generation, while the old ones have answers."""
        if self.good_answers(generation) <= good_before:
            return ""
        workers = [c for c in self.processes.values() if c.replica_id.kind == "worker"]
        for child in workers:
            answers, errors = self.links.answers(child.id)
            if child.generation == generation and answers == errors >= SUSPICIOUS:
                return f"all {answers} answers of {child} were errors (5xx)"
        return ""

    def is_linked(self, child: Process) -> bool:
        """Whether it may be used wherever it should be."""
        if child.replica_id.kind == "worker":
            return all(
                self.links.linked(gateway, child.id, child.replica_id.pool)
                for gateway in self._gateways(child)
            )
        known = self._pools.get(child.generation, frozenset())
        return all(
            self.links.linked(child.id, worker.id, worker.replica_id.pool)
            for worker in self.ready("worker")
            if worker.replica_id.pool in known and not self.heartbeats.hung(worker.id)
        )

    def _gateways(self, worker: Process) -> Iterator[int]:
        """Those that the worker should be linked to."""
        for gateway in self.ready("gateway"):
            known = self._pools.get(gateway.generation, ())
            if worker.replica_id.pool in known and not self.heartbeats.hung(gateway.id):
                yield gateway.id

    def ready(self, kind: str) -> Iterator[Process]:
        for child in self.processes.values():
            if child.replica_id.kind == kind and child.state == "ready":
                yield child

    def leaving(self) -> Iterator[Process]:
        """Workers that have served and finish what they have."""
        for child in self.processes.values():
            if child.replica_id.kind == "worker" and child.state == "stopping" and child.served:
                yield child

    def unlinked(self, worker: Process) -> list[int]:
        """Numbers of the gateways that it should be linked to, and is not."""
        return [
            self.processes[gateway].replica_id.number
            for gateway in self._gateways(worker)
            if not self.links.linked(gateway, worker.id, worker.replica_id.pool)
        ]

    def missing_links(self) -> int:
        """How many workers' links are still waited for, over all gateways."""
        return sum(
            not self.links.linked(gateway, worker.id, worker.replica_id.pool)
            for worker in self.ready("worker")
            for gateway in self._gateways(worker)
        )
