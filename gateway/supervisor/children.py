"""The supervisor's memory: which process holds which place, and what is to be done.

Pure: told of what happens with the time at which it did, it answers with decisions.

    vacant --Spawn--> starting --Ready--> ready --Exited--> vacant, replaced (with back-off)
                         |                  |
                         +---- stopping <---+   (failed start, retired, stop) --Exited--> gone

A child that is stopping holds no place any more. A worker's place may have a successor besides
its holder: a new generation that takes over when all of it is ready (`Reload`). Until every
place has been ready once, a failed start ends everything: what cannot boot is not retried.
A stop ends the gateways first, which finish what is under way, and then the workers.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, Literal

from .backoff import Backoff
from .messages import (
    Decision,
    Exited,
    Finish,
    Kill,
    Linked,
    NotReady,
    Place,
    Ready,
    Reload,
    Say,
    Spawn,
    Spawned,
    Start,
    Stop,
    Terminate,
    Tick,
    Told,
)
from .seats import Child, ChildrenSettings, Seat
from .spans import span

GATEWAY_STARTUP: Final = 30.0
FAILED_GRACE: Final = 3.0
"""Seconds that a child which failed to start has to exit before it is killed."""
MARGIN: Final = 1.0
"""Seconds that gateways are given beyond the deadline that they keep themselves."""
APP_SHUTDOWN: Final = 12.0
"""The same for workers: an app's lifespan shutdown may take 10 seconds after its last call."""
HURRIED_GRACE: Final = 1.5
"""Seconds from `now` to SIGKILL."""
ASK_AGAIN: Final = 0.3
"""Seconds to a second SIGTERM, which means `at once`; two in a breath may arrive as one."""
LINK_TIMEOUT: Final = 5.0
"""Seconds that new workers wait for every gateway to be linked to them; then they take over."""

EXIT_NOT_STARTED: Final = 1
EXIT_NOT_READY: Final = 3
"""The app cannot be served; a worker exits with the same code."""


