"""HTTP/2 on each kind of listener: by ALPN over TLS, and by prior knowledge without."""

import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ..gateway.tls.issued import authority, issue, trusting
from ..http2_frames import PREFACE, ErrorCode, Heard, Kind, heard_at
from .facts import APPS, Facts, ask
from .other_proxies import haproxy, needs_haproxy
from .server import DEADLINE, Propylon, wait_for
from .test_tls import named

CURL = shutil.which("curl") or "curl"
H2C = ["--h2c", "prior-knowledge"]
SETTINGS = b"\0\0\0\4\0\0\0\0\0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    authority().cert_pem.write_to_path(folder / "ca.pem")
    issue(folder, "localhost", "127.0.0.1")
    issue(folder, "b.test")
    return folder


def over_tls(folder: Path) -> list[str]:
    return [*named(folder, "localhost").flags, *named(folder, "b.test").flags]


def curl(*arguments: str) -> tuple[str, str]:
    """What it printed, and the version that was spoken."""
    command = [CURL, "-sS", "--max-time", str(DEADLINE), "-w", "\n%{http_version}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    body, _, version = done.stdout.rpartition("\n")
    return body, version


def agreed(address: tuple[str, int], *offered: str) -> str | None:
    context = trusting()
    context.set_alpn_protocols(offered)
    with (
        socket.create_connection(address, DEADLINE) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as secure,
    ):
        return secure.selected_alpn_protocol()


def test_what_is_spoken_without_a_word_from_the_operator(folder: Path) -> None:
    """HTTP/2 over TLS to who offers it, HTTP/1.1 to everybody else; and neither beside TLS."""
    plain = ["-b", "127.0.0.1:0", "--insecure-bind", "127.0.0.1:0"]
    with Propylon(APPS["asgi"], *over_tls(folder), *plain) as server:
        text, version = curl("--cacert", str(folder / "ca.pem"), f"{server.url}/facts")
        assert (Facts(text)["http_version"], version) == ("'2'", "2")
        assert Facts(text)["scheme"] == "https"
        with httpx.Client(http2=True, verify=trusting(), timeout=DEADLINE) as client:
            assert client.get(f"{server.url}/facts").http_version == "HTTP/2"
            assert '"tls_version": 772' in client.get(f"{server.url}/tls").text
        port = server.address[1]
        assert agreed(("127.0.0.1", port), "http/1.1", "h2") == "h2"
        assert agreed(("127.0.0.1", port), "http/1.1") == "http/1.1"
        assert agreed(("127.0.0.1", port), "h3") is None
        other = httpx.URL(server.stderr.find(r"Serving on https://\S+ (http://[^\s,]+)")[1])
        with socket.create_connection((other.host, other.port or 0), DEADLINE) as sock:
            sock.sendall(PREFACE)
            page = sock.recv(65_536)
        assert page.startswith(b"HTTP/1.1 505 ")
        assert b"--h2c prior-knowledge" in page
        server.stdout.find(r'"GET /facts HTTP/2\.0" 200')


@pytest.mark.slow
def test_it_can_be_switched_off(folder: Path) -> None:
    with Propylon(APPS["wsgi"], *over_tls(folder), "--no-http2") as server:
        assert agreed(server.address, "h2", "http/1.1") == "http/1.1"
        assert agreed(server.address, "h2") is None
        text, version = curl("--cacert", str(folder / "ca.pem"), f"{server.url}/facts")
        assert version == "1.1"
        assert "SERVER_PROTOCOL=HTTP/1.1\n" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", ["localhost", "b.test"])
def test_a_certificate_for_each_name(folder: Path, name: str) -> None:
    with Propylon(APPS["asgi"], *over_tls(folder)) as server:
        host, port = server.address
        url = f"https://{name}:{port}/tls"
        resolve = ["--resolve", f"{name}:{port}:{host}", "--cacert", str(folder / "ca.pem")]
        text, version = curl(*resolve, url)
        assert version == "2"
        assert named(folder, name).certfile.read_text().split("\n")[1] in text.replace("\\n", "\n")


@pytest.mark.slow
def test_a_client_s_certificate(folder: Path) -> None:
    mine = issue(folder, "client@example.com")
    flags = ["--ssl-ca-certs", str(folder / "ca.pem"), "--ssl-cert-reqs", "required"]
    with Propylon(APPS["wsgi"], *over_tls(folder), *flags) as server:
        shown = ["--cert", str(mine.certfile), "--key", str(mine.keyfile)]
        text, version = curl("--cacert", str(folder / "ca.pem"), *shown, f"{server.url}/facts")
        assert version == "2"
        assert "SERVER_PROTOCOL=HTTP/2.0\n" in text
        assert "SSL_CLIENT_VERIFY=SUCCESS\n" in text


@pytest.mark.slow
def test_a_cipher_that_http2_forbids(folder: Path) -> None:
    """Its client is told why (RFC 9113 section 9.2.2); in HTTP/1.1 it is served."""
    ciphers = "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"
    with Propylon(APPS["asgi"], *over_tls(folder), "--ssl-ciphers", ciphers) as server:
        server.stderr.find("--ssl-ciphers has ECDHE-ECDSA-AES128-SHA, ECDHE-RSA-AES128-SHA: HTTP/2")
        assert goaways(server, ssl.TLSVersion.TLSv1_2) == [ErrorCode.INADEQUATE_SECURITY]
        server.stderr.find("HTTP/2 forbids ECDHE-")
        assert goaways(server, ssl.TLSVersion.TLSv1_3) == []
        old = ["--tls-max", "1.2", "--ciphers", "ALL", "--http1.1"]
        text, version = curl("--cacert", str(folder / "ca.pem"), *old, f"{server.url}/facts")
        assert (Facts(text)["http_version"], version) == ("'1.1'", "1.1")


def goaways(server: Propylon, most: ssl.TLSVersion) -> list[ErrorCode]:
    return [frame.code for frame in heard(server, most) if frame.kind == Kind.GOAWAY]


def heard(server: Propylon, most: ssl.TLSVersion) -> list[Heard]:
    """What the server says in HTTP/2 before it answers a PING, or ends."""
    context = trusting()
    context.set_alpn_protocols(["h2"])
    context.set_ciphers("ALL")
    context.maximum_version = most
    with (
        socket.create_connection(server.address, DEADLINE) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as secure,
    ):
        secure.sendall(PREFACE + SETTINGS + b"\0\0\x08\x06\0\0\0\0\0" + b"12345678")  # PING
        came, found = b"", list[Heard]()
        while not any(frame.kind == Kind.PING for frame in found) and (data := secure.recv(65_536)):
            came += data
            while (frame := heard_at(came)) is not None:
                came = came[frame.size :]
                found.append(frame)
        return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Propylon]:
    """Both kinds of listener without TLS, two gateway processes."""
    path = tmp_path_factory.mktemp("h2c") / "app.sock"
    listeners = ["-b", "127.0.0.1:0", "-b", f"unix:{path}", "--gateways", "2"]
    with Propylon(APPS["asgi"], *H2C, *listeners) as server:
        yield server


