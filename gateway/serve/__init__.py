"""A client connection's life: bytes meet exchanges.

Reading order: `state` -> `outgoing`, `upload` -> `connection` -> `websocket` -> `seldom`,
`proxy_gate` (before the client speaks) -> `service`.
"""
