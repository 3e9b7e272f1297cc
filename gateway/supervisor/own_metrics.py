"""What the supervisor itself says in metrics: of its processes, its reloads and its certificates.
Pure.

Two kinds. What has *happened* is counted here as it happens, or taken from the fleet's turnover; an
upgrade hands the sums over. What *is*, at this moment, is taken from a status report.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from ...protocol.supervision.problems import REMEDIES
from ..control.status import StatusReport
from ..metrics.families import (
    BUILD_INFO,
    BY_NAME,
    CERTIFICATE_EXPIRY,
    GATEWAY_RESTARTS,
    GATEWAYS,
    GENERATION,
    LAST_RELOAD,
    LAST_RELOAD_OK,
    PROBLEMS,
    READY,
    RECYCLES,
    RELOAD_SECONDS,
    RELOADS,
    RESTARTS,
    SCALINGS,
    SCRAPES,
    START_TIME,
    WORKER_CALLS,
    WORKER_LAG,
    WORKER_LIMIT,
    WORKER_OLDEST_CALL,
    WORKER_RSS,
    WORKERS,
    WORKERS_MAX,
    WORKERS_WANTED,
    Family,
)
from ..metrics.snapshot import Labels, Series, Snapshot, Wire, to_wire
from ..metrics.totals import exact, merge, read_wire
from .fleet.events import ReloadEnded
from .fleet.turnover import RECYCLE_REASONS, RESTART_REASONS, Turnover

RELOAD_RESULTS: Final = ("committed", "aborted", "overtaken")
DIRECTIONS: Final = ("up", "down")
SCRAPE_RESULTS: Final = ("ok", "partial")


def reload_result(ended: ReloadEnded) -> str:
    return "overtaken" if ended.overtaken else "committed" if ended.committed else "aborted"


class OwnCounts:
    """The counters that the supervisor fills, over all its upgrades."""

    def __init__(self) -> None:
        self._counted: Snapshot = {}

    def restore(self, wire: object) -> list[str]:
        """Takes what the code before an upgrade had counted. Returns a sentence for each part that
        is left out."""
        self._counted, faults = read_wire(wire, BY_NAME)
        return faults

    def save(self, turnover: Turnover) -> Wire:
        return to_wire(self.counted(turnover))

    def add(self, family: Family, labels: Labels, by: float = 1.0) -> None:
        merge(self._counted.setdefault(family.name, {}), {labels: by})

    def observe(self, family: Family, labels: Labels, value: float) -> None:
        """Adds one value to a histogram."""
        numbers = [0.0] * (len(family.buckets) + 2)
        numbers[0] = exact(value)
        numbers[1 + bisect_left(family.buckets, value)] = 1
        merge(self._counted.setdefault(family.name, {}), {labels: numbers})

    def reload_ended(self, ended: ReloadEnded, now: float) -> None:
        result = (reload_result(ended),)
        self.add(RELOADS, result)
        self.observe(RELOAD_SECONDS, result, max(now - ended.since, 0.0))

    def counted(self, turnover: Turnover, pools: Iterable[str] = ()) -> Snapshot:
        """All counts. Counters of these pools begin at 0: of a series that appears with its first
        event, Prometheus would never see the rise."""
        pools = tuple(pools)
        total: Snapshot = {
            RELOADS.name: {(result,): 0.0 for result in RELOAD_RESULTS},
            SCRAPES.name: {(result,): 0.0 for result in SCRAPE_RESULTS},
            SCALINGS.name: {(pool, way): 0.0 for pool in pools for way in DIRECTIONS},
            RESTARTS.name: {(pool, reason): 0.0 for pool in pools for reason in RESTART_REASONS},
            RECYCLES.name: {(pool, reason): 0.0 for pool in pools for reason in RECYCLE_REASONS},
        }
        for snapshot in (self._counted, _turnover(turnover)):
            for name, series in snapshot.items():
                merge(total.setdefault(name, {}), series)
        return {name: series for name, series in total.items() if series}


def _turnover(turnover: Turnover) -> Snapshot:
    workers: Series = {}
    gateways: Series = {}
    recycles: Series = {}
    for (replica_id, reason), count in turnover.restarts.items():
        if replica_id.kind == "gateway":
            merge(gateways, {(reason,): count})
        else:
            merge(workers, {(replica_id.pool, reason): count})
    for (replica_id, reason), count in turnover.recycles.items():
        if replica_id.kind == "worker":
            merge(recycles, {(replica_id.pool, reason): count})
    return {RESTARTS.name: workers, GATEWAY_RESTARTS.name: gateways, RECYCLES.name: recycles}


# -- what is ---------------------------------------------------------------------------------


def present(
    report: StatusReport, python: str, *, began: float, reloaded: float, reload_failed: bool
) -> Snapshot:
    """The gauges of a status report. `python` is the interpreter's version, `began` when the
    instance began, `reloaded` when the last reload ended (0.0 for none), both in seconds since the
    epoch; `reload_failed` says whether that was aborted."""
    found: Snapshot = {
        BUILD_INFO.name: {(report.version, python): 1.0},
        START_TIME.name: {(): began},
        GENERATION.name: {(): report.generation},
        READY.name: {(): float(bool(report.ready))},
        LAST_RELOAD_OK.name: {(): float(not reload_failed)},
        GATEWAYS.name: _counts((gateway.state,) for gateway in report.gateways),
        WORKERS_WANTED.name: {(pool.name,): pool.wanted for pool in report.pools},
        WORKERS_MAX.name: {
            (pool.name,): pool.scaler.most for pool in report.pools if pool.scaler is not None
        },
        WORKERS.name: _counts(
            (pool.name, worker.state, str(worker.generation))
            for pool in report.pools
            for worker in pool.workers
        ),
        CERTIFICATE_EXPIRY.name: _first_to_expire(report),
        PROBLEMS.name: _problems(report),
    }
    if reloaded:
        found[LAST_RELOAD.name] = {(): reloaded}
    for family, labels, value in _of_workers(report):
        merge(found.setdefault(family.name, {}), {labels: value}, family.merge)
    return found


def _counts(labels: Iterable[Labels]) -> Series:
    return {one: float(count) for one, count in Counter(labels).items()}


def _problems(report: StatusReport) -> Series:
    """Every kind has a series, so an alert does not begin with one that appears. A kind that only a
    newer worker knows is "other": labels come from a closed list."""
    series: dict[Labels, float] = {(kind,): 0.0 for kind in REMEDIES}
    for one in report.problems:
        kind = (one.kind if one.kind in REMEDIES else "other",)
        series[kind] = series.get(kind, 0.0) + 1
    return dict(series)


def _first_to_expire(report: StatusReport) -> Series:
    series: dict[Labels, float] = {}
    for one in report.certificates:
        series[one.name,] = min(one.expires, series.get((one.name,), one.expires))
    return dict(series)


def _of_workers(report: StatusReport) -> Iterator[tuple[Family, Labels, float]]:
    """The gauges of each worker that has reported. During a reload two processes may have the same
    number; what `Family.merge` says makes them one."""
    for pool in report.pools:
        for worker in pool.workers:
            if worker.state == "starting":
                continue
            labels = (pool.name, str(worker.number))
            yield WORKER_RSS, labels, float(worker.rss)
            yield WORKER_LAG, labels, worker.lag
            yield WORKER_CALLS, labels, float(worker.calls)
            yield WORKER_OLDEST_CALL, labels, worker.oldest_call
            if worker.limit:
                yield WORKER_LIMIT, labels, float(worker.limit)
