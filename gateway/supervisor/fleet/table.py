"""The supervisor's memory: which process holds which place, and what is to be done.

Pure: told of what happens with the time at which it did, it answers with decisions.

    vacant --Spawn--> starting --Ready--> ready --Exited--> vacant, replaced (with back-off)
                         |                  |
                         +---- stopping <---+   (failed start, retired, stop) --Exited--> gone

A child that is stopping holds no place any more. A place may have a successor besides its holder,
who takes over when it is ready and linked: of a new generation (`rollout`), or of the same, where
the holder hangs or has served its time. Until every place has been ready once, a failed start ends
everything: what cannot boot is not retried. On a stop the gateways finish what is under way, and
the workers serve them until then.
"""

from collections.abc import Iterable
from typing import Final, Literal

from ...control.durations import duration
from .backoff import Backoff
from .events import (
    Alive,
    Answered,
    Decision,
    Draining,
    Exited,
    Finish,
    Linked,
    NotReady,
    Place,
    Ready,
    Recycle,
    Reload,
    ReloadEnded,
    Say,
    Scale,
    ShowStacks,
    Spawned,
    Start,
    Stop,
    Tick,
    Told,
)
from .fleet import FAILED_GRACE, Crew
from .replica import Child, ChildrenSettings, Seat
from .rollout import REVERT, Rollout
from .shutdown import Ending

EXIT_NOT_STARTED: Final = 1
EXIT_NOT_READY: Final = 3
"""The app cannot be served; a worker exits with the same code."""

Phase = Literal["idle", "starting", "serving", "stopping", "ended"]


