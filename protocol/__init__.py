"""The link protocol, version 1: what a gateway and a worker say to each other.

Pure: standard library and msgpack only, no socket, no clock, no event loop. `SPEC.md` is the
specification; read it first, then `messages` -> `codec` -> `credit` -> `calls` -> `outbox`,
`response_batch`, `send_buffer` (what goes out, and how together) -> `link`.
"""
