"""The supervisor's memory: which process holds which replica, and what is to be done.

Pure: told of what happens with the time at which it did, it answers with decisions.

    vacant --Spawn--> starting --Ready--> ready --Exited--> vacant, replaced (with back-off)
                         |                  |
                         +---- stopping <---+   (failed start, retired, stop) --Exited--> gone

A process that is stopping belongs to no replica any more. A replica may have a replacement besides
its current process, which is promoted when it is ready and linked: of a new generation (`rollout`),
or of the same, where the current one hangs or has served its time. Until every replica has been
ready once, a failed start ends everything: what cannot boot is not retried. On a stop the gateways
finish what is under way, and the workers serve them until then.
"""

from collections.abc import Iterable
from typing import Final, Literal

from ...control.durations import duration
from .backoff import Backoff
from .events import (
    Alive,
    Answered,
    Draining,
    Exited,
    Finish,
    FleetCommand,
    FleetEvent,
    Linked,
    NotReady,
    Ready,
    Recycle,
    Reload,
    ReloadEnded,
    ReplicaId,
    Say,
    Scale,
    ShowStacks,
    Spawned,
    Start,
    Stop,
    Tick,
)
from .fleet import FAILED_GRACE, Fleet
from .replica import FleetSettings, Process, Replica
from .rollout import REVERT, Rollout
from .shutdown import Shutdown

EXIT_NOT_STARTED: Final = 1
EXIT_NOT_READY: Final = 3
"""The app cannot be served; a worker exits with the same code."""

Phase = Literal["idle", "starting", "serving", "stopping", "ended"]


