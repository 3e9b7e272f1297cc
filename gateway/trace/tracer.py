"""Observes exchanges and has them traced (--traces otlp)."""

import os
from logging import getLogger
from random import getrandbits
from time import monotonic, time
from typing import Final

from ..exchange.exchange import Exchange
from ..exchange.trace_context import RANDOM, SAMPLED, write_traceparent
from .export_queue import ExportQueue
from .options import read_trace_options
from .otlp import OtlpExporter
from .recording import ExchangeRecord, RecordedExchange, new_id
from .spans import SpanMaker

log = getLogger("propylon.gateway")

LAST_EXPORT: Final = 2.0
"""Seconds that the end of the process waits for a collector."""


class Tracer:
    """Traces the exchanges of one gateway process."""

    def __init__(self, exporter: OtlpExporter) -> None:
        options = read_trace_options(os.environ)
        for fault in options.faults:
            log.warning("traces: %s", fault)
        self._sampler = options.sampler
        self._spans = SpanMaker(options.known_methods)
        self._exporter = exporter
        self._queue = ExportQueue(
            self._export, options.queue_size, options.batch_size, options.delay
        )

    def opened(self, exchange: Exchange) -> None:
        """Observes the start of an exchange: continues its trace, or begins one."""
        parent = exchange.request.trace_parent
        if parent is None:
            trace_id = new_id(getrandbits, 128)
            if self._sampler.samples(int(trace_id, 16), None):
                recorded = RecordedExchange(getrandbits, trace_id, SAMPLED)
                exchange.join_trace(trace_id, recorded)
                return
            span_id = new_id(getrandbits, 64)
        else:
            trace_id, span_id, flags, state = parent
            was_sampled = bool(flags & SAMPLED)
            passed = flags & RANDOM
            if self._sampler.samples(int(trace_id, 16), was_sampled):
                recorded = RecordedExchange(getrandbits, trace_id, passed | SAMPLED, span_id, state)
                exchange.join_trace(trace_id, recorded)
                return
            if not was_sampled:
                return  # it goes on as it came
            exchange.request.is_asked_by(write_traceparent(trace_id, span_id, passed))
            return
        exchange.join_trace(trace_id, None)
        exchange.request.is_asked_by(write_traceparent(trace_id, span_id, 0))

    def ended(self, exchange: Exchange) -> None:
        """Observes the end of an exchange."""
        trace = exchange.trace
        if isinstance(trace, RecordedExchange):
            self._queue.put(trace.record(exchange))

    def close(self) -> None:
        """Exports what waits, if the collector takes it within LAST_EXPORT. It blocks so long."""
        self._queue.close(LAST_EXPORT)
        self._exporter.stop()

    def _export(self, records: list[ExchangeRecord]) -> str:
        """Exports a batch, in the queue's thread."""
        epoch = time() - monotonic()  # the wall clock may be set, so it is read again each time
        return self._exporter.export(
            span
            for record in records
            for span in self._spans.spans_of(record, epoch, lambda: new_id(getrandbits, 64))
        )


def begin_tracing(gateway: int) -> Tracer | None:
    """Begins to trace in gateway process number `gateway`; returns None if OTEL_SDK_DISABLED says
    that nothing is to be traced. Raises ValueError if it cannot."""
    if read_trace_options(os.environ).disabled:
        log.info("traces are off: OTEL_SDK_DISABLED")
        return None
    return Tracer(OtlpExporter(gateway))
