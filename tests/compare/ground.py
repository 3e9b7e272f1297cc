"""What one start of a contestant has to itself: a folder, a port, a certificate."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import trustme

from ..end_to_end.other_proxies import free_port


@dataclass(kw_only=True)
class Ground:
    folder: Path
    """For its sockets, configuration, log and certificate, all its own."""
    port: int = field(default_factory=free_port)
    tls: bool = False

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def bind(self) -> str:
        """The address as servers and the Host field write it."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.bind}"

    @property
    def socket(self) -> Path:
        """Between a proxy and what is behind it."""
        return self.folder / "app.sock"

    @property
    def log(self) -> Path:
        """Whatever its processes write."""
        return self.folder / "log"

    @cached_property
    def certificate(self) -> tuple[str, str]:
        """Paths of the chain and the key."""
        chain, key = self.folder / "chain.pem", self.folder / "key.pem"
        issued = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert(
            "127.0.0.1", key_type=trustme.KeyType.ECDSA
        )
        # PKCS#8, which every contestant reads.
        key.write_bytes(pkcs8(issued.private_key_pem.bytes()))
        chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        return str(chain), str(key)

    def tls_flags(self, certfile: str, keyfile: str) -> list[str]:
        """The contestant's words for the two, with their paths; nothing without TLS."""
        chain, key = self.certificate if self.tls else ("", "")
        return [certfile, chain, keyfile, key] if self.tls else []


def pkcs8(pem: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization as ser

    key = ser.load_pem_private_key(pem, None)
    return key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, ser.NoEncryption())


Commands = Callable[[Ground], list[list[str]]]
"""The processes to start: the first is an app's, the last faces the clients."""
