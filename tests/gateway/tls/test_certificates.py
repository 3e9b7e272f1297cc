"""What is refused at the start, and how certificates change while they are in use."""

import logging
import os
import time
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from propylon.gateway.settings import CertificateFiles, TlsSettings
from propylon.gateway.tls.certificates import DAY, Certificates, expiring, unusable
from propylon.gateway.tls.session import CertificateError

from .issued import Issued, authority, issue

REMEDY = "; put certificate and key there (a Secret needs tls.crt and tls.key)"


def settings_of(*issued: Issued, **more) -> TlsSettings:
    return TlsSettings(
        certificates=tuple(
            CertificateFiles(certfile=one.paths[0], keyfile=one.paths[1]) for one in issued
        ),
        **more,
    )


def encrypt(issued: Issued, password: bytes) -> None:
    key = serialization.load_pem_private_key(issued.keyfile.read_bytes(), None)
    issued.keyfile.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password),
        )
    )


def test_nothing_is_wrong(tmp_path: Path) -> None:
    good = issue(tmp_path, "a.test", days=30)
    assert unusable(settings_of(good)) == []
    assert expiring(settings_of(good)) == []


def test_key_and_certificate_in_one_file(tmp_path: Path) -> None:
    good = issue(tmp_path, "a.test")
    good.certfile.write_bytes(good.keyfile.read_bytes() + good.certfile.read_bytes())
    files = CertificateFiles(certfile=str(good.certfile))
    assert unusable(TlsSettings(certificates=(files,))) == []


def test_an_encrypted_key(tmp_path: Path) -> None:
    locked = issue(tmp_path, "a.test")
    encrypt(locked, "grüße".encode())
    assert unusable(settings_of(locked, keyfile_password="grüße")) == []
    start = f"{locked.keyfile}: the key is encrypted"
    wrong = unusable(settings_of(locked, keyfile_password="x"))
    assert wrong == [f"{start}, and the password is wrong"]
    assert unusable(settings_of(locked)) == [f"{start}: give --ssl-keyfile-password"]


def test_every_fault_with_its_path(tmp_path: Path) -> None:
    a, b = issue(tmp_path, "a.test"), issue(tmp_path, "b.test")
    rsa = issue(tmp_path, "rsa.test", key_type=trustme.KeyType.RSA)
    old = issue(tmp_path, "old.test", since=-9, days=-1)
    early = issue(tmp_path, "early.test", since=1, days=9)
    empty, noise = tmp_path / "empty.pem", tmp_path / "noise.pem"
    empty.write_text("nothing")
    noise.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    broken = tmp_path / "broken.key"
    broken.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    gone = tmp_path / "gone"
    faults = unusable(
        settings_of(
            Issued(a.certfile, b.keyfile),
            Issued(a.certfile, rsa.keyfile),
            old,
            early,
            Issued(gone, a.keyfile),
            Issued(a.certfile, gone),
            Issued(tmp_path, a.keyfile),
            Issued(empty, a.keyfile),
            Issued(noise, a.keyfile),
            Issued(a.certfile, a.certfile),
            Issued(a.certfile, broken),
            ca_certs=str(empty),
        )
    )
    day = 86_400
    expired, valid = (time.gmtime(time.time() + number * day) for number in (-1, 1))
    expected = [
        f"{a.certfile}: the certificate does not match the key in {b.keyfile}",
        f"{a.certfile}: the certificate does not match the key in {rsa.keyfile}",
        f"{old.certfile}: the certificate expired on {time.strftime('%Y-%m-%d', expired)}",
        f"{early.certfile}: the certificate is not valid before {time.strftime('%Y-%m-%d', valid)}",
        f"{gone}: cannot be read: No such file or directory{REMEDY}",
        f"{gone}: cannot be read: No such file or directory{REMEDY}",
        f"{tmp_path}: cannot be read: Is a directory",
        f"{empty}: there is no certificate in it (PEM is expected)",
        f"{noise}: the certificate in it is malformed",
        f"{a.certfile}: there is no private key in it",
        f"{broken}: the key in it is malformed",
        f"{empty}: there is no certificate in it (PEM is expected)",
    ]
    assert len(faults) == len(expected)
    for fault, start in zip(faults, expected, strict=True):
        assert fault.startswith(start)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    good = issue(tmp_path, "a.test")
    good.keyfile.chmod(0)
    assert unusable(settings_of(good)) == [f"{good.keyfile}: cannot be read: Permission denied"]


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (14.5, []),
        (13.5, ["expires in 13 days"]),
        (1.5, ["expires in 1 day"]),
        (0.5, ["expires in less than a day"]),
    ],
)
def test_a_certificate_that_expires_soon(tmp_path: Path, days: float, words: list[str]) -> None:
    one = issue(tmp_path, "a.test", days=days)
    assert expiring(settings_of(one)) == [f"{one.certfile}: the certificate {w}" for w in words]


