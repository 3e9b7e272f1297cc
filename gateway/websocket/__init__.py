"""WebSockets without I/O (RFC 6455, RFC 7692), the same in every HTTP version.

Reading order: `handshake` (the request for a WebSocket, and its answer) -> `masking`, `inflate`,
`frames` (with their compression) -> `restarts` (which WebSockets are closed with 1012, and when).
"""
