from propylon.gateway.exchange.trace_context import continued_trace
from propylon.gateway.trace.recording import MOST_NAME, MOST_TEXT, new_id

from .exchanges import FIELDS, SPAN, TRACE, a_worker, an_exchange, asked_by, recorded


def test_the_app_continues_from_the_attempt_s_span() -> None:
    exchange = an_exchange()
    before = exchange.request.headers
    recorder = recorded(exchange)
    exchange.connect(a_worker(), 100.0)
    exchange.complete(200, (), 2, 101.0)
    asked = continued_trace([asked_by(exchange)], [])
    record = recorder.record(exchange)
    assert asked is not None
    assert (asked.trace_id, asked.flags) == (TRACE, 1)
    (attempt,) = record.attempts
    assert attempt.span_id == asked.span_id
    assert len({SPAN, record.span_id, attempt.span_id}) == 3
    assert (record.trace_id, record.parent_id) == (TRACE, SPAN)
    assert before == FIELDS, "others have the same fields"
    assert [pair for pair in exchange.request.headers if pair[0] != b"traceparent"] == [
        pair for pair in FIELDS if pair[0] != b"traceparent"
    ]


def test_the_request_s_id_stays_the_last_field() -> None:
    """A worker is told that it is (IDENTIFIED)."""
    exchange = an_exchange()
    recorded(exchange)
    exchange.request.carry((b"x-request-id", b"r-1"))
    for worker in (a_worker(1), a_worker(2, 2)):
        exchange.connect(worker, 100.0)
        assert exchange.request.headers[-1] == (b"x-request-id", b"r-1")


def test_each_attempt_has_a_span_and_the_server_s_stays() -> None:
    exchange = an_exchange()
    recorder = recorded(exchange)
    exchange.connect(a_worker(1), 100.0)
    first = asked_by(exchange)
    exchange.connect(a_worker(2, 2), 101.0)
    exchange.wait()
    exchange.start(103.0)
    second = asked_by(exchange)
    exchange.complete(200, (), 2, 104.0)
    record = recorder.record(exchange)
    assert [(one.placed, one.started, one.ended, one.worker) for one in record.attempts] == [
        (100.0, 100.0, 101.0, 1),
        (101.0, 103.0, 104.0, 2),
    ]
    assert [one.span_id.encode() in asked for one, asked in zip(
        record.attempts, (first, second), strict=True)] == [True, True]  # fmt: skip
    assert first != second


def test_what_never_had_a_worker_has_no_attempt() -> None:
    exchange = an_exchange()
    recorder = recorded(exchange)
    exchange.complete(404, (), 2, 100.5)
    record = recorder.record(exchange)
    assert record.attempts == ()
    assert (record.pool, record.status, record.ended) == ("", 404, 100.5)


def test_a_record_is_small_whatever_a_client_sends() -> None:
    exchange = an_exchange(10_000 * "X", b"/" + 10_000 * b"x")
    exchange.request.is_meant_for(10_000 * "a", ((b"user-agent", 10_000 * b"x"),))
    record = recorded(exchange).record(exchange)
    assert len(record.path) == len(record.user_agent) == MOST_TEXT
    assert len(record.method) == len(record.host) == MOST_NAME


def test_an_id_is_never_all_zeros() -> None:
    assert new_id(lambda _: 0, 64) == "0000000000000001"
    assert new_id(lambda size: (1 << size) - 1, 128) == 32 * "f"
