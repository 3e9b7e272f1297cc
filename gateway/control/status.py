"""The status report: what an instance says of itself. Pure.

Durations are in seconds up to now, sizes in bytes. Every field has a default, so that a newer
command understands an older instance. A state is a word and is shown as it is.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

MOST_ENDED: Final = 20
MOST_LINKED: Final = 100
MOST_FAILED: Final = 100
MOST_SHARES: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadStatus:
    """The reload under way, or the last one."""

    state: str = ""
    """canary, observing, rolling; committed, aborted, overtaken (by another reload, or a stop)."""
    generation: int = 0
    why: str = ""
    """Why it was aborted or overtaken, as a sentence; "" for any other state."""
    detail: str = ""
    """The app's traceback, if that is why it was aborted; else ""."""
    done: int = 0
    """Processes that have been replaced, of the `of` that are to be."""
    of: int = 0
    ago: float = 0.0
    """Seconds since it began, or if it has ended, since its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayStatus:
    number: int = 0
    pid: int = 0
    """0 until the process is started."""
    state: str = ""
    """starting, ready, hung, stopping."""
    uptime: float = 0.0
    rss: int = 0
    """Bytes of resident memory; 0 if not known."""
    buffered: int = 0
    """Bytes that it holds in memory for its clients, kept bodies among them."""
    buffered_disk: int = 0
    """Bytes of kept bodies in temporary files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    number: int = 0
    pid: int = 0
    generation: int = 0
    state: str = ""
    """starting, ready, hung, leaving, stopping."""
    uptime: float = 0.0
    rss: int = 0
    """Bytes of resident memory; 0 if not known."""
    calls: int = 0
    """Calls that are running."""
    queued: int = 0
    """Calls that wait for a thread of the worker."""
    limit: int = 0
    """Calls at once that it has found to be right (--limit-concurrency auto), beside those that
    have begun to answer; 0 if it does not seek them."""
    limit_verdict: str = ""
    """What its last second of seeking came to: begins, grows, stays, lag, latency, probes,
    restores."""
    limit_why: str = ""
    """What the limit was last changed for, as a sentence about the worker."""
    lag: float = 0.0
    """Seconds by which its event loop was late."""
    oldest_call: float = 0.0
    """Seconds since the oldest running call began."""
    requests: int = 0
    """Requests since the worker started."""
    why: str = ""
    """Why the worker is in this state; "" if the state says enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveStatus:
    """The last change of a pool's number of workers by its autoscaler."""

    before: int = 0
    workers: int = 0
    why: str = ""
    ago: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalerStatus:
    """The autoscaler of a pool whose --workers is a range."""

    least: int = 0
    most: int = 0
    state: str = ""
    """steady, waiting (requests wait), starting, held (requests wait, and it does not grow), scaled
    (an operator has set the number)."""
    why: str = ""
    """Why it is held; "" for any other state."""
    patience: float = 0.0
    """Seconds that a worker is kept at present that is not needed."""
    move: MoveStatus | None = None
    """None: there was none since the instance began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatus:
    name: str = ""
    app: str = ""
    wanted: int = 0
    """How many workers the pool should have."""
    scaler: ScalerStatus | None = None
    """None: the number of its workers is fixed."""
    weight: int = 1
    """The share of the requests of each of its workers (--weight)."""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    """What its workers call themselves (--label)."""
    max_rss: int = 0
    """Bytes of resident memory above which a worker is replaced (--workers-max-rss); 0: never."""
    workers: tuple[WorkerStatus, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedStatus:
    """A worker that another supervisor has started, as it introduced itself to our gateways."""

    pool: str = ""
    worker: str = ""
    """Its number at that supervisor, or its name."""
    pid: int = 0
    """Its pid, as seen in its own container."""
    generation: int = 0
    state: str = ""
    """ready, late (no sign of life for a while), not ready (it starts or leaves)."""
    calls: int = 0
    """Calls that are running, over all gateways."""
    requests: int = 0
    """Responses that it has given, over all gateways."""
    gateways: tuple[int, ...] = ()
    """Numbers of the gateways that it is linked to."""
    weight: int = 1
    """Its share of the requests beside the other workers (--weight)."""
    slots: int = 0
    """Calls that it is willing to run at once, over all gateways."""
    labels: dict[str, str] = field(default_factory=dict[str, str])
    """What it calls itself (--label)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedStatus:
    what: str = ""
    """ "worker 1 (pid 17) of pool default"."""
    how: str = ""
    """ "exited with code 1", "was killed by the kernel for memory (OOM) (the limit is 512 MB)"."""
    ago: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemStatus:
    """Something that is wrong around the instance, and that an operator has to mend."""

    kind: str = ""
    """A row of docs/PROBLEMS.md."""
    what: str = ""
    """What is wrong, as the beginning of a sentence."""
    remedy: str = ""
    """What to do about it, as its end."""
    ago: float = 0.0
    """Seconds since it was first seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteShareStatus:
    """A route that may have a share of its pool only (`[[routes]] limit_concurrency`), over all
    gateway processes."""

    route: str = ""
    running: int = 0
    """Requests that count: those that workers run, and those that wait in the pool's queue."""
    limit: int = 0
    """How many may at once, with the slots that the pool has at this moment."""
    queued: int = 0
    """Requests that wait for room in the share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficStatus:
    """What one pool has done since the instance began, over all gateway processes, also those that
    have ended; and what it does at this moment. Two reports give rates."""

    pool: str = ""
    requests: int = 0
    """Requests that have ended."""
    client_errors: int = 0
    """Of these, how many ended with a 4xx."""
    server_errors: int = 0
    """Of these, how many ended with a 5xx, or with a response that is not whole."""
    retries: int = 0
    received: int = 0
    """Bytes of request bodies."""
    sent: int = 0
    """Bytes of response bodies."""
    latency: tuple[int, ...] = ()
    """Requests by their duration: one count for each of `StatusReport.latency_bounds`, none of them
    in two, and one for all that took longer."""
    queue_seconds: float = 0.0
    """Seconds that all these requests have waited for a worker, together."""
    app_seconds: float = 0.0
    """Seconds that the app has taken until its responses began, together."""
    running: int = 0
    slots: int = 0
    queued: int = 0
    oldest_waiter: float = 0.0
    """Seconds that the oldest queued request has waited."""
    order: Literal["oldest-first", "newest-first"] = "oldest-first"
    """Which of the queued requests is next; the newest under overload (--queue-target)."""
    websockets: int = 0
    shares: tuple[RouteShareStatus, ...] = ()
    """Of the pool's routes that have a share; those that most wait for come first, MOST_SHARES at
    most. `queued` contains those that wait for them, `oldest_waiter` does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedStatus:
    """A request that has ended badly: with a 5xx, or without its whole response."""

    id: str = ""
    """Its request id."""
    ago: float = 0.0
    method: str = ""
    path: str = ""
    """Without its query, and escaped."""
    status: int = 0
    end: str = ""
    """The end code."""
    reason: str = ""
    pool: str = ""
    worker: str = ""
    duration: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedCertificate:
    name: str = ""
    """The first name that it is for."""
    file: str = ""
    expires: float = 0.0
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    schema: int = 1
    """The version of this format. It grows when a field changes its meaning, or goes; new fields
    come without notice."""
    version: str = ""
    pid: int = 0
    uptime: float = 0.0
    phase: str = ""
    """starting, serving, stopping."""
    ready: bool | None = None
    """Whether requests are answered: a gateway accepts, and every pool has a worker that may be
    used. None: the instance is older and does not say."""
    run_dir: str = ""
    memory_limit: int = 0
    """Bytes that all processes of this container may have together, before the kernel kills; 0: the
    machine alone limits them."""
    addresses: tuple[str, ...] = ()
    """URLs; empty if workers run without a gateway."""
    admin: tuple[str, ...] = ()
    """URLs of the admin listener, `unix:PATH` for a Unix socket; empty if there is none."""
    generation: int = 0
    """The generation that was committed last."""
    reload: ReloadStatus | None = None
    gateways: tuple[GatewayStatus, ...] = ()
    pools: tuple[PoolStatus, ...] = ()
    """Empty if gateways run without workers."""
    linked: tuple[LinkedStatus, ...] = ()
    """Workers of other supervisors, MOST_LINKED at most."""
    more_linked: int = 0
    """How many workers of other supervisors are left out."""
    ended: tuple[EndedStatus, ...] = ()
    """Processes that have ended, the newest first, MOST_ENDED at most."""
    latency_bounds: tuple[float, ...] = ()
    """Upper bounds of `TrafficStatus.latency`, in seconds, ascending."""
    traffic: tuple[TrafficStatus, ...] = ()
    """An entry for each pool; empty if this instance has no gateway."""
    failed: tuple[FailedStatus, ...] = ()
    """The last requests that have ended badly, the newest first, MOST_FAILED at most."""
    certificates: tuple[ServedCertificate, ...] = ()
    problems: tuple[ProblemStatus, ...] = ()
    """Problems of this moment, the oldest first. Each goes by itself when its cause goes."""


def is_serving(report: StatusReport) -> bool:
    """Whether the instance answers requests. An older instance does not say so itself; then it is
    taken to serve if it has a worker that is ready."""
    if report.ready is not None:
        return report.ready
    states = [worker.state for pool in report.pools for worker in pool.workers]
    return report.phase == "serving" and ("ready" in states or not report.pools)


def read_report(data: Any) -> StatusReport:
    """Makes a report of JSON data. Raises ValueError if the data is not a report."""
    try:
        return msgspec.convert(data, StatusReport)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


def tail(text: str, lines: int = 12) -> str:
    """The end of a traceback, where the reason stands. Frames of the import machinery are left
    out."""
    kept = [line for line in text.rstrip().splitlines() if '"<frozen importlib' not in line]
    return "\n".join(["...", *kept[-lines:]] if len(kept) > lines + 1 else kept)
