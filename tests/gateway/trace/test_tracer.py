"""What a traced exchange is given at its start, and what is left of it at its end."""

from collections.abc import Iterator

import pytest
from propylon.gateway.exchange.exchange import Exchange
from propylon.gateway.exchange.trace_context import TraceParent, continued_trace
from propylon.gateway.trace.tracer import Tracer, begin_tracing

from ...fakes.otlp_receiver import OtlpReceiver, otlp_receiver
from .exchanges import PARENT, SPAN, TRACE, a_worker, an_exchange, asked_by

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")


@pytest.fixture(scope="module")
def collector() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as receiver:
        yield receiver


@pytest.fixture
def collected(collector: OtlpReceiver) -> OtlpReceiver:
    collector.spans.clear()
    return collector


@pytest.fixture
def tracer(
    request: pytest.FixtureRequest, collected: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> Tracer:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collected.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", getattr(request, "param", ""))
    begun = begin_tracing(1)
    assert begun is not None
    return begun


def goes_through(tracer: Tracer, exchange: Exchange) -> TraceParent:
    """Has the exchange answered by a worker. Returns what the worker's app was told."""
    tracer.opened(exchange)
    exchange.connect(a_worker(), 100.0)
    exchange.complete(200, (), 2, 101.0)
    tracer.ended(exchange)
    told = continued_trace([asked_by(exchange)], [])
    assert told is not None
    return told


def fields_without_trace(exchange: Exchange) -> None:
    """As a head without a valid `traceparent` leaves them."""
    exchange.request.is_meant_for("a", ((b"host", b"a"),))


def test_a_trace_is_continued(tracer: Tracer, collected: OtlpReceiver) -> None:
    exchange = an_exchange()
    told = goes_through(tracer, exchange)
    server, app = collected.of(TRACE, "GET", "app")
    tracer.close()
    assert exchange.trace_id == told.trace_id == server.trace_id == TRACE
    assert (server.parent_id, app.span_id, told.flags) == (SPAN, told.span_id, 1)


def test_a_trace_begins(tracer: Tracer, collected: OtlpReceiver) -> None:
    seen: set[str] = set()
    for _ in range(3):
        exchange = an_exchange(parent=None)
        fields_without_trace(exchange)
        told = goes_through(tracer, exchange)
        assert exchange.trace_id == told.trace_id
        seen.add(told.trace_id)
    for trace_id in seen:
        collected.of(trace_id, "GET", "app")
    tracer.close()
    assert len(seen) == 3
    assert {span.trace_id for span in collected.spans} == seen
    assert {span.parent_id for span in collected.spans if span.kind == "server"} == {""}


def test_a_flag_that_the_id_is_random_goes_on(tracer: Tracer) -> None:
    assert goes_through(tracer, an_exchange(parent=PARENT._replace(flags=3))).flags == 3
    tracer.close()


def test_what_the_client_does_not_record_goes_on_as_it_came(
    tracer: Tracer, collected: OtlpReceiver
) -> None:
    exchange = an_exchange(parent=PARENT._replace(flags=0))
    before = exchange.request.headers
    tracer.opened(exchange)
    exchange.connect(a_worker(), 100.0)
    exchange.complete(200, (), 2, 101.0)
    tracer.ended(exchange)
    tracer.close()
    assert exchange.request.headers is before
    assert exchange.trace_id == TRACE
    assert not collected.spans


@pytest.mark.parametrize("tracer", ["always_off"], indirect=True)
def test_what_is_not_recorded_here_is_not_recorded_behind(
    tracer: Tracer, collected: OtlpReceiver
) -> None:
    told = goes_through(tracer, an_exchange())
    assert (told.trace_id, told.span_id, told.flags) == (TRACE, SPAN, 0)
    begun = an_exchange(parent=None)
    fields_without_trace(begun)
    told = goes_through(tracer, begun)
    assert told.flags == 0
    assert begun.trace_id == told.trace_id
    tracer.close()
    assert not collected.spans


def test_opentelemetry_may_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert begin_tracing(1) is None
