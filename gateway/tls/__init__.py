"""TLS (RFC 8446, RFC 6066) without sockets: certificates become contexts, and each connection has a
session.

Reading order: `x509` (reads a certificate) -> `session` (the adapter for OpenSSL),
`http2_ciphers` (which ciphers HTTP/2 forbids) ->
`certificates` (the certificates in use, which are renewed), `expiry` (their dates, for who only
shows them).
"""
