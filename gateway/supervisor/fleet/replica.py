"""A replica is a process that there shall be: it, its processes, and the fleet of all. Pure.

The problem
===========

"worker 2 of pool web" is a name that stays; the processes behind it come and go. The plain way
would be to keep one process for each name, and its state. It fails at the first reload: capacity
must not fall, so the new process has to be ready *before* the old one is asked to leave, and for
a while the name has two. The old one may then need half a minute to finish a download. A crash of
the new one, or another reload, comes in the middle of that, and the name has three.

What happens to one of them means something else for each. A worker that dies while it serves
leaves a gap that is filled at once. One that dies before it was ready is a failed start: to try
again at once would only fail again. If it was to replace another one, nothing is missing: the other
serves on. And one that was asked to leave has done what it should. Besides, they are processes:
nothing can be relied on. Each may die at any moment, and its reports may be late: "I am ready" from
one that has just been told to go was on its way already.

So one word, its *stage*, says both what a process is to its replica and how far it has come. Events
come in any order, and there are too many pairs of a stage and an event to get right in scattered
conditions. Hence the table below, which has every one.

    fill                                     replace
      |                                         |
      v                promote                  v
    starting <-------------------------------- joining
      | ready                                   | ready
      v                promote                  v
    serving  <-------------------------------- standby
      |                                         |
      +------------------+----------------------+
                         | drain; not ready; late; silent (where it is not serving)
                         v
                     draining ---- late ----> killed
                                                          any stage ---- exited ----> gone

The *current* process is the one that is starting or serving, the *replacement* the one that is
joining or standing by; there is at most one of each. All others are *leaving*: each is watched
until it has ended, and killed if that takes too long.

The events are of two kinds. What *happens* (a process says something, or ends, or its time is up)
may happen at any stage, so every stage has an entry: most often the same stage, which means "too
late, or of no concern now". An *order* comes from code of ours, and must fit: where the table has
no entry the order is a fault, and IllegalMove is raised. What changes no stage anywhere (a pid, a
heartbeat, the wish to be recycled) is not in the table.

Rules for reading and changing this file
========================================

1.  Everything that changes a process's stage, and with it what the replica has, is in this file.
    The fleet, a rollout and a shutdown ask, and give orders; they assign nothing.
2.  The table is the only place that knows which stage follows which. No method sets a stage.
3.  What cannot be decided here is returned as a Setback: whether a failed process ends a rollout,
    or a first start, is not for one replica to say.
4.  Nothing is done here: what is to be done is put among the fleet's commands.
"""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Literal

from ...control.durations import duration
from .backoff import Backoff
from .events import (
    DrainProcess,
    Exited,
    FleetCommand,
    FleetSettings,
    Kill,
    ProcessRecord,
    RecycleKind,
    ReplicaId,
    Say,
    ShowStacks,
    Spawn,
    StopNow,
)
from .heartbeats import Heartbeats
from .links import Links
from .turnover import Restart, Turnover

Stage = Literal["starting", "serving", "joining", "standby", "draining", "killed", "gone"]
Event = Literal[
    # what happens
    "ready", "not ready", "late", "silent", "exited",
    # orders
    "promote", "drain", "stop now",
]  # fmt: skip

MOVES: Final[dict[Stage, dict[Event, Stage]]] = {
    # The current process.
    "starting": {
        "ready": "serving",
        "not ready": "draining",
        "late": "draining",
        "silent": "starting",
        "exited": "gone",
        "drain": "draining",
        "stop now": "draining",
    },
    "serving": {
        "ready": "serving",
        "not ready": "serving",
        "late": "serving",
        "silent": "serving",  # until its replacement is ready: it may come round
        "exited": "gone",
        "drain": "draining",
        "stop now": "draining",
    },
    # The replacement.
    "joining": {
        "ready": "standby",
        "not ready": "draining",
        "late": "draining",
        "silent": "joining",
        "exited": "gone",
        "promote": "starting",  # whoever it was to replace has died
        "drain": "draining",
        "stop now": "draining",
    },
    "standby": {
        "ready": "standby",
        "not ready": "standby",
        "late": "draining",  # ready, but not linked to all that would use it
        "silent": "draining",
        "exited": "gone",
        "promote": "serving",
        "drain": "draining",
        "stop now": "draining",
    },
    # Those that leave.
    "draining": {
        "ready": "draining",
        "not ready": "draining",
        "late": "killed",
        "silent": "draining",
        "exited": "gone",
        "drain": "draining",
        "stop now": "draining",
    },
    "killed": {
        "ready": "killed",
        "not ready": "killed",
        "late": "killed",
        "silent": "killed",
        "exited": "gone",
        "drain": "killed",
        "stop now": "killed",
    },
    # It has ended, and is not heard of again.
    "gone": {},
}

