"""The messages on a channel between a supervisor and a child, each a plain value.

The package's page says who sends which, and who acts on it. A field without a default is needed: a
message that lacks it is not understood. Sizes are bytes, times seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Name = int | str | None
"""How a worker of another supervisor calls itself; None: it has not said."""


@dataclass(frozen=True, slots=True)
class LinkedWorker:
    """A worker that a gateway is linked to: as it introduced itself, and as it does."""

    id: Name = None
    """The supervisor's number for the process; a worker started by hand has none."""
    worker: Name = None
    """Its number in the pool."""
    pid: Name = None
    generation: Name = None
    ready: bool = False
    """Whether requests may go to it."""
    running: int = 0
    """Calls under way."""
    late: bool = False
    """Whether it has not answered a PING for a while."""
    answered: int = 0
    """Responses, ever; of which `errors` were of a status 5xx."""
    errors: int = 0


@dataclass(frozen=True, slots=True)
class WaitingCalls:
    """What a stop waits for at one worker, or in the queue."""

    worker: Name = None
    """None: the queue."""
    requests: int = 0
    """Without a response yet."""
    responses: int = 0
    """Under way."""
    websockets: int = 0


# -- reports of a gateway process ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listening:
    """The gateway accepts."""


@dataclass(frozen=True, slots=True)
class GatewayAlive:
    """The loop that serves has turned."""


@dataclass(frozen=True, slots=True)
class PoolWorkers:
    """All workers of a pool that the gateway is linked to."""

    pool: str
    workers: tuple[LinkedWorker, ...]


@dataclass(frozen=True, slots=True)
class GatewayDraining:
    """The gateway accepts no more and finishes what it has."""


@dataclass(frozen=True, slots=True)
class StopWaits:
    """What a draining gateway still has."""

    connections: int = 0
    calls: Mapping[str, tuple[WaitingCalls, ...]] = field(
        default_factory=dict[str, tuple[WaitingCalls, ...]]
    )
    """By pool."""


@dataclass(frozen=True, slots=True)
class GatewayFailed:
    """The gateway could not start."""

    error: str


# -- reports of a worker ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """The app has started."""

    pid: int = 0
    app: str = ""
    """As it was found: module:attribute."""
    interface: str = ""
    loop: str = ""
    """The event loop; "" in a WSGI worker."""


@dataclass(frozen=True, slots=True)
class WorkerFailed:
    """The app could not be loaded, or could not start."""

    error: str
    """A sentence."""
    step: str = ""
    """What was being done."""
    detail: str = ""
    """The app's traceback, or ""."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the worker does."""

    rss: int = 0
    """Resident memory; 0: not known."""
    calls: int = 0
    """In the app."""
    queued: int = 0
    """Taken in, and waiting for a thread."""
    lag: float = 0.0
    """By how much its event loop was late."""
    oldest_call: float = 0.0
    """How long that has been in the app."""
    requests: int = 0
    """Taken since it was ready."""
    stuck: int = 0
    """Calls that nobody waits for and that cannot be ended."""


@dataclass(frozen=True, slots=True)
class RecycleWish:
    """The worker has served enough, grown too large or too old."""

    why: str
    """What goes on in the sentence "this worker ..."."""


# -- reports of a zygote ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AppLoaded:
    """The app is imported; workers can be forked."""

    pid: int = 0
    app: str = ""
    interface: str = ""


@dataclass(frozen=True, slots=True)
class WorkerForked:
    child: int
    pid: int
    pidfd: bool = False
    """Whether a descriptor of it comes along."""


@dataclass(frozen=True, slots=True)
class ForkFailed:
    child: int
    error: str


@dataclass(frozen=True, slots=True)
class ForkExited:
    child: int
    code: int


Report = (
    Listening | GatewayAlive | PoolWorkers | GatewayDraining | StopWaits | GatewayFailed
    | WorkerReady | WorkerFailed | Vitals | RecycleWish
    | AppLoaded | WorkerForked | ForkFailed | ForkExited
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """A report that this version does not know, or that lacks what it needs."""

    said: Mapping[str, Any]


# -- orders ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReopenLogs:
    """The logs' files were moved away."""


@dataclass(frozen=True, slots=True)
class ExitNow:
    """Nothing is to be finished any more."""


@dataclass(frozen=True, slots=True)
class WorkerEnded:
    """To a gateway: the process of a worker has ended."""

    child: int


@dataclass(frozen=True, slots=True)
class ForkWorker:
    """To a zygote; the worker's channel comes along as a descriptor."""

    child: int
    settings: Mapping[str, Any]
    """Of the worker, as they are sent to one that is started."""


@dataclass(frozen=True, slots=True)
class SignalFork:
    """To a zygote: one of its workers gets a signal."""

    child: int
    number: int


Order = ReopenLogs | ExitNow | WorkerEnded | ForkWorker | SignalFork
