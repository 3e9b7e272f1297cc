"""HTTP/1.1 without I/O (RFC 9112): heads are checked and parsed, bodies framed, responses rendered.
Nothing here knows a socket, a clock or a worker.

The meaning of requests and responses (RFC 9110) is in `http`.

Reading order: `request_head` (one strict grammar in front of two parsers) with `parse_h11` and
`parse_httptools` -> `head_cache` (a head that comes again), `unfinished_head` (a head that comes in
pieces), `refused_request` (a head for the log) -> `body` (the framing of requests) ->
`response_head` -> `machine` (one client connection) -> `upgrade` (a connection that becomes another
protocol's).
"""