Shown = Literal["starting", "ready", "stopping"]
SHOWN: Final[dict[Stage, Shown]] = {
    "starting": "starting",
    "joining": "starting",
    "serving": "ready",
    "standby": "ready",
    "draining": "stopping",
    "killed": "stopping",
    "gone": "stopping",
}
"""Stage -> what the operator reads, who sees both processes of a replica anyway."""

Wants = Literal["nothing", "recycling", "reverting", "repair"]
"""Why a current process is to be replaced outside of a rollout. Recycling waits for its turn;
reverting does too, and is tried once; repair, of a process that hangs, does not wait."""

GATEWAY_STARTUP: Final = 30.0
FAILED_GRACE: Final = 3.0
"""Seconds that a process which failed to start has to exit before it is killed."""
MARGIN: Final = 1.0
"""Seconds that gateways are given beyond the deadline that they keep themselves."""
APP_SHUTDOWN: Final = 12.0
"""The same for workers: an app's lifespan shutdown may take 10 seconds after its last call."""
HUNG_GRACE: Final = 3.0
"""Seconds that a hung worker has to recover and drain when its replacement serves."""
STOP_NOW_GRACE: Final = 1.5
"""Seconds from "stop now" to SIGKILL."""
REVERT: Final = "it is of a reload that was given up"
"""Why a worker is replaced that had been promoted already."""


class IllegalMove(Exception):
    """An order does not fit the process's stage: a fault of the code that gave it."""


@dataclass(frozen=True, slots=True)
class Setback:
    """A process has failed, and its replica alone cannot say what follows from that."""

    replica_id: ReplicaId
    generation: int
    """The process's generation. A rollout of the same generation ends here."""
    why: str
    detail: str = ""
    first_start: bool = False
    """Whether no process of the replica has ever been ready; then the start is not retried."""


class Process:
    """One process, from the order to spawn it to its end. Its replica alone may change it."""

    __slots__ = (
        "deadline", "generation", "held", "id", "pid", "recycle_kind", "recycle_why", "replica",
        "served", "since", "stage", "why",
    )  # fmt: skip

    def __init__(
        self, replica: "Replica", number: int, generation: int, stage: Stage, now: float
    ) -> None:
        self.id = number
        self.replica = replica
        self.generation = generation
        self.stage: Stage = stage
        self.since = now
        """When it was spawned; as soon as it is ready, since when it is."""
        self.deadline: float | None = None
        """When it must be ready, and linked if it is a replacement; if it leaves, when it is
        killed."""
        self.held = False
        """Whether a rollout has started it as a replacement, and alone decides about it."""
        self.served = False
        """Whether it has been ready."""
        self.pid = 0
        self.why = ""
        """Why it leaves."""
        self.recycle_why = ""
        """Why it asks to be replaced. It asks once, perhaps while it still stands by."""
        self.recycle_kind: RecycleKind = "asked"

    def __str__(self) -> str:
        return self.replica_id.called(f"pid {self.pid}" if self.pid else "")

    @property
    def replica_id(self) -> ReplicaId:
        return self.replica.id

    @property
    def state(self) -> Shown:
        """The state as an operator reads it."""
        return SHOWN[self.stage]

    def restore(self, record: ProcessRecord) -> None:
        """Restores what an upgrade has handed over."""
        self.since, self.deadline, self.pid = record.since, record.deadline, record.pid
        self.why, self.recycle_why = record.why, record.recycle_why
        self.recycle_kind = record.recycle_kind
        self.served = record.state == "ready"

    def spawned(self, pid: int) -> None:
        self.pid = pid

    def hold(self) -> None:
        self.held = True

    def move(self, event: Event) -> bool:
        """Whether that made a change. Raises IllegalMove."""
        stage = MOVES[self.stage].get(event)
        if stage is None:
            raise IllegalMove(f"{self} is {self.stage}: {event}")
        changed, self.stage = stage != self.stage, stage
        return changed

    def has_until(self, deadline: float | None) -> None:
        self.deadline = deadline

    def was_ready(self, now: float) -> None:
        self.since, self.served = now, True

    def leaves(self, deadline: float | None, why: str) -> None:
        self.deadline, self.why = deadline, why or self.why

    def wants_recycling(self, why: str, kind: RecycleKind) -> None:
        self.recycle_why, self.recycle_kind = why, kind


