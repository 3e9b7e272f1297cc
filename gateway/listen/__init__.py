"""Listening sockets, and what stands before anything else on a connection that they accept.

Reading order: `address` (as an operator writes it) -> `activation` (systemd's) -> `sockets`,
`port_owner` -> `proxy_protocol`.
"""
