"""HTTP/1.1 without I/O (RFC 9112): heads are checked and parsed, bodies framed, responses rendered.
Nothing here knows a socket, a clock or a worker.

`request_head` holds the one strict grammar in front of two parsers, `body` the framing of
requests, `response_head` what may become a response's head; `machine` puts them together for one
client connection, and `upgrade` is how it becomes another protocol's. What requests and responses
mean is RFC 9110's, in `http`. Nothing here knows a socket, a clock or a worker.
"""
