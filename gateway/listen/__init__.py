"""Listening sockets, and the PROXY header that may stand in front of all else on a connection.

Reading order: `address` (an address as the operator writes it) -> `activation` (sockets that
systemd has opened) -> `sockets` (bound and held) with `port_owner` -> `proxy_protocol` ->
`descriptors`, `connections_bound` (how many connections a process has room for).
"""
