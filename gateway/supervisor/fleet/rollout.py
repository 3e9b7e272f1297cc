"""One reload, from its canaries to its commit. Pure.

    canary --all ready and linked--> observing --time is up--> rolling --nothing left--> committed
       |                                 |                        |
       +---------------------------------+------------------------+--> given up

A canary is the first successor in each group (the gateways; the workers of a pool) and whoever is
started in an empty seat: it serves beside the old ones, and nothing of the old is touched before
all canaries have stood it for a while. Then they take over, and the others are replaced one at a
time, each successor ready before the old one goes.
"""

from collections import deque
from collections.abc import Collection, Iterable
from typing import Final, Literal

from ...control.durations import duration
from .events import Place, Reload, ReloadEnded, Say
from .fleet import Crew

PATIENCE: Final = 5.0
"""Seconds that the next replacement waits for the one before to have exited: long enough for
nearly all, so that there is rarely more than one worker too many; a long download does not hold
everybody up."""
REVERT: Final = "it is of a reload that was given up"
"""Why a worker is replaced that had taken over already."""


class Rollout:
    def __init__(self, order: Reload, crew: Crew, now: float) -> None:
        """Starts the canaries."""
        self.order = order
        self.state: Literal["canary", "observing", "rolling"] = "canary"
        self.since = now
        self.done = 0
        self.look_at: float | None = None
        """When time alone will change something."""
        self._crew = crew
        self._added = order.places - set(crew.seats)
        self._active: Place | None = None
        """Rolling: whose successor is being started."""
        self._leaving: list[int] = []
        """Children that were replaced last."""
        crew.add_places(order.places, order.generation)
        self._wanted = set(order.places)
        self._pools = {place.pool for place in order.places}
        self._good_before = 0
        """Answers of the old generation when the observation began."""
        empty = {place for place, seat in crew.seats.items() if seat.holder is None}
        places = sorted(
            (p for p in order.places if p.kind in order.replaced or p in empty),
            # Workers first: a gateway's successor is to be linked with those that stay.
            key=lambda place: (place.kind == "gateway", place.pool, place.number),
        )
        self.of = len(places)
        self._canaries = places if order.at_once else list(_canaries(places, empty))
        self._rest = deque(place for place in places if place not in self._canaries)
        for place in self._canaries:
            crew.succeed(place, order.generation, now)

    @property
    def generation(self) -> int:
        return self.order.generation

    def owns(self, place: Place) -> bool:
        """Whether the successor in this place is one of this rollout's."""
        return place == self._active or (self.state != "rolling" and place in self._canaries)

    def include(self, place: Place) -> None:
        """It is wanted too, and there is one of the old generation; if the pool stays at all."""
        if place.pool in self._pools and place not in self._wanted:
            self._wanted.add(place)
            self._rest.append(place)
            self.of += 1

    def forget(self, place: Place) -> None:
        """The place is not wanted any more."""
        self._canaries = [other for other in self._canaries if other != place]
        self._rest = deque(other for other in self._rest if other != place)
        self._wanted.discard(place)
        if self._active == place:
            self._active = None

    def look(self, now: float) -> bool:
        """Takes the steps that are due; whether nothing is left but to commit."""
        crew = self._crew
        if self.state == "canary":
            if not all(map(crew.is_fit, self._canaries)):
                return False
            self.state, self.look_at = "observing", now + self.order.observe
            self._good_before = crew.good_answers(self.generation)
            if self.order.observe:
                self._say(
                    f"it serves beside the old one, watched for {duration(self.order.observe)}"
                )
        if self.state == "observing":
            if self.look_at is not None and now < self.look_at:
                return False
            self.state = "rolling"
            self._take_over(self._canaries, now)
        while self._active is None or crew.is_fit(self._active):
            if self._active is not None:
                self._take_over([self._active], now)
                self._active = None
            if not self._may_go_on(now):
                return False
            self.look_at = None
            if not self._rest:
                return True
            self._active = self._rest.popleft()
            crew.succeed(self._active, self.generation, now)
        return False

    def _take_over(self, places: list[Place], now: float) -> None:
        self._leaving = [self._crew.take_over(place, now) for place in places]
        self.done += len(places)
        self._say(f"{self.done} of {self.of} replaced")
        self.look_at = now + PATIENCE

    def _say(self, what: str) -> None:
        self._crew.decide(Say("info", f"Reloading: generation {self.generation}: {what}"))

    def _may_go_on(self, now: float) -> bool:
        """Before the next one: the last have exited. At the end: nothing goes to them any more."""
        patient = self.look_at is not None and now < self.look_at
        waits_for = self._crew.is_here if self._rest else self._crew.is_used
        return not (patient and any(map(waits_for, self._leaving)))

    def complaint(self) -> str:
        """What is wrong with how the new generation serves; "" nothing so far."""
        if self.state == "canary":
            return ""
        return self._crew.complaint(self.generation, self._good_before)

    def commit(self, now: float) -> None:
        crew = self._crew
        crew.generation = self.generation
        for place in set(crew.seats) - self._wanted:
            crew.retire(place, now, "no longer asked for")
        crew.decide(Say("info", f"Reloaded: generation {self.generation} serves"))
        crew.decide(ReloadEnded(self.generation, committed=True, done=self.done, of=self.of))

    def give_up(self, why: str, detail: str, now: float, *, overtaken: bool = False) -> None:
        """What is new goes, what is old stays."""
        crew = self._crew
        for place in self._added & set(crew.seats):
            crew.retire(place, now, why)
        for place, seat in crew.seats.items():
            if seat.successor is not None and self.owns(place):
                crew.dismiss(seat.successor, now, why)
                seat.successor = None
            if seat.holder is None:
                if seat.retry_at is None and seat.proven:
                    seat.retry_at = now + seat.backoff.after_failed_start()
            elif seat.holder.generation == self.generation and self.order.reverts:
                seat.due = seat.due or REVERT
        crew.decide(
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


def _canaries(places: Iterable[Place], empty: Collection[Place]) -> Iterable[Place]:
    """Whoever is to fill an empty seat; where a group has none, its first."""
    groups: dict[tuple[str, str], list[Place]] = {}
    for place in places:
        groups.setdefault((place.kind, place.pool), []).append(place)
    for group in groups.values():
        yield from [place for place in group if place in empty] or group[:1]
