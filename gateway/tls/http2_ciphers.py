"""Which ciphers of TLS 1.2 HTTP/2 forbids (RFC 9113 section 9.2.2 and appendix A). Pure.

The appendix lists 276 cipher suites by name. They are those of their time that have no ephemeral
key exchange (DHE or ECDHE), or no cipher that authenticates as it encrypts (GCM, CCM, Poly1305); no
suite came later that has neither and is not listed. So two rules are the whole list, in the names
of OpenSSL. All ciphers of TLS 1.3 are allowed.

A server that agrees on a forbidden one and on HTTP/2 may be told INADEQUATE_SECURITY by the client.
Which application protocol is chosen cannot depend on the cipher here: Python gives OpenSSL a list
of protocols, and no function that chooses. So such a connection is ended by the HTTP version.
"""

from collections.abc import Iterable
from typing import Final

_EPHEMERAL: Final = ("ECDHE-", "DHE-")
_AUTHENTICATED: Final = ("GCM", "CCM", "POLY1305")


def is_forbidden(cipher: str) -> bool:
    """Whether HTTP/2 may not be spoken over this cipher, given by OpenSSL's name. No cipher
    ("") is a forbidden one."""
    if cipher.startswith("TLS_"):  # TLS 1.3
        return False
    return not (cipher.startswith(_EPHEMERAL) and any(word in cipher for word in _AUTHENTICATED))


def forbidden(ciphers: Iterable[str]) -> list[str]:
    """Those of the ciphers over which HTTP/2 may not be spoken, in their order."""
    return [cipher for cipher in ciphers if is_forbidden(cipher)]
