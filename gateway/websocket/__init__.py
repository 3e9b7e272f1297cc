"""WebSockets without I/O, whatever HTTP version they began in (RFC 6455, RFC 7692).

Reading order: `handshake` (what asks for one, and what accepts it) -> `masking`, `frames` (with
their compression) -> `restarts` (who is told to connect again when, with 1012).
"""