class ChildTable:
    """One per supervisor. `tell` it everything, do what it decides, in order."""

    def __init__(self, settings: ChildrenSettings, places: Iterable[Place]) -> None:
        self._settings = settings
        self._seats = {place: Seat() for place in places}
        self._with_gateways = any(place.kind == "gateway" for place in self._seats)
        self._children: dict[int, Child] = {}
        self._ids = 0
        self._generation = 1
        self._phase: Literal["idle", "starting", "serving", "stopping", "ended"] = "idle"
        self._hurry_at: float | None = None
        self._linked: dict[str, tuple[int, int]] = {}
        """Pool -> workers that every gateway has at least, and some gateway at most."""
        self._link_by: float | None = None
        self._reloaded = 0
        """New workers that have taken over, while the old are still in use."""
        self._waiting = False
        """For a Reload, since the app could not boot."""
        self._code = 0
        self._decisions: list[Decision] = []

    @property
    def phase(self) -> str:
        return self._phase

    def seats(self) -> Iterator[tuple[Place, Seat]]:
        return iter(self._seats.items())

    def children(self) -> Iterator[Child]:
        return iter(self._children.values())

    def child(self, number: int) -> Child | None:
        return self._children.get(number)

    @property
    def next_tick(self) -> float | None:
        """When time alone will change something."""
        times = [child.deadline for child in self._children.values()]
        times += [child.ask_again_at for child in self._children.values()]
        times += [seat.retry_at for seat in self._seats.values()]
        times += [self._hurry_at, self._link_by]
        return min((time for time in times if time is not None), default=None)

    def tell(self, message: Told, now: float) -> list[Decision]:
        match message:
            case Start():
                self._phase = "starting"
                for place, seat in self._seats.items():
                    seat.holder = self._spawn(place, now)
            case Spawned(number, pid) if number in self._children:
                self._children[number].pid = pid
            case Ready(number) if number in self._children:
                self._ready(self._children[number], now)
            case NotReady(number, error, detail) if number in self._children:
                self._not_ready(self._children[number], error, detail, now)
            case Exited(number) if number in self._children:
                self._exited(self._children.pop(number), message, now)
            case Spawned() | Ready() | NotReady() | Exited():
                pass  # of a child that is gone
            case Linked(pool, least, most):
                self._linked[pool] = (least, most)
                self._take_over(now)
                self._say_when_reloaded()
            case Tick():
                self._tick(now)
            case Reload():
                self._reload(now)
            case Stop():
                self._stop(now)
        decisions, self._decisions = self._decisions, []
        return decisions

    # Starting.

    def _spawn(self, place: Place, now: float) -> Child:
        self._ids += 1
        deadline = now + self._startup_timeout(place)
        child = Child(self._ids, place, self._generation, now, deadline)
        self._children[child.id] = child
        self._decide(Spawn(child.id, place, child.generation))
        return child

    def _startup_timeout(self, place: Place) -> float:
        """The operator's limit is about the app, and may be short."""
        limit = self._settings.startup_timeout
        return max(GATEWAY_STARTUP, limit) if place.kind == "gateway" else limit

    def _ready(self, child: Child, now: float) -> None:
        if child.state != "starting":
            return
        child.state, child.since, child.deadline = "ready", now, None
        seat = self._seats[child.place]
        seat.proven = True
        if child is seat.successor:
            self._take_over(now)
        if self._phase == "starting" and all(seat.proven for seat in self._seats.values()):
            self._phase = "serving"

    def _not_ready(self, child: Child, error: str, detail: str, now: float) -> None:
        if child.state == "starting":
            self._failed_start(child, f"{child.place} could not start: {error}", detail, now)

    def _failed_start(self, child: Child, why: str, detail: str, now: float) -> None:
        seat = self._seats[child.place]
        if child.id in self._children:
            self._terminate(child, now + FAILED_GRACE)
        if child is seat.successor:
            seat.successor = None
            self._abort_rollout(why, detail, now)
            return
        seat.holder = None
        if not seat.proven and self._phase == "starting":
            self._failed_boot(child.place, why, detail, now)
            return
        delay = seat.backoff.after_failed_start()
        seat.retry_at = now + delay
        self._decide(Say("error", f"{why}; trying again in {span(delay)}", detail))

    def _failed_boot(self, place: Place, why: str, detail: str, now: float) -> None:
        if self._settings.failed_boot == "wait" and place.kind == "worker":
            if not self._waiting:  # once, not once for each worker
                self._decide(Say("error", f"{why}; waiting for a file to change", detail))
            self._waiting = True
            return
        self._decide(Say("error", why, detail))
        self._code = EXIT_NOT_READY if place.kind == "worker" else EXIT_NOT_STARTED
        self._begin_to_stop()
        self._hurry(self._children.values(), now)  # nothing is under way that is worth finishing

    # Ending.

    def _exited(self, child: Child, message: Exited, now: float) -> None:
        seat = self._seats[child.place]
        how = message.how
        hint = f" ({message.hint})" if message.hint else ""
        if child.state == "stopping" or self._phase == "stopping":
            if child.state != "stopping":
                self._decide(Say("warning", f"{child} {how} while stopping{hint}"))
        elif child.state == "starting":
            self._failed_start(child, f"{child} {how} before it was ready{hint}", "", now)
        elif child is seat.successor:
            seat.successor = None
            self._abort_rollout(f"{child} {how}{hint}", "", now)
        else:
            how = f"{how} after {span(now - child.since)}{hint}"
            self._replace(seat, child, how, now, clean=message.clean)
        if self._phase == "stopping":
            self._stop_further(now)

    def _replace(self, seat: Seat, child: Child, how: str, now: float, *, clean: bool) -> None:
        level = "info" if clean else "error"
        if seat.successor is not None:  # it is the replacement, and no longer only a candidate
            seat.holder, seat.successor = seat.successor, None
            self._decide(Say(level, f"{child} {how}; the new worker takes its place"))
            self._take_over(now)
            return
        lived = now - child.since
        delay = seat.backoff.after_exit(lived) if clean else seat.backoff.after_crash(lived)
        when = f" in {span(delay)}" if delay else ""
        self._decide(Say(level, f"{child} {how}; starting another{when}"))
        if delay:
            seat.holder, seat.retry_at = None, now + delay
        else:
            seat.holder = self._spawn(child.place, now)

    def _tick(self, now: float) -> None:
        for child in list(self._children.values()):
            if child.ask_again_at is not None and now >= child.ask_again_at:
                child.ask_again_at = None
                self._decide(Terminate(child.id))
            if child.deadline is None or now < child.deadline:
                continue
            if child.state == "starting":
                limit = span(self._startup_timeout(child.place))
                self._failed_start(child, f"{child} was not ready within {limit}", "", now)
            else:
                child.deadline = None
                self._decide(Say("warning", f"{child} did not stop in time; killing it"))
                self._decide(Kill(child.id))
        for place, seat in self._seats.items():
            if seat.retry_at is not None and now >= seat.retry_at:
                seat.retry_at = None
                seat.holder = self._spawn(place, now)
        if self._link_by is not None and now >= self._link_by:
            self._take_over(now)
        if self._hurry_at is not None and now >= self._hurry_at:
            self._hurry([c for c in self._children.values() if c.place.kind == "gateway"], now)

    # Reload.

    def _reload(self, now: float) -> None:
        if self._phase in ("idle", "stopping", "ended"):
            return
        self._generation += 1
        self._waiting, self._link_by = False, None
        for place, seat in self._seats.items():
            if place.kind != "worker":
                continue
            if seat.successor is not None:  # of a reload that this one overtakes
                self._terminate(seat.successor, now + FAILED_GRACE)
                seat.successor = None
            seat.backoff, seat.retry_at = Backoff(), None
            if seat.holder is not None and seat.holder.state == "ready":
                seat.successor = self._spawn(place, now)
                continue
            if seat.holder is not None:
                self._terminate(seat.holder, now + FAILED_GRACE)
            seat.holder = self._spawn(place, now)

    def _take_over(self, now: float) -> None:
        """All successors at once, when the last of them is ready and known to the gateways."""
        candidates = [seat for seat in self._seats.values() if seat.successor is not None]
        ready = all(s.successor and s.successor.state == "ready" for s in candidates)
        if not candidates or not ready or self._phase == "stopping":
            self._link_by = None
            return
        if not self._all_linked():
            self._link_by = self._link_by or now + LINK_TIMEOUT
            if now < self._link_by:
                return
        self._link_by = None
        for seat in candidates:
            if seat.holder is not None:
                self._terminate(seat.holder, now + self._settings.graceful_timeout + APP_SHUTDOWN)
            seat.holder, seat.successor = seat.successor, None
        self._reloaded = len(candidates)
        self._say_when_reloaded()

    def _all_linked(self) -> bool:
        """Whether every gateway may use every ready worker, old and new."""
        ready = Counter(c.place.pool for c in self._children.values() if c.state == "ready")
        return not self._with_gateways or all(
            self._linked.get(place.pool, (0, 0))[0] >= ready[place.pool]
            for place in self._seats
            if place.kind == "worker"
        )

    def _say_when_reloaded(self) -> None:
        """When no gateway sends anything to the old any more."""
        seats = Counter(place.pool for place in self._seats)
        in_use = any(most > seats[pool] for pool, (_, most) in self._linked.items())
        if self._reloaded and not (in_use and self._with_gateways):
            count = f"{self._reloaded} new worker{'' if self._reloaded == 1 else 's'}"
            self._decide(Say("info", f"Reloaded: {count} took over"))
            self._reloaded = 0

    def _abort_rollout(self, why: str, detail: str, now: float) -> None:
        for seat in self._seats.values():
            if seat.successor is not None:
                self._terminate(seat.successor, now + FAILED_GRACE)
                seat.successor = None
        self._link_by = None
        self._decide(Say("error", f"{why}; not reloaded, the old workers stay", detail))

    # Stop.

    def _stop(self, now: float) -> None:
        if self._phase == "stopping":
            self._decide(Say("warning", "Stopping at once"))
            self._hurry(self._children.values(), now)
            return
        if self._phase in ("idle", "ended"):
            return
        self._begin_to_stop()
        self._hurry_at = now + self._settings.graceful_timeout + MARGIN
        for child in self._children.values():
            # A worker that is not ready has nothing to finish; one that is, answers the gateways.
            if child.state != "stopping" and (
                child.place.kind == "gateway" or child.state == "starting"
            ):
                self._terminate(
                    child, None if child.place.kind == "gateway" else now + FAILED_GRACE
                )
        self._stop_further(now)

    def _begin_to_stop(self) -> None:
        self._phase, self._link_by, self._reloaded = "stopping", None, 0
        for seat in self._seats.values():
            seat.retry_at = None

    def _stop_further(self, now: float) -> None:
        children = self._children.values()
        if not children:
            self._phase, self._hurry_at = "ended", None
            self._decide(Finish(self._code))
        elif all(child.place.kind == "worker" for child in children):
            for child in children:
                if child.state != "stopping":
                    self._terminate(child, (self._hurry_at or now) + APP_SHUTDOWN)

    def _hurry(self, children: Iterable[Child], now: float) -> None:
        """No more time: what has been asked once is asked again, and killed soon."""
        self._hurry_at = None
        for child in children:
            if child.state != "stopping":
                child.ask_again_at = now + ASK_AGAIN
            self._terminate(child, now + HURRIED_GRACE)

    def _terminate(self, child: Child, deadline: float | None) -> None:
        child.state = "stopping"
        child.deadline = deadline
        self._decide(Terminate(child.id))

    def _decide(self, decision: Decision) -> None:
        self._decisions.append(decision)
