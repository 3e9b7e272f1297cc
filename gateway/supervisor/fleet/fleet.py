"""All replicas, and what can only be said of them together. Pure.

A replica knows its own processes. Whether a worker may be *used* is a question about two of them:
a gateway process says which workers it is linked to, and a worker counts as linked when every
gateway says so that should. "Should" has two exceptions. A gateway of an older generation does
not know a pool that a reload has brought, and never will: nobody waits for it. And one that hangs
says nothing at all.
"""

from collections.abc import Iterable, Iterator, Mapping

from .events import ProcessRecord, ReplicaId
from .links import Links
from .replica import FleetContext, FleetSettings, Process, Replica


class Fleet:
    def __init__(
        self, settings: FleetSettings, replica_ids: Iterable[ReplicaId], first_id: int = 1
    ) -> None:
        self.context = FleetContext(settings, first_id)
        self.replicas = {name: Replica(name, self.context, proven=False) for name in replica_ids}
        """Those that are wanted. A removed one is known to its processes only, until they end."""
        self.links = Links()
        self.generation = 1
        """Of those that are started outside of a rollout."""
        self._pools: dict[int, frozenset[str]] = {1: _pools_of(self.replicas)}
        """Generation -> the pools that its gateways know."""

    # -- asked ---------------------------------------------------------------------------------

    @property
    def processes(self) -> Mapping[int, Process]:
        """By number: every one that has not ended, in the order in which they were spawned."""
        return self.context.processes

    @property
    def all_proven(self) -> bool:
        return all(replica.proven for replica in self.replicas.values())

    def hung(self, process: Process) -> bool:
        return self.context.heartbeats.hung(process.id)

    def of_kind(self, kind: str) -> Iterator[Process]:
        return (one for one in self.processes.values() if one.replica_id.kind == kind)

    def ready(self, kind: str) -> Iterator[Process]:
        return (one for one in self.of_kind(kind) if one.state == "ready")

    def finishing(self) -> Iterator[Process]:
        """Workers that have served and finish what they have."""
        return (one for one in self.of_kind("worker") if one.served and one.state == "stopping")

    def is_fit(self, replica: Replica) -> bool:
        """Whether its replacement can be promoted."""
        process = replica.replacement
        return process is not None and process.state == "ready" and self.is_linked(process)

    def is_linked(self, process: Process) -> bool:
        """Whether it may be used wherever it should be."""
        if process.replica_id.kind == "worker":
            return not any(self._missing(process))
        known = self._pools.get(process.generation, frozenset())
        return all(
            self.links.linked(process.id, worker.id, worker.replica_id.pool)
            for worker in self.ready("worker")
            if worker.replica_id.pool in known and not self.hung(worker)
        )

    def is_used(self, worker: Process) -> bool:
        """Whether any gateway may still open calls on it."""
        if worker.id not in self.processes or worker.replica_id.kind == "gateway":
            return False
        gateways = (gateway.id for gateway in self._gateways(worker))
        return self.links.used_by(worker.id, gateways, worker.replica_id.pool)

    def unlinked(self, worker: Process) -> list[int]:
        """Numbers of the gateways that it should be linked to, and is not."""
        return [gateway.replica_id.number for gateway in self._missing(worker)]

    def missing_links(self) -> int:
        """How many workers' links are still waited for, over all gateways."""
        return sum(len(self.unlinked(worker)) for worker in self.ready("worker"))

    def _missing(self, worker: Process) -> Iterator[Process]:
        for gateway in self._gateways(worker):
            if not self.links.linked(gateway.id, worker.id, worker.replica_id.pool):
                yield gateway

    def _gateways(self, worker: Process) -> Iterator[Process]:
        """Those that the worker should be linked to."""
        for gateway in self.ready("gateway"):
            known = self._pools.get(gateway.generation, ())
            if worker.replica_id.pool in known and not self.hung(gateway):
                yield gateway

    # -- told ----------------------------------------------------------------------------------

    def configure(self, settings: FleetSettings) -> None:
        self.context.configure(settings)

    def linked(self, gateway: int, pool: str, workers: frozenset[int]) -> None:
        if gateway in self.processes:
            self.links.told(gateway, pool, workers)

    def answered(self, gateway: int, worker: int, answers: int, errors: int) -> None:
        if worker in self.processes:
            self.links.answered(gateway, worker, answers, errors)

    def ended(self, process: int) -> None:
        self.links.gone(process)
        in_use = {one.generation for one in self.processes.values()} | {self.generation}
        self._pools = {number: self._pools[number] for number in self._pools if number in in_use}

    # -- orders --------------------------------------------------------------------------------

    def add(self, replica_id: ReplicaId, *, proven: bool) -> Replica:
        """The replica of that name, which is new if there was none."""
        if replica_id not in self.replicas:
            self.replicas[replica_id] = Replica(replica_id, self.context, proven=proven)
        return self.replicas[replica_id]

    def remove(self, replica_id: ReplicaId, now: float, why: str) -> None:
        self.replicas.pop(replica_id).remove(now, why)

    def expect(self, generation: int, replica_ids: Iterable[ReplicaId]) -> set[ReplicaId]:
        """A rollout of this generation begins, with these replicas; those that are new."""
        added = set(replica_ids) - self.replicas.keys()
        for replica_id in replica_ids:
            self.add(replica_id, proven=False)
        self._pools[generation] = _pools_of(replica_ids)
        return added

    def commit(self, generation: int) -> None:
        self.generation = generation

    def restore(
        self,
        generation: int,
        records: Iterable[ProcessRecord],
        links: Mapping[int, Mapping[str, Iterable[int]]],
        now: float,
    ) -> None:
        """What older code of this supervisor knew. `links`: gateway -> pool -> workers."""
        self.generation = generation
        for record in records:
            self._pools.setdefault(record.generation, _pools_of(self.replicas))
            replica = self.replicas.get(record.replica_id)
            if replica is None:  # it leaves, as it should, or is told to
                replica = Replica(record.replica_id, self.context, proven=True)
                replica.restore(record, now)
                replica.remove(now, "no longer asked for")
            else:
                replica.restore(record, now)
        for gateway, pools in links.items():
            for pool, workers in pools.items():
                self.links.told(gateway, pool, frozenset(workers))
        for replica in self.replicas.values():
            replica.resume(generation, now)


def _pools_of(replica_ids: Iterable[ReplicaId]) -> frozenset[str]:
    return frozenset(name.pool for name in replica_ids if name.kind == "worker")
