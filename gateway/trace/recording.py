"""What is noted of a recorded exchange on its way. Pure.

It is the part of tracing that a request pays for, so it does no more than it must: ids, the app's
`traceparent`, and at the end one tuple of values that the exchange has anyway. The exchange itself
is not kept, since its source and sink would stay in memory with it.

A server span covers the whole exchange. Each attempt at a worker has a span of its own, whose id is
in the `traceparent` of that attempt, so two workers that had the same request stand side by side in
the trace. A span of the queue is there if the request waited.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from ...protocol.messages import Address
from ..exchange.exchange import Exchange
from ..exchange.trace_context import write_traceparent

MOST_TEXT: Final = 1_024
"""Bytes of a path or a user agent that are kept: a queue of them must stay small."""
MOST_NAME: Final = 255
"""Characters of a method or a host that are kept. No host that exists has a longer name (RFC 1035
section 2.3.4)."""

Bits = Callable[[int], int]
"""Returns a random number of so many bits (`random.getrandbits`)."""


class Attempt(NamedTuple):
    """One attempt to have a worker answer. Times are monotonic seconds."""

    span_id: str
    placed: float
    """When a worker was looked for."""
    started: float
    """When a worker had it; 0.0 if none ever had."""
    ended: float
    worker: int | str | None


class ExchangeRecord(NamedTuple):
    """What was recorded of an exchange that has ended. Times are monotonic seconds."""

    trace_id: str
    span_id: str
    parent_id: str
    """The client's span; "" if the trace begins here."""
    flags: int
    state: bytes
    attempts: tuple[Attempt, ...]
    opened: float
    ended: float
    method: str
    path: bytes
    scheme: str
    http_version: str
    host: str
    user_agent: bytes
    client: Address | None
    server: Address | None
    route: str
    status: int
    end_code: str
    reason: str
    pool: str
    request_id: str


def new_id(bits: Bits, size: int) -> str:
    """An id of so many bits in hex, which is never all zeros."""
    return f"{bits(size) or 1:0{size // 4}x}"


class RecordedExchange:
    """Records one exchange, as its `Trace`."""

    __slots__ = (
        "_attempt_id",
        "_bits",
        "_earlier",
        "_flags",
        "_parent_id",
        "_placed",
        "_span_id",
        "_state",
        "_trace_id",
    )

    def __init__(
        self, bits: Bits, trace_id: str, flags: int, parent_id: str = "", state: bytes = b""
    ) -> None:
        """`flags` and `state` are those that are passed on."""
        self._bits = bits
        self._trace_id = trace_id
        self._flags = flags
        self._parent_id = parent_id
        self._state = state
        self._span_id = new_id(bits, 64)
        self._attempt_id = ""
        """The span of the attempt that is under way; "" while there is none."""
        self._placed = 0.0
        self._earlier: tuple[Attempt, ...] = ()

    def begin_attempt(self, exchange: Exchange, now: float) -> None:
        if self._attempt_id:
            self._earlier = (*self._earlier, self._attempt(exchange, now))
        self._placed = now
        self._attempt_id = new_id(self._bits, 64)
        exchange.request.is_asked_by(
            write_traceparent(self._trace_id, self._attempt_id, self._flags)
        )

    def _attempt(self, exchange: Exchange, now: float) -> Attempt:
        """The attempt that ends now."""
        source = exchange.source
        account = None if source is None else source.account()
        worker = None if account is None else account.worker
        return Attempt(self._attempt_id, self._placed, exchange.started, now, worker)

    def record(self, exchange: Exchange) -> ExchangeRecord:
        """All that is to be told of the exchange, which has ended."""
        request, source = exchange.request, exchange.source
        account = None if source is None else source.account()
        attempts = self._earlier
        if self._attempt_id:
            worker = None if account is None else account.worker
            last = Attempt(self._attempt_id, self._placed, exchange.started, exchange.ended, worker)
            attempts = (*attempts, last)
        user_agent = b""
        for name, value in request.headers:
            if name == b"user-agent":
                user_agent = value[:MOST_TEXT]
                break
        return ExchangeRecord(
            self._trace_id,
            self._span_id,
            self._parent_id,
            self._flags,
            self._state,
            attempts,
            exchange.opened,
            exchange.ended,
            request.method[:MOST_NAME],
            request.path[:MOST_TEXT],
            exchange.scheme,
            request.http_version,
            request.host[:MOST_NAME],
            user_agent,
            exchange.client,
            exchange.server,
            exchange.route,
            exchange.status,
            exchange.end_code,
            exchange.reason,
            "" if account is None else account.pool,
            exchange.request_id,
        )
