"""One request and its response, as the client sees them, whatever protocol carries them.

The room knows no socket, no HTTP version and no worker: handlers, pools, drivers and observers
meet here. It imports the link protocol's plain values only.

Reading order: `endpoint`, `trace_context` -> `exchange` -> `end_codes` -> `errors`, `body_limit` ->
`pages` -> `filters`.
"""
