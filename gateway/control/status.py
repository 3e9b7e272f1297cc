"""What an instance says of itself: the data that `status` is answered with. Pure.

Times are spans in seconds up to now, sizes bytes. Every field has a default, so that a newer
command understands an older instance; a state is a word, and shown as it is.
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
    """Under way: who asked; aborted: the reason, as a sentence."""
    detail: str = ""
    """Aborted: the app's traceback, or ""."""
    done: int = 0
    """Processes that have been replaced."""
    of: int = 0
    ago: float = 0.0
    """Since it began; once it has ended, since it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayStatus:
    number: int = 0
    pid: int = 0
    """0: not started yet."""
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
    """0: not known."""
    calls: int = 0
    """Under way."""
    queued: int = 0
    """Taken in, and waiting for a thread."""
    lag: float = 0.0
    """By how much its event loop was late."""
    oldest_call: float = 0.0
    requests: int = 0
    """Since it started."""
    why: str = ""
    """Why it is in this state, where that is worth a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatus:
    name: str = ""
    app: str = ""
    wanted: int = 0
    """Workers that there shall be."""
    workers: tuple[WorkerStatus, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedStatus:
    """A worker that another supervisor has started, as it told our gateways."""

    pool: str = ""
    worker: str = ""
    """Its number there, or its name."""
    pid: int = 0
    """In its own container's eyes."""
    generation: int = 0
    state: str = ""
    """ready, late (no sign of life for a while), not ready (starts, or leaves)."""
    calls: int = 0
    """Under way, over all gateways; so with the answers."""
    requests: int = 0
    gateways: tuple[int, ...] = ()
    """Numbers of those that it is linked to."""


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
    used. None: an older instance does not say."""
    run_dir: str = ""
    addresses: tuple[str, ...] = ()
    """URLs; none: workers alone."""
    generation: int = 0
    """The one that was committed last."""
    reload: ReloadStatus | None = None
    gateways: tuple[GatewayStatus, ...] = ()
    pools: tuple[PoolStatus, ...] = ()
    """None: a gateway alone."""
    linked: tuple[LinkedStatus, ...] = ()
    """Workers from elsewhere; at most MOST_LINKED."""
    more_linked: int = 0
    """How many more there are."""
    ended: tuple[EndedStatus, ...] = ()
    """The latest, newest first; at most MOST_ENDED."""


def is_serving(report: StatusReport) -> bool:
    """Of an older instance: whether it has workers."""
    if report.ready is not None:
        return report.ready
    states = [worker.state for pool in report.pools for worker in pool.workers]
    return report.phase == "serving" and ("ready" in states or not report.pools)


def read_report(data: Any) -> StatusReport:
    """Of JSON. Raises ValueError for what is none."""
    try:
        return msgspec.convert(data, StatusReport)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


def tail(text: str, lines: int = 12) -> str:
    """The end of a traceback, where the reason stands; the import machinery explains nothing."""
    kept = [line for line in text.rstrip().splitlines() if '"<frozen importlib' not in line]
    return "\n".join(["...", *kept[-lines:]] if len(kept) > lines + 1 else kept)
