"""HTTP/2 without I/O (RFC 9113): frames and their meaning for one connection. Nothing here knows a
socket, a clock or a worker.

The meaning of requests and responses (RFC 9110) is in `http`.

Reading order: `frames` (the numbers of the wire) -> `engine` (what a driver asks of whoever speaks
the protocol) -> `builtin_engine` (our own) with `receive_window` and `field_compression` ->
`request_fields`, `response_fields` (what the fields of its frames mean) -> `head_cache` (fields
that come again) -> `request_body` (what has come and is not taken yet). The other engine is
`h2_engine` (over h2) with `told_faults` (what that library has answered by itself).

Beside it: `flood_guard` (what a client may send how often) -> `frame_reader` (its bytes as whole
frames); `priority` (what it says of the order of responses) -> `scheduler` (the order in which they
are sent), `piece_buffer` (what waits for that); `graceful_shutdown` (how a connection ends).
"""
