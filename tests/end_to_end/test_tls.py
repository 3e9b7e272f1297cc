"""HTTPS as clients speak it: curl, httpx, websockets, OpenSSL."""

import json
import re
import select
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache, partial
from pathlib import Path

import httpx
import pytest
import trustme
from websockets.sync.client import connect as open_websocket

from ..gateway.tls.issued import Issued, authority, issue, trusting, trusting_in_threads
from .server import DEADLINE, Propylon, wait_for
from .test_failures import refused

CURL = shutil.which("curl") or "curl"
PLAIN = ["--insecure-bind", "127.0.0.1:0"]
DEMANDING = ["asgi_raw:app", "--loop", "asyncio", "--ssl-cert-reqs", "required"]

SERVERS = {
    "httptools": ["asgi_raw:app", "--http", "httptools", *PLAIN, "--redirect-to-https"],
    "h11": ["asgi_raw:app", "--http", "h11", "--loop", "trio", *PLAIN],
    "wsgi": ["wsgi_raw:app"],
    "strict": [*DEMANDING, "--timeout-keep-alive", "0.4"],
    "impatient": [*DEMANDING, "--ssl-handshake-timeout", "1.5", "--ssl-max-handshakes", "2"],
}
LENIENT = [name for name in SERVERS if "--ssl-cert-reqs" not in SERVERS[name]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    authority().cert_pem.write_to_path(folder / "ca.pem")
    issue(folder, "localhost", "127.0.0.1", since=-1, days=80)
    issue(folder, "b.test", "*.b.test", key_type=trustme.KeyType.RSA)
    issue(folder, "client@example.com")
    return folder


def named(folder: Path, name: str) -> Issued:
    return Issued(folder / f"{name}.pem", folder / f"{name}.key")


@pytest.fixture(scope="module")
def servers(folder: Path) -> Iterator[Callable[[str], Propylon]]:
    """Servers by their name, each started when it is first asked for; all of them with two
    certificates, and all but one glad to see the client's without demanding it."""
    flags = [*named(folder, "localhost").flags, *named(folder, "b.test").flags]
    flags += ["--ssl-ca-certs", str(folder / "ca.pem")]
    env = {"PROPYLON_SSL_CERT_REQS": "optional"}
    with ExitStack() as stack:
        yield cache(lambda name: stack.enter_context(Propylon(*SERVERS[name], *flags, env=env)))


@pytest.fixture(params=LENIENT)
def server(request: pytest.FixtureRequest, servers: Callable[[str], Propylon]) -> Propylon:
    """Every one of them."""
    return servers(request.param)


@pytest.fixture(params=["httptools", "h11"])
def each_parser(request: pytest.FixtureRequest, servers: Callable[[str], Propylon]) -> Propylon:
    return servers(request.param)


@pytest.fixture
def one(servers: Callable[[str], Propylon]) -> Propylon:
    return servers("httptools")


def plain_url(propylon: Propylon) -> str:
    """Of --insecure-bind."""
    return propylon.stderr.find(r"Serving on https://\S+ (http://[^\s,]+)")[1]


def connected(
    propylon: Propylon, context: ssl.SSLContext | None = None, name: str = "localhost"
) -> ssl.SSLSocket:
    """After the handshake; an end without close_notify is an error."""
    sock = socket.create_connection(propylon.address, DEADLINE)
    try:
        return (context or trusting()).wrap_socket(
            sock, server_hostname=name, suppress_ragged_eofs=False
        )
    except BaseException:
        sock.close()
        raise


def get(sock: ssl.SSLSocket, path: str = "/", *headers: str) -> bytes:
    """The answer with all that follows it."""
    lines = "".join(f"{line}\r\n" for line in ("Host: h", "Connection: close", *headers))
    sock.sendall(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
    return read_all(sock)


@cache
def my_leaf() -> trustme.LeafCert:
    return authority().issue_cert("me@example.com", common_name="Zoë")


def mine() -> ssl.SSLContext:
    """A client's context that has a certificate to show."""
    context = trusting()
    my_leaf().configure_cert(context)
    return context


def read_all(sock: socket.socket) -> bytes:
    return b"".join(iter(partial(sock.recv, 1 << 18), b""))


def curl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [CURL, "-sS", "--cacert", str(folder / "ca.pem"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


# -- what all do ---------------------------------------------------------------------------------


def test_one_connection_for_many_requests(server: Propylon, folder: Path) -> None:
    urls = [f"{server.url}{path}" for path in ("/", "/facts", "/")]
    done = curl(folder, "-v", "--tlsv1.3", *urls)
    assert done.returncode == 0, done.stderr
    assert re.search(r"scheme='?https", done.stdout)
    assert "SSL connection using TLSv1.3" in done.stderr
    assert re.search("ALPN.*accepted.*h2", done.stderr)
    assert len(re.findall("Re-?using existing", done.stderr)) == 2


def test_large_bodies_both_ways_at_once(server: Propylon, folder: Path, tmp_path: Path) -> None:
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(bytes(range(256)) * 12_000)
    upload = ["-H", "Transfer-Encoding: chunked", "-H", "Expect:", "-T", str(sent)]
    done = curl(folder, *upload, "-o", str(back), f"{server.url}/echo")
    assert done.returncode == 0, done.stderr
    assert back.read_bytes() == sent.read_bytes()


def test_a_client_that_does_not_read_holds_up_nobody(server: Propylon) -> None:
    with connected(server) as slow:
        slow.sendall(b"GET /stream?n=8000000 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        slow.recv(1)
        with server.client(verify=trusting()) as client:
            assert client.get("/").text == "hello"
        assert len(read_all(slow)) > 8_000_000


@pytest.mark.slow
def test_half_a_record_behind_a_download_cuts_nobody(server: Propylon) -> None:
    """The next request comes in two pieces while more of the response waits for its reader than
    a client may have of answers to its own TLS messages."""
    request = b"GET /stream?n=4000000 HTTP/1.1\r\nHost: h\r\n\r\n"
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(server.address, DEADLINE) as sock:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(65_536))
        tls.write(request)
        sock.sendall(outgoing.read())
        time.sleep(0.3)  # for the download to fill what it can; with less, less is tested
        tls.write(request)
        record = outgoing.read()
        sock.sendall(record[:10])
        time.sleep(0.1)  # as above: the halves are to be read apart
        sock.sendall(record[10:])
        body = b""
        while body.count(b"0\r\n\r\n") < 2:
            try:
                body += tls.read(65_536)
            except ssl.SSLWantReadError:
                data = sock.recv(65_536)
                assert data, "the gateway has closed the connection"
                incoming.write(data)
    assert len(body) > 8_000_000


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_key_updates_in_a_download(one: Propylon, tmp_path: Path) -> None:
    """`K` has s_client ask for new keys: OpenSSL answers by itself, between parts of a response."""
    path = tmp_path / "got"
    command = ["openssl", "s_client", "-connect", "{}:{}".format(*one.address), "-tls1_3"]
    request = b"GET /stream?n=16000000 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    for _ in range(5):
        with (
            path.open("wb") as got,
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=got, stderr=subprocess.DEVNULL, bufsize=0
            ) as client,
        ):
            assert client.stdin is not None
            client.stdin.write(request)
            deadline = time.monotonic() + DEADLINE
            try:
                while client.poll() is None:
                    assert time.monotonic() < deadline, "the download stands still"
                    client.stdin.write(b"K\n")
                    time.sleep(0.000_5)
            except BrokenPipeError:
                client.wait(DEADLINE)
            finally:
                client.kill()
        assert path.stat().st_size > 16_000_000
        assert b"\r\n0\r\n\r\n" in path.read_bytes()[-400_000:]  # s_client adds its own words


def test_a_response_cut_short_is_seen(server: Propylon, folder: Path) -> None:
    path = "/crash?after=100000"
    assert curl(folder, "-o", "/dev/null", server.url + path).returncode in (18, 56, 92)
    with connected(server) as sock:
        sock.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            read_all(sock)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_every_byte_by_itself(each_parser: Propylon, version: ssl.TLSVersion) -> None:
    context = trusting()
    context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost")

    def insist(step: Callable[[], bytes | int | None]) -> bytes | int | None:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                done = None
            for byte in outgoing.read():
                sock.send(bytes([byte]))
            if done is not None:
                return done
            incoming.write(sock.recv(65_536))

    def handshake() -> bytes:
        client.do_handshake()
        return b"done"

    with closing(socket.create_connection(each_parser.address, DEADLINE)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        insist(handshake)
        request = b"POST /swallow HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nConnection: close"
        for byte in request + b"\r\n\r\nfour":
            insist(partial(client.write, bytes([byte])))
        answer = b""
        while data := insist(partial(client.read, 65_536)):
            assert isinstance(data, bytes)
            answer += data
    assert answer.endswith(b"\r\n\r\n4")


# -- ends ----------------------------------------------------------------------------------------


def test_a_client_that_says_goodbye_is_gone(each_parser: Propylon, tmp_path: Path) -> None:
    file = tmp_path / "left"
    with connected(each_parser) as sock:
        sock.sendall(f"GET /watch?file={file} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        answer = b""
        while b"watching" not in answer:
            answer += sock.recv(1_000)
        # close_notify, as a client's half-close; our side of the TCP connection stays open.
        with sock.unwrap():
            said = wait_for(lambda: file.exists() and file.read_text(), "the disconnect")
    assert said == "sent"  # to nobody: ASGI HTTP 2.3


def test_a_goodbye_right_behind_the_request(each_parser: Propylon, tmp_path: Path) -> None:
    """All of it comes at once, with the handshake's end in front; the answer would never end."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with closing(socket.create_connection(each_parser.address, DEADLINE)) as sock:
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(sock.recv(65_536))
        client.write(f"GET /watch?file={tmp_path / 'left'} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        with pytest.raises(ssl.SSLWantReadError):
            client.unwrap()
        sock.sendall(outgoing.read())
        read_all(sock)


def test_an_upload_that_breaks_off_is_no_upload(each_parser: Propylon) -> None:
    """Neither by the end of the TCP connection (truncation) nor by close_notify."""
    for say_goodbye in (False, True):
        with connected(each_parser) as sock:
            sock.sendall(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nfour")
            answer = b""
            while b"four" not in answer:
                answer += sock.recv(1_000)
            if say_goodbye:
                with sock.unwrap() as bare:
                    assert read_all(bare) == b""
            else:
                socket.socket.shutdown(sock, socket.SHUT_WR)
                assert read_all(sock) == b""  # no last chunk, so this is not the end of an echo


def test_a_cut_answer_that_would_look_whole_has_no_end(each_parser: Propylon) -> None:
    """What HTTP/1.0 is sent lasts until the end: this one says that it is none."""
    with connected(each_parser) as sock:
        sock.sendall(b"POST /echo HTTP/1.0\r\nContent-Length: 9\r\n\r\nfour")
        answer = b""
        while b"four" not in answer:
            answer += sock.recv(1_000)
        socket.socket.shutdown(sock, socket.SHUT_WR)
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            read_all(sock)


def test_the_end_of_an_answer_is_said(each_parser: Propylon) -> None:
    with connected(each_parser) as sock:
        sock.sendall(b"GET /stream?n=100000 HTTP/1.0\r\n\r\n")
        assert read_all(sock).endswith(bytes(100_000))  # no SSLEOFError


def test_the_end_of_an_idle_connection_is_said(servers: Callable[[str], Propylon]) -> None:
    with connected(servers("strict"), mine()) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert read_all(sock).endswith(b"hello")


# -- names, certificates, sessions ---------------------------------------------------------------


def test_the_certificate_of_the_name_that_is_asked_for(one: Propylon, folder: Path) -> None:
    port = one.address[1]
    for name, status in (("b.test", "0"), ("x.b.test", "0"), ("c.test", "60")):
        to = ["--resolve", f"{name}:{port}:127.0.0.1"]
        done = curl(folder, *to, "-o", "/dev/null", "-w", "%{exitcode}", f"https://{name}:{port}/")
        assert done.stdout == status, done.stderr


def test_what_the_app_is_told(one: Propylon, folder: Path) -> None:
    with one.client(verify=trusting()) as client:
        facts = client.get("/tls").json()
    assert facts["server_cert"] in (folder / "localhost.pem").read_text()
    assert (facts["tls_version"], facts["client_cert_chain"]) == (0x0304, [])
    with connected(one, trusting(), "b.test") as sock:
        facts = json.loads(get(sock, "/tls").partition(b"\r\n\r\n")[2])
    assert facts["server_cert"] in (folder / "b.test.pem").read_text()


def test_a_client_s_certificate(one: Propylon, servers: Callable[[str], Propylon]) -> None:
    context = mine()
    pem = my_leaf().cert_chain_pems[0].bytes().decode()
    with one.client(verify=context) as client:
        facts = client.get("/tls").json()
        assert facts["client_cert_chain"][0] == pem
        assert "CN=Zoë" in facts["client_cert_name"]
    with servers("wsgi").client(verify=context) as client:
        text = client.get("/facts").text
    assert {"HTTPS=on", "SSL_CLIENT_VERIFY=SUCCESS"} <= set(text.splitlines())
    assert f"SSL_CLIENT_CERT={pem}" in text


def test_a_client_s_certificate_of_somebody_else(one: Propylon) -> None:
    context = trusting()
    trustme.CA().issue_cert("me@example.com").configure_cert(context)
    with pytest.raises(ssl.SSLError, match="unknown ca"), connected(one, context) as sock:
        get(sock)
    one.stderr.find(r"TLS handshake failed: certificate verify failed.*, from 127\.0\.0\.1")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(one: Propylon, version: ssl.TLSVersion) -> None:
    context = trusting()
    context.maximum_version = version
    with connected(one, context) as first:
        get(first)  # with TLS 1.3 the ticket comes after the handshake
        session = first.session
    with closing(socket.create_connection(one.address, DEADLINE)) as sock:
        again = context.wrap_socket(sock, server_hostname="localhost", session=session)
        with again:
            assert again.session_reused
            assert get(again).endswith(b"hello")


def test_websocket(servers: Callable[[str], Propylon]) -> None:
    for name in ("httptools", "h11", "strict"):
        url = servers(name).url.replace("https", "wss")
        context = trusting_in_threads()
        my_leaf().configure_cert(context)
        with open_websocket(url, ssl=context, open_timeout=DEADLINE, max_size=None) as socket:
            assert json.loads(socket.recv(DEADLINE)) == ["wss", True]
            for message in ("short", "long " * 200_000, bytes(2_000_000)):
                socket.send(message)
                assert socket.recv(DEADLINE) == message


# -- what is no TLS ------------------------------------------------------------------------------


def test_plain_http_on_a_tls_port(each_parser: Propylon, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(300_000))
    url = each_parser.url.replace("https", "http")
    for options in ([], ["-H", "Expect:", "--data-binary", f"@{file}"]):
        done = curl(tmp_path, *options, "-w", "%{http_code}", url)
        assert done.stdout.endswith("400"), done.stderr
        assert "https://" in done.stdout
    log = each_parser.stderr
    log.find(r"plain HTTP came to a TLS port, from 127\.0\.0\.1$")
    assert log.text.count("plain HTTP came to a TLS port") == 1


def test_tls_on_a_plain_port(each_parser: Propylon) -> None:
    url = httpx.URL(plain_url(each_parser))
    for _ in range(2):
        with pytest.raises(ssl.SSLError), socket.create_connection((url.host, url.port)) as sock:
            trusting().wrap_socket(sock, server_hostname="localhost")
    log = each_parser.stderr
    log.find(r"TLS came to a plain HTTP port, from 127\.0\.0\.1$")
    assert log.text.count("TLS came to a plain HTTP port") == 1


def test_neither(one: Propylon) -> None:
    with closing(socket.create_connection(one.address, DEADLINE)) as sock:
        sock.sendall(b"\x16\x03\x01\x00\x05noise")
        assert sock.recv(100).startswith(b"\x15\x03")  # an alert
        assert sock.recv(100) == b""


def test_redirect(one: Propylon, folder: Path) -> None:
    plain = plain_url(one).replace("127.0.0.1", "localhost")
    secure = one.url.replace("127.0.0.1", "localhost")
    done = curl(folder, "-D", "-", "-d", "four", f"{plain}/echo?a=%20b")
    assert done.stdout.startswith("HTTP/1.1 308 ")
    assert f"location: {secure}/echo?a=%20b\n" in done.stdout.lower()
    followed = curl(folder, "-L", "-d", "four", f"{plain}/echo?a=%20b")
    assert followed.stdout == "four", followed.stderr


# -- handshakes and certificates that fail -------------------------------------------------------


@pytest.mark.slow
def test_handshakes_that_never_end_make_room(
    servers: Callable[[str], Propylon], folder: Path
) -> None:
    propylon = servers("impatient")
    with ExitStack() as stack:
        silent, halfway = (
            stack.enter_context(socket.create_connection(propylon.address, DEADLINE))
            for _ in range(2)
        )
        halfway.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
        assert curl(folder, *my_certificate(folder), propylon.url).stdout == "hello"
        # There are two slots, so one of them was free by then.
        assert select.select([silent, halfway], [], [], 0)[0]
        assert (silent.recv(1), halfway.recv(1)) == (b"", b"")
    late = "TLS handshake failed: it was not finished in time, from 127.0.0.1"
    propylon.stderr.find(late)
    assert propylon.stderr.text.count(late) == 1


def my_certificate(folder: Path) -> list[str]:
    mine = named(folder, "client@example.com")
    return ["--cert", str(mine.certfile), "--key", str(mine.keyfile)]


def test_a_certificate_is_demanded(servers: Callable[[str], Propylon], folder: Path) -> None:
    url = servers("strict").url
    without = curl(folder, "--http1.1", url)  # which waits before it says more
    assert without.returncode == 56
    assert "certificate required" in without.stderr
    assert curl(folder, *my_certificate(folder), url).stdout == "hello"


@pytest.mark.slow
def test_certificates_are_swapped_under_load(tmp_path: Path) -> None:
    """Two processes, clients that come anew for every request and one that stays."""
    mine = issue(tmp_path, "localhost", "127.0.0.1")
    failed: list[str] = []
    over = threading.Event()

    def come_again() -> None:
        context = trusting()
        while not over.is_set():
            try:
                with connected(propylon, context) as sock:
                    assert get(sock).endswith(b"hello")
            except (AssertionError, OSError) as error:
                failed.append(repr(error))

    def shown() -> int:
        with connected(propylon) as sock:
            certificate = sock.getpeercert()
        assert certificate is not None
        return int(str(certificate["serialNumber"]), 16)

    with ExitStack() as stack:
        propylon = stack.enter_context(Propylon("asgi_raw:app", "--gateways", "2", *mine.flags))
        client = stack.enter_context(propylon.client(verify=trusting()))
        for _ in range(2):
            thread = threading.Thread(target=come_again)
            stack.callback(thread.join)
            thread.start()
        stack.callback(over.set)
        first = shown()
        assert client.get("/").text == "hello"
        # The key of another first: it is refused, and what is in use stays.
        mine.keyfile.write_bytes(issue(tmp_path, "other.test").keyfile.read_bytes())
        propylon.stderr.find("does not match the key in .*; the certificate in use stays$")
        assert shown() == first
        issue(tmp_path, "localhost", "127.0.0.1")
        wait_for(lambda: all(shown() != first for _ in range(8)), "the new one, of both processes")
        assert client.get("/").text == "hello"
    assert not failed


@pytest.mark.slow
def test_a_secret_of_kubernetes_is_renewed_without_a_restart(tmp_path: Path) -> None:
    """Kubelet writes a new folder and swaps the link ..data to it in one step; tls.crt and tls.key
    are links through ..data, and are themselves never touched."""

    def write(version: str) -> Path:
        folder = tmp_path / f"..{version}"
        folder.mkdir()
        issued = issue(folder, "localhost", "127.0.0.1", file="tls")
        issued.certfile.rename(folder / "tls.crt")
        return folder

    def swap(folder: Path) -> None:
        (tmp_path / "..data_tmp").symlink_to(folder.name)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    def shown() -> object:
        with connected(propylon) as sock:
            certificate = sock.getpeercert()
        assert certificate is not None
        return certificate["serialNumber"]

    swap(write("2026_1"))
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    mounted = Issued(tmp_path / "tls.crt", tmp_path / "tls.key")
    with Propylon("asgi_raw:app", *mounted.flags) as propylon:
        first = shown()
        keyless = write("2026_2")
        (keyless / "tls.key").rename(tmp_path / "away")
        swap(keyless)
        propylon.stderr.find(r"tls\.key.*; the certificate in use stays$")
        assert shown() == first
        swap(write("2026_3"))
        wait_for(lambda: shown() != first, "the new certificate")
        second = shown()
        swap(write("2026_4"))
        wait_for(lambda: shown() != second, "the one after it")


@pytest.mark.slow
def test_certificates_that_cannot_be_served(folder: Path, tmp_path: Path) -> None:
    old = issue(tmp_path, "old.test", since=-9, days=-1)
    mixed = Issued(named(folder, "localhost").certfile, named(folder, "b.test").keyfile)
    gone = Issued(tmp_path / "gone.pem", tmp_path / "gone.key")
    code, output = refused("asgi_raw:app", *old.flags, *mixed.flags, *gone.flags)
    assert code == 2, output
    assert re.search(rf"{old.certfile}: the certificate expired on \d{{4}}-", output)
    assert f"{mixed.certfile}: the certificate does not match the key in {mixed.keyfile}" in output
    assert f"{gone.certfile}: cannot be read: No such file or directory" in output


# -- slow ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("testssl") is None, reason="testssl.sh is not installed")
def test_testssl_finds_nothing(one: Propylon, folder: Path, tmp_path: Path) -> None:
    """No finding of medium severity or worse."""
    found = tmp_path / "found.json"
    host, port = one.address
    command = ["testssl", "--quiet", "--color", "0", "--jsonfile", str(found), "--add-ca"]
    command += [str(folder / "ca.pem"), "--severity", "MEDIUM", "--ip", host, f"localhost:{port}"]
    subprocess.run(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False)
    rows = json.loads(found.read_text())
    elsewhere = {"cert_revocation", "security_headers"}  # the CA's, the app's
    assert [row for row in rows if row["id"] not in elsewhere] == []
