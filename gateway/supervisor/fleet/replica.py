"""What the children table keeps: processes, and the replicas that they hold. Pure."""

from dataclasses import dataclass, field
from typing import Literal

from .backoff import Backoff
from .events import ReplicaId


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSettings:
    startup_timeout: float = 60.0
    graceful_timeout: float = 30.0
    heartbeat_timeout: float = 30.0
    """Seconds of silence after which a worker is taken for hung; 0: never."""
    failed_boot: Literal["exit", "wait"] = "exit"
    """wait: for the next Reload, as suits development."""


@dataclass(slots=True, eq=False)
class Process:
    id: int
    replica_id: ReplicaId
    generation: int
    since: float
    """When it was spawned; from Ready on, when it was ready."""
    deadline: float | None
    """When it must be ready, and linked if it replaces somebody; stopping, when it is killed."""
    state: Literal["starting", "ready", "stopping"] = "starting"
    served: bool = False
    """Has been ready."""
    killed: bool = False
    pid: int = 0
    why: str = ""
    """Why it stops, or is about to be succeeded."""
    wish: str = ""
    """Why it would be replaced; it says so once, perhaps before it holds a replica."""

    def __str__(self) -> str:
        return self.replica_id.called(f"pid {self.pid}" if self.pid else "")


@dataclass(slots=True)
class Replica:
    current: Process | None = None
    replacement: Process | None = None
    """Takes over when it is ready and linked, if its rollout lets it."""
    proven: bool = False
    """A child of this replica has been ready."""
    backoff: Backoff = field(default_factory=Backoff)
    retry_at: float | None = None
    """When the empty replica is filled, or its current's succession tried again."""
    due: str = ""
    """Why the current is to be succeeded, outside of a rollout."""
    urgent: bool = False
    """Its current is hung: it is succeeded without regard to others."""
