"""The link protocol, version 1: what a gateway and a worker say to each other.

Pure: standard library and msgpack only, no socket, no clock, no event loop. `SPEC.md` is the
specification. `supervision/` is another protocol, which a supervisor and its children speak.

Reading order: `SPEC.md` -> `messages` -> `codec` -> `credit` -> `calls` (the states of a call) ->
`fragmenter`, `response_batch`, `outbox`, `send_buffer` (what goes out, and how together) ->
`hello` -> `link`, `gateway_link`, `worker_link` (a whole link without its socket) -> `errors`,
`reason_phrases`. `app_metrics` is a protocol of its own: the metrics that the app counts.
"""
