"""Carries bytes: the poller of all sockets, and a client's socket with and without TLS.

Reading order: `poller` -> `transport` (the interface) ->
`min_rate`, `file_buffer` -> `client_socket` -> `tls_transport`; and
`credentials` (of a peer on a Unix socket).
"""
