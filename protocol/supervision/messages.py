"""The messages on a channel between a supervisor and a child, each a plain value.

The package's page says who sends which, and who acts on it. A field without a default is needed: a
message that lacks it is not understood. Sizes are bytes, times seconds.

Nobody changes a message. They are not `frozen` all the same, because that would double what their
classes cost each worker at its start (6 instead of 3 milliseconds).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Name = int | str | None
"""The name that a worker of another supervisor gives itself; None if it gave none."""


@dataclass(slots=True)
class LinkedWorker:
    """A worker that a gateway is linked to: how it introduced itself, and how it does."""

    id: Name = None
    """The supervisor's number for the process; a worker started by hand has none."""
    worker: Name = None
    """Its number in the pool."""
    pid: Name = None
    generation: Name = None
    ready: bool = False
    """Whether requests may go to it."""
    running: int = 0
    """How many calls are under way."""
    late: bool = False
    """Whether it has not answered a PING for a while."""
    answered: int = 0
    """How many responses it has given. Of these `errors` had a status 5xx."""
    errors: int = 0
    leaving: bool = False
    """Whether it has asked to be let go. It serves on until it is."""
    weight: int = 1
    """Its share of the calls beside the others."""
    slots: int = 0
    """How many calls it is willing to run at once, on this gateway's link."""
    labels: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Names and values, both texts, that it has given itself."""


@dataclass(slots=True)
class WaitingCalls:
    """The calls that a stop waits for, at one worker or in the queue."""

    worker: Name = None
    """The worker; None for the queue."""
    requests: int = 0
    """How many calls have no response yet."""
    responses: int = 0
    """How many responses are under way."""
    websockets: int = 0


# -- reports of a gateway process ------------------------------------------------------------


@dataclass(slots=True)
class Listening:
    """The gateway accepts."""


@dataclass(slots=True)
class GatewayAlive:
    """The loop that serves has turned."""


@dataclass(slots=True)
class PoolWorkers:
    """All workers of a pool that the gateway is linked to."""

    pool: str
    workers: tuple[LinkedWorker, ...]


@dataclass(slots=True)
class GatewayDraining:
    """The gateway accepts no more and finishes what it has."""


@dataclass(slots=True)
class StopWaits:
    """The connections and calls that a draining gateway still has."""

    connections: int = 0
    calls: Mapping[str, tuple[WaitingCalls, ...]] = field(
        default_factory=dict[str, tuple[WaitingCalls, ...]]
    )
    """Pool -> the calls that it waits for."""


@dataclass(slots=True)
class FailedRequest:
    """A request that has ended with a 5xx, or without its whole response."""

    id: str = ""
    """Its request id."""
    at: float = 0.0
    """When it ended, in seconds since the epoch."""
    method: str = ""
    path: str = ""
    """Without its query, as printable ASCII."""
    status: int = 0
    end: str = ""
    """The end code."""
    reason: str = ""
    pool: str = ""
    worker: Name = None
    duration: float = 0.0


@dataclass(slots=True)
class GatewayMetrics:
    """What the gateway has counted, as it was asked, or as its last word."""

    token: int = 0
    """The token of the order that asked; 0 if none did."""
    snapshot: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Family -> a list of pairs: label values, and a number or a histogram's list."""
    failed: tuple[FailedRequest, ...] = ()
    """The last requests that have failed, the oldest first: all that are known, each time."""


@dataclass(slots=True)
class LogsReopened:
    """Of any child: the logs that it writes are the new ones, and the old ones are complete."""

    token: int = 0
    """The token of the order that asked."""
    problem: str = ""
    """What has hindered it, as a sentence; "" for nothing."""


@dataclass(slots=True)
class Problem:
    """Something that is wrong around a process, and that an operator has to mend."""

    kind: str = ""
    """A name of `problems.REMEDIES`."""
    subject: str = ""
    """What tells problems of one kind apart: a path, or the name of a pool."""
    what: str = ""
    """What is wrong, as the beginning of a sentence."""
    remedy: str = ""
    """What to do about it, as its end."""
    logged: bool = False
    """Whether the process has logged it itself, and will log its end."""


