import os
from pathlib import Path

from propylon.gateway.settings import CertificateFiles
from propylon.gateway.tls.expiry import CertificateDates
from propylon.gateway.tls.x509 import certificates_in, read_certificate

from .issued import issue


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    issued = issue(tmp_path, "a.example", "b.example", days=30)
    file = str(issued.certfile)
    dates, files = CertificateDates(), (CertificateFiles(certfile=file, keyfile=""),)
    (first,) = dates.read(files)
    whole = read_certificate(certificates_in(issued.certfile.read_bytes())[0])
    assert first == ("a.example", file, whole.not_after)
    assert dates.read(files) == (first,)
    newer = issue(tmp_path, "a.example", file="newer", days=60)
    os.replace(newer.certfile, file)
    (second,) = dates.read(files)
    assert second.expires > first.expires


def test_a_file_that_cannot_be_read_is_as_it_was(tmp_path: Path) -> None:
    file = issue(tmp_path, "a.example", days=30).certfile
    files = (CertificateFiles(certfile=str(file), keyfile=""),)
    dates = CertificateDates()
    before = dates.read(files)
    file.write_bytes(b"no certificate")
    assert dates.read(files) == before
    file.unlink()
    assert dates.read(files) == before
    assert CertificateDates().read(files) == ()
    assert dates.read(()) == ()