class FleetController:
    """One per supervisor. `tell` it everything, do what it decides, in order."""

    def __init__(
        self, settings: FleetSettings, places: Iterable[ReplicaId], first_id: int = 1
    ) -> None:
        self.fleet = Fleet(settings, places, first_id)
        self.phase: Phase = "idle"
        self.rollout: Rollout | None = None
        self._shutdown = Shutdown(self.fleet)
        self._waiting = False
        """For a Reload, since the app could not boot."""
        self._code = 0

    @property
    def next_tick(self) -> float | None:
        """When time alone will change something."""
        times = [child.deadline for child in self.fleet.processes.values()]
        if self.phase in ("starting", "serving"):
            times += [replica.retry_at for replica in self.fleet.replicas.values()]
            times.append(self.fleet.heartbeats.next_look)
            times.append(self.rollout.look_at if self.rollout else None)
        times.append(self._shutdown.stop_now_at)
        return min((time for time in times if time is not None), default=None)

    @property
    def cut_at(self) -> float | None:
        """When a stop has no more time for what is under way; None: there is none, or no longer."""
        return self._shutdown.stop_now_at

    def tell(self, message: FleetEvent, now: float) -> list[FleetCommand]:
        match message:
            case Start():
                self.phase = "starting"
                for replica_id in self.fleet.replicas:
                    self.fleet.fill(replica_id, now)
            case Tick():
                self._tick(now)
            case Reload():
                self._reload(message, now)
            case Scale(pool, workers):
                self._scale(pool, workers, now)
            case Stop(at_once):
                self._stop(now, at_once=at_once)
            case Linked(gateway, pool, workers) if gateway in self.fleet.processes:
                self.fleet.links.told(gateway, pool, workers)
            case Answered(gateway, worker, answers, errors) if worker in self.fleet.processes:
                self.fleet.links.answered(gateway, worker, answers, errors)
            case Linked() | Answered():
                pass
            case _:
                child = self.fleet.processes.get(message.child)
                if child is not None:
                    self._tell_of(child, message, now)
        if self.phase in ("starting", "serving"):
            self._look(now)
        elif self.phase == "stopping":
            self._stop_further(now)
        return self.fleet.take_decisions()

    def _tell_of(
        self,
        child: Process,
        message: Spawned | Ready | NotReady | Exited | Alive | Draining | Recycle,
        now: float,
    ) -> None:
        match message:
            case Spawned(_, pid):
                child.pid = pid
            case Ready() if child.state == "starting":
                self._ready(child, now)
            case NotReady(_, error, detail) if child.state == "starting":
                self._failed_start(
                    child, f"{child.replica_id} could not start: {error}", detail, now
                )
            case Exited():
                self._exited(child, message, now)
            case Alive(_, stuck) if child.state == "ready":
                self._alive(child, stuck, now)
            case Recycle(_, why) if child.state == "ready":
                child.wish = why
                replica = self.fleet.replicas.get(child.replica_id)
                if replica and replica.current is child and not replica.due:
                    replica.due = why
            case Draining():
                self._shutdown.draining.add(child.id)
            case _:
                pass  # too late

    # Starting.

    def _ready(self, child: Process, now: float) -> None:
        self.fleet.became_ready(child, now)
        self._serving_if_proven()

    def _serving_if_proven(self) -> None:
        if self.phase == "starting" and all(
            replica.proven for replica in self.fleet.replicas.values()
        ):
            self.phase = "serving"

    def _failed_start(self, child: Process, why: str, detail: str, now: float) -> None:
        if child.id in self.fleet.processes:
            self.fleet.terminate(child, now + FAILED_GRACE)
        replica = self.fleet.replicas[child.replica_id]
        if child is replica.replacement:
            replica.replacement = None
            self._successor_failed(child.replica_id, replica, why, detail, now)
            return
        replica.current = None
        if not replica.proven and self.phase == "starting":
            self._failed_boot(child.replica_id, why, detail, now)
            return
        delay = replica.backoff.after_failed_start()
        replica.retry_at = now + delay
        self.fleet.decide(Say("error", f"{why}; trying again in {duration(delay)}", detail))

    def _failed_boot(self, replica_id: ReplicaId, why: str, detail: str, now: float) -> None:
        if self.fleet.settings.failed_boot == "wait" and replica_id.kind == "worker":
            if not self._waiting:  # once, not once for each worker
                self.fleet.decide(Say("error", f"{why}; waiting for a file to change", detail))
            self._waiting = True
            return
        self.fleet.decide(Say("error", why, detail))
        self._code = EXIT_NOT_READY if replica_id.kind == "worker" else EXIT_NOT_STARTED
        self._begin_to_stop()
        self._shutdown.hurry(now)  # nothing is worth finishing

    # Shutdown.

    def _exited(self, child: Process, message: Exited, now: float) -> None:
        was, lived = child.state, now - child.since
        self.fleet.forget(child)
        hint = f" ({message.hint})" if message.hint else ""
        if was == "stopping" or self.phase == "stopping":
            if was != "stopping":
                self.fleet.decide(Say("warning", f"{child} {message.how} while stopping{hint}"))
            return
        replica = self.fleet.replicas[child.replica_id]
        if was == "starting":
            when = "" if message.how.startswith("could not") else " before it was ready"
            why = f"{child} {message.how}{when}{hint}"
            self._failed_start(child, why, "", now)
            return
        how = f"{child} {message.how} after {duration(lived)}{hint}"
        if child is replica.replacement:
            replica.replacement = None
            self._successor_failed(child.replica_id, replica, how, "", now)
            return
        replica.current = None
        self._replace(child.replica_id, replica, how, lived, now, clean=message.clean)
        if self.rollout is not None and child.generation == self.rollout.generation:
            self._abort(how, "", now)

    def _replace(
        self,
        replica_id: ReplicaId,
        replica: Replica,
        how: str,
        lived: float,
        now: float,
        *,
        clean: bool,
    ) -> None:
        """The current is gone."""
        level = "info" if clean else "error"
        replica.due, replica.urgent = "", False
        if replica.replacement is not None and not (self.rollout and self.rollout.owns(replica_id)):
            replica.current, replica.replacement = replica.replacement, None
            replica.due = replica.current.wish
            if replica.current.state == "ready":
                replica.current.deadline = None
            self.fleet.decide(Say(level, f"{how}; its successor takes its place"))
            return
        delay = replica.backoff.after_exit(lived) if clean else replica.backoff.after_crash(lived)
        when = f" in {duration(delay)}" if delay else ""
        self.fleet.decide(Say(level, f"{how}; starting another{when}"))
        if delay:
            replica.retry_at = now + delay
        else:
            self.fleet.fill(replica_id, now)

    def _tick(self, now: float) -> None:
        for child in list(self.fleet.processes.values()):
            if child.deadline is None or now < child.deadline:
                continue
            if child.state == "stopping":
                self.fleet.kill_if_late(child)
                continue
            if child.state == "ready" and self.fleet.is_linked(child):
                child.deadline = None  # it waits for others, of whom one is late
                continue
            limit = duration(self.fleet.startup_timeout(child.replica_id))
            why = f"{child} was not linked to all that use it within {limit}"
            if child.state == "starting":
                why = f"{child} was not ready within {limit} (--startup-timeout)"
            self._failed_start(child, why, "", now)
        if self._shutdown.stop_now_at is not None and now >= self._shutdown.stop_now_at:
            self._shutdown.hurry(now, "gateway")

    # Successions.

    def _look(self, now: float) -> None:
        """Takes every step that is due."""
        for number in self.fleet.heartbeats.overdue(now):
            self._hangs(self.fleet.processes[number], now)
        for replica_id, replica in self.fleet.replicas.items():
            if replica.current is None and replica.retry_at is not None and now >= replica.retry_at:
                self.fleet.fill(replica_id, now)
            if self.fleet.is_fit(replica_id) and not (
                self.rollout and self.rollout.owns(replica_id)
            ):
                self.fleet.promote(replica_id, now)
        if self.rollout is not None:
            self._roll(self.rollout, now)
        self._begin_successions(now)

    def _begin_successions(self, now: float) -> None:
        """Those outside of a rollout: one at a time, but whoever hangs at once."""
        busy = (
            self.rollout is not None
            or any(replica.replacement for replica in self.fleet.replicas.values())
            or any(self.fleet.leaving())
        )
        for replica_id, replica in self.fleet.replicas.items():
            if not replica.due or replica.current is None or replica.replacement is not None:
                continue
            if replica.retry_at is not None and now < replica.retry_at:
                continue
            replica.retry_at = None  # its time has come; it may have to wait for others now
            if busy and not replica.urgent:
                continue
            self.fleet.decide(Say("info", f"{replica.current} is replaced: {replica.due}"))
            self.fleet.succeed(replica_id, self.fleet.generation, now)
            busy = True

    def _successor_failed(
        self, replica_id: ReplicaId, replica: Replica, why: str, detail: str, now: float
    ) -> None:
        if self.rollout is not None and self.rollout.owns(replica_id):
            self._abort(why, detail, now)
            return
        if replica.due == REVERT:
            replica.due = ""
            self.fleet.decide(Say("error", f"{why}; {replica.current} stays", detail))
            return
        delay = replica.backoff.after_failed_start()
        replica.retry_at = now + delay
        stays = f"{replica.current} stays, trying again in {duration(delay)}"
        self.fleet.decide(Say("error", f"{why}; {stays}", detail))

    def _alive(self, child: Process, stuck: int, now: float) -> None:
        if self.fleet.heartbeats.heard(child.id, now):
            self.fleet.decide(Say("info", f"{child} answers again"))
        replica = self.fleet.replicas[child.replica_id]
        if stuck and not replica.due and replica.current is child:
            calls = "a call is" if stuck == 1 else f"{stuck} calls are"
            self._condemn(child, replica, f"{calls} stuck in the app that nobody waits for")

    def _hangs(self, child: Process, now: float) -> None:
        limit = duration(self.fleet.heartbeats.timeout)
        why = f"{child} hangs: no sign of life for {limit}"
        replica = self.fleet.replicas[child.replica_id]
        if child is replica.replacement:
            replica.replacement = None
            self.fleet.decide(ShowStacks(child.id))
            self.fleet.dismiss(child, now, "it hangs")
            self._successor_failed(child.replica_id, replica, why, "", now)
            return
        self._condemn(child, replica, f"it hangs, no sign of life for {limit}")
        if self.rollout is not None and child.generation == self.rollout.generation:
            self._abort(why, "", now)

    def _condemn(self, child: Process, replica: Replica, why: str) -> None:
        replica.due, replica.urgent = why, True
        self.fleet.decide(Say("error", f"{child}: {why}; its stacks follow, and a successor"))
        self.fleet.decide(ShowStacks(child.id))

    # Reload.

    def _reload(self, order: Reload, now: float) -> None:
        if self.phase in ("idle", "stopping", "ended"):
            return
        if self.rollout is not None:
            self._give_up("overtaken by another reload", "", now, overtaken=True)
        self._waiting = False
        for replica_id, replica in self.fleet.replicas.items():
            replica.backoff = Backoff()
            replaced = replica_id in order.places and replica_id.kind in order.replaced
            if replaced and replica.current is not None and replica.current.state == "starting":
                self.fleet.dismiss(replica.current, now)
                replica.current = None
        self.rollout = Rollout(order, self.fleet, now)

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
            unproven = [
                replica_id
                for replica_id, replica in self.fleet.replicas.items()
                if not replica.proven
            ]
            replica_id = max(unproven, key=lambda replica_id: replica_id.kind == "worker")
            self._failed_boot(replica_id, why, detail, now)
        else:
            self.fleet.decide(Say("error", f"{why}; not reloaded, the old serve on", detail))

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
            replica_id = ReplicaId("worker", number, pool)
            if replica_id not in self.fleet.replicas:
                self.fleet.replicas[replica_id] = Replica(proven=self.phase == "serving")
                self.fleet.fill(replica_id, now)
            if self.rollout is not None:
                self.rollout.include(replica_id)
        for replica_id in [p for p in self.fleet.replicas if p.pool == pool and p.number > workers]:
            self.fleet.retire(replica_id, now, "one worker fewer is asked for")
            if self.rollout is not None:
                self.rollout.forget(replica_id)
        self._serving_if_proven()

    # Stop.

    def _stop(self, now: float, *, at_once: bool) -> None:
        if self.phase in ("idle", "ended"):
            return
        if self.phase != "stopping":
            self._begin_to_stop()
            if not at_once:
                self._shutdown.begin(now)
        if at_once:
            self.fleet.decide(Say("warning", "Stopping at once"))
            self._shutdown.hurry(now)

    def _begin_to_stop(self) -> None:
        if self.rollout is not None:
            generation, self.rollout = self.rollout.generation, None
            why = "Propylon stops"
            self.fleet.decide(ReloadEnded(generation, committed=False, why=why, overtaken=True))
        self.phase = "stopping"

    def _stop_further(self, now: float) -> None:
        if self._shutdown.go_on(now):
            self.phase = "ended"
            self.fleet.decide(Finish(self._code))