@dataclass(slots=True)
class ProblemsSeen:
    """Of a gateway process or a worker: all problems that it sees at this moment."""

    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class GatewayFailed:
    """The gateway could not start."""

    error: str


# -- reports of a worker ---------------------------------------------------------------------


@dataclass(slots=True)
class WorkerReady:
    """The app has started."""

    pid: int = 0
    app: str = ""
    """The app as it was found: module:attribute."""
    interface: str = ""
    loop: str = ""
    """The event loop; "" in a WSGI worker."""


@dataclass(slots=True)
class WorkerFailed:
    """The app could not be loaded, or could not start."""

    error: str
    """The error as a sentence."""
    step: str = ""
    """The step of the start that has failed."""
    detail: str = ""
    """The app's traceback, or ""."""


@dataclass(slots=True)
class Vitals:
    """The worker's state of health."""

    rss: int = 0
    """Bytes of resident memory; 0 if not known."""
    calls: int = 0
    """How many calls are in the app."""
    queued: int = 0
    """How many calls wait for a thread."""
    lag: float = 0.0
    """Seconds by which its event loop was late."""
    oldest_call: float = 0.0
    """Seconds that the oldest call has been in the app."""
    requests: int = 0
    """How many calls it has taken since it was ready."""
    stuck: int = 0
    """How many abandoned calls cannot be ended."""
    cpu: float = 0.0
    """Seconds of processor time that it has used, user and system."""
    limit: int = 0
    """The calls at once that it has found to be right; 0 if it does not seek them."""
    limit_verdict: str = ""
    """What its last period of seeking came to; "" as before."""
    limit_why: str = ""
    """What the limit was last changed for, as a sentence about the worker."""
    limit_sought: bool = False
    """Whether the limit is on its way, and does not say yet what the worker can do."""


@dataclass(slots=True)
class RecycleWish:
    """The worker has served enough, grown too large or too old."""

    why: str
    """The rest of the sentence "this worker ..."."""
    kind: str = ""
    """max_requests, memory or lifetime."""


# -- reports of a zygote ---------------------------------------------------------------------


@dataclass(slots=True)
class AppLoaded:
    """The app is imported; workers can be forked."""

    pid: int = 0
    app: str = ""
    interface: str = ""


@dataclass(slots=True)
class WorkerForked:
    child: int
    pid: int
    pidfd: bool = False
    """Whether a descriptor of the process comes along."""


@dataclass(slots=True)
class ForkFailed:
    child: int
    error: str


@dataclass(slots=True)
class ForkExited:
    child: int
    code: int


Report = (
    Listening | GatewayAlive | PoolWorkers | GatewayDraining | StopWaits | GatewayFailed
    | GatewayMetrics | LogsReopened | ProblemsSeen
    | WorkerReady | WorkerFailed | Vitals | RecycleWish
    | AppLoaded | WorkerForked | ForkFailed | ForkExited
)  # fmt: skip


@dataclass(slots=True)
class NotUnderstood:
    """A report that this version does not know, or that lacks a field it needs."""

    said: Mapping[str, Any]


# -- orders ----------------------------------------------------------------------------------


@dataclass(slots=True)
class ReopenLogs:
    """The logs' files were moved away."""


@dataclass(slots=True)
class ConfirmLogs:
    """The process is to say `LogsReopened` when it has carried out the orders before this one."""

    token: int


@dataclass(slots=True)
class ExitNow:
    """The process is to exit at once and finish nothing."""


@dataclass(slots=True)
class WorkerEnded:
    """The process of a worker has ended, which a gateway is told."""

    child: int


@dataclass(slots=True)
class CollectMetrics:
    """A gateway is asked for a `GatewayMetrics`."""

    token: int


@dataclass(slots=True)
class ForkWorker:
    """A zygote is to fork a worker; the worker's channel comes along as a descriptor."""

    child: int
    settings: Mapping[str, Any]
    """The worker's settings, as they are sent to a worker that is started."""


@dataclass(slots=True)
class SignalFork:
    """A zygote is to send a signal to one of its workers."""

    child: int
    number: int


Order = ReopenLogs | ConfirmLogs | ExitNow | WorkerEnded | CollectMetrics | ForkWorker | SignalFork
