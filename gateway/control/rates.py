"""How fast it goes: two status reports of one instance, one after the other, give rates. Pure.

A report counts since the instance began, over all gateway processes that it has had, so the
difference of two reports is what was done between them. A number that goes back means that somebody
else is counting (another instance at the same socket, or a worker with the pid of an earlier one).
Then there is no difference to be had, and the next report begins anew.
"""

from dataclasses import dataclass
from typing import Final

from ..metrics.quantiles import quantile
from .status import StatusReport, TrafficStatus

LEAST_SECONDS: Final = 0.05
"""Two reports that are closer to each other than this say nothing about a rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRates:
    """What a pool did between two reports: numbers for each second, durations in seconds."""

    pool: str
    requests: float
    client_errors: float
    server_errors: float
    retries: float
    received: float
    sent: float
    p50: float | None
    """Half of the requests that ended took no longer than this; None if none has ended."""
    p95: float | None
    p99: float | None
    queue_time: float | None
    """How long these requests waited for a worker, on the average."""
    app_time: float | None
    """How long the app took until their responses began, on the average."""


@dataclass(frozen=True, slots=True)
class Rates:
    seconds: float
    """How far the two reports are apart."""
    pools: dict[str, PoolRates]
    """By pool; a pool that was not there before is missing."""
    workers: dict[int, float]
    """By pid: requests for each second."""


def rates(before: StatusReport | None, after: StatusReport) -> Rates | None:
    """Returns what was done between two reports; None if they do not follow each other."""
    if before is None or before.pid != after.pid:
        return None
    seconds = after.uptime - before.uptime
    if seconds < LEAST_SECONDS:
        return None
    same_bounds = before.latency_bounds == after.latency_bounds
    earlier = {one.pool: one for one in before.traffic}
    pools: dict[str, PoolRates] = {}
    for now in after.traffic:
        then = earlier.get(now.pool)
        if then is None or not same_bounds:
            continue
        if _goes_back(then, now):
            return None
        pools[now.pool] = _pool(then, now, after.latency_bounds, seconds)
    return Rates(seconds, pools, _workers(before, after, seconds))


def _goes_back(then: TrafficStatus, now: TrafficStatus) -> bool:
    return (
        now.requests < then.requests
        or now.client_errors < then.client_errors
        or now.server_errors < then.server_errors
        or now.retries < then.retries
        or now.received < then.received
        or now.sent < then.sent
        or any(new < old for new, old in zip(now.latency, then.latency, strict=False))
    )


def _pool(
    then: TrafficStatus, now: TrafficStatus, bounds: tuple[float, ...], seconds: float
) -> PoolRates:
    count = now.requests - then.requests
    old = then.latency or (0,) * len(now.latency)
    counts = [new - was for new, was in zip(now.latency, old, strict=False)]
    return PoolRates(
        pool=now.pool,
        requests=count / seconds,
        client_errors=(now.client_errors - then.client_errors) / seconds,
        server_errors=(now.server_errors - then.server_errors) / seconds,
        retries=(now.retries - then.retries) / seconds,
        received=(now.received - then.received) / seconds,
        sent=(now.sent - then.sent) / seconds,
        p50=quantile(0.5, bounds, counts),
        p95=quantile(0.95, bounds, counts),
        p99=quantile(0.99, bounds, counts),
        queue_time=max(0.0, now.queue_seconds - then.queue_seconds) / count if count else None,
        app_time=max(0.0, now.app_seconds - then.app_seconds) / count if count else None,
    )


def _workers(before: StatusReport, after: StatusReport, seconds: float) -> dict[int, float]:
    earlier = {one.pid: one for pool in before.pools for one in pool.workers}
    found: dict[int, float] = {}
    for pool in after.pools:
        for now in pool.workers:
            then = earlier.get(now.pid)
            if now.pid and then is not None and now.requests >= then.requests:
                found[now.pid] = (now.requests - then.requests) / seconds
    return found
