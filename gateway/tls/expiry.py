"""Names and dates of the certificates, read from their files for who only shows them."""

import os
from collections.abc import Iterable
from typing import NamedTuple

from ..settings import CertificateFiles
from .x509 import certificates_in, read_certificate

Look = tuple[int, int, int]


class CertificateDate(NamedTuple):
    name: str
    """The first name that the certificate is for."""
    file: str
    expires: float
    """Seconds since the epoch."""


class CertificateDates:
    """Looks at the files whenever it is asked, and reads those that have changed. A file that can't
    be read is taken to be as it was: a gateway process does the same (`certificates`)."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Look, CertificateDate]] = {}

    def read(self, certificates: Iterable[CertificateFiles]) -> tuple[CertificateDate, ...]:
        """Returns the dates of all certificates that can be, or could once be, read."""
        files = [one.certfile for one in certificates]
        self._known = {file: known for file, known in self._known.items() if file in files}
        for file in files:
            self._look(file)
        return tuple(self._known[file][1] for file in files if file in self._known)

    def _look(self, file: str) -> None:
        try:
            status = os.stat(file)
            look = (status.st_ino, status.st_size, status.st_mtime_ns)
            if file in self._known and self._known[file][0] == look:
                return
            with open(file, "rb") as opened:
                first = certificates_in(opened.read())[0]
            certificate = read_certificate(first)
        except (OSError, ValueError, IndexError):
            return
        name = certificate.names[0] if certificate.names else certificate.subject
        self._known[file] = (look, CertificateDate(name, file, certificate.not_after))
