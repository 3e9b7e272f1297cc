"""HTTP/1.1 without I/O: heads checked and parsed, bodies framed, responses rendered.

Reading order: `grammar` (what may pass) -> `parse_httptools`, `parse_h11` (the two parsers) ->
`heads` (a raw head becomes a Request), `unfinished` (one that comes in pieces), `repeated` (one
that says what the last one said), `refused` (what a log can tell of one) -> `forwarded`, `trust`
(what proxies say of it) -> `body` -> `responses` -> `machine`.
"""
