"""Certificates of a CA that lives as long as the tests, as files."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import trustme


@cache
def authority() -> trustme.CA:
    return trustme.CA(organization_name="Trusted here")


@dataclass(frozen=True)
class Issued:
    certfile: Path
    keyfile: Path

    @property
    def paths(self) -> tuple[str, str]:
        return str(self.certfile), str(self.keyfile)

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--ssl-certfile", str(self.certfile), "--ssl-keyfile", str(self.keyfile))


def issue(
    folder: Path,
    *names: str,
    file: str = "",
    days: float | None = None,
    since: float | None = None,
    key_type: trustme.KeyType = trustme.KeyType.ECDSA,
) -> Issued:
    """`days`: how long it is valid, from now on; `since`: days from now on when that begins."""
    now = datetime.now(UTC)
    leaf = authority().issue_cert(
        *names,
        common_name=names[0],
        not_after=None if days is None else now + timedelta(days=days),
        not_before=None if since is None else now + timedelta(days=since),
        key_type=key_type,
    )
    stem = file or names[0].replace("*", "_")
    issued = Issued(folder / f"{stem}.pem", folder / f"{stem}.key")
    leaf.private_key_pem.write_to_path(issued.keyfile)
    issued.certfile.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    return issued


def trusting() -> ssl.SSLContext:
    """A client's context that trusts the CA."""
    context = ssl.create_default_context()
    authority().configure_trust(context)
    return context


def trusting_in_threads() -> ssl.SSLContext:
    """For `websockets.sync`, which reads in one thread and writes in another, while Python's ssl
    does not lock a connection (python/cpython#143756): where TLS 1.3's tickets are read just as the
    first request is written, it is never sent, once in some thousand times. In TLS 1.2 nothing
    comes unasked."""
    context = trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context
