"""What the fleet is told, and the commands that it answers with. Plain values, no I/O.

`child` is the number of a process: the supervisor gives it before there is a pid, and never
twice.
"""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, order=True)
class ReplicaId:
    """What a replica is called: one process that there shall be, whichever it is now."""

    kind: Literal["gateway", "worker"]
    number: int
    pool: str = ""
    """Of a worker."""

    def __str__(self) -> str:
        return self.called("")

    def called(self, detail: str) -> str:
        """ "worker 1 (pid 17) of pool default", with what goes into the brackets."""
        inserted = f" ({detail})" if detail else ""
        of_pool = f" of pool {self.pool}" if self.pool else ""
        return f"{self.kind} {self.number}{inserted}{of_pool}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    startup_timeout: float = 60.0
    graceful_timeout: float = 30.0
    heartbeat_timeout: float = 30.0
    """Seconds of silence after which a process is taken for hung; 0: never."""
    failed_boot: Literal["exit", "wait"] = "exit"
    """wait: for the next Reload, as suits development."""


# What it is told.


@dataclass(frozen=True, slots=True)
class Start:
    """Start every process."""


@dataclass(frozen=True, slots=True)
class Spawned:
    child: int
    pid: int


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker's app has started; a gateway accepts."""

    child: int


@dataclass(frozen=True, slots=True)
class NotReady:
    """The child says why it cannot do its work; it is about to exit."""

    child: int
    error: str
    detail: str = ""
    """A traceback of the app, or ""."""


@dataclass(frozen=True, slots=True)
class Exited:
    child: int
    how: str
    """`exited with code 1`, `was killed by SIGKILL`."""
    hint: str = ""
    clean: bool = False
    """Code 0: somebody has asked it to end."""


@dataclass(frozen=True, slots=True)
class Linked:
    """Which workers of a pool a gateway is linked to and may use: all of them."""

    gateway: int
    pool: str
    workers: frozenset[int]
    """Children; workers of other supervisors are none of ours."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A gateway's count of what a worker has answered on their link."""

    gateway: int
    worker: int
    answers: int
    errors: int
    """Answers of 5xx, which are among `answers`."""


@dataclass(frozen=True, slots=True)
class Alive:
    """A worker's heartbeat, from the event loop that runs its app."""

    child: int
    stuck: int = 0
    """Calls that nobody waits for and that cannot be ended."""


@dataclass(frozen=True, slots=True)
class Draining:
    """A gateway accepts no more and finishes what it has; it keeps its workers until then."""

    child: int


@dataclass(frozen=True, slots=True)
class Recycle:
    """A worker would be replaced: it has served enough, grown too large or too old."""

    child: int
    why: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollOut:
    """A new generation: replace what is there, each when its replacement is proven."""

    generation: int
    replicas: frozenset[ReplicaId]
    """All that there shall be from now on, replaced or not."""
    replaced: frozenset[Literal["gateway", "worker"]] = frozenset({"worker"})
    """The kinds of process that are of the new generation."""
    at_once: bool = False
    """All of them together, not one at a time behind a canary."""
    observe: float = 0.0
    """Seconds that the first replacements serve before anything else is replaced."""
    reverts: bool = False
    """Whether a worker that is started as one of the old generation really is one: what has changed
    is the configuration, and not only the code on disk."""


@dataclass(frozen=True, slots=True)
class Configure:
    """From now on these settings hold."""

    settings: FleetSettings


@dataclass(frozen=True, slots=True)
class ScalePool:
    """So many workers of a pool."""

    pool: str
    workers: int


@dataclass(frozen=True, slots=True)
class StopAll:
    """Finish what is under way, then end; with `now`, at first or later: at once."""

    now: bool = False


FleetEvent = (
    Start | Spawned | Ready | NotReady | Exited | Linked | Answered | Alive | Draining | Recycle
    | Tick | Configure | RollOut | ScalePool | StopAll
)  # fmt: skip


# What is to be done.


@dataclass(frozen=True, slots=True)
class Spawn:
    child: int
    replica_id: ReplicaId
    generation: int
    replaces: bool = False
    """Whether the replica has another process meanwhile."""


@dataclass(frozen=True, slots=True)
class DrainProcess:
    """Finish what you have, then exit. By SIGTERM."""

    child: int


@dataclass(frozen=True, slots=True)
class StopNow:
    """Exit at once. Said on the channel, since SIGTERMs may come from anybody."""

    child: int


@dataclass(frozen=True, slots=True)
class ShowStacks:
    """SIGQUIT: the stacks of all its threads, to the log."""

    child: int


@dataclass(frozen=True, slots=True)
class Kill:
    """By SIGKILL: its time is over."""

    child: int


@dataclass(frozen=True, slots=True)
class Say:
    """A line for the log."""

    level: Literal["info", "warning", "error"]
    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ReloadEnded:
    """A rollout was committed, or it was aborted and the generation before serves on."""

    generation: int
    committed: bool
    why: str = ""
    detail: str = ""
    overtaken: bool = False
    """Aborted for a later order, and not because anything is wrong with it."""
    done: int = field(default=0, compare=False)
    """Processes that had been replaced by then, of so many:"""
    of: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Finish:
    """Every child has ended."""

    code: int


FleetCommand = Spawn | DrainProcess | StopNow | ShowStacks | Kill | Say | ReloadEnded | Finish


# What is handed over in an upgrade.


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """A process as newer code of this supervisor has to know it."""

    id: int
    replica_id: ReplicaId
    generation: int
    state: Literal["starting", "ready", "stopping"]
    role: Literal["current", "replacement", "leaving"]
    since: float
    """When it was spawned, or ready."""
    deadline: float | None
    pid: int
    why: str
    """Why it leaves."""
    recycle_why: str
    """Why it asks to be replaced."""
