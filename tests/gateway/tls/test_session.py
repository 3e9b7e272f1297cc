"""Sessions against a client of OpenSSL's own, without a socket between them."""

import ssl
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from propylon.gateway.settings import CertificateFiles, TlsSettings
from propylon.gateway.tls.certificates import Certificates
from propylon.gateway.tls.http2_ciphers import is_forbidden
from propylon.gateway.tls.session import TlsError, TlsSession

from .issued import authority, issue, trusting


class Client:
    """The other end."""

    def __init__(self, context: ssl.SSLContext, name: str | None = "a.test") -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    def handshake(self) -> bool:
        try:
            self.session.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def read(self) -> bytes:
        data = b""
        try:
            while piece := self.session.read(65_536):
                data += piece
        except ssl.SSLWantReadError:
            pass
        return data


def certificates(folder: Path, *names: str, **more) -> Certificates:
    files = [issue(folder, name) for name in names or ("a.test",)]
    return Certificates(
        TlsSettings(
            certificates=tuple(
                CertificateFiles(certfile=one.paths[0], keyfile=one.paths[1]) for one in files
            ),
            **more,
        )
    )


def connect(server: TlsSession, client: Client) -> None:
    """Handshakes, with the client's bytes one at a time."""
    client.handshake()
    complete = False
    while not complete:
        sent = client.outgoing.read()
        assert sent
        for byte in sent:
            assert not complete
            complete = server.handshake(bytes([byte]))
        client.incoming.write(server.output)
        client.handshake()


def pair(held: Certificates, context: ssl.SSLContext | None = None) -> tuple[TlsSession, Client]:
    server, client = held.session(), Client(context or trusting())
    connect(server, client)
    return server, client


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


@given(
    st.lists(st.integers(0, 40_000), max_size=3),
    st.lists(st.integers(1, 20_000), max_size=5),
)
@settings(deadline=None, max_examples=40)
def test_bytes_arrive_however_they_are_cut(
    held: Certificates, sizes: list[int], cuts: list[int]
) -> None:
    server, client = pair(held)
    sent = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    for data in sent:
        rest = memoryview(data)
        while rest:
            rest = rest[client.session.write(rest) :]
    wire, heard = client.outgoing.read(), b""
    for cut in [*cuts, len(wire)]:
        heard += server.decrypt(wire[:cut])
        wire = wire[cut:]
    assert heard == b"".join(sent)
    assert not server.ended
    for data in sent:
        client.incoming.write(server.encrypt(data))
    assert client.read() == b"".join(sent)


def test_what_comes_with_the_end_of_the_handshake_is_there(held: Certificates) -> None:
    server, client = held.session(), Client(trusting())
    client.handshake()
    server.handshake(client.outgoing.read())
    client.incoming.write(server.output)
    assert client.handshake()
    client.session.write(b"at once")
    assert server.handshake(client.outgoing.read())
    assert server.decrypt(b"") == b"at once"


def test_an_end_behind_the_last_bytes(held: Certificates) -> None:
    server, client = pair(held)
    client.session.write(b"last words")
    with pytest.raises(ssl.SSLWantReadError):
        client.session.unwrap()
    assert server.decrypt(client.outgoing.read()) == b"last words"
    assert server.ended


def test_we_say_the_end(held: Certificates) -> None:
    server, client = pair(held)
    client.incoming.write(server.encrypt(b"last words"))
    client.incoming.write(server.close())
    assert client.read() == b"last words"
    assert client.session.read() == b""  # not SSLWantReadError: it is over
    client.session.write(b"not heard")
    assert server.decrypt(client.outgoing.read()) == b""
    assert server.close() == b""


def test_a_changed_byte_ends_it_with_an_alert(held: Certificates) -> None:
    server, client = pair(held)
    client.session.write(b"some words")
    wire = bytearray(client.outgoing.read())
    wire[-1] ^= 1
    with pytest.raises(TlsError, match="bad record mac"):
        server.decrypt(bytes(wire))
    client.incoming.write(server.output)
    with pytest.raises(ssl.SSLError, match="bad record mac"):
        client.read()


NAMES = [
    # asked for, shown
    ("a.test", "a.test"),
    ("A.TEST", "a.test"),
    ("b.test", "b.test"),
    ("x.b.test", "*.b.test"),
    ("X.b.Test", "*.b.test"),
    ("y.x.b.test", "a.test"),
    ("c.test", "a.test"),
    (None, "a.test"),
]


@pytest.mark.parametrize(("asked", "shown"), NAMES)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_certificate_of_the_name(
    tmp_path: Path, asked: str | None, shown: str, version: ssl.TLSVersion
) -> None:
    held = certificates(tmp_path, "a.test", "b.test", "*.b.test")
    context = trusting()
    context.check_hostname = False
    context.maximum_version = version
    server, client = held.session(), Client(context, asked)
    connect(server, client)
    peer = client.session.getpeercert()
    assert peer is not None
    assert peer["subjectAltName"] == (("DNS", shown),)  # pyright: ignore
    own = server.facts()["server_cert"]
    der = client.session.getpeercert(binary_form=True)
    assert der is not None
    assert own == ssl.DER_cert_to_PEM_cert(der)