class FleetContext:
    """State that all replicas of a fleet share: the processes by number, and the commands that wait
    to be carried out."""

    def __init__(self, settings: FleetSettings, first_id: int) -> None:
        self.settings = settings
        self.heartbeats = Heartbeats(settings.heartbeat_timeout)
        self.processes: dict[int, Process] = {}
        """Number -> process, for all that have not ended, in the order in which they were
        spawned."""
        self.next_id = first_id
        self.turnover = Turnover()
        self._commands: list[FleetCommand] = []

    def configure(self, settings: FleetSettings) -> None:
        self.settings = settings
        self.heartbeats.configure(settings.heartbeat_timeout)

    def command(self, command: FleetCommand) -> None:
        self._commands.append(command)

    def say(self, level: Literal["info", "warning", "error"], text: str, detail: str = "") -> None:
        self._commands.append(Say(level, text, detail))

    def take_commands(self) -> list[FleetCommand]:
        commands, self._commands = self._commands, []
        return commands

    def add(self, process: Process) -> None:
        self.processes[process.id] = process
        self.next_id = max(self.next_id, process.id + 1)

    def ended(self, process: Process) -> None:
        del self.processes[process.id]
        self.heartbeats.gone(process.id)


class Replica:
    def __init__(self, replica_id: ReplicaId, context: FleetContext, *, proven: bool) -> None:
        self.id = replica_id
        self.current: Process | None = None
        self.replacement: Process | None = None
        """The process that is promoted when it is ready and linked, or if a rollout holds it, when
        the rollout says so."""
        self.leaving: list[Process] = []
        self.proven = proven
        """Whether a process of this replica has been ready."""
        self.retry_at: float | None = None
        """When a missing process is started, or a failed replacement is tried again."""
        self.wants: Wants = "nothing"
        self.wants_why = ""
        self._backoff = Backoff()
        self._ends = False
        """Whether no further process is started."""
        self._context = context

    # -- asked ---------------------------------------------------------------------------------

    def role(self, process: Process) -> Literal["current", "replacement", "leaving"]:
        if process is self.current:
            return "current"
        return "replacement" if process is self.replacement else "leaving"

    def is_due(self, now: float) -> bool:
        """Whether a missing process is to be started now."""
        if self.current is not None or self.retry_at is None or self._ends:
            return False
        return now >= self.retry_at

    @property
    def promotes_itself(self) -> bool:
        """Whether the replacement is promoted as soon as it is fit."""
        replacement = self.replacement
        return replacement is not None and not replacement.held and not self._ends

    def wants_replacement(self, now: float) -> bool:
        """Whether the current process is to be replaced now, if it is its turn."""
        if self.wants == "nothing" or self.current is None or self.replacement is not None:
            return False
        if self._ends:
            return False
        return self.retry_at is None or now >= self.retry_at

    # -- orders --------------------------------------------------------------------------------

    def fill(self, generation: int, now: float) -> None:
        """Starts the current process. Raises IllegalMove if there is one."""
        if self.current is not None:
            raise IllegalMove(f"{self.current} is {self.current.stage}: fill")
        self._spawn("starting", generation, now)

    def replace(self, generation: int, now: float, *, held: bool = False) -> None:
        """Starts a replacement, whether there is a current process or not. A replacement that was
        started before leaves. `held` says that a rollout promotes it."""
        if self.replacement is not None:
            self._drain(self.replacement, now)
        process = self._spawn("joining", generation, now)
        if held:
            process.hold()

    def replace_in_turn(self, generation: int, now: float) -> None:
        """Starts the replacement that the replica wants."""
        self._context.say("info", f"{self.current} is replaced: {self.wants_why}")
        self.replace(generation, now)

    def wait_for_turn(self) -> None:
        """Notes that the time to try again has come, and that other replicas come first."""
        self.retry_at = None

    def promote(self, now: float) -> Process | None:
        """Makes the replacement the current process. Returns the process that leaves for it, if
        there was one. Raises IllegalMove."""
        leaver = self.current
        if leaver is not None:
            self._count_replaced(leaver)
            self._drain(leaver, now, self.wants_why or "replaced")
        self._promote()
        self.retry_at = None
        self._backoff = Backoff()
        return leaver

    def remove(self, now: float, why: str) -> None:
        """The replica is not wanted any more."""
        for process in (self.current, self.replacement):
            if process is not None:
                self._drain(process, now, why)

    def end(self) -> None:
        """Starts no further process: everything is about to end."""
        self._ends = True

    def drain(self, process: Process, deadline: float | None) -> None:
        """Has a process finish what it has and exit, by the deadline if there is one."""
        self._leave(process, "drain", deadline)

    def stop_now(self, process: Process, now: float) -> None:
        """Has a process exit at once."""
        if process.stage == "killed":
            return
        self._leave(process, "stop now", None)
        process.has_until(now + STOP_NOW_GRACE)
        self._context.command(StopNow(process.id))

    # -- orders of a rollout -------------------------------------------------------------------

    def prepare(self, now: float, *, replaced: bool) -> None:
        """Prepares for a rollout: earlier failures count no more. If this replica is one of the
        `replaced`, a process that is still starting with the old code drains."""
        self._backoff = Backoff()
        if replaced and self.current is not None and self.current.stage == "starting":
            self._drain(self.current, now)

    def call_off(self, generation: int, now: float, why: str, *, reverts: bool) -> None:
        """Undoes a rollout of `generation` that is aborted: what is new drains, what is old stays.
        If it `reverts`, a process that was promoted already is replaced too."""
        if self.replacement is not None and self.replacement.held:
            self._drain(self.replacement, now, why)
        if self.current is None:
            if self.retry_at is None and self.proven:
                self.retry_at = now + self._backoff.after_failed_start()
        elif self.current.generation == generation and reverts and self.wants == "nothing":
            self._want("reverting", REVERT)

    # -- what happens --------------------------------------------------------------------------

    def spawned(self, process: Process, pid: int) -> None:
        process.spawned(pid)

    def ready(self, process: Process, now: float) -> None:
        if not self._move(process, "ready"):
            return
        process.was_ready(now)
        self.proven = True
        if process.stage == "serving":
            process.has_until(None)  # a replacement's start includes being linked
        if self.id.kind == "worker":
            self._context.heartbeats.heard(process.id, now)

    def not_ready(self, process: Process, error: str, detail: str, now: float) -> Setback | None:
        """Notes that a process cannot do its work and is about to exit. `error` and `detail` are
        its words."""
        role = self.role(process)
        if not self._leave(process, "not ready", now + FAILED_GRACE):
            return None
        return self._start_failed(process, role, f"{self.id} could not start: {error}", now, detail)

    def exited(self, process: Process, message: Exited, now: float) -> Setback | None:
        was, role, lived = process.state, self.role(process), now - process.since
        self._move(process, "exited")
        self._context.ended(process)
        hint = f" ({message.hint})" if message.hint else ""
        if was == "stopping":
            if message.kind == "oom":  # it has lost calls that it was to finish
                self._context.say("error", f"{process} {message.how} while stopping{hint}")
            return None
        if self._ends:
            self._context.say("warning", f"{process} {message.how} while stopping{hint}")
            return None
        if was == "starting":
            when = "" if message.how.startswith("could not") else " before it was ready"
            return self._start_failed(process, role, f"{process} {message.how}{when}{hint}", now)
        how = f"{process} {message.how} after {duration(lived)}{hint}"
        self._count_restart(process, role, message.kind)
        if role == "replacement":
            return self._replacement_failed(process, how, now)
        self._close_the_gap(how, lived, now, clean=message.clean)
        return Setback(self.id, process.generation, how)

    def alive(self, process: Process, stuck: int, now: float) -> None:
        """Notes a heartbeat. `stuck` counts abandoned calls that cannot be ended."""
        if process.state != "ready":
            return
        if self._context.heartbeats.heard(process.id, now):
            self._context.say("info", f"{process} answers again")
        if stuck and self.wants == "nothing" and process is self.current:
            calls = "a call is" if stuck == 1 else f"{stuck} calls are"
            self._repair(process, f"{calls} stuck in the app that nobody waits for", "stuck")

    def recycle(self, process: Process, why: str, kind: RecycleKind) -> None:
        """Notes that a process has served its time."""
        if process.state != "ready":
            return
        process.wants_recycling(why, kind)
        if process is self.current and self.wants == "nothing":
            self._want("recycling", why)

    def silent(self, process: Process, now: float) -> Setback | None:
        """Notes that a process was silent for longer than the heartbeat timeout."""
        limit = duration(self._context.heartbeats.timeout)
        why = f"{process} hangs: no sign of life for {limit}"
        if process.stage == "serving":
            self._repair(process, f"it hangs, no sign of life for {limit}", "hung")
            return Setback(self.id, process.generation, why)
        if process.stage != "standby":
            return None
        self._context.command(ShowStacks(process.id))
        self._count_restart(process, "replacement", "hung")
        self._leave(process, "silent", now + HUNG_GRACE, "it hangs")
        return self._replacement_failed(process, why, now)

    def late(self, process: Process, now: float, *, linked: bool) -> Setback | None:
        """Notes that the deadline of a process has passed. `linked` says whether all that should
        use it are linked to it."""
        if process.stage == "draining":
            self._kill(process)
            return None
        if process.stage == "standby" and linked:
            process.has_until(None)  # it waits for other processes, and one of those is late
            return None
        limit = duration(self._startup_timeout)
        why = f"{process} was not linked to all that use it within {limit}"
        if process.state == "starting":
            why = f"{process} was not ready within {limit} (--startup-timeout)"
        role = self.role(process)
        if not self._leave(process, "late", now + FAILED_GRACE):
            process.has_until(None)
            return None
        return self._start_failed(process, role, why, now)

    # -- an upgrade ----------------------------------------------------------------------------

    def restore(self, record: ProcessRecord, now: float) -> None:
        """Takes over a process from the supervisor's older code."""
        stages: dict[tuple[str, str], Stage] = {
            ("current", "starting"): "starting",
            ("current", "ready"): "serving",
            ("replacement", "starting"): "joining",
            ("replacement", "ready"): "standby",
        }
        stage = stages.get((record.role, record.state), "draining")
        process = Process(self, record.id, record.generation, stage, now)
        process.restore(record)
        self._context.add(process)
        self._place(process)
        if process is self.current and record.recycle_why:
            self._want("recycling", record.recycle_why)
        if process.state == "ready" and self.id.kind == "worker":
            self._context.heartbeats.heard(process.id, now)

    def resume(self, generation: int, now: float) -> None:
        """Goes on after an upgrade, when all processes are restored."""
        self.proven = True
        if self.current is None and self.replacement is None:
            self.fill(generation, now)

    # -- how it is done ------------------------------------------------------------------------

    @property
    def _startup_timeout(self) -> float:
        """Seconds that a start may take. The operator's limit is about the app and may be short, so
        a gateway has at least its own."""
        limit = self._context.settings.startup_timeout
        return max(GATEWAY_STARTUP, limit) if self.id.kind == "gateway" else limit

    def _spawn(self, stage: Stage, generation: int, now: float) -> Process:
        replaces, self.retry_at = self.current is not None, None
        process = Process(self, self._context.next_id, generation, stage, now)
        process.has_until(now + self._startup_timeout)
        self._context.add(process)
        self._place(process)
        self._context.command(Spawn(process.id, self.id, generation, replaces))
        return process

    def _move(self, process: Process, event: Event) -> bool:
        """Moves a process to its next stage and place. Returns whether it has changed. Raises
        IllegalMove."""
        role = self.role(process)
        if not process.move(event):
            return False
        if role == "current":
            self.current = None
        elif role == "replacement":
            self.replacement = None
        else:
            self.leaving.remove(process)
        self._place(process)
        return True

    def _place(self, process: Process) -> None:
        match process.stage:
            case "starting" | "serving":
                self.current = process
            case "joining" | "standby":
                self.replacement = process
            case "draining" | "killed":
                self.leaving.append(process)
            case "gone":
                pass

    def _promote(self) -> None:
        """Moves the replacement into the gap that the current process has left."""
        process = self.replacement
        if process is None:
            raise IllegalMove(f"{self.id} has no replacement: promote")
        self._move(process, "promote")
        if process.stage == "serving":
            process.has_until(None)
        self._want("recycling" if process.recycle_why else "nothing", process.recycle_why)

    def _drain(self, process: Process, now: float, why: str = "") -> None:
        """Drains a process, with the time that its stage may need."""
        grace = FAILED_GRACE
        if process.state == "ready":
            hung = self._context.heartbeats.hung(process.id)
            more = MARGIN if self.id.kind == "gateway" else APP_SHUTDOWN
            grace = HUNG_GRACE if hung else self._context.settings.graceful_timeout + more
        self._leave(process, "drain", now + grace, why)

    def _leave(self, process: Process, event: Event, deadline: float | None, why: str = "") -> bool:
        """Drains a process because of an event. Returns False if it was leaving already."""
        if not self._move(process, event):
            return False
        process.leaves(deadline, why)
        self._context.heartbeats.gone(process.id)
        self._context.command(DrainProcess(process.id))
        return True

    def _kill(self, process: Process) -> None:
        self._move(process, "late")
        process.has_until(None)
        why = f" ({process.why})" if process.why else ""
        self._context.say("warning", f"{process} did not stop in time{why}; killing it")
        self._context.command(Kill(process.id))

    def _start_failed(
        self, process: Process, role: str, why: str, now: float, detail: str = ""
    ) -> Setback | None:
        self._count_restart(process, role, "start_failed")
        if role == "replacement":
            return self._replacement_failed(process, why, now, detail)
        if not self.proven:
            return Setback(self.id, process.generation, why, detail, first_start=True)
        delay = self._backoff.after_failed_start()
        self.retry_at = now + delay
        self._context.say("error", f"{why}; trying again in {duration(delay)}", detail)
        return None

    def _replacement_failed(
        self, process: Process, why: str, now: float, detail: str = ""
    ) -> Setback | None:
        if process.held:
            return Setback(self.id, process.generation, why, detail)
        if self.wants == "reverting":
            self._want("nothing")
            self._context.say("error", f"{why}; {self.current} stays", detail)
            return None
        delay = self._backoff.after_failed_start()
        self.retry_at = now + delay
        stays = f"{self.current} stays, trying again in {duration(delay)}"
        self._context.say("error", f"{why}; {stays}", detail)
        return None

    def _close_the_gap(self, how: str, lived: float, now: float, *, clean: bool) -> None:
        """Fills the gap of a current process that has ended, now or later."""
        level = "info" if clean else "error"
        if self.promotes_itself:
            self._promote()
            self._context.say(level, f"{how}; its successor takes its place")
            return
        self._want("nothing")
        delay = self._backoff.after_exit(lived) if clean else self._backoff.after_crash(lived)
        when = f" in {duration(delay)}" if delay else ""
        self._context.say(level, f"{how}; starting another{when}")
        self.retry_at = now + delay

    def _repair(self, process: Process, why: str, reason: Literal["hung", "stuck"]) -> None:
        self._want("repair", why)
        self._count_restart(process, "current", reason)
        self._context.say("error", f"{process}: {why}; its stacks follow, and a successor")
        self._context.command(ShowStacks(process.id))

    def _want(self, what: Wants, why: str = "") -> None:
        self.wants, self.wants_why = what, why

    def _count_restart(self, process: Process, role: str, reason: Restart) -> None:
        """Counts a failure. That of a rollout's replacement aborts the rollout, and restarts
        nothing."""
        if role != "replacement" or not process.held:
            self._context.turnover.restarted(self.id, reason)

    def _count_replaced(self, leaver: Process) -> None:
        """Counts a process that leaves for its replacement. A repair was counted when it began."""
        held = self.replacement is not None and self.replacement.held
        if held or self.wants == "reverting":
            self._context.turnover.recycled(self.id, "reload")
        elif self.wants == "recycling":
            self._context.turnover.recycled(self.id, leaver.recycle_kind)


