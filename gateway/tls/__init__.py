"""TLS: certificates become contexts, connections become sessions (RFC 8446, RFC 6066).

`session` is the one module that imports OpenSSL; `certificates` looks after files that are
renewed; `x509` reads what a server must know of a certificate.
"""
