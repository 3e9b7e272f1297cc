"""Fleet events, which the controller is told, and fleet commands, which it answers with. They are
plain values.

`child` is the number of a process. The supervisor gives it before there is a pid, and never twice.
"""

from dataclasses import dataclass, field
from typing import Literal, cast, get_args

ExitKind = Literal["crash", "killed", "oom", "exited"]
"""How a process has ended that was not asked to: by a code or a signal that means a fault; by
SIGKILL; by the SIGKILL of a kernel that says that memory was short; or with code 0."""
RecycleKind = Literal["max_requests", "memory", "lifetime", "asked"]
"""Why a worker would be replaced; `asked` if its version does not say."""


def read_recycle_kind(word: str) -> RecycleKind:
    """Reads the word of a worker, or of a supervisor, of another version."""
    return cast("RecycleKind", word) if word in get_args(RecycleKind) else "asked"


@dataclass(frozen=True, slots=True, order=True)
class ReplicaId:
    """The name of a replica: one process that there shall be, whichever process it is now."""

    kind: Literal["gateway", "worker"]
    number: int
    pool: str = ""
    """The pool of a worker; "" for a gateway."""

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
    """Seconds of silence after which a process hangs; 0 means never."""
    failed_boot: Literal["exit", "wait"] = "exit"
    """What a first start that fails means: the end of everything, or a wait for the next rollout
    (--reload)."""


# Events.


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
    """Whether it exited with code 0, because it was asked to end."""
    kind: ExitKind = "crash"


@dataclass(frozen=True, slots=True)
class Linked:
    """Which workers of a pool a gateway is linked to and may use: all of them."""

    gateway: int
    pool: str
    workers: frozenset[int]
    """Numbers of our own workers; those of other supervisors are left out."""


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
    """How many abandoned calls are stuck."""


@dataclass(frozen=True, slots=True)
class Draining:
    """A gateway accepts no more and finishes what it has; it keeps its workers until then."""

    child: int


@dataclass(frozen=True, slots=True)
class Recycle:
    """A worker asks to be replaced: it has served enough, or grown too large or too old."""

    child: int
    why: str
    kind: RecycleKind = "asked"


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollOut:
    """Begins a new generation: each process is replaced when its replacement is proven."""

    generation: int
    replicas: frozenset[ReplicaId]
    """All replicas that there shall be from now on, whether they are replaced or not."""
    replaced: frozenset[Literal["gateway", "worker"]] = frozenset({"worker"})
    """The kinds of process that are of the new generation."""
    at_once: bool = False
    """Whether all are replaced together, and not one at a time behind a canary."""
    observe: float = 0.0
    """Seconds that the first replacements serve before anything else is replaced."""
    reverts: bool = False
    """Whether a worker that is started in the old generation really has its code: the configuration
    has changed, and not only the code on disk."""


@dataclass(frozen=True, slots=True)
class Configure:
    """Sets the settings of the fleet from now on."""

    settings: FleetSettings


@dataclass(frozen=True, slots=True)
class ScalePool:
    """Sets the number of a pool's workers."""

    pool: str
    workers: int


@dataclass(frozen=True, slots=True)
class StopAll:
    """Ends everything: what is under way is finished first, unless `now` comes with it or later."""

    now: bool = False


FleetEvent = (
    Start | Spawned | Ready | NotReady | Exited | Linked | Answered | Alive | Draining | Recycle
    | Tick | Configure | RollOut | ScalePool | StopAll
)  # fmt: skip


# Commands.


@dataclass(frozen=True, slots=True)
class Spawn:
    child: int
    replica_id: ReplicaId
    generation: int
    replaces: bool = False
    """Whether the replica has another process meanwhile."""


@dataclass(frozen=True, slots=True)
class DrainProcess:
    """Have the process finish what it has, and exit: SIGTERM."""

    child: int


@dataclass(frozen=True, slots=True)
class StopNow:
    """Have the process exit at once. It is an order on the channel, since a SIGTERM may come from
    any sender."""

    child: int


@dataclass(frozen=True, slots=True)
class ShowStacks:
    """Have the process write the stacks of all its threads to the log: SIGQUIT."""

    child: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill the process, whose deadline has passed: SIGKILL."""

    child: int


@dataclass(frozen=True, slots=True)
class Say:
    """Write a line to the log."""

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
    """Whether it was aborted for a later order, and not because anything is wrong with it."""
    done: int = field(default=0, compare=False)
    """Processes that had been replaced by then, of the `of` that were to be."""
    of: int = field(default=0, compare=False)
    since: float = field(default=0.0, compare=False)
    """When it was ordered."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Every child has ended."""

    code: int


FleetCommand = Spawn | DrainProcess | StopNow | ShowStacks | Kill | Say | ReloadEnded | Finish


# The record of an upgrade.


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """Facts about a process that an upgrade hands over."""

    id: int
    replica_id: ReplicaId
    generation: int
    state: Literal["starting", "ready", "stopping"]
    role: Literal["current", "replacement", "leaving"]
    since: float
    """When it was spawned, or since when it is ready."""
    deadline: float | None
    pid: int
    why: str
    """Why it leaves."""
    recycle_why: str
    """Why it asks to be replaced."""
    recycle_kind: RecycleKind = "asked"
