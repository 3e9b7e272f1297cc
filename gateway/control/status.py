"""The status report: what an instance says of itself. Pure.

Durations are in seconds up to now, sizes in bytes. Every field has a default, so that a newer
command understands an older instance. A state is a word and is shown as it is.
"""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

MOST_ENDED: Final = 20
MOST_LINKED: Final = 100


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
    """starting, ready, stopping."""
    uptime: float = 0.0


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
    lag: float = 0.0
    """Seconds by which its event loop was late."""
    oldest_call: float = 0.0
    """Seconds since the oldest running call began."""
    requests: int = 0
    """Requests since the worker started."""
    why: str = ""
    """Why the worker is in this state; "" if the state says enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatus:
    name: str = ""
    app: str = ""
    wanted: int = 0
    """How many workers the pool should have."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedStatus:
    what: str = ""
    """ "worker 1 (pid 17) of pool default"."""
    how: str = ""
    """ "was killed by SIGKILL (out of memory?)"."""
    ago: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    version: str = ""
    pid: int = 0
    uptime: float = 0.0
    phase: str = ""
    """starting, serving, stopping."""
    ready: bool | None = None
    """Whether requests are answered: a gateway accepts, and every pool has a worker that may be
    used. None: the instance is older and does not say."""
    run_dir: str = ""
    addresses: tuple[str, ...] = ()
    """URLs; empty if workers run without a gateway."""
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