def unix_path(server: Propylon) -> str:
    return server.stderr.find(r"unix:(\S+\.sock)")[1]


@pytest.mark.slow
def test_prior_knowledge(plain: Propylon) -> None:
    for more in ((), ("--unix-socket", unix_path(plain))):
        text, version = curl("--http2-prior-knowledge", *more, f"{plain.url}/facts")
        assert (Facts(text)["http_version"], version) == ("'2'", "2")
        assert Facts(text)["scheme"] == "http"
        text, version = curl(*more, f"{plain.url}/facts")
        assert (Facts(text)["http_version"], version) == ("'1.1'", "1.1")


@pytest.mark.slow
def test_upgrade_is_not_prior_knowledge(plain: Propylon) -> None:
    """RFC 9113 has no Upgrade to h2c: the request is served as any other."""
    text, version = curl("--http2", f"{plain.url}/facts")
    assert (Facts(text)["http_version"], version) == ("'1.1'", "1.1")


@pytest.mark.slow
@pytest.mark.parametrize("many", [1, 7])
def test_a_preface_in_pieces(plain: Propylon, many: int) -> None:
    for address in (plain.address, unix_path(plain)):
        sock = (
            socket.socket(socket.AF_UNIX)
            if isinstance(address, str)
            else socket.socket(socket.AF_INET)
        )
        with sock:
            sock.settimeout(DEADLINE)
            sock.connect(address)
            sent = PREFACE + SETTINGS
            for at in range(0, len(sent), many):
                sock.sendall(sent[at : at + many])
            assert sock.recv(9)[3] == 4  # SETTINGS


