"""What a gateway process counts of its exchanges: an observer of their ends. Pure.

It runs once for each request, and a gateway has 20 to 50 microseconds for all of a request, so this
may take half of one. Two things help. What an exchange adds to is found by one look-up: route,
method, status and end code lead to a row. And most exchanges are *plain*: a worker was free at once
and the response came whole, so their time in the queue is nothing, and their time in the app and in
all are the same number. A row counts those in one list, and only a snapshot makes three histograms,
the number of requests and the bytes of it (`Row.plain`). The others take the longer way.

Clients choose the method, and the app the status. So a row is made for known methods and statuses
only, and others share a row (`other`). Routes come from the configuration and end codes from a
closed list; the number of rows is bounded all the same, since a snapshot has to fit into one line
of the channel. What finds no row of its own any more is counted in one for its pool.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from operator import add
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

Key = tuple[str, str, int, str]
"""Route, method, status and end code, as an exchange has them."""

REFUSALS: Final[Mapping[tuple[str, str], str]] = {
    (end_codes.CLIENT_MALFORMED, ""): "malformed",
    (end_codes.CLIENT_TOO_LARGE, "413"): "body_too_large",
    (end_codes.CLIENT_TOO_LARGE, ""): "head_too_large",
    (end_codes.CLIENT_UNSUPPORTED, ""): "unsupported",
    (end_codes.CLIENT_FOREIGN_ORIGIN, ""): "foreign_origin",
    (end_codes.CLIENT_HEAD_TIMEOUT, ""): "head_timeout",
    (end_codes.GATEWAY_NO_ROUTE, ""): "no_route",
    (end_codes.GATEWAY_NO_FILE, ""): "no_file",
    (end_codes.GATEWAY_NO_ROOM, ""): "no_room",
    (end_codes.GATEWAY_QUEUE_FULL, ""): "queue_full",
    (end_codes.GATEWAY_QUEUE_TIMEOUT, ""): "queue_timeout",
    (end_codes.GATEWAY_ROUTE_FULL, ""): "route_full",
    (end_codes.GATEWAY_NO_WORKER, ""): "no_worker",
    (end_codes.GATEWAY_STOPPED_QUEUE, ""): "stopping",
}
"""End code, and status where it matters -> the kind of the refusal."""


PLAIN: Final = 3
"""Numbers before the buckets of `Row.plain`."""


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

    def copy(self) -> "Spent":
        queue, app, duration, websocket, received, sent = self
        return Spent(
            queue.copy(),
            app.copy(),
            duration.copy(),
            websocket.copy(),
            received.copy(),
            sent.copy(),
        )

    def add_plain(self, plain: list[float], count: int) -> None:
        """Adds what the `count` plain requests of a row have spent: nothing in the queue, all in
        the app."""
        self.queue[1] += count
        self.app[0] += plain[0]
        self.duration[0] += plain[0]
        buckets = plain[PLAIN:]
        self.app[1:] = map(add, self.app[1:], buckets)
        self.duration[1:] = map(add, self.duration[1:], buckets)
        self.sent[0] += int(plain[1])
        self.received[0] += int(plain[2])


def _spent() -> Spent:
    def histogram(bounds: tuple[float, ...]) -> list[float]:
        return [0.0, *[0] * (len(bounds) + 1)]

    return Spent(
        histogram(LATENCY), histogram(LATENCY), histogram(LATENCY), histogram(STAYS), [0], [0]
    )


class Row:
    """The requests with the same labels."""

    __slots__ = (
        "_app", "_duration", "_queue", "_received", "_sent", "_websocket", "others", "plain",
    )  # fmt: skip

    def __init__(self, spent: Spent) -> None:
        self.plain: list[float] = [0.0, 0, 0, *[0] * (len(LATENCY) + 1)]
        """Of plain requests: the seconds of all, the bytes that were sent and received, then the
        number of requests in each bucket of LATENCY."""
        self.others = 0
        """How many requests were not plain."""
        self._queue, self._app, self._duration, self._websocket, self._received, self._sent = spent

    def add(self, exchange: Exchange) -> None:
        """Counts a request that has ended."""
        self.others += 1
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
        self.others += 1
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

    __slots__ = ("_add", "_failed", "_plain", "_pools", "_rows", "_spent", "ended")

    def __init__(
        self, pools: Mapping[str, str], failed: Callable[[Exchange], None] | None = None
    ) -> None:
        """`pools`: route -> its pool. `failed` is told of each exchange that has failed."""
        self._pools = pools
        self._failed = failed
        self._add: dict[Key, Callable[[Exchange], None]] = {}
        """What an exchange brings along -> what counts it. Only what is bounded is a key."""
        self._plain: dict[Key, list[float]] = {}
        """The same -> `Row.plain`, where a plain exchange is counted so."""
        self._rows: dict[Labels, Row] = {}
        self._spent: dict[tuple[str, str], Spent] = {}
        """Pool and route -> what its requests have spent."""
        self.ended = self._observer()
        """Observes the end of an exchange."""

    def _observer(self) -> Callable[[Exchange], None]:
        """Makes the observer. It is a function and no method, since every name that it need not
        look up in an object counts."""
        plain_of, count, bounds = self._plain.get, self._count, LATENCY

        def ended(exchange: Exchange) -> None:
            plain = plain_of(
                (exchange.route, exchange.request.method, exchange.status, exchange.end_code)
            )
            opened, end = exchange.opened, exchange.ended
            if plain is None or exchange.started != opened or exchange.first_byte != end:
                count(exchange)
                return
            took = end - opened
            plain[0] += took
            plain[bisect_left(bounds, took) + PLAIN] += 1
            if size := exchange.body_sent:
                plain[1] += size
            if size := exchange.body_received:
                plain[2] += size

        return ended

    def _count(self, exchange: Exchange) -> None:
        """Counts an exchange that is not plain, or the first of its kind."""
        count = self._add.get(
            (exchange.route, exchange.request.method, exchange.status, exchange.end_code)
        )
        if count is None:
            count = self._find(exchange)
        count(exchange)

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
        count = row.add_websocket if is_websocket else row.add
        failed = is_failure(status, exchange.end_code)
        if failed and self._failed is not None:
            count = _both(count, self._failed)
        if known and len(self._add) < MOST_ROWS:
            key = (exchange.route, method, status, exchange.end_code)
            self._add[key] = count
            if not failed and not is_websocket:
                self._plain[key] = row.plain
        return count

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
        spent = {key: each.copy() for key, each in self._spent.items()}
        requests: dict[Labels, int] = {}
        for labels, row in self._rows.items():
            requests[labels] = row.others
            if count := int(sum(row.plain[PLAIN:])):
                requests[labels] += count
                spent[labels[0], labels[1]].add_plain(row.plain, count)
        return {
            REQUESTS.name: dict(requests),
            QUEUE_SECONDS.name: _used({key: each.queue for key, each in spent.items()}),
            APP_SECONDS.name: _used({key: each.app for key, each in spent.items()}),
            DURATION_SECONDS.name: _used({key: each.duration for key, each in spent.items()}),
            WEBSOCKET_SECONDS.name: _used({key: each.websocket for key, each in spent.items()}),
            RECEIVED_BYTES.name: {key: each.received[0] for key, each in spent.items()},
            SENT_BYTES.name: {key: each.sent[0] for key, each in spent.items()},
            REFUSED.name: _refused(requests),
        }


def _used(histograms: Series) -> Series:
    """Those that something was observed in: requests without a route have no queue, and most routes
    have no WebSockets."""
    return {key: each for key, each in histograms.items() if isinstance(each, list) and any(each)}


def _refused(requests: Mapping[Labels, int]) -> Series:
    """The refused ones among the requests, by pool and kind."""
    found: dict[Labels, int] = {}
    for (pool, _, _, status, end), count in requests.items():
        kind = REFUSALS.get((end, status)) or REFUSALS.get((end, ""))
        if kind is not None:
            found[pool, kind] = found.get((pool, kind), 0) + count
    return dict(found)
