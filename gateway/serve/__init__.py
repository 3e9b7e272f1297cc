"""A client connection's life: bytes meet exchanges.

Reading order: `service_state` -> `client_socket`, `upload` -> `lingering_close` ->
`http1_connection` -> `websocket_connection` -> `log_throttle`, `client_faults`, `proxy_header`,
`tls_handshake` (before the client speaks HTTP) -> `service`.
"""
