"""Listening sockets, and what stands before anything else on a connection that they accept.

Reading order: `address` (as an operator writes it) -> `activation` (systemd's) -> `sockets`,
`owner` -> `proxy_protocol`; `x509` -> `tls` (the one door to OpenSSL) -> `certificates`.
"""
