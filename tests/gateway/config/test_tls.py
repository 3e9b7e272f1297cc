"""The options of TLS: other tools' words for them, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
from propylon.gateway.cli import main
from propylon.gateway.config.load import Loaded, load
from propylon.gateway.listen.address import speaks_tls

from ..tls.issued import Issued, authority, issue
from .test_faults import faults


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def one(tmp_path: Path) -> Issued:
    authority().cert_pem.write_to_path(tmp_path / "ca.pem")
    return issue(tmp_path, "a.test")


def loaded(flags: dict[str, Any] | None = None, toml: str = "") -> Loaded:
    if toml:
        Path("propylon.toml").write_text(toml)
    return load("serve", {"app": "main:app"} | (flags or {}), {})


def cert(*issued: Issued) -> dict[str, Any]:
    return {
        "ssl_certfile": tuple(str(each.certfile) for each in issued),
        "ssl_keyfile": tuple(str(each.keyfile) for each in issued),
    }


def test_bind_is_tls_and_the_rest_is_not(one: Issued) -> None:
    flags = cert(one) | {
        "bind": (":443", "[::]:443", "unix:/s", "fd://3"),
        "insecure_bind": (":80",),
    }
    found = {str(one): speaks_tls(one) for one in loaded(flags).config.addresses}
    assert found == {
        "0.0.0.0:443": True,
        "[::]:443": True,
        "unix:/s": False,
        "fd://3": True,
        "0.0.0.0:80": False,
    }
    assert not any(map(speaks_tls, loaded({"bind": (":443",)}).config.addresses))


def test_the_default_address_is_tls_too(one: Issued) -> None:
    config = loaded(cert(one) | {"insecure_bind": (":80",)}).config
    assert [address.url for address in config.addresses] == [
        "https://127.0.0.1:8000",
        "http://0.0.0.0:80",
    ]


def test_an_address_that_is_both(one: Issued) -> None:
    flags = cert(one) | {"bind": (":80",), "insecure_bind": (":80",)}
    assert faults(flags) == ["--insecure-bind: 0.0.0.0:80 is given twice"]


def test_toml(one: Issued, tmp_path: Path) -> None:
    toml = """
    certfile = ["a.test.pem", "a.test.pem"]
    keyfile = ["a.test.key", "a.test.key"]
    ca-certs = "ca.pem"
    cert-reqs = 2
    ssl-handshake-timeout = 3
    """
    tls = loaded(toml=toml).config.tls
    assert [files.certfile for files in tls.certificates] == [str(one.certfile)] * 2
    assert (tls.ca_certs, tls.cert_reqs) == (str(tmp_path / "ca.pem"), "required")
    assert tls.handshake_timeout == 3.0


@pytest.mark.parametrize(
    ("word", "meant"),
    [("0", "none"), ("1", "optional"), ("CERT_REQUIRED", "required"), ("optional", "optional")],
)
def test_words_of_others(one: Issued, word: str, meant: str) -> None:
    flags = cert(one) | {"ssl_cert_reqs": word, "ssl_ca_certs": "ca.pem"}
    assert loaded(flags).config.tls.cert_reqs == meant


FAULTS = [
    ({"ssl_keyfile": ("k",)}, ["--ssl-keyfile: it needs a certificate: --ssl-certfile"]),
    ({"redirect_to_https": True}, ["--redirect-to-https: it needs a certificate: --ssl-certfile"]),
    (
        {"ssl_certfile": ("gone", "gone")} | {"ssl_keyfile": ("k",)},
        ["--ssl-keyfile: found 1 for 2 certificates; each has its own, in their order"],
    ),
    (
        {"ssl_certfile": ("a.test.key",), "ssl_cert_reqs": "2", "ssl_ciphers": "x", "workers": "0"},
        [
            "--workers: found '0'; expected auto or a whole number from 1 to 4096, or a range as "
            "in 2..8",
            "--ssl-cert-reqs: found 'required'; say whose, with --ssl-ca-certs",
            "--ssl-ciphers: found 'x', of which OpenSSL knows none",
            "HERE/a.test.key: there is no certificate in it (PEM is expected)",
        ],
    ),
    (
        {"ssl_certfile": ("gone",), "ssl_ca_certs": "gone too"},
        [
            "HERE/gone: cannot be read: No such file or directory; put certificate and key there "
            "(a Secret needs tls.crt and tls.key)",
            "HERE/gone too: cannot be read: No such file or directory",
        ],
    ),
    (
        {"ssl_cert_reqs": "3"},
        ["--ssl-cert-reqs: found '3'; expected one of none, optional or required"],
    ),
    (
        {"ssl_version": "TLSv1"},
        [
            "--ssl-version: TLS 1.2 and 1.3 are spoken, whichever is the best that the client "
            "knows; there is nothing to choose"
        ],
    ),
]


@pytest.mark.parametrize(("flags", "sentences"), FAULTS)
def test_faults(one: Issued, tmp_path: Path, flags: dict[str, Any], sentences: list[str]) -> None:
    assert faults(flags) == [text.replace("HERE", str(tmp_path)) for text in sentences]


def test_only_unix_sockets(one: Issued) -> None:
    flags = cert(one) | {"bind": ("unix:/s",), "redirect_to_https": True}
    assert faults(flags) == [
        "--redirect-to-https: nothing listens with TLS: a Unix socket never does"
    ]


def test_notes(tmp_path: Path, one: Issued) -> None:
    soon = issue(tmp_path, "b.test", days=3.5)
    flags = cert(soon) | {"ssl_ca_certs": "ca.pem", "redirect_to_https": True}
    assert loaded(flags).notes == (
        f"{soon.certfile}: the certificate expires in 3 days",
        "clients are not asked for certificates: --ssl-cert-reqs is none",
        "nothing is redirected to https: there is no --insecure-bind",
    )


@pytest.mark.parametrize("toml", ['keyfile-password = "hunter2"', "keyfile-password = 2222"])
def test_the_password_is_printed_nowhere(
    one: Issued, toml: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("propylon.toml").write_text(f"ssl-certfile = '{one.certfile}'\nssl-keyfile = 'x'\n{toml}")
    with pytest.raises(SystemExit):
        main(["check", "m:a"])
    Path("propylon.toml").write_text("\n".join([*_flags_as_toml(one), toml]))
    with pytest.raises(SystemExit):
        main(["check", "--no-app", "m:a"])
    printed = "".join(capsys.readouterr())
    assert "password" in printed
    assert "hunter2" not in printed
    assert "2222" not in printed


def _flags_as_toml(one: Issued) -> list[str]:
    return [f"ssl-certfile = '{one.certfile}'", f"ssl-keyfile = '{one.keyfile}'"]


@pytest.mark.parametrize(
    ("ciphers", "named"),
    [
        ("ECDHE+AESGCM", ""),
        ("ECDHE+AESGCM:AES128-SHA", "AES128-SHA: HTTP/2 forbids it (RFC 9113 appendix A)"),
        ("ALL", ", ...: HTTP/2 forbids them"),
    ],
)
def test_ciphers_that_http2_forbids_are_named(one: Issued, ciphers: str, named: str) -> None:
    notes = " ".join(loaded(cert(one) | {"ssl_ciphers": ciphers}).notes)
    assert bool(notes) == bool(named)
    assert named in notes
    assert not loaded(cert(one) | {"ssl_ciphers": ciphers, "http2": False}).notes
