"""What a gateway process counts of its exchanges: an observer of their ends. Pure.

It runs once for each request, so it may cost about a microsecond. What an exchange adds to is found
by one look-up: route, method, status and end code lead to a row, which has the lists of its route's
histograms at hand. The lists are what travels (see `snapshot`), so nothing is made for a request.

Clients choose the method, and the app the status. So a row is made for known methods and statuses
only, and others share a row (`other`). Routes come from the configuration and end codes from a
closed list; the number of rows is bounded all the same, since a snapshot has to fit into one line
of the channel. What finds no row of its own any more is counted in one for its pool.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from ..exchange import end_codes
from ..exchange.end_codes import OK
from ..exchange.exchange import Exchange
from .failures import is_failure
from .families import (
    APP_SECONDS,
    DURATION_SECONDS,
    LATENCY,
    QUEUE_SECONDS,
    RECEIVED_BYTES,
    REFUSED,
    REQUESTS,
    SENT_BYTES,
    STAYS,
    WEBSOCKET_SECONDS,
)
from .snapshot import Labels, Series, Snapshot

METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}
    | {"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH"}
)
"""Methods that are counted by their name: those of RFC 9110, PATCH, QUERY, and WebDAV's usual
ones."""
OTHER: Final = "other"
MOST_ROWS: Final = 5_000
"""Combinations of route, method, status and end code that are told apart. A row takes less than 100
bytes of the line that a snapshot travels in."""
MOST_ROUTES: Final = 500
"""Routes that are told apart. A route takes up to 1,000 bytes of that line."""

REFUSALS: Final[Mapping[tuple[str, str], str]] = {
    (end_codes.CLIENT_MALFORMED, ""): "malformed",
    (end_codes.CLIENT_TOO_LARGE, "413"): "body_too_large",
    (end_codes.CLIENT_TOO_LARGE, ""): "head_too_large",
    (end_codes.CLIENT_UNSUPPORTED, ""): "unsupported",
    (end_codes.CLIENT_FOREIGN_ORIGIN, ""): "foreign_origin",
    (end_codes.CLIENT_HEAD_TIMEOUT, ""): "head_timeout",
    (end_codes.GATEWAY_NO_ROUTE, ""): "no_route",
    (end_codes.GATEWAY_QUEUE_FULL, ""): "queue_full",
    (end_codes.GATEWAY_QUEUE_TIMEOUT, ""): "queue_timeout",
    (end_codes.GATEWAY_NO_WORKER, ""): "no_worker",
    (end_codes.GATEWAY_STOPPED_QUEUE, ""): "stopping",
}
"""End code, and status where it matters -> the kind of the refusal."""


class Spent(NamedTuple):
    """What all requests of one route have spent, as lists that are added to."""

    queue: list[float]
    app: list[float]
    duration: list[float]
    websocket: list[float]
    received: list[int]
    """One number."""
    sent: list[int]
    """One number."""


def _spent() -> Spent:
    latency = len(LATENCY) + 2  # the sum in front, and the bucket without a bound
    stays = len(STAYS) + 2
    return Spent([0.0] * latency, [0.0] * latency, [0.0] * latency, [0.0] * stays, [0], [0])


class Row:
    """The requests with the same labels."""

    __slots__ = ("_app", "_duration", "_queue", "_received", "_sent", "_websocket", "count")

    def __init__(self, spent: Spent) -> None:
        self.count = 0
        self._queue, self._app, self._duration, self._websocket, self._received, self._sent = spent

    def add(self, exchange: Exchange) -> None:
        """Counts a request that has ended."""
        self.count += 1
        if queued := exchange.queued:
            started = exchange.started
            if started == queued:  # it went to a worker at once
                self._queue[1] += 1
            else:
                self._add_wait(exchange)
            if started and (first_byte := exchange.first_byte):
                took = first_byte - started
                self._app[0] += took
                self._app[bisect_left(LATENCY, took) + 1] += 1
        took = exchange.ended - exchange.opened
        duration = self._duration
        duration[0] += took
        duration[bisect_left(LATENCY, took) + 1] += 1
        if exchange.body_sent:
            self._sent[0] += exchange.body_sent
        if exchange.body_received:
            self._received[0] += exchange.body_received

    def add_websocket(self, exchange: Exchange) -> None:
        """Counts an accepted WebSocket that has ended."""
        self.count += 1
        if exchange.started != exchange.queued:
            self._add_wait(exchange)
        else:
            self._queue[1] += 1
        took = exchange.ended - exchange.opened
        self._websocket[0] += took
        self._websocket[bisect_left(STAYS, took) + 1] += 1
        self._sent[0] += exchange.body_sent
        self._received[0] += exchange.body_received

    def _add_wait(self, exchange: Exchange) -> None:
        """Counts the time in the queue of one that has waited, or has had several workers."""
        source = exchange.source
        account = None if source is None else source.account()
        waited = 0.0 if account is None else account.queued
        self._queue[0] += waited
        self._queue[bisect_left(LATENCY, waited) + 1] += 1


def _both(
    first: Callable[[Exchange], None], second: Callable[[Exchange], None]
) -> Callable[[Exchange], None]:
    def both(exchange: Exchange) -> None:
        first(exchange)
        second(exchange)

    return both


class RequestCounters:
    """The counters of all requests of one gateway process."""

    __slots__ = ("_add", "_failed", "_pools", "_rows", "_spent")

    def __init__(
        self, pools: Mapping[str, str], failed: Callable[[Exchange], None] | None = None
    ) -> None:
        """`pools`: route -> its pool. `failed` is told of each exchange that has failed."""
        self._pools = pools
        self._failed = failed
        self._add: dict[tuple[str, str, int, str], Callable[[Exchange], None]] = {}
        """What an exchange brings along -> what counts it. Only what is bounded is a key."""
        self._rows: dict[Labels, Row] = {}
        self._spent: dict[tuple[str, str], Spent] = {}
        """Pool and route -> what its requests have spent."""

    def ended(self, exchange: Exchange) -> None:
        """Observes the end of an exchange."""
        request = exchange.request
        add = self._add.get((exchange.route, request.method, exchange.status, exchange.end_code))
        if add is None:
            add = self._find(exchange)
        add(exchange)

    def _find(self, exchange: Exchange) -> Callable[[Exchange], None]:
        """Returns what counts an exchange whose labels have not come before, or are not bounded."""
        route, method, status = exchange.route, exchange.request.method, exchange.status
        known = method in METHODS and 100 <= status <= 599
        pool = self._pools.get(route, "")
        if (pool, route) not in self._spent and len(self._spent) >= MOST_ROUTES:
            route = OTHER
        row = self._row(
            (
                pool,
                route,
                method if method in METHODS else OTHER,
                str(status) if 100 <= status <= 599 else OTHER,
                exchange.end_code or OK,
            )
        )
        is_websocket = status == 101 or (status == 200 and method == "CONNECT")  # RFC 8441
        add = row.add_websocket if is_websocket else row.add
        if self._failed is not None and is_failure(status, exchange.end_code):
            add = _both(add, self._failed)
        if known and len(self._add) < MOST_ROWS:
            self._add[exchange.route, method, status, exchange.end_code] = add
        return add

    def _row(self, labels: Labels) -> Row:
        if labels not in self._rows and len(self._rows) >= MOST_ROWS:
            labels = (labels[0], OTHER, OTHER, OTHER, OTHER)
        row = self._rows.get(labels)
        if row is None:
            pool, route, *_ = labels
            spent = self._spent.get((pool, route))
            if spent is None:
                spent = self._spent[pool, route] = _spent()
            row = self._rows[labels] = Row(spent)
        return row

    def snapshot(self) -> Snapshot:
        """What was counted up to now."""
        spent = self._spent
        return {
            REQUESTS.name: {labels: row.count for labels, row in self._rows.items()},
            QUEUE_SECONDS.name: {key: each.queue.copy() for key, each in spent.items()},
            APP_SECONDS.name: {key: each.app.copy() for key, each in spent.items()},
            DURATION_SECONDS.name: {key: each.duration.copy() for key, each in spent.items()},
            WEBSOCKET_SECONDS.name: {
                key: each.websocket.copy() for key, each in spent.items() if any(each.websocket)
            },
            RECEIVED_BYTES.name: {key: each.received[0] for key, each in spent.items()},
            SENT_BYTES.name: {key: each.sent[0] for key, each in spent.items()},
            REFUSED.name: self._refused(),
        }

    def _refused(self) -> Series:
        found: dict[Labels, int] = {}
        for (pool, _, _, status, end), row in self._rows.items():
            kind = REFUSALS.get((end, status)) or REFUSALS.get((end, ""))
            if kind is not None:
                found[pool, kind] = found.get((pool, kind), 0) + row.count
        return dict(found)
