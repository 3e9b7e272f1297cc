"""Observes exchanges and has them traced (--traces otlp)."""

import os
from collections.abc import Iterator
from logging import getLogger
from random import getrandbits
from typing import Final

from ...protocol.supervision.messages import Problem
from ...protocol.supervision.problems import problem
from ..exchange.exchange import Exchange
from ..exchange.trace_context import RANDOM, SAMPLED, TRACEPARENT, write_traceparent
from .export_process import ExportProcess
from .export_queue import ExportQueue
from .options import TraceOptions, read_trace_options
from .otlp import UNRESOLVED
from .recording import RecordedExchange

log = getLogger("propylon.gateway")

_DNS: Final = (
    "mend its name in OTEL_EXPORTER_OTLP_ENDPOINT, or the DNS (Kubernetes: dnsPolicy, and a "
    "NetworkPolicy that lets port 53 out)"
)
LAST_EXPORT: Final = 2.0
"""Seconds that the end of the process waits for a collector."""


class Tracer:
    """Traces the exchanges of one gateway process."""

    def __init__(self, options: TraceOptions, process: ExportProcess) -> None:
        self._sampler = options.sampler
        self._process = process
        self._queue = ExportQueue(
            process.export, options.queue_size, options.batch_size, options.delay
        )

    def opened(self, exchange: Exchange) -> None:
        """Observes the start of an exchange: continues its trace, or begins one."""
        request = exchange.request
        parent = request.trace_parent
        if parent is not None:
            trace_id, span_id, flags, state = parent
            was_sampled = bool(flags & SAMPLED)
            passed = flags & RANDOM
            if self._sampler.samples(int(trace_id, 16), was_sampled):
                recorded = RecordedExchange(getrandbits, trace_id, passed | SAMPLED, span_id, state)
                exchange.join_trace(trace_id, recorded)
            elif was_sampled:
                request.is_asked_by(write_traceparent(trace_id, span_id, passed))
            return  # what the client does not record goes on as it came
        number = getrandbits(128) or 1
        trace_id = f"{number:032x}"
        if self._sampler.root(number):
            exchange.join_trace(trace_id, RecordedExchange(getrandbits, trace_id, SAMPLED))
        else:
            exchange.join_trace(trace_id, None)
            # Nobody has recorded the span that asks, so any id will do.
            asks = f"00-{trace_id}-{trace_id[16:]}-00" if number & _SPAN else _LOWEST % trace_id
            request.carry((TRACEPARENT, asks.encode()))

    def ended(self, exchange: Exchange) -> None:
        """Observes the end of an exchange."""
        trace = exchange.trace
        if isinstance(trace, RecordedExchange) and self._queue.has_room():
            self._queue.put(trace.record(exchange))

    def problems(self, now: float) -> Iterator[Problem]:
        """Yields the problems of this moment."""
        if why := self._queue.fault:
            what = f"traces: the collector takes no spans: {why}"
            yield problem("collector", "", what, _DNS if UNRESOLVED in why else "")

    def close(self) -> None:
        """Exports what waits, if the collector takes it within LAST_EXPORT. It blocks so long."""
        finished = self._queue.close(LAST_EXPORT)
        self._process.stop(at_once=not finished)


_SPAN: Final = (1 << 64) - 1
_LOWEST: Final = f"00-%s-{1:016x}-00"


def begin_tracing(gateway: int) -> Tracer | None:
    """Begins to trace in gateway process number `gateway`; returns None if OTEL_SDK_DISABLED says
    that nothing is to be traced. Raises OSError if it cannot."""
    options = read_trace_options(os.environ)
    for fault in options.faults:
        log.warning("traces: %s", fault)
    if options.disabled:
        log.info("traces are off: OTEL_SDK_DISABLED")
        return None
    return Tracer(options, ExportProcess(gateway))