def test_renewal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = issue(tmp_path, "a.test", days=20)
    held = Certificates(settings_of(one))
    assert not held.changed()
    before = held.status()[0]
    issue(tmp_path, "a.test", "b.test", days=40)
    assert not held.changed()  # seen, but it may be half of it
    assert held.changed()
    assert held.reload() == ()
    after = held.status()[0]
    assert after.not_after - before.not_after == pytest.approx(20 * DAY, abs=60)
    assert (after.path, after.names, after.fault) == (one.paths[0], ("a.test", "b.test"), "")
    assert not held.changed()
    assert caplog.messages == [f"{one.certfile}: a new certificate is in use"]


def test_what_is_broken_does_not_come_into_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = issue(tmp_path, "a.test"), issue(tmp_path, "b.test")
    held = Certificates(settings_of(one, two))
    before = held.status()
    one.keyfile.write_bytes(two.keyfile.read_bytes())
    issue(tmp_path, "b.test", "c.test")
    fault = f"{one.certfile}: the certificate does not match the key in {one.keyfile}"
    for _ in range(3):
        assert held.reload() == (fault,)
    assert caplog.messages == [f"{fault}; the certificate in use stays"]
    kept, renewed = held.status()
    assert (kept.not_after, kept.fault) == (before[0].not_after, fault)
    assert (renewed.names, renewed.fault) == (("b.test", "c.test"), "")
    issue(tmp_path, "a.test")
    assert held.reload() == ()
    assert held.status()[0].fault == ""


@pytest.mark.parametrize("what", ["gone", "expired", "authority"])
def test_other_ways_to_be_broken(tmp_path: Path, what: str) -> None:
    ca_certs = tmp_path / "ca.pem"
    authority().cert_pem.write_to_path(ca_certs)
    one = issue(tmp_path, "a.test")
    held = Certificates(settings_of(one, ca_certs=str(ca_certs), cert_reqs="required"))
    match what:
        case "gone":
            one.certfile.unlink()
        case "expired":
            issue(tmp_path, "a.test", since=-9, days=-1)
        case _:
            ca_certs.write_text("nothing")
    assert len(held.reload()) == 1
    assert held.session()


def test_a_swapped_link_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes does it: tls.crt -> ..data/tls.crt, ..data -> ..2026_11_21."""
    for number in "12":
        (tmp_path / number).mkdir()
        issue(tmp_path / number, "a.test", f"{number}.test", file="tls")
    data = tmp_path / "..data"
    data.symlink_to("1")
    for name in ("tls.pem", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    held = Certificates(settings_of(Issued(tmp_path / "tls.pem", tmp_path / "tls.key")))
    (tmp_path / "..new").symlink_to("2")
    (tmp_path / "..new").rename(data)
    held.changed()
    assert held.changed()
    held.reload()
    assert held.status()[0].names == ("a.test", "2.test")


def test_expired_certificates_are_served_by_a_successor(tmp_path: Path) -> None:
    old = issue(tmp_path, "old.test", since=-9, days=-1)
    assert Certificates(settings_of(old)).session()
    other = issue(tmp_path, "b.test")
    with pytest.raises(CertificateError):
        Certificates(settings_of(Issued(old.certfile, other.keyfile)))


def test_the_log_warns_once_a_day(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = time.time()
    one = issue(tmp_path, "a.test", days=15.5)
    held = Certificates(settings_of(one), clock=lambda: now)
    for _ in range(6):
        now += DAY / 2
        held.warn_daily()
    start = f"{one.certfile}: the certificate expires in"
    assert caplog.messages == [f"{start} 13 days", f"{start} 12 days"]


def test_only_one_process_speaks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    held = Certificates(settings_of(issue(tmp_path, "a.test")), loud=False)
    issue(tmp_path, "a.test")
    held.reload()
    assert caplog.messages == []
