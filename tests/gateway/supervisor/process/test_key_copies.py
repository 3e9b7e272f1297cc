"""Copies of keys, whose files change and go. Real files."""

import os
from pathlib import Path

import pytest
from propylon.gateway.settings import CertificateFiles, TlsSettings
from propylon.gateway.supervisor.process.key_copies import KeyCopies


@pytest.fixture
def tls(tmp_path: Path) -> TlsSettings:
    (tmp_path / "tls.crt").write_text("a certificate")
    (tmp_path / "tls.key").write_text("a key")
    crt, key = str(tmp_path / "tls.crt"), str(tmp_path / "tls.key")
    return TlsSettings(certificates=(CertificateFiles(certfile=crt, keyfile=key),))


def content(copies: KeyCopies, tls: TlsSettings) -> bytes:
    told, _ = copies.settings(tls)
    return Path(told.copies[tls.certificates[0].keyfile]).read_bytes()


def said(copies: KeyCopies) -> list[str]:
    copies.look()
    copies.look()
    return [one.what for one in copies.problems()]


def test_a_renewed_key_is_written_into_the_same_copy(tls: TlsSettings) -> None:
    copies = KeyCopies()
    _, before = copies.settings(tls)
    assert content(copies, tls) == b"a key"
    Path(tls.certificates[0].keyfile).write_text("another")
    assert said(copies) == []
    assert content(copies, tls) == b"another"
    _, after = copies.settings(tls)
    assert after == before
    close(before)


def test_a_key_that_has_gone_is_a_problem_until_it_is_there_again(tls: TlsSettings) -> None:
    copies = KeyCopies()
    _, fds = copies.settings(tls)
    key = Path(tls.certificates[0].keyfile)
    away = key.rename(key.with_name("away"))
    assert said(copies) == [f"{key}: cannot be read: No such file or directory"]
    (one,) = copies.problems()
    assert one.kind == "certificate"
    assert content(copies, tls) == b"a key", "the copy is kept"
    away.rename(key)
    assert said(copies) == []
    key.unlink()
    key.mkdir()
    assert said(copies) == [f"{key}: cannot be read: Is a directory"]
    key.rmdir()
    key.write_text("another")
    assert said(copies) == []
    assert content(copies, tls) == b"another"
    close(fds)


def test_files_that_a_reload_has_left_behind_may_go(tls: TlsSettings, tmp_path: Path) -> None:
    copies = KeyCopies()
    _, fds = copies.settings(tls)
    both = tmp_path / "both.pem"
    both.write_text("both")
    _, more = copies.settings(TlsSettings(certificates=(CertificateFiles(certfile=str(both)),)))
    Path(tls.certificates[0].keyfile).unlink()
    assert said(copies) == []
    close(fds + more)


def close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
