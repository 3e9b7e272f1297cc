"""HTTP/2 without I/O (RFC 9113): frames and their meaning for one connection. Nothing here knows a
socket, a clock or a worker.

The meaning of requests and responses (RFC 9110) is in `http`.

Reading order: `frames` (the numbers of the wire) -> `engine` (what a driver asks of a library that
speaks the protocol) -> `field_compression`, `h2_engine` (the engine over h2), `ngh2_engine` (the
one over libnghttp2) with `told_faults` (what a library has answered by itself) ->
`request_fields`, `response_fields` (what the fields of its frames mean) -> `head_cache` (fields
that come again).

Beside it: `flood_guard` (what a client may send how often) -> `frame_reader` (its bytes as whole
frames); `priority` (what it says of the order of responses) -> `scheduler` (the order in which they
are sent), `piece_buffer` (what waits for that).
"""