def test_a_reload_in_the_middle_of_a_handshake(tmp_path: Path) -> None:
    held = certificates(tmp_path, "a.test", "b.test")
    server, client = held.session(), Client(trusting(), "b.test")
    issue(tmp_path, "b.test", "new.b.test")
    assert held.reload() == ()
    connect(server, client)
    der = client.session.getpeercert(binary_form=True)
    assert der is not None
    assert server.facts()["server_cert"] == ssl.DER_cert_to_PEM_cert(der)


def test_facts(held: Certificates) -> None:
    context = trusting()
    facts = pair(held, context)[0].facts()
    assert facts["tls_version"] == 0x0304
    assert facts["cipher_suite"] == 0x1302  # TLS_AES_256_GCM_SHA384
    assert (facts["client_cert_chain"], facts["client_cert_name"]) == ([], None)
    assert facts["client_cert_error"] is None
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    facts = pair(held, context)[0].facts()
    assert (facts["tls_version"], facts["cipher_suite"]) == (0x0303, 0xC02B)


def test_a_clients_certificate_with_its_chain(tmp_path: Path) -> None:
    authority().cert_pem.write_to_path(tmp_path / "ca.pem")
    held = certificates(tmp_path, ca_certs=str(tmp_path / "ca.pem"), cert_reqs="optional")
    context = trusting()
    middle = authority().create_child_ca()
    leaf = middle.issue_cert("me@example.com", common_name="Zoë, me", organization_name="Us")
    leaf.configure_cert(context)
    server, _ = pair(held, context)
    facts = server.facts()
    assert facts["client_cert_chain"] == [pem.bytes().decode() for pem in leaf.cert_chain_pems]
    certificate = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    assert facts["client_cert_name"] == certificate.subject.rfc4514_string()
    assert "Zoë\\, me" in str(facts["client_cert_name"])
    assert pair(held)[0].facts()["client_cert_chain"] == []


BOTH = ("h2", "http/1.1")


@pytest.mark.parametrize(
    ("ours", "offered", "agreed"),
    [
        (("http/1.1",), ["h2", "http/1.1"], "http/1.1"),
        (("http/1.1",), ["h2"], ""),
        (BOTH, ["http/1.1", "h2"], "h2"),
        (BOTH, ["h2"], "h2"),
        (BOTH, ["http/1.1"], "http/1.1"),
        (BOTH, ["http/1.0", "h3"], ""),
        (BOTH, [], ""),
    ],
)
def test_alpn(tmp_path: Path, ours: tuple[str, ...], offered: list[str], agreed: str) -> None:
    context = trusting()
    if offered:
        context.set_alpn_protocols(offered)
    server, client = pair(certificates(tmp_path, alpn=ours), context)
    assert server.alpn == agreed
    assert (client.session.selected_alpn_protocol() or "") == agreed


def test_what_a_name_has_is_offered_as_well(tmp_path: Path) -> None:
    """Another certificate than the first is chosen within the handshake (SNI)."""
    held = certificates(tmp_path, "a.test", "b.test", alpn=BOTH)
    context = trusting()
    context.set_alpn_protocols(BOTH)
    server, client = held.session(), Client(context, "b.test")
    connect(server, client)
    assert server.alpn == "h2"
    assert client.session.getpeercert()["subjectAltName"] == (("DNS", "b.test"),)


def test_the_cipher_that_was_agreed_on(tmp_path: Path) -> None:
    context = trusting()
    assert pair(certificates(tmp_path), context)[0].cipher.startswith("TLS_")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ALL")
    held = certificates(tmp_path, ciphers="ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA")
    server, _ = pair(held, context)
    assert is_forbidden(server.cipher)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_versions_and_ciphers_are_refused(held: Certificates) -> None:
    context = trusting()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    server, client = held.session(), Client(context)
    client.handshake()
    with pytest.raises(TlsError, match="unsupported protocol"):
        server.handshake(client.outgoing.read())
    client.incoming.write(server.output)
    with pytest.raises(ssl.SSLError, match="protocol version"):
        client.handshake()
    weak = trusting()
    weak.maximum_version = ssl.TLSVersion.TLSv1_2
    weak.set_ciphers("AES128-SHA:ECDHE-ECDSA-AES128-SHA")
    server, client = held.session(), Client(weak)
    client.handshake()
    with pytest.raises(TlsError, match="no shared cipher"):
        server.handshake(client.outgoing.read())


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_noise_is_refused_or_waited_for(held: Certificates, noise: bytes) -> None:
    try:
        assert not held.session().handshake(b"\x16\x03\x01" + noise)
    except TlsError:
        pass


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_resumption(tmp_path: Path, version: ssl.TLSVersion) -> None:
    held = certificates(tmp_path, "b.test", "a.test")
    context = trusting()
    context.maximum_version = version
    _, first = pair(held, context)
    first.read()
    server, client = held.session(), Client(context)
    client.session.session = first.session.session
    connect(server, client)
    assert client.session.session_reused
