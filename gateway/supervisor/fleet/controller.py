"""The controller: it is told what has happened and what is wanted, and answers with commands. Pure.

One controller per supervisor. It keeps the phase, hands each event to the replica or the policy
that it concerns, and then looks whether time or the news have made anything due:

    idle --Start--> starting --all have been ready once--> serving --StopAll--> stopping --> ended
                        |                                                          ^
                        +-- a first start fails: what cannot boot is not retried --+

A rollout and the shutdown are policies: they tell replicas what to do. Outside of a rollout,
replicas that want another process (their own has served its time, or hangs) have it in turn.
Recycling is never urgent, and an app that answers slowly while it shuts down must not cost more
than one worker at a time. So the next waits until no other process is being replaced or finishes. A
process that hangs serves no request, and is replaced without waiting.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from .events import (
    Alive,
    Answered,
    Configure,
    Draining,
    Exited,
    Finish,
    FleetCommand,
    FleetEvent,
    FleetSettings,
    Linked,
    NotReady,
    ProcessRecord,
    Ready,
    Recycle,
    ReplicaId,
    RollOut,
    ScalePool,
    Spawned,
    Start,
    StopAll,
    Tick,
)
from .replica import Fleet, Setback
from .rollout import Rollout
from .shutdown import Shutdown

EXIT_NOT_STARTED: Final = 1
EXIT_NOT_READY: Final = 3
"""The exit code if the app cannot be served; a worker exits with the same code."""

Phase = Literal["idle", "starting", "serving", "stopping", "ended"]


class FleetController:
    """The controller of one fleet. It has to be told every event, and its commands have to be
    carried out in order."""

    def __init__(
        self, settings: FleetSettings, replica_ids: Iterable[ReplicaId], first_id: int = 1
    ) -> None:
        self.fleet = Fleet(settings, replica_ids, first_id)
        self.phase: Phase = "idle"
        self.rollout: Rollout | None = None
        self._shutdown = Shutdown(self.fleet)
        self._awaits_code = False
        """Whether the app could not boot and the next rollout is awaited (--reload)."""
        self._code = 0

    # -- asked ---------------------------------------------------------------------------------

    @property
    def stops(self) -> bool:
        return self.phase in ("stopping", "ended")

    @property
    def next_tick(self) -> float | None:
        """When time alone will change something."""
        times = [process.deadline for process in self.fleet.processes.values()]
        if self.phase in ("starting", "serving"):
            times += [replica.retry_at for replica in self.fleet.replicas.values()]
            times.append(self.fleet.context.heartbeats.next_look)
            times.append(self.rollout.look_at if self.rollout else None)
        times.append(self._shutdown.stop_now_at)
        return min((time for time in times if time is not None), default=None)

    @property
    def stop_now_at(self) -> float | None:
        """When the time of a stop is over; None if there is no stop, or its time is over."""
        return self._shutdown.stop_now_at

    @property
    def generations(self) -> set[int]:
        """Generations of which further processes may be started."""
        rollout = self.rollout
        return {self.fleet.generation} | ({rollout.generation} if rollout else set[int]())

    # -- told ----------------------------------------------------------------------------------

    def tell(self, event: FleetEvent, now: float) -> list[FleetCommand]:
        match event:
            case Start():
                self.phase = "starting"
                for replica in self.fleet.replicas.values():
                    replica.fill(self.fleet.generation, now)
            case Tick():
                for process in self.fleet.late(now):
                    linked = self.fleet.is_linked(process)
                    self._suffer(process.replica.late(process, now, linked=linked), now)
                if self._shutdown.is_over(now):
                    self._shutdown.stop_now(now, "gateway")
            case Configure(settings):
                self.fleet.configure(settings)
            case RollOut():
                self._roll_out(event, now)
            case ScalePool(pool, workers):
                self._scale(pool, workers, now)
            case StopAll(at_once):
                self._stop(now, at_once=at_once)
            case Linked(gateway, pool, workers):
                self.fleet.linked(gateway, pool, workers)
            case Answered(gateway, worker, answers, errors):
                self.fleet.answered(gateway, worker, answers, errors)
            case _:
                self._tell_replica(event, now)
        if self.phase in ("starting", "serving"):
            self._look(now)
        elif self.phase == "stopping" and self._shutdown.advance(now):
            self.phase = "ended"
            self.fleet.context.command(Finish(self._code))
        return self.fleet.context.take_commands()

    def restore(
        self,
        generation: int,
        records: Iterable[ProcessRecord],
        links: Mapping[int, Mapping[str, Iterable[int]]],
        now: float,
    ) -> None:
        """Restores the state from before an upgrade; the instance was serving."""
        self.fleet.restore(generation, records, links, now)
        self.phase = "serving"

    def _tell_replica(
        self,
        event: Spawned | Ready | NotReady | Exited | Alive | Draining | Recycle,
        now: float,
    ) -> None:
        process = self.fleet.processes.get(event.child)
        if process is None:  # it has ended
            return
        replica, setback = process.replica, None
        match event:
            case Spawned(_, pid):
                replica.spawned(process, pid)
            case Ready():
                replica.ready(process, now)
            case NotReady(_, error, detail):
                setback = replica.not_ready(process, error, detail, now)
            case Exited():
                setback = replica.exited(process, event, now)
                self.fleet.ended(process.id)
            case Alive(_, stuck):
                replica.alive(process, stuck, now)
            case Recycle(_, why, kind):
                replica.recycle(process, why, kind)
            case Draining():
                self._shutdown.gateway_drains(process.id)
        if setback is not None:
            self._suffer(setback, now)

    # -- what is due ---------------------------------------------------------------------------

    def _look(self, now: float) -> None:
        self._serve_if_proven()
        for number in self.fleet.context.heartbeats.overdue(now):
            process = self.fleet.processes[number]
            self._suffer(process.replica.silent(process, now), now)
        for replica in self.fleet.replicas.values():
            if replica.is_due(now):
                replica.fill(self.fleet.generation, now)
            if replica.promotes_itself and self.fleet.is_fit(replica):
                replica.promote(now)
        self._advance_rollout(now)
        self._replace_in_turn(now)

    def _replace_in_turn(self, now: float) -> None:
        busy = (
            self.rollout is not None
            or any(replica.replacement for replica in self.fleet.replicas.values())
            or any(self.fleet.finishing())
        )
        for replica in self.fleet.replicas.values():
            if not replica.wants_replacement(now):
                continue
            if busy and replica.wants != "repair":
                replica.wait_for_turn()
                continue
            replica.replace_in_turn(self.fleet.generation, now)
            busy = True

    # -- starting ------------------------------------------------------------------------------

    def _serve_if_proven(self) -> None:
        if self.phase == "starting" and self.fleet.all_proven:
            self.phase = "serving"

    def _suffer(self, setback: Setback | None, now: float) -> None:
        """Draws the consequences of a setback beyond its replica."""
        if setback is None:
            return
        if setback.first_start and self.phase == "starting":
            self._failed_boot(setback.replica_id, setback.why, setback.detail, now)
        elif self.rollout is not None and setback.generation == self.rollout.generation:
            self._abort(setback.why, setback.detail, now)

    def _failed_boot(self, replica_id: ReplicaId, why: str, detail: str, now: float) -> None:
        context, of_app = self.fleet.context, replica_id.kind == "worker"
        if of_app and context.settings.failed_boot == "wait":
            if not self._awaits_code:  # once, and not once for each worker
                context.say("error", f"{why}; waiting for a file to change", detail)
            self._awaits_code = True
            return
        context.say("error", why, detail)
        self._code = EXIT_NOT_READY if of_app else EXIT_NOT_STARTED
        self._begin_to_stop()
        self._shutdown.stop_now(now)  # nothing is worth finishing

    # -- a rollout -----------------------------------------------------------------------------

    def _roll_out(self, order: RollOut, now: float) -> None:
        if self.phase not in ("starting", "serving"):
            return
        self._end_rollout("overtaken by another reload", "", now, overtaken=True)
        self._awaits_code = False
        self.rollout = Rollout(order, self.fleet, now)

    def _advance_rollout(self, now: float) -> None:
        rollout = self.rollout
        if rollout is None:
            return
        if complaint := rollout.complaint():
            self._abort(complaint, "", now)
        elif rollout.advance(now):
            self.rollout = None
            rollout.commit(now)
            self._serve_if_proven()

    def _abort(self, why: str, detail: str, now: float) -> None:
        self._end_rollout(why, detail, now)
        if self.phase == "starting":  # no process has served yet
            unproven = [name for name, each in self.fleet.replicas.items() if not each.proven]
            replica_id = max(unproven, key=lambda name: name.kind == "worker")
            self._failed_boot(replica_id, why, detail, now)
        else:
            self.fleet.context.say("error", f"{why}; not reloaded, the old serve on", detail)

    def _end_rollout(self, why: str, detail: str, now: float, *, overtaken: bool = False) -> None:
        rollout, self.rollout = self.rollout, None
        if rollout is not None:
            rollout.abort(why, detail, now, overtaken=overtaken)
            self._serve_if_proven()

    # -- more and fewer ------------------------------------------------------------------------

    def _scale(self, pool: str, workers: int, now: float) -> None:
        if self.phase not in ("starting", "serving"):
            return
        for number in range(1, workers + 1):
            replica_id = ReplicaId("worker", number, pool)
            if replica_id not in self.fleet.replicas:
                replica = self.fleet.add(replica_id, proven=self.phase == "serving")
                replica.fill(self.fleet.generation, now)
            if self.rollout is not None:
                self.rollout.include(replica_id)
        for replica_id in [p for p in self.fleet.replicas if p.pool == pool and p.number > workers]:
            self.fleet.remove(replica_id, now, "one worker fewer is asked for")
            if self.rollout is not None:
                self.rollout.exclude(replica_id)

    # -- a stop --------------------------------------------------------------------------------

    def _stop(self, now: float, *, at_once: bool) -> None:
        if self.phase in ("idle", "ended"):
            return
        waits = self.phase != "stopping" or self._shutdown.stop_now_at is not None
        if self.phase != "stopping":
            self._begin_to_stop()
            if not at_once:
                self._shutdown.begin(now)
        if at_once:
            if waits:
                self.fleet.context.say("warning", "Stopping at once")
            self._shutdown.stop_now(now)

    def _begin_to_stop(self) -> None:
        rollout, self.rollout = self.rollout, None
        if rollout is not None:
            rollout.drop("Propylon stops")
        self.phase = "stopping"
