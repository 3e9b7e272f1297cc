"""The certificates in use. They are loaded at the start and loaded again when their files change.

Each certificate is renewed by itself. If its new files cannot be used, the old certificate stays
and its fault is kept (`Certificates.status`). A connection keeps the certificate of its handshake.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from logging import DEBUG, ERROR, INFO, WARNING, getLogger
from time import time
from typing import Final

from ..settings import CertificateFiles, TlsSettings
from .session import (
    CertificateError,
    CertificateSet,
    ServerCertificate,
    TlsSession,
    check_ca_certs,
    load_certificate,
)

log = getLogger("propylon.gateway")

DAY: Final = 86_400.0
_BOTH: Final = "; put certificate and key there (a Secret needs tls.crt and tls.key)"
EXPIRES_SOON: Final = 14 * DAY

Look = tuple[tuple[int, ...] | None, ...]
"""Facts that differ between two versions of the files. Symbolic links are followed, so that a link
with a new target (Kubernetes' `..data`) is a change, as an atomic rename is."""


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    path: str
    names: tuple[str, ...]
    not_after: float
    """Seconds since the epoch."""
    fault: str = ""
    """Why the present content of the files is not in use; "" if it is."""


def unusable(settings: TlsSettings) -> list[str]:
    """A sentence for each file that cannot be used."""
    faults: list[str] = []
    trusting = replace(settings, ca_certs="", cert_reqs="none", ciphers="")
    for files in settings.certificates:
        try:
            load_certificate(files, trusting, time())
        except CertificateError as error:
            faults.append(f"{error}{_BOTH if error.missing else ''}")
    if settings.ca_certs:
        try:
            check_ca_certs(settings.ca_certs)
        except CertificateError as error:
            faults.append(str(error))
    return faults


def expiring(settings: TlsSettings) -> list[str]:
    """A sentence for each certificate that expires soon. The files have no fault."""
    loaded = (load_certificate(files, settings, time()) for files in settings.certificates)
    return [sentence for one in loaded if (sentence := _expiry(one, time()))]


def _expiry(one: ServerCertificate, now: float) -> str:
    left = one.certificate.not_after - now
    if left > EXPIRES_SOON:
        return ""
    if left < 0:
        return f"{one.files.certfile}: the certificate has expired"
    days = int(left / DAY)
    when = f"in {days} day{'' if days == 1 else 's'}" if days else "in less than a day"
    return f"{one.files.certfile}: the certificate expires {when}"


class Certificates:
    def __init__(
        self, settings: TlsSettings, *, loud: bool = True, clock: Callable[[], float] = time
    ) -> None:
        """`loud` says whether this process logs; one of several gateway processes does. Raises
        CertificateError.

        A certificate that has expired is served all the same. The supervisor refuses it at the
        start, but a gateway process that replaces another must not make things worse.
        """
        self._settings = settings
        self._loud = loud
        self._clock = clock
        self._faults: dict[CertificateFiles, str] = {}
        self._loaded = self._seen = self._look()
        self._current = CertificateSet(
            load_certificate(files, settings, None) for files in settings.certificates
        )
        self._expiry_checked = clock()

    def session(self) -> TlsSession:
        """A session for a new connection, with the certificates of this moment."""
        return TlsSession(self._current)

    def status(self) -> tuple[CertificateStatus, ...]:
        return tuple(
            CertificateStatus(
                path=one.files.certfile,
                names=one.certificate.names,
                not_after=one.certificate.not_after,
                fault=self._faults.get(one.files, ""),
            )
            for one in self._current.all
        )

    def changed(self) -> bool:
        """Whether the files have changed and are at rest, which means the same at two calls in a
        row: a key is written a moment after its certificate. To be called every second or so."""
        look = self._look()
        at_rest, self._seen = look == self._seen, look
        return at_rest and look != self._loaded

    def reload(self) -> tuple[str, ...]:
        """Loads the files that have changed, and returns a sentence for each fault. A certificate
        with unchanged files stays, and with it the session tickets of its clients."""
        before, self._loaded = self._loaded, self._look()
        same = {files for files, look in self._loaded.items() if before[files] == look}
        self._current = CertificateSet(
            one if one.files in same and one.files not in self._faults else self._renewed(one)
            for one in self._current.all
        )
        self._warn()
        return tuple(self._faults.values())

    def _renewed(self, old: ServerCertificate) -> ServerCertificate:
        try:
            new = load_certificate(old.files, self._settings, self._clock())
        except CertificateError as error:
            if self._faults.get(old.files) != str(error):
                self._say(ERROR, f"{error}; the certificate in use stays")
            self._faults[old.files] = str(error)
            return old
        self._faults.pop(old.files, None)
        self._say(INFO, f"{new.files.certfile}: a new certificate is in use")
        return new

    def warn_daily(self) -> None:
        """Logs once a day which certificates expire soon."""
        if self._clock() - self._expiry_checked >= DAY:
            self._warn()

    def _warn(self) -> None:
        self._expiry_checked = self._clock()
        for one in self._current.all:
            if sentence := _expiry(one, self._clock()):
                self._say(WARNING, sentence)

    def _say(self, level: int, sentence: str) -> None:
        log.log(level if self._loud else DEBUG, "%s", sentence)

    def _look(self) -> dict[CertificateFiles, Look]:
        ca_certs, copies = self._settings.ca_certs, self._settings.copies
        return {
            files: tuple(
                _version(copies.get(path, path))
                for path in (files.certfile, files.keyfile, ca_certs)
                if path
            )
            for files in self._settings.certificates
        }


def _version(path: str) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
