"""The gateway: it holds every client connection and forwards each exchange to a worker's app. The
supervisor, which starts gateways and workers, lives here too.

`assemble` is the one file that knows all rooms. A request goes through `serve`, `http1`,
`exchange`, `handlers` and `pool`, and its response goes back the same way.

Reading order: `exchange` (what passes between the rooms) -> `http`, `http1`, `http2`, `websocket`,
`tls` (protocols without I/O) -> `listen`, `transport` -> `buffering`, `files`, `handlers`, `pool`
-> `serve` (drives all of these) -> `observe`, `metrics`, `trace` -> `assemble`, `process` (a
gateway process) -> `settings`, `config` -> `control`, `admin`, `supervisor` -> `cli`, `program`.
`directories`, `json_texts` and `peers` are leaves that any room may use.
"""
