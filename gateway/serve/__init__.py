"""A client connection's life: bytes meet exchanges.

Reading order: `service_state`, `service_counts`, `log_throttle`, `client_faults` -> `upload`,
`body_credit`, `max_rate` -> `websocket_connection` -> `exchange_sink` -> `lingering_close` ->
`http1_connection`, `stream_transport` -> `http2_stream` -> `waiting_streams` -> `http2_connection`
-> `begin` -> `proxy_header`, `address_limit`, `tls_handshake` (layers below HTTP) -> `memory_watch`
-> `capacity` -> `acceptor` -> `service`.
"""