class Fleet:
    """All replicas, and the questions that concern several of them.

    Whether a worker may be *used* is a question about two processes: a gateway says which workers
    it is linked to, and a worker counts as linked when every gateway says so that should. "Should"
    has two exceptions. A gateway of an older generation never knows a pool that a reload has
    brought, and a gateway that hangs says nothing at all: neither is waited for.
    """

    def __init__(
        self, settings: FleetSettings, replica_ids: Iterable[ReplicaId], first_id: int = 1
    ) -> None:
        self.context = FleetContext(settings, first_id)
        self.replicas = {name: Replica(name, self.context, proven=False) for name in replica_ids}
        """The replicas that are wanted. Only its processes know a removed one, until they end."""
        self.links = Links()
        self.generation = 1
        """The generation of processes that are started outside of a rollout."""
        self._pools: dict[int, frozenset[str]] = {1: _pools_of(self.replicas)}
        """Generation -> the pools that its gateways know."""

    # -- asked ---------------------------------------------------------------------------------

    @property
    def processes(self) -> Mapping[int, Process]:
        """Number -> process, for all that have not ended, in the order of their spawning."""
        return self.context.processes

    @property
    def all_proven(self) -> bool:
        return all(replica.proven for replica in self.replicas.values())

    def late(self, now: float) -> Iterator[Process]:
        """The processes with a deadline that has passed, checked as each is yielded."""
        for process in list(self.processes.values()):
            if process.deadline is not None and now >= process.deadline:
                yield process

    def hung(self, process: Process) -> bool:
        return self.context.heartbeats.hung(process.id)

    def of_kind(self, kind: str) -> Iterator[Process]:
        return (one for one in self.processes.values() if one.replica_id.kind == kind)

    def ready(self, kind: str) -> Iterator[Process]:
        return (one for one in self.of_kind(kind) if one.state == "ready")

    def finishing(self) -> Iterator[Process]:
        """The workers that have served and are draining."""
        return (one for one in self.of_kind("worker") if one.served and one.state == "stopping")

    def is_fit(self, replica: Replica) -> bool:
        """Whether the replacement of a replica can be promoted."""
        process = replica.replacement
        return process is not None and process.state == "ready" and self.is_linked(process)

    def is_linked(self, process: Process) -> bool:
        """Whether all processes that should be linked to this one are."""
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
        """The numbers of the gateways that should be linked to a worker and are not."""
        return [gateway.replica_id.number for gateway in self._missing(worker)]

    def missing_links(self) -> int:
        """How many links between gateways and workers are missing."""
        return sum(len(self.unlinked(worker)) for worker in self.ready("worker"))

    def _missing(self, worker: Process) -> Iterator[Process]:
        for gateway in self._gateways(worker):
            if not self.links.linked(gateway.id, worker.id, worker.replica_id.pool):
                yield gateway

    def _gateways(self, worker: Process) -> Iterator[Process]:
        """The gateways that should be linked to a worker."""
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
        """Returns the replica of a name, which it adds if there is none."""
        if replica_id not in self.replicas:
            self.replicas[replica_id] = Replica(replica_id, self.context, proven=proven)
        return self.replicas[replica_id]

    def remove(self, replica_id: ReplicaId, now: float, why: str) -> None:
        self.replicas.pop(replica_id).remove(now, why)

    def expect(self, generation: int, replica_ids: Iterable[ReplicaId]) -> set[ReplicaId]:
        """Prepares for a rollout of `generation` with these replicas. Returns the new ones."""
        added = set(replica_ids) - self.replicas.keys()
        for replica_id in replica_ids:
            self.add(replica_id, proven=False)
        self._pools[generation] = _pools_of(replica_ids)
        return added

    def commit(self, generation: int, wanted: AbstractSet[ReplicaId], now: float) -> None:
        """Makes a generation the one of the fleet, and removes the replicas it does not want."""
        self.generation = generation
        for name in sorted(self.replicas.keys() - wanted):
            self.remove(name, now, "no longer asked for")

    def restore(
        self,
        generation: int,
        records: Iterable[ProcessRecord],
        links: Mapping[int, Mapping[str, Iterable[int]]],
        now: float,
    ) -> None:
        """Takes over what the supervisor's older code knew. `links` is gateway -> pool ->
        workers."""
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
