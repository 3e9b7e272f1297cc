"""Makes the status report's traffic, and its list of failed requests, of what was counted. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from ...protocol.supervision.messages import FailedRequest
from ..control.status import (
    MOST_FAILED,
    MOST_SHARES,
    FailedStatus,
    GatewayStatus,
    RouteShareStatus,
    TrafficStatus,
)
from ..metrics.families import (
    APP_SECONDS,
    BUFFERED,
    DURATION_SECONDS,
    GATEWAY_CPU,
    GATEWAY_RSS,
    HELD,
    LATENCY,
    OPEN_WEBSOCKETS,
    POOL_NEWEST_FIRST,
    POOL_QUEUE_LENGTH,
    POOL_QUEUE_OLDEST,
    POOL_RUNNING,
    POOL_SLOTS,
    QUEUE_SECONDS,
    RECEIVED_BYTES,
    REQUESTS,
    RETRIES,
    ROUTE_LIMIT,
    ROUTE_QUEUE_LENGTH,
    ROUTE_RUNNING,
    SENT_BYTES,
    WORKER_CPU,
    Family,
)
from ..metrics.outcomes import is_server_error
from ..metrics.snapshot import Snapshot, Value

REFUSED_ENDS: Final = frozenset({"gateway_queue_full", "gateway_queue_timeout"})
"""End codes of requests that found no slot in time."""
NEVER_RAN: Final = frozenset({"gateway_route_full", "gateway_no_worker", "client_left_queue"})
"""End codes of requests that no worker has had, and that more workers would not have helped, or
that may have been on their way out anyhow."""
NO_POOL: Final = ""
"""The pool of requests that were answered before they had one."""


def traffic(total: Snapshot, pools: Iterable[str]) -> tuple[TrafficStatus, ...]:
    """An entry for each pool, and one without a name if there were requests that had none."""
    found = [_of_pool(total, pool) for pool in pools]
    stray = _of_pool(total, NO_POOL)
    return (*found, stray) if stray.requests else tuple(found)


def _of_pool(total: Snapshot, pool: str) -> TrafficStatus:
    requests, client_errors, server_errors = _requests(total, pool)
    return TrafficStatus(
        pool=pool,
        requests=requests,
        client_errors=client_errors,
        server_errors=server_errors,
        retries=int(_number(total, RETRIES, pool)),
        received=int(_number(total, RECEIVED_BYTES, pool)),
        sent=int(_number(total, SENT_BYTES, pool)),
        latency=tuple(map(int, _histogram(total, DURATION_SECONDS, pool)[1:])),
        queue_seconds=_histogram(total, QUEUE_SECONDS, pool)[0],
        app_seconds=_histogram(total, APP_SECONDS, pool)[0],
        running=int(_number(total, POOL_RUNNING, pool)),
        slots=int(_number(total, POOL_SLOTS, pool)),
        queued=int(_number(total, POOL_QUEUE_LENGTH, pool)),
        oldest_waiter=oldest_waiter(total, pool),
        order="newest-first" if _number(total, POOL_NEWEST_FIRST, pool) else "oldest-first",
        websockets=int(_number(total, OPEN_WEBSOCKETS, pool)),
        shares=_shares(total, pool),
    )


def with_memory(gateways: Iterable[GatewayStatus], total: Snapshot) -> tuple[GatewayStatus, ...]:
    """The gateways with what they hold for their clients. Of two processes with one number, of
    which one follows the other, nothing is known apart."""
    return tuple(
        replace(
            one,
            rss=_of_gateway(total, GATEWAY_RSS, one.number),
            buffered=_of_gateway(total, BUFFERED, one.number, "memory")
            + _of_gateway(total, HELD, one.number),
            buffered_disk=_of_gateway(total, BUFFERED, one.number, "disk"),
        )
        for one in gateways
    )


def _of_gateway(total: Snapshot, family: Family, number: int, *more: str) -> int:
    labels = (str(number), *more)
    found = total.get(family.name, {}).items()
    return sum(
        int(value)
        for each, value in found
        if each[: len(labels)] == labels and not isinstance(value, list)
    )


def _shares(total: Snapshot, pool: str) -> tuple[RouteShareStatus, ...]:
    limit, queued = _by_route(total, ROUTE_LIMIT, pool), _by_route(total, ROUTE_QUEUE_LENGTH, pool)
    shares = [
        RouteShareStatus(
            route=route,
            running=running,
            limit=limit.get(route, 0),
            queued=queued.get(route, 0),
        )
        for route, running in _by_route(total, ROUTE_RUNNING, pool).items()
    ]
    shares.sort(key=lambda one: (-one.queued, -one.running, one.route))
    return tuple(shares[:MOST_SHARES])


def _by_route(total: Snapshot, family: Family, pool: str) -> dict[str, int]:
    at = family.labels.index("route")
    return {
        labels[at]: int(value)
        for labels, value in _series(total, family, pool)
        if not isinstance(value, list)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCounts:
    """What an autoscaler needs to know of a pool: what has been counted up to now, and what is.

    What waits for a route's share of the pool waits for no worker, and is left out. The counters of
    such a route do not tell its two waits apart, so how long its requests have waited is left out
    as a whole; the oldest waiter is one of those in the pool's queue, whatever its route."""

    ended: int
    """Requests that a worker has ended, or a client."""
    refused: int
    """Requests that found no slot in time."""
    waits: int
    """Requests that asked for a slot, of routes without a share."""
    waited: float
    """Seconds that these have waited for it, together."""
    cpu: float
    """Seconds of CPU time that its workers have used."""
    slots: int
    running: int
    queued: int
    oldest_waiter: float


