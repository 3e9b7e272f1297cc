"""One reload, from its canaries to its commit: a policy, which tells replicas what to do. Pure.

    canary --all ready and linked--> observing --time is up--> rolling --nothing left--> committed
       |                                 |                        |
       +---------------------------------+------------------------+--> aborted

New code may be wrong in three ways, and each shows at another time. It does not start: that shows
within seconds, if it is started before anything old is touched. It starts, and answers nothing but
errors: that shows only when real requests reach it. Or it dies after a while. So a first
replacement in each group (the gateways; the workers of a pool), the *canary*, serves beside the old
processes. Replicas without a process are started together with the canaries, since nothing can be
lost there. When all canaries have served for a while they are promoted, and the others are replaced
one at a time, each replacement ready before the old process drains. So capacity never falls, and
there are never many processes too many.

Until its commit a rollout can be aborted at any moment by a setback of its generation, by a
complaint about its answers, or because a later order has overtaken it. Its replacements are
*held*: only the rollout promotes them, so an abort has only to drain them.
"""

from collections import deque
from collections.abc import Collection, Iterable
from typing import Final, Literal

from ...control.durations import duration
from .events import ReloadEnded, ReplicaId, RollOut
from .replica import Fleet, Process

EXIT_PATIENCE: Final = 5.0
"""Seconds that the next replacement waits for the process before to exit. They are enough for
nearly all, so there is rarely more than one worker too many, and a long download does not hold up
the rollout."""
SUSPICIOUS: Final = 5
"""Answers after which it is no coincidence that all of them were errors, if the old generation has
given others."""