class ChildTable:
    """One per supervisor. `tell` it everything, do what it decides, in order."""

    def __init__(
        self, settings: ChildrenSettings, places: Iterable[Place], first_id: int = 1
    ) -> None:
        self.crew = Crew(settings, places, first_id)
        self.phase: Phase = "idle"
        self.rollout: Rollout | None = None
        self._ending = Ending(self.crew)
        self._waiting = False
        """For a Reload, since the app could not boot."""
        self._code = 0

    @property
    def next_tick(self) -> float | None:
        """When time alone will change something."""
        times = [child.deadline for child in self.crew.children.values()]
        if self.phase in ("starting", "serving"):
            times += [seat.retry_at for seat in self.crew.seats.values()]
            times.append(self.crew.heartbeats.next_look)
            times.append(self.rollout.look_at if self.rollout else None)
        times.append(self._ending.hurry_at)
        return min((time for time in times if time is not None), default=None)

    @property
    def cut_at(self) -> float | None:
        """When a stop has no more time for what is under way; None: there is none, or no longer."""
        return self._ending.hurry_at

    def tell(self, message: Told, now: float) -> list[Decision]:
        match message:
            case Start():
                self.phase = "starting"
                for place in self.crew.seats:
                    self.crew.fill(place, now)
            case Tick():
                self._tick(now)
            case Reload():
                self._reload(message, now)
            case Scale(pool, workers):
                self._scale(pool, workers, now)
            case Stop(at_once):
                self._stop(now, at_once=at_once)
            case Linked(gateway, pool, workers) if gateway in self.crew.children:
                self.crew.links.told(gateway, pool, workers)
            case Answered(gateway, worker, answers, errors) if worker in self.crew.children:
                self.crew.links.answered(gateway, worker, answers, errors)
            case Linked() | Answered():
                pass
            case _:
                child = self.crew.children.get(message.child)
                if child is not None:
                    self._tell_of(child, message, now)
        if self.phase in ("starting", "serving"):
            self._look(now)
        elif self.phase == "stopping":
            self._stop_further(now)
        return self.crew.take_decisions()

    def _tell_of(
        self,
        child: Child,
        message: Spawned | Ready | NotReady | Exited | Alive | Draining | Recycle,
        now: float,
    ) -> None:
        match message:
            case Spawned(_, pid):
                child.pid = pid
            case Ready() if child.state == "starting":
                self._ready(child, now)
            case NotReady(_, error, detail) if child.state == "starting":
                self._failed_start(child, f"{child.place} could not start: {error}", detail, now)
            case Exited():
                self._exited(child, message, now)
            case Alive(_, stuck) if child.state == "ready":
                self._alive(child, stuck, now)
            case Recycle(_, why) if child.state == "ready":
                child.wish = why
                seat = self.crew.seats.get(child.place)
                if seat and seat.holder is child and not seat.due:
                    seat.due = why
            case Draining():
                self._ending.draining.add(child.id)
            case _:
                pass  # too late

    # Starting.

    def _ready(self, child: Child, now: float) -> None:
        self.crew.became_ready(child, now)
        self._serving_if_proven()

    def _serving_if_proven(self) -> None:
        if self.phase == "starting" and all(seat.proven for seat in self.crew.seats.values()):
            self.phase = "serving"

    def _failed_start(self, child: Child, why: str, detail: str, now: float) -> None:
        if child.id in self.crew.children:
            self.crew.terminate(child, now + FAILED_GRACE)
        seat = self.crew.seats[child.place]
        if child is seat.successor:
            seat.successor = None
            self._successor_failed(child.place, seat, why, detail, now)
            return
        seat.holder = None
        if not seat.proven and self.phase == "starting":
            self._failed_boot(child.place, why, detail, now)
            return
        delay = seat.backoff.after_failed_start()
        seat.retry_at = now + delay
        self.crew.decide(Say("error", f"{why}; trying again in {duration(delay)}", detail))

    def _failed_boot(self, place: Place, why: str, detail: str, now: float) -> None:
        if self.crew.settings.failed_boot == "wait" and place.kind == "worker":
            if not self._waiting:  # once, not once for each worker
                self.crew.decide(Say("error", f"{why}; waiting for a file to change", detail))
            self._waiting = True
            return
        self.crew.decide(Say("error", why, detail))
        self._code = EXIT_NOT_READY if place.kind == "worker" else EXIT_NOT_STARTED
        self._begin_to_stop()
        self._ending.hurry(now)  # nothing is worth finishing

    # Ending.

    def _exited(self, child: Child, message: Exited, now: float) -> None:
        was, lived = child.state, now - child.since
        self.crew.forget(child)
        hint = f" ({message.hint})" if message.hint else ""
        if was == "stopping" or self.phase == "stopping":
            if was != "stopping":
                self.crew.decide(Say("warning", f"{child} {message.how} while stopping{hint}"))
            return
        seat = self.crew.seats[child.place]
        if was == "starting":
            when = "" if message.how.startswith("could not") else " before it was ready"
            why = f"{child} {message.how}{when}{hint}"
            self._failed_start(child, why, "", now)
            return
        how = f"{child} {message.how} after {duration(lived)}{hint}"
        if child is seat.successor:
            seat.successor = None
            self._successor_failed(child.place, seat, how, "", now)
            return
        seat.holder = None
        self._replace(child.place, seat, how, lived, now, clean=message.clean)
        if self.rollout is not None and child.generation == self.rollout.generation:
            self._abort(how, "", now)

    def _replace(
        self, place: Place, seat: Seat, how: str, lived: float, now: float, *, clean: bool
    ) -> None:
        """The holder is gone."""
        level = "info" if clean else "error"
        seat.due, seat.urgent = "", False
        if seat.successor is not None and not (self.rollout and self.rollout.owns(place)):
            seat.holder, seat.successor = seat.successor, None
            seat.due = seat.holder.wish
            if seat.holder.state == "ready":
                seat.holder.deadline = None
            self.crew.decide(Say(level, f"{how}; its successor takes its place"))
            return
        delay = seat.backoff.after_exit(lived) if clean else seat.backoff.after_crash(lived)
        when = f" in {duration(delay)}" if delay else ""
        self.crew.decide(Say(level, f"{how}; starting another{when}"))
        if delay:
            seat.retry_at = now + delay
        else:
            self.crew.fill(place, now)

    def _tick(self, now: float) -> None:
        for child in list(self.crew.children.values()):
            if child.deadline is None or now < child.deadline:
                continue
            if child.state == "stopping":
                self.crew.kill_if_late(child)
                continue
            if child.state == "ready" and self.crew.is_linked(child):
                child.deadline = None  # it waits for others, of whom one is late
                continue
            limit = duration(self.crew.startup_timeout(child.place))
            why = f"{child} was not linked to all that use it within {limit}"
            if child.state == "starting":
                why = f"{child} was not ready within {limit} (--startup-timeout)"
            self._failed_start(child, why, "", now)
        if self._ending.hurry_at is not None and now >= self._ending.hurry_at:
            self._ending.hurry(now, "gateway")

    # Successions.

    def _look(self, now: float) -> None:
        """Takes every step that is due."""
        for number in self.crew.heartbeats.overdue(now):
            self._hangs(self.crew.children[number], now)
        for place, seat in self.crew.seats.items():
            if seat.holder is None and seat.retry_at is not None and now >= seat.retry_at:
                self.crew.fill(place, now)
            if self.crew.is_fit(place) and not (self.rollout and self.rollout.owns(place)):
                self.crew.take_over(place, now)
        if self.rollout is not None:
            self._roll(self.rollout, now)
        self._begin_successions(now)

    def _begin_successions(self, now: float) -> None:
        """Those outside of a rollout: one at a time, but whoever hangs at once."""
        busy = (
            self.rollout is not None
            or any(seat.successor for seat in self.crew.seats.values())
            or any(self.crew.leaving())
        )
        for place, seat in self.crew.seats.items():
            if not seat.due or seat.holder is None or seat.successor is not None:
                continue
            if seat.retry_at is not None and now < seat.retry_at:
                continue
            seat.retry_at = None  # its time has come; it may have to wait for others now
            if busy and not seat.urgent:
                continue
            self.crew.decide(Say("info", f"{seat.holder} is replaced: {seat.due}"))
            self.crew.succeed(place, self.crew.generation, now)
            busy = True

    def _successor_failed(
        self, place: Place, seat: Seat, why: str, detail: str, now: float
    ) -> None:
        if self.rollout is not None and self.rollout.owns(place):
            self._abort(why, detail, now)
            return
        if seat.due == REVERT:
            seat.due = ""
            self.crew.decide(Say("error", f"{why}; {seat.holder} stays", detail))
            return
        delay = seat.backoff.after_failed_start()
        seat.retry_at = now + delay
        stays = f"{seat.holder} stays, trying again in {duration(delay)}"
        self.crew.decide(Say("error", f"{why}; {stays}", detail))

    def _alive(self, child: Child, stuck: int, now: float) -> None:
        if self.crew.heartbeats.heard(child.id, now):
            self.crew.decide(Say("info", f"{child} answers again"))
        seat = self.crew.seats[child.place]
        if stuck and not seat.due and seat.holder is child:
            calls = "a call is" if stuck == 1 else f"{stuck} calls are"
            self._condemn(child, seat, f"{calls} stuck in the app that nobody waits for")

    def _hangs(self, child: Child, now: float) -> None:
        limit = duration(self.crew.heartbeats.timeout)
        why = f"{child} hangs: no sign of life for {limit}"
        seat = self.crew.seats[child.place]
        if child is seat.successor:
            seat.successor = None
            self.crew.decide(ShowStacks(child.id))
            self.crew.dismiss(child, now, "it hangs")
            self._successor_failed(child.place, seat, why, "", now)
            return
        self._condemn(child, seat, f"it hangs, no sign of life for {limit}")
        if self.rollout is not None and child.generation == self.rollout.generation:
            self._abort(why, "", now)

    def _condemn(self, child: Child, seat: Seat, why: str) -> None:
        seat.due, seat.urgent = why, True
        self.crew.decide(Say("error", f"{child}: {why}; its stacks follow, and a successor"))
        self.crew.decide(ShowStacks(child.id))

    # Reload.

    def _reload(self, order: Reload, now: float) -> None:
        if self.phase in ("idle", "stopping", "ended"):
            return
        if self.rollout is not None:
            self._give_up("overtaken by another reload", "", now, overtaken=True)
        self._waiting = False
        for place, seat in self.crew.seats.items():
            seat.backoff = Backoff()
            replaced = place in order.places and place.kind in order.replaced
            if replaced and seat.holder is not None and seat.holder.state == "starting":
                self.crew.dismiss(seat.holder, now)
                seat.holder = None
        self.rollout = Rollout(order, self.crew, now)

    def _roll(self, rollout: Rollout, now: float) -> None:
        complaint = rollout.complaint()
        if complaint:
            self._abort(complaint, "", now)
        elif rollout.look(now):
            self.rollout = None
            rollout.commit(now)
            self._serving_if_proven()

    def _abort(self, why: str, detail: str, now: float) -> None:
        self._give_up(why, detail, now)
        if self.phase == "starting":  # nothing has ever served
            unproven = [place for place, seat in self.crew.seats.items() if not seat.proven]
            place = max(unproven, key=lambda place: place.kind == "worker")
            self._failed_boot(place, why, detail, now)
        else:
            self.crew.decide(Say("error", f"{why}; not reloaded, the old serve on", detail))

    def _give_up(self, why: str, detail: str, now: float, *, overtaken: bool = False) -> None:
        rollout, self.rollout = self.rollout, None
        if rollout is not None:
            rollout.give_up(why, detail, now, overtaken=overtaken)
            self._serving_if_proven()

    # More and fewer.

    def _scale(self, pool: str, workers: int, now: float) -> None:
        if self.phase not in ("starting", "serving"):
            return
        for number in range(1, workers + 1):
            place = Place("worker", number, pool)
            if place not in self.crew.seats:
                self.crew.seats[place] = Seat(proven=self.phase == "serving")
                self.crew.fill(place, now)
            if self.rollout is not None:
                self.rollout.include(place)
        for place in [p for p in self.crew.seats if p.pool == pool and p.number > workers]:
            self.crew.retire(place, now, "one worker fewer is asked for")
            if self.rollout is not None:
                self.rollout.forget(place)
        self._serving_if_proven()

    # Stop.

    def _stop(self, now: float, *, at_once: bool) -> None:
        if self.phase in ("idle", "ended"):
            return
        if self.phase != "stopping":
            self._begin_to_stop()
            if not at_once:
                self._ending.begin(now)
        if at_once:
            self.crew.decide(Say("warning", "Stopping at once"))
            self._ending.hurry(now)

    def _begin_to_stop(self) -> None:
        if self.rollout is not None:
            generation, self.rollout = self.rollout.generation, None
            why = "Propylon stops"
            self.crew.decide(ReloadEnded(generation, committed=False, why=why, overtaken=True))
        self.phase = "stopping"

    def _stop_further(self, now: float) -> None:
        if self._ending.go_on(now):
            self.phase = "ended"
            self.crew.decide(Finish(self._code))