def pool_counts(total: Snapshot, pool: str) -> PoolCounts:
    ended = refused = 0
    end_at = REQUESTS.labels.index("end")
    for labels, value in _series(total, REQUESTS, pool):
        if isinstance(value, list):
            continue
        if labels[end_at] in REFUSED_ENDS:
            refused += int(value)
        elif labels[end_at] not in NEVER_RAN:
            ended += int(value)
    waits = _waits_for_workers(total, pool)
    return PoolCounts(
        ended=ended,
        refused=refused,
        waits=int(sum(waits[1:])),
        waited=waits[0],
        cpu=_number(total, WORKER_CPU, pool),
        slots=int(_number(total, POOL_SLOTS, pool)),
        running=int(_number(total, POOL_RUNNING, pool)),
        queued=int(
            _number(total, POOL_QUEUE_LENGTH, pool) - _number(total, ROUTE_QUEUE_LENGTH, pool)
        ),
        oldest_waiter=oldest_waiter(total, pool),
    )


def _waits_for_workers(total: Snapshot, pool: str) -> list[float]:
    """The histogram of waits in the queue, without those of routes that have a share."""
    shares = _by_route(total, ROUTE_QUEUE_LENGTH, pool)
    at = QUEUE_SECONDS.labels.index("route")
    waits = {
        labels: value
        for labels, value in _series(total, QUEUE_SECONDS, pool)
        if labels[at] not in shares
    }
    return _histogram({QUEUE_SECONDS.name: waits}, QUEUE_SECONDS, pool)


def processes_cpu(total: Snapshot) -> float:
    """Seconds of CPU time that all gateways and the workers of all pools have used."""
    both = [*total.get(GATEWAY_CPU.name, {}).values(), *total.get(WORKER_CPU.name, {}).values()]
    return sum(value for value in both if not isinstance(value, list))


def _requests(total: Snapshot, pool: str) -> tuple[int, int, int]:
    """How many have ended; how many of these with an error of the client's, and of the server's."""
    count = client = server = 0
    status_at, end_at = REQUESTS.labels.index("status"), REQUESTS.labels.index("end")
    for labels, value in _series(total, REQUESTS, pool):
        if isinstance(value, list):
            continue
        count += int(value)
        if is_server_error(labels[status_at], labels[end_at]):
            server += int(value)
        elif labels[status_at].startswith("4"):
            client += int(value)
    return count, client, server


def _series(total: Snapshot, family: Family, pool: str) -> Iterator[tuple[tuple[str, ...], Value]]:
    at = family.labels.index("pool")
    for labels, value in total.get(family.name, {}).items():
        if labels[at] == pool:
            yield labels, value


def _number(total: Snapshot, family: Family, pool: str) -> float:
    return sum(value for _, value in _series(total, family, pool) if not isinstance(value, list))


def _histogram(total: Snapshot, family: Family, pool: str) -> list[float]:
    """The histograms of all of a pool's routes, added up."""
    found = [0.0] * (len(LATENCY) + 2)
    for _, value in _series(total, family, pool):
        if isinstance(value, list):
            found = [a + b for a, b in zip(found, value, strict=True)]
    return found


def oldest_waiter(total: Snapshot, pool: str) -> float:
    return _number(total, POOL_QUEUE_OLDEST, pool)


def failed(lists: Iterable[Iterable[FailedRequest]], now: float) -> tuple[FailedStatus, ...]:
    """The last requests that have ended badly, of all gateway processes, the newest first. `now` is
    in seconds since the epoch."""
    newest = sorted((one for each in lists for one in each), key=lambda one: -one.at)
    return tuple(
        FailedStatus(
            id=one.id,
            ago=max(now - one.at, 0.0),
            method=one.method,
            path=one.path,
            status=one.status,
            end=one.end,
            reason=one.reason,
            pool=one.pool,
            worker="" if one.worker is None else str(one.worker),
            duration=one.duration,
        )
        for one in newest[:MOST_FAILED]
    )
