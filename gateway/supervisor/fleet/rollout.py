"""One reload, from its canaries to its commit. Pure.

    canary --all ready and linked--> observing --time is up--> rolling --nothing left--> committed
       |                                 |                        |
       +---------------------------------+------------------------+--> given up

A canary is the first replacement in each group (the gateways; the workers of a pool) and whoever is
started in an empty replica: it serves beside the old ones, and nothing of the old is touched before
all canaries have stood it for a while. Then they take over, and the others are replaced one at a
time, each replacement ready before the old one goes.
"""

from collections import deque
from collections.abc import Collection, Iterable
from typing import Final, Literal

from ...control.durations import duration
from .events import Reload, ReloadEnded, ReplicaId, Say
from .fleet import Fleet

EXIT_PATIENCE: Final = 5.0
"""Seconds that the next replacement waits for the one before to have exited: long enough for
nearly all, so that there is rarely more than one worker too many; a long download does not hold
everybody up."""
REVERT: Final = "it is of a reload that was given up"
"""Why a worker is replaced that had taken over already."""


class Rollout:
    def __init__(self, order: Reload, fleet: Fleet, now: float) -> None:
        """Starts the canaries."""
        self.order = order
        self.state: Literal["canary", "observing", "rolling"] = "canary"
        self.since = now
        self.done = 0
        self.look_at: float | None = None
        """When time alone will change something."""
        self._fleet = fleet
        self._added = order.places - set(fleet.replicas)
        self._active: ReplicaId | None = None
        """Rolling: whose replacement is being started."""
        self._leaving: list[int] = []
        """Children that were replaced last."""
        fleet.add_places(order.places, order.generation)
        self._wanted = set(order.places)
        self._pools = {replica_id.pool for replica_id in order.places}
        self._good_before = 0
        """Answers of the old generation when the observation began."""
        empty = {
            replica_id for replica_id, replica in fleet.replicas.items() if replica.current is None
        }
        places = sorted(
            (p for p in order.places if p.kind in order.replaced or p in empty),
            # Workers first: a gateway's replacement is to be linked with those that stay.
            key=lambda replica_id: (
                replica_id.kind == "gateway",
                replica_id.pool,
                replica_id.number,
            ),
        )
        self.of = len(places)
        self._canaries = places if order.at_once else list(_canaries(places, empty))
        self._rest = deque(replica_id for replica_id in places if replica_id not in self._canaries)
        for replica_id in self._canaries:
            fleet.succeed(replica_id, order.generation, now)

    @property
    def generation(self) -> int:
        return self.order.generation

    def owns(self, replica_id: ReplicaId) -> bool:
        """Whether the replacement in this replica is one of this rollout's."""
        return replica_id == self._active or (
            self.state != "rolling" and replica_id in self._canaries
        )

    def include(self, replica_id: ReplicaId) -> None:
        """It is wanted too, and there is one of the old generation; if the pool stays at all."""
        if replica_id.pool in self._pools and replica_id not in self._wanted:
            self._wanted.add(replica_id)
            self._rest.append(replica_id)
            self.of += 1

    def forget(self, replica_id: ReplicaId) -> None:
        """The replica is not wanted any more."""
        self._canaries = [other for other in self._canaries if other != replica_id]
        self._rest = deque(other for other in self._rest if other != replica_id)
        self._wanted.discard(replica_id)
        if self._active == replica_id:
            self._active = None

    def look(self, now: float) -> bool:
        """Takes the steps that are due; whether nothing is left but to commit."""
        fleet = self._fleet
        if self.state == "canary":
            if not all(map(fleet.is_fit, self._canaries)):
                return False
            self.state, self.look_at = "observing", now + self.order.observe
            self._good_before = fleet.good_answers(self.generation)
            if self.order.observe:
                self._say(
                    f"it serves beside the old one, watched for {duration(self.order.observe)}"
                )
        if self.state == "observing":
            if self.look_at is not None and now < self.look_at:
                return False
            self.state = "rolling"
            self._promote(self._canaries, now)
        while self._active is None or fleet.is_fit(self._active):
            if self._active is not None:
                self._promote([self._active], now)
                self._active = None
            if not self._may_go_on(now):
                return False
            self.look_at = None
            if not self._rest:
                return True
            self._active = self._rest.popleft()
            fleet.succeed(self._active, self.generation, now)
        return False

    def _promote(self, places: list[ReplicaId], now: float) -> None:
        self._leaving = [self._fleet.promote(replica_id, now) for replica_id in places]
        self.done += len(places)
        self._say(f"{self.done} of {self.of} replaced")
        self.look_at = now + EXIT_PATIENCE

    def _say(self, what: str) -> None:
        self._fleet.decide(Say("info", f"Reloading: generation {self.generation}: {what}"))

    def _may_go_on(self, now: float) -> bool:
        """Before the next one: the last have exited. At the end: nothing goes to them any more."""
        patient = self.look_at is not None and now < self.look_at
        waits_for = self._fleet.is_here if self._rest else self._fleet.is_used
        return not (patient and any(map(waits_for, self._leaving)))

    def complaint(self) -> str:
        """What is wrong with how the new generation serves; "" nothing so far."""
        if self.state == "canary":
            return ""
        return self._fleet.complaint(self.generation, self._good_before)

    def commit(self, now: float) -> None:
        fleet = self._fleet
        fleet.generation = self.generation
        for replica_id in set(fleet.replicas) - self._wanted:
            fleet.retire(replica_id, now, "no longer asked for")
        fleet.decide(Say("info", f"Reloaded: generation {self.generation} serves"))
        fleet.decide(ReloadEnded(self.generation, committed=True, done=self.done, of=self.of))

    def give_up(self, why: str, detail: str, now: float, *, overtaken: bool = False) -> None:
        """What is new goes, what is old stays."""
        fleet = self._fleet
        for replica_id in self._added & set(fleet.replicas):
            fleet.retire(replica_id, now, why)
        for replica_id, replica in fleet.replicas.items():
            if replica.replacement is not None and self.owns(replica_id):
                fleet.dismiss(replica.replacement, now, why)
                replica.replacement = None
            if replica.current is None:
                if replica.retry_at is None and replica.proven:
                    replica.retry_at = now + replica.backoff.after_failed_start()
            elif replica.current.generation == self.generation and self.order.reverts:
                replica.due = replica.due or REVERT
        fleet.decide(
            ReloadEnded(
                self.generation,
                committed=False,
                why=why,
                detail=detail,
                overtaken=overtaken,
                done=self.done,
                of=self.of,
            )
        )


def _canaries(places: Iterable[ReplicaId], empty: Collection[ReplicaId]) -> Iterable[ReplicaId]:
    """Whoever is to fill an empty replica; where a group has none, its first."""
    groups: dict[tuple[str, str], list[ReplicaId]] = {}
    for replica_id in places:
        groups.setdefault((replica_id.kind, replica_id.pool), []).append(replica_id)
    for group in groups.values():
        yield from [replica_id for replica_id in group if replica_id in empty] or group[:1]