@pytest.mark.slow
@pytest.mark.parametrize("app", ["asgi", "wsgi"])
def test_behind_a_proxy_header(tmp_path: Path, app: str) -> None:
    flags = ["--proxy-protocol", "--proxy-allow-from", "127.0.0.1"]
    with Propylon(APPS[app], *H2C, *flags) as server:
        text, version = curl("--http2-prior-knowledge", "--haproxy-protocol", f"{server.url}/facts")
        assert version == "2"
        assert Facts(text)["client"] == "127.0.0.1"
        before = b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n"
        assert ask(server.address, before=before)["client"] == "203.0.113.7"
        with socket.create_connection(server.address, DEADLINE) as sock:
            sock.sendall(before + PREFACE + SETTINGS)
            assert sock.recv(9)[3] == 4


@needs_haproxy
@pytest.mark.slow
def test_haproxy_in_front(tmp_path: Path) -> None:
    """One connection for many users: each request has its own forwarded fields."""
    with Propylon(APPS["asgi"], *H2C) as server:
        host, port = server.address
        backend = f"{host}:{port} proto h2"
        more = "option forwardfor\n    http-reuse always"
        with haproxy(tmp_path, backend, mode="http", more=more) as front:
            for client in ("203.0.113.7", "203.0.113.8"):
                text, _ = curl(
                    "-H", f"X-Forwarded-For: {client}", f"http://127.0.0.1:{front}/facts"
                )
                facts = Facts(text)
                assert facts["http_version"] == "'2'"
                assert facts["client"] == client


@pytest.mark.slow
def test_a_reload_of_options_and_of_certificates(tmp_path: Path) -> None:
    folder = tmp_path
    authority().cert_pem.write_to_path(folder / "ca.pem")
    one = issue(folder, "localhost", "127.0.0.1")
    (folder / "propylon.toml").write_text("http2 = false\n")
    flags = [APPS["asgi"], *one.flags, "-c", str(folder / "propylon.toml"), "-b", "127.0.0.1:0"]
    with Propylon(*flags) as server:
        assert agreed(server.address, "h2", "http/1.1") == "http/1.1"
        (folder / "propylon.toml").write_text("http2 = true\nhttp2_max_streams = 7\n")
        server.process.send_signal(1)
        server.stderr.find("Reloaded: generation 2 serves")  # until then the old ones do as well
        wait_for(lambda: agreed(server.address, "h2", "http/1.1") == "h2", "the new options")
        serial = certificate(server)
        issue(folder, "localhost", "127.0.0.1")
        wait_for(lambda: certificate(server) != serial, "the new certificate")
        assert agreed(server.address, "h2", "http/1.1") == "h2"
        assert settings(server)[3] == 7


def certificate(server: Propylon) -> object:
    with (
        socket.create_connection(server.address, DEADLINE) as sock,
        trusting().wrap_socket(sock, server_hostname="localhost") as secure,
    ):
        return (secure.getpeercert() or {}).get("serialNumber")


def settings(server: Propylon) -> dict[int, int]:
    """What the server announces."""
    first = heard(server, ssl.TLSVersion.TLSv1_3)[0]
    assert (first.kind, first.flags) == (Kind.SETTINGS, 0), first
    return dict(struct.iter_unpack(">HI", first.payload))


@pytest.mark.slow
def test_the_admin_listener_speaks_http_1_only(folder: Path) -> None:
    flags = [*over_tls(folder), *H2C, "--admin-bind", "127.0.0.1:0", "-b", "127.0.0.1:0"]
    with Propylon(APPS["asgi"], *flags) as server:
        admin = httpx.URL(server.stderr.find(r"Admin listener on (http://\S+)")[1])
        with socket.create_connection((admin.host, admin.port or 0), DEADLINE) as sock:
            sock.sendall(PREFACE)
            assert sock.recv(65_536).startswith(b"HTTP/1.1 505 ")
        with httpx.Client(http2=True, verify=trusting(), timeout=DEADLINE) as client:
            client.get(f"{server.url}/facts")
            page = httpx.get(admin.join("/metrics"), timeout=DEADLINE).text
            assert 'propylon_connections{protocol="http/2"} 1' in page
