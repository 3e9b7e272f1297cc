"""The children and their seats, and what can be done with them. Pure: `children` decides it."""

from collections.abc import Iterable, Iterator
from typing import Final, Literal

from .backoff import Backoff
from .events import Decision, Kill, Place, Say, Spawn, Terminate
from .heartbeats import Heartbeats
from .links import Links
from .replica import Child, ChildrenSettings, Seat

GATEWAY_STARTUP: Final = 30.0
FAILED_GRACE: Final = 3.0
"""Seconds that a child which failed to start has to exit before it is killed."""
MARGIN: Final = 1.0
"""Seconds that gateways are given beyond the deadline that they keep themselves."""
APP_SHUTDOWN: Final = 12.0
"""The same for workers: an app's lifespan shutdown may take 10 seconds after its last call."""
HUNG_GRACE: Final = 3.0
"""Seconds that a hung worker, whose successor serves, has to come round and drain."""
SUSPICIOUS: Final = 5
"""Answers of which every one was an error: no coincidence, where the old generation has others."""


class Crew:
    def __init__(
        self, settings: ChildrenSettings, places: Iterable[Place], first_id: int = 1
    ) -> None:
        self.settings = settings
        self.seats: dict[Place, Seat] = {place: Seat() for place in places}
        self.children: dict[int, Child] = {}
        self.links = Links()
        self.heartbeats = Heartbeats(settings.heartbeat_timeout)
        self.generation = 1
        """Of those that are started to replace somebody, or to fill a seat."""
        self._pools: dict[int, frozenset[str]] = {1: self._pool_names()}
        """Generation -> the pools that its gateways know."""
        self._next_id = first_id
        self._decisions: list[Decision] = []

    @property
    def next_id(self) -> int:
        return self._next_id

    def configure(self, settings: ChildrenSettings) -> None:
        self.settings = settings
        self.heartbeats.timeout = settings.heartbeat_timeout

    # -- decisions ---------------------------------------------------------------------------

    def decide(self, decision: Decision) -> None:
        self._decisions.append(decision)

    def take_decisions(self) -> list[Decision]:
        decisions, self._decisions = self._decisions, []
        return decisions

    # -- births ------------------------------------------------------------------------------

    def fill(self, place: Place, now: float) -> None:
        """Starts a holder in an empty seat."""
        seat = self.seats[place]
        seat.retry_at = None
        seat.holder = self._spawn(place, self.generation, now, succeeds=False)

    def succeed(self, place: Place, generation: int, now: float) -> None:
        """Starts a successor, who takes over when `is_fit` and told to."""
        seat = self.seats[place]
        if seat.successor is not None:
            self.dismiss(seat.successor, now)
        seat.retry_at = None
        seat.successor = self._spawn(place, generation, now, succeeds=seat.holder is not None)

    def _spawn(self, place: Place, generation: int, now: float, *, succeeds: bool) -> Child:
        child = Child(self._next_id, place, generation, now, now + self.startup_timeout(place))
        self._next_id += 1
        self.children[child.id] = child
        self.decide(Spawn(child.id, place, generation, succeeds))
        return child

    def startup_timeout(self, place: Place) -> float:
        """The operator's limit is about the app, and may be short."""
        limit = self.settings.startup_timeout
        return max(GATEWAY_STARTUP, limit) if place.kind == "gateway" else limit

    def became_ready(self, child: Child, now: float) -> None:
        child.state, child.since, child.served = "ready", now, True
        seat = self.seats[child.place]
        seat.proven = True
        if child is seat.holder:
            child.deadline = None  # a successor's start includes being linked
        if child.place.kind == "worker":
            self.heartbeats.heard(child.id, now)

    def restore(
        self, child: Child, seat: Literal["holder", "successor", "none"], now: float
    ) -> None:
        """A child that older code of this process has known."""
        self.children[child.id] = child
        self._next_id = max(self._next_id, child.id + 1)
        self._pools.setdefault(child.generation, self._pool_names())
        place = self.seats.get(child.place)
        if place is None or seat == "none":
            return
        place.proven = True
        if seat == "holder":
            place.holder, place.due = child, child.wish
        else:
            place.successor = child
        if child.state == "ready" and child.place.kind == "worker":
            self.heartbeats.heard(child.id, now)

    def fill_empty(self, now: float) -> None:
        for place, seat in self.seats.items():
            seat.proven = True
            if seat.holder is None and seat.successor is None:
                self.fill(place, now)

    # -- ends --------------------------------------------------------------------------------

    def terminate(self, child: Child, deadline: float | None, why: str = "") -> None:
        child.state = "stopping"
        child.deadline = deadline
        child.why = why or child.why
        self.heartbeats.gone(child.id)
        self.decide(Terminate(child.id))

    def dismiss(self, child: Child, now: float, why: str = "") -> None:
        """It goes when it has finished what it has."""
        if child.state == "ready":
            hung = self.heartbeats.hung(child.id)
            self.terminate(child, now + (HUNG_GRACE if hung else self.leave_time(child)), why)
        elif child.state == "starting":
            self.terminate(child, now + FAILED_GRACE, why)

    def leave_time(self, child: Child) -> float:
        """Seconds that it may take to finish what it has."""
        more = MARGIN if child.place.kind == "gateway" else APP_SHUTDOWN
        return self.settings.graceful_timeout + more

    def kill_if_late(self, child: Child) -> None:
        child.deadline, child.killed = None, True
        why = f" ({child.why})" if child.why else ""
        self.decide(Say("warning", f"{child} did not stop in time{why}; killing it"))
        self.decide(Kill(child.id))

    def forget(self, child: Child) -> None:
        """It has ended."""
        self.children.pop(child.id, None)
        self.heartbeats.gone(child.id)
        self.links.gone(child.id)
        in_use = {child.generation for child in self.children.values()} | {self.generation}
        self._pools = {number: self._pools[number] for number in self._pools if number in in_use}

    # -- places ------------------------------------------------------------------------------

    def add_places(self, places: Iterable[Place], generation: int) -> None:
        for place in places:
            self.seats.setdefault(place, Seat())
        self._pools[generation] = frozenset(p.pool for p in places if p.kind == "worker")

    def retire(self, place: Place, now: float, why: str) -> None:
        """The place is not wanted any more."""
        seat = self.seats.pop(place)
        for child in (seat.holder, seat.successor):
            if child is not None:
                self.dismiss(child, now, why)

    def _pool_names(self) -> frozenset[str]:
        return frozenset(place.pool for place in self.seats if place.kind == "worker")

    # -- successions: what a rollout asks ----------------------------------

    def is_fit(self, place: Place) -> bool:
        seat = self.seats.get(place)
        child = seat.successor if seat else None
        return child is not None and child.state == "ready" and self.is_linked(child)

    def take_over(self, place: Place, now: float) -> int:
        """The successor holds the place from now on; the child that leaves, or 0."""
        seat = self.seats[place]
        leaves, seat.holder, seat.successor = seat.holder, seat.successor, None
        why, seat.due, seat.urgent, seat.retry_at = seat.due, "", False, None
        seat.backoff = Backoff()
        if seat.holder is not None:
            seat.holder.deadline, seat.due = None, seat.holder.wish
        if leaves is None:
            return 0
        self.dismiss(leaves, now, why or "replaced")
        return leaves.id

    def is_here(self, child: int) -> bool:
        return child in self.children

    def is_used(self, child: int) -> bool:
        here = self.children.get(child)
        if here is None or here.place.kind == "gateway":
            return False
        return self.links.used_by(child, self._gateways(here), here.place.pool)

    def good_answers(self, generation: int) -> int:
        """How many answers without an error workers of other generations have given."""
        workers = [c for c in self.children.values() if c.place.kind == "worker"]
        counts = [self.links.answers(c.id) for c in workers if c.generation != generation]
        return sum(answers - errors for answers, errors in counts)

    def complaint(self, generation: int, good_before: int) -> str:
        """Only errors from a worker of the new generation, while the old ones have answers."""
        if self.good_answers(generation) <= good_before:
            return ""
        workers = [c for c in self.children.values() if c.place.kind == "worker"]
        for child in workers:
            answers, errors = self.links.answers(child.id)
            if child.generation == generation and answers == errors >= SUSPICIOUS:
                return f"all {answers} answers of {child} were errors (5xx)"
        return ""

    def is_linked(self, child: Child) -> bool:
        """Whether it may be used wherever it should be."""
        if child.place.kind == "worker":
            return all(
                self.links.linked(gateway, child.id, child.place.pool)
                for gateway in self._gateways(child)
            )
        known = self._pools.get(child.generation, frozenset())
        return all(
            self.links.linked(child.id, worker.id, worker.place.pool)
            for worker in self.ready("worker")
            if worker.place.pool in known and not self.heartbeats.hung(worker.id)
        )

    def _gateways(self, worker: Child) -> Iterator[int]:
        """Those that the worker should be linked to."""
        for gateway in self.ready("gateway"):
            known = self._pools.get(gateway.generation, ())
            if worker.place.pool in known and not self.heartbeats.hung(gateway.id):
                yield gateway.id

    def ready(self, kind: str) -> Iterator[Child]:
        for child in self.children.values():
            if child.place.kind == kind and child.state == "ready":
                yield child

    def leaving(self) -> Iterator[Child]:
        """Workers that have served and finish what they have."""
        for child in self.children.values():
            if child.place.kind == "worker" and child.state == "stopping" and child.served:
                yield child

    def unlinked(self, worker: Child) -> list[int]:
        """Numbers of the gateways that it should be linked to, and is not."""
        return [
            self.children[gateway].place.number
            for gateway in self._gateways(worker)
            if not self.links.linked(gateway, worker.id, worker.place.pool)
        ]

    def missing_links(self) -> int:
        """How many workers' links are still waited for, over all gateways."""
        return sum(
            not self.links.linked(gateway, worker.id, worker.place.pool)
            for worker in self.ready("worker")
            for gateway in self._gateways(worker)
        )
