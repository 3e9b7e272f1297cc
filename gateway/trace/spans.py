"""The spans of a recorded exchange, by OpenTelemetry's conventions. Pure.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/, the stable attributes of a server. The
query is not among them: it may hold what nobody should read. Attributes of ours begin with
`propylon.`.
"""

from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple

from ..exchange.end_codes import END_CODES, OK, is_server_error
from .options import KNOWN_METHODS
from .recording import Attempt, ExchangeRecord

SCHEMA: Final = "https://opentelemetry.io/schemas/1.29.0"
"""The version of the conventions."""

Attributes = dict[str, str | int]


class Span(NamedTuple):
    """One span. Times are nanoseconds since the epoch; ids are hex digits."""

    name: str
    kind: Literal["server", "internal", "client"]
    trace_id: str
    span_id: str
    parent_id: str
    """"" for the first span of a trace."""
    parent_is_remote: bool
    flags: int
    state: bytes
    started: int
    ended: int
    attributes: Attributes
    failed: bool
    reason: str
    """Why it failed, in a sentence; "" if nothing is known or it did not."""


class SpanMaker:
    """Makes spans of records."""

    def __init__(self, known_methods: frozenset[str] = KNOWN_METHODS) -> None:
        self._known_methods = known_methods

    def spans_of(
        self, record: ExchangeRecord, epoch: float, new_span_id: Callable[[], str]
    ) -> Iterable[Span]:
        """Yields the server span, then those of its attempts. `epoch`: seconds since the epoch at
        the monotonic clock's zero. `new_span_id` makes the id of a span that nobody
        else knows."""
        error = error_of(record)
        # By the conventions every 5xx is an error of the server.
        failed = record.status >= 500 or is_server_error(record.status, record.end_code)
        yield Span(
            self._name(record),
            "server",
            record.trace_id,
            record.span_id,
            record.parent_id,
            bool(record.parent_id),
            record.flags,
            record.state,
            nanoseconds(record.opened, epoch),
            nanoseconds(record.ended, epoch),
            self._attributes(record, error),
            failed,
            record.reason if failed else "",
        )
        for number, attempt in enumerate(record.attempts):
            waited_until = attempt.started or attempt.ended
            if waited_until > attempt.placed:
                yield _child(
                    record,
                    ("queue", "internal", new_span_id()),
                    (nanoseconds(attempt.placed, epoch), nanoseconds(waited_until, epoch)),
                    {"propylon.pool": record.pool},
                )
            if attempt.started:
                is_last = number == len(record.attempts) - 1
                yield _child(
                    record,
                    ("app", "client", attempt.span_id),
                    (nanoseconds(attempt.started, epoch), nanoseconds(attempt.ended, epoch)),
                    _of_attempt(record, attempt, number, (error if is_last else "retried")),
                    failed or not is_last,
                )

    def _name(self, record: ExchangeRecord) -> str:
        method = record.method if record.method in self._known_methods else "HTTP"
        return f"{method} {record.route}" if record.route else method

    def _attributes(self, record: ExchangeRecord, error: str) -> Attributes:
        method, known = record.method, record.method in self._known_methods
        found: Attributes = {
            "http.request.method": method if known else "_OTHER",
            "url.path": text_of(record.path),
            "url.scheme": record.scheme,
            "propylon.end": record.end_code or OK,
        }
        if not known and method:
            found["http.request.method_original"] = method[:64]
        if record.status and record.status != 499:  # 499 was never sent
            found["http.response.status_code"] = record.status
        client, server = record.client, record.server
        if client is not None:
            found["client.address"] = client[0]
        if record.host or server is not None:
            address = record.host or ("" if server is None else server[0])
            found["server.address"] = text_of(address.encode("utf-8", "backslashreplace"))
        if server is not None and server[1] is not None:
            found["server.port"] = server[1]
        for name, value in (
            ("http.route", record.route),
            ("network.protocol.version", record.http_version),
            ("user_agent.original", text_of(record.user_agent)),
            ("error.type", error),
            ("propylon.pool", record.pool),
            ("propylon.worker", _worker(record)),
            ("propylon.request_id", record.request_id),
        ):
            if value:
                found[name] = value
        return found


def _child(
    record: ExchangeRecord,
    who: tuple[str, Literal["internal", "client"], str],
    times: tuple[int, int],
    attributes: Attributes,
    failed: bool = False,
) -> Span:
    """A span below the server span. `who`: its name, kind and id."""
    name, kind, span_id = who
    return Span(
        name,
        kind,
        record.trace_id,
        span_id,
        record.span_id,
        False,
        record.flags,
        record.state,
        *times,
        attributes,
        failed,
        "",
    )


def _of_attempt(record: ExchangeRecord, attempt: Attempt, number: int, error: str) -> Attributes:
    found: Attributes = {"propylon.pool": record.pool}
    if attempt.worker is not None:
        found["propylon.worker"] = str(attempt.worker)
    if number:
        found["http.request.resend_count"] = number
    if error:
        found["error.type"] = error
    return found


def error_of(record: ExchangeRecord) -> str:
    """What has gone wrong, in a word: the end code of a failure, else a status of 5xx that the app
    has chosen; "" if nothing has."""
    row = END_CODES.get(record.end_code)
    if row is not None and row.is_failure:
        return row.word
    return str(record.status) if record.status >= 500 else ""


def nanoseconds(mark: float, epoch: float) -> int:
    """Nanoseconds since the epoch at a mark in monotonic seconds."""
    return int((epoch + mark) * 1e9)


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def _worker(record: ExchangeRecord) -> str:
    """The worker that had the exchange last."""
    worker = record.attempts[-1].worker if record.attempts else None
    return "" if worker is None else str(worker)
