"""Distributed tracing: spans of what the gateway did for a request, sent to a collector.

What every request has, `gateway/exchange/trace_context.py` reads: the trace that it continues.
This room is used with --traces otlp. On a request's way it makes ids, decides whether the trace is
recorded, and writes the `traceparent` of the app. What was recorded becomes spans in a process of
its own, which a collector may keep busy or waiting as long as it likes.

Reading order: `options` (OTEL_* variables), `sampling` -> `recording` (on a request's way) ->
`export_queue` -> `tracer`. In the process that exports: `spans` (what was recorded, in
OpenTelemetry's words), `otlp` (the adapter of OpenTelemetry) -> `export_process`.
"""
