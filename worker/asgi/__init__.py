"""ASGI 3: calls and WebSockets, the lifespan, and the hosts on asyncio, uvloop and trio.

Reading order: `scope` -> `file_events` (files as a response),
`hints_and_trailers` (what stands around one) -> `loop_kind`, `unheard_line` -> `call` (one HTTP
call) -> `websocket_call` -> `lifespan` -> `asyncio_host`, `trio_host`.
"""