class Rollout:
    def __init__(self, order: RollOut, fleet: Fleet, now: float) -> None:
        """Starts the canaries."""
        self.state: Literal["canary", "observing", "rolling"] = "canary"
        self.since = now
        self.done = 0
        self.look_at: float | None = None
        """When time alone will change something."""
        self.order = order
        self._fleet = fleet
        self._active: ReplicaId | None = None
        """While rolling: the replica that gets its replacement now."""
        self._leavers: list[Process] = []
        """Processes that were replaced last."""
        self._wanted = set(order.replicas)
        self._pools = {name.pool for name in order.replicas}
        self._good_before = 0
        """Answers of the old generation when the observation began."""
        for name, replica in fleet.replicas.items():
            replica.prepare(now, replaced=name in order.replicas and name.kind in order.replaced)
        self._added = fleet.expect(order.generation, order.replicas)
        empty = {name for name, replica in fleet.replicas.items() if replica.current is None}
        names = sorted(
            (name for name in order.replicas if name.kind in order.replaced or name in empty),
            # Workers first: a gateway's replacement is to be linked with those that stay.
            key=lambda name: (name.kind == "gateway", name.pool, name.number),
        )
        self.of = len(names)
        self._canaries = names if order.at_once else list(_canaries(names, empty))
        self._rest = deque(name for name in names if name not in self._canaries)
        for name in self._canaries:
            fleet.replicas[name].replace(order.generation, now, held=True)

    @property
    def generation(self) -> int:
        return self.order.generation

    # -- more and fewer meanwhile --------------------------------------------------------------

    def wanted(self, pool: str) -> int:
        """How many workers the pool shall have when it is committed."""
        return sum(name.kind == "worker" and name.pool == pool for name in self._wanted)

    def include(self, replica_id: ReplicaId) -> None:
        """Replaces one more replica, which runs the old generation, if its pool stays."""
        if replica_id.pool in self._pools and replica_id not in self._wanted:
            self._wanted.add(replica_id)
            self._rest.append(replica_id)
            self.of += 1

    def exclude(self, replica_id: ReplicaId) -> None:
        """Leaves a replica out that is not wanted any more."""
        self._canaries = [other for other in self._canaries if other != replica_id]
        self._rest = deque(other for other in self._rest if other != replica_id)
        self._wanted.discard(replica_id)
        if self._active == replica_id:
            self._active = None

    # -- its steps -----------------------------------------------------------------------------

    def advance(self, now: float) -> bool:
        """Takes the steps that are due. Returns whether only the commit is left."""
        if self.state == "canary":
            if not all(map(self._is_fit, self._canaries)):
                return False
            self._observe(now)
        if self.state == "observing":
            if self.look_at is not None and now < self.look_at:
                return False
            self.state = "rolling"
            self._promote(self._canaries, now)
        while self._active is None or self._is_fit(self._active):
            if self._active is not None:
                self._promote([self._active], now)
                self._active = None
            if not self._may_go_on(now):
                return False
            self.look_at = None
            if not self._rest:
                return True
            self._active = self._rest.popleft()
            self._fleet.replicas[self._active].replace(self.generation, now, held=True)
        return False

    def _observe(self, now: float) -> None:
        self.state, self.look_at = "observing", now + self.order.observe
        self._good_before = self._good_answers()
        if self.order.observe:
            watched = duration(self.order.observe)
            self._say(f"it serves beside the old one, watched for {watched}")

    def _promote(self, names: list[ReplicaId], now: float) -> None:
        leavers = [self._fleet.replicas[name].promote(now) for name in names]
        self._leavers = [leaver for leaver in leavers if leaver is not None]
        self.done += len(names)
        self._say(f"{self.done} of {self.of} replaced")
        self.look_at = now + EXIT_PATIENCE

    def _may_go_on(self, now: float) -> bool:
        """Whether the processes that were replaced last have exited; at the end of the rollout,
        whether no gateway uses them any more."""
        if self.look_at is None or now >= self.look_at:
            return True
        if self._rest:
            return not any(leaver.id in self._fleet.processes for leaver in self._leavers)
        return not any(map(self._fleet.is_used, self._leavers))

    def _is_fit(self, replica_id: ReplicaId) -> bool:
        replica = self._fleet.replicas.get(replica_id)
        return replica is not None and self._fleet.is_fit(replica)

    def _say(self, what: str) -> None:
        self._fleet.context.say("info", f"Reloading: generation {self.generation}: {what}")

    # -- how the new code does -----------------------------------------------------------------

    def complaint(self) -> str:
        """Why the answers of the new generation end the rollout; "" if they do not. They do if one
        of its workers answers nothing but errors while workers of the old generation do not."""
        if self.state == "canary" or self._good_answers() <= self._good_before:
            return ""
        for process in self._fleet.processes.values():
            if process.generation == self.generation and process.replica_id.kind == "worker":
                answers, errors = self._fleet.links.answers(process.id)
                if answers == errors >= SUSPICIOUS:
                    return f"all {answers} answers of {process} were errors (5xx)"
        return ""

    def _good_answers(self) -> int:
        """How many answers without an error workers of other generations have given."""
        counts = [
            self._fleet.links.answers(process.id)
            for process in self._fleet.processes.values()
            if process.replica_id.kind == "worker" and process.generation != self.generation
        ]
        return sum(answers - errors for answers, errors in counts)

    # -- its end -------------------------------------------------------------------------------

    def commit(self, now: float) -> None:
        self._fleet.commit(self.generation, self._wanted, now)
        self._fleet.context.say("info", f"Reloaded: generation {self.generation} serves")
        self._fleet.context.command(self._report(committed=True))

    def abort(self, why: str, detail: str, now: float, *, overtaken: bool = False) -> None:
        """Aborts the rollout: what is new drains, what is old stays."""
        for name in sorted(self._added & self._fleet.replicas.keys()):
            self._fleet.remove(name, now, why)
        for replica in self._fleet.replicas.values():
            replica.call_off(self.generation, now, why, reverts=self.order.reverts)
        self._fleet.context.command(self._report(why, detail, overtaken=overtaken))

    def drop(self, why: str) -> None:
        """Ends the rollout because everything, old and new, is about to end."""
        self._fleet.context.command(self._report(why, overtaken=True))

    def _report(
        self, why: str = "", detail: str = "", *, committed: bool = False, overtaken: bool = False
    ) -> ReloadEnded:
        return ReloadEnded(
            self.generation,
            committed=committed,
            why=why,
            detail=detail,
            overtaken=overtaken,
            done=self.done,
            of=self.of,
            since=self.since,
        )


def _canaries(names: Iterable[ReplicaId], empty: Collection[ReplicaId]) -> Iterable[ReplicaId]:
    """Yields the replicas without a process, and in a group where all have one, its first."""
    groups: dict[tuple[str, str], list[ReplicaId]] = {}
    for name in names:
        groups.setdefault((name.kind, name.pool), []).append(name)
    for group in groups.values():
        yield from [name for name in group if name in empty] or group[:1]
