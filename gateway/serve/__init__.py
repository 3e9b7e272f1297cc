"""A client connection's life: bytes meet exchanges.

Reading order: `state`, `restarts` -> `outgoing`, `upload` -> `closing` -> `connection` ->
`websocket` -> `seldom`, `proxy_gate`, `tls_transport`, `handshake` (before the client speaks HTTP)
-> `service`.
"""
