"""HTTP as clients speak it, through both parsers, to real apps."""

import json
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import cache, partial
from pathlib import Path

import httpx
import pytest

from ..cases import some_slow
from .server import DEADLINE, Propylon, wait_for

CURL = shutil.which("curl") or "curl"


COMMON = ["--max-request-body-size", "5000000", "--request-timeout", "1"]
SERVERS = {
    "httptools": ["asgi_raw:app", "--http", "httptools", *COMMON],
    "trio-h11": ["asgi_raw:app", "--loop", "trio", "--http", "h11", *COMMON],
    "wsgi": ["wsgi_raw:app", *COMMON],
    "h11": ["asgi_raw:app", "--http", "h11", *COMMON],
}


@pytest.fixture(scope="module")
def servers() -> Iterator[Callable[[str], Propylon]]:
    """Servers by their name, each started when it is first asked for."""
    with ExitStack() as stack:
        yield cache(lambda name: stack.enter_context(Propylon(*SERVERS[name])))


@pytest.fixture(params=some_slow(3, SERVERS))
def server(request: pytest.FixtureRequest, servers: Callable[[str], Propylon]) -> Propylon:
    """Every one of them."""
    return servers(request.param)


@pytest.fixture(params=some_slow(2, [name for name in SERVERS if name != "wsgi"]))
def asgi(request: pytest.FixtureRequest, servers: Callable[[str], Propylon]) -> Propylon:
    return servers(request.param)


@pytest.fixture
def wsgi(servers: Callable[[str], Propylon]) -> Propylon:
    return servers("wsgi")


def dialogue(propylon: Propylon, *pieces: bytes) -> bytes:
    """Everything that the server says to these bytes, until it closes."""
    with closing(socket.create_connection(propylon.address, DEADLINE)) as sock:
        for piece in pieces:
            sock.sendall(piece)
        answer = b""
        while data := sock.recv(65_536):
            answer += data
    return answer


def post_and_read(propylon: Propylon, path: str, pieces: Iterator[bytes]) -> tuple[bytes, bytes]:
    """Sends a chunked body and reads the answer at the same time, as httpx does not: the answer's
    head and its body, still in chunks."""
    with closing(socket.create_connection(propylon.address, DEADLINE)) as sock:

        def send() -> None:
            head = f"POST {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
            sock.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
            for piece in pieces:
                sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            sock.sendall(b"0\r\n\r\n")

        sender = threading.Thread(target=send)
        sender.start()
        answer = b"".join(iter(partial(sock.recv, 1 << 18), b""))
        sender.join()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


def unchunked(body: bytes) -> bytes:
    pieces: list[bytes] = []
    place = 0
    while True:
        end = body.index(b"\r\n", place)
        size = int(body[place:end], 16)
        if not size:
            assert body[end:] == b"\r\n\r\n"
            return b"".join(pieces)
        pieces.append(body[end + 2 : end + 2 + size])
        place = end + 2 + size + 2


def curl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([CURL, "-sS", *arguments], capture_output=True, text=True, check=False)


# -- one connection ----------------------------------------------------------------------------


def test_keep_alive(asgi: Propylon) -> None:
    done = curl("-v", f"{asgi.url}/", f"{asgi.url}/echo", f"{asgi.url}/facts")
    assert done.returncode == 0
    assert done.stderr.count("Connected to") + done.stderr.count("Established") == 1
    assert len(re.findall("Re-?using existing", done.stderr)) == 2


def test_pipelining(asgi: Propylon) -> None:
    """Answers come in the order of the questions, the slow one first."""
    request = b"GET %b HTTP/1.1\r\nHost: h\r\n%b\r\n"
    post = b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nfour"
    answer = dialogue(
        asgi,
        request % (b"/slow?s=0.2", b"") + post + request % (b"/", b"Connection: close\r\n"),
    )
    assert re.findall(rb"slept|four|hello", answer) == [b"slept", b"four", b"hello"]
    assert answer.count(b"HTTP/1.1 200") == 3


def test_a_request_in_single_bytes(asgi: Propylon) -> None:
    request = (
        b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
    )
    pieces = [request[i : i + 1] for i in range(len(request))]
    answer = dialogue(asgi, *pieces)
    assert answer.startswith(b"HTTP/1.1 200")
    # The app echoes as the bytes come: whether and how the echo is cut into chunks is chance.
    assert b"".join(re.findall(b"[a-e]+", answer.partition(b"\r\n\r\n")[2])) == b"abcde"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"SSH-2.0-x\r\n", 400),
        (b"\x05\x01\x00", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: 1\n\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n", 400),
        (b"GET / HTTP/3.0\r\n", 505),
    ],
)
def test_what_never_becomes_a_request_is_not_waited_for(
    asgi: Propylon, data: bytes, status: int
) -> None:
    """A late head would be 408."""
    answer = dialogue(asgi, data)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1") == 1 + answer.count(b"speaks HTTP/1.1")
    assert b"\r\nconnection: close\r\n" in answer


def test_what_is_not_served_says_what_is(asgi: Propylon) -> None:
    answer = dialogue(asgi, b"TRACE / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nallow: GET, HEAD, POST, " in answer
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    ("app", "header_map"),
    some_slow(
        2,
        [
            ("asgi_raw:app", "drop"),
            ("wsgi_raw:app", "dangerous"),
            ("asgi_raw:app", "dangerous"),
            ("wsgi_raw:app", "drop"),
        ],
    ),
)
def test_names_with_underscores(app: str, header_map: str) -> None:
    with Propylon(app, "--header-map", header_map) as propylon:
        facts = dialogue(
            propylon,
            b"GET /facts HTTP/1.1\r\nHost: h\r\nX_Seen: yes\r\nX_Forwarded_For: 6.6.6.6\r\n"
            b"Connection: close\r\n\r\n",
        ).lower()
    assert (b"x_seen=yes" in facts) == (header_map == "dangerous"), facts
    assert b"6.6.6.6" not in facts


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
def test_chunked_both_ways(server: Propylon, size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]

    def pieces() -> Iterator[bytes]:
        for start in range(0, size, 10_007):
            yield body[start : start + 10_007]

    head, answer = post_and_read(server, "/echo", pieces())
    assert head.startswith(b"HTTP/1.1 200")
    chunked = b"transfer-encoding: chunked" in head.lower()
    assert chunked or size <= 65_536  # what an app says in one piece has a Content-Length
    assert (unchunked(answer) if chunked else answer) == body


def test_http_1_0(server: Propylon) -> None:
    """No chunks for a client that does not know them: the end is the connection's end."""
    answer = dialogue(server, b"GET /stream?n=100000 HTTP/1.0\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding" not in head.lower()
    assert body == bytes(100_000)


def test_expect_100_continue(asgi: Propylon, tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(b"x" * 2_000_000)
    expect = ["-v", "-H", "Expect: 100-continue", "--data-binary", f"@{file}"]
    taken = curl(*expect, f"{asgi.url}/swallow")
    assert taken.stdout == "2000000"
    assert "100 Continue" in taken.stderr
    # An app that answers without wanting the body never lets it come.
    refused = curl(*expect, f"{asgi.url}/")
    assert refused.stdout == "hello"
    assert "100 Continue" not in refused.stderr


def test_expect_100_continue_of_wsgi(wsgi: Propylon) -> None:
    done = curl("-v", "-H", "Expect: 100-continue", "-d", "x" * 100_000, f"{wsgi.url}/swallow")
    assert done.stdout == "100000"
    assert "100 Continue" in done.stderr


def test_head(server: Propylon) -> None:
    requests = b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\nHEAD /stream?n=9 HTTP/1.1\r\nHost: h\r\n"
    answer = dialogue(server, requests + b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 2
    assert b"hello" not in answer
    assert b"\0" not in answer
    assert b"content-length: 5" in answer.lower()


def test_wsgi_write(wsgi: Propylon) -> None:
    with wsgi.client() as client:
        assert client.get("/write").text == "written, then returned"


def test_many_at_once(asgi: Propylon, wsgi: Propylon) -> None:
    """Answers find their own question."""
    wrong: list[str] = []

    def ask(propylon: Propylon, number: int) -> None:
        with propylon.client() as client:
            for turn in range(20):
                body = b"%d/%d " % (number, turn) * (1 + 400 * (turn % 7))
                if client.post("/echo", content=body).content != body:
                    wrong.append(f"{number}/{turn}")

    threads = [threading.Thread(target=ask, args=(p, n)) for n in range(8) for p in (asgi, wsgi)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# -- error pages -------------------------------------------------------------------------------


def test_too_large_a_body(asgi: Propylon) -> None:
    with asgi.client() as client:
        assert client.post("/swallow", content=bytes(5_000_000)).text == "5000000"
        answer = dialogue(
            asgi, b"POST /swallow HTTP/1.1\r\nHost: h\r\nContent-Length: 5000001\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert client.get("/").text == "hello"
    chunk = b"%x\r\n" % 1_000_000 + bytes(1_000_000) + b"\r\n"
    head = b"POST /swallow HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    with closing(socket.create_connection(asgi.address, DEADLINE)) as sock:
        sock.settimeout(DEADLINE)
        try:
            sock.sendall(head + chunk * 5 + chunk[:65_536])
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may close while we send
        assert sock.recv(100).startswith(b"HTTP/1.1 413 ")


ERRORS = {
    "/crash": 500,
    "/nothing": 500,
    "/slow?s=5": 504,
}


@pytest.mark.parametrize(("path", "status"), ERRORS.items())
def test_what_an_app_does_wrong(asgi: Propylon, path: str, status: int) -> None:
    with asgi.client() as client:
        response = client.get(path)
        assert response.status_code == status
        assert client.get("/").text == "hello"


def test_502_when_the_worker_dies(asgi: Propylon) -> None:
    with asgi.client() as client:
        assert client.post("/exit").status_code == 502
        assert client.get("/").text == "hello"  # waits for the new worker
    asgi.stderr.find("exited with code 7")


def test_503_when_no_slot_comes_free(tmp_path: Path) -> None:
    flags = ["--threads", "1", "--queue-timeout", "0.3"]
    begun = tmp_path / "begun"
    with Propylon("wsgi_raw:app", *flags) as propylon, propylon.client() as client:
        thread = threading.Thread(target=client.get, args=(f"/slow?s=1.5&file={begun}",))
        thread.start()
        wait_for(begun.exists, "the request that holds the thread")
        with propylon.client() as other:
            response = other.get("/")
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        thread.join()
        assert client.get("/").text == "hello"


TRUNCATED = ["/crash?after=1&s=0.1", "/crash?after=100000"]


@pytest.mark.parametrize("path", TRUNCATED)
def test_a_response_cut_short_is_seen(server: Propylon, path: str) -> None:
    with server.client() as client, pytest.raises(httpx.RemoteProtocolError):
        client.get(path)
    assert curl("-o", "/dev/null", server.url + path).returncode == 18
    with server.client() as client:
        assert client.get("/").text == "hello"


def test_an_app_that_fails_in_the_turn_of_its_head_is_an_error(asgi: Propylon) -> None:
    """What it has said has not left the worker yet, so that nothing need be cut."""
    with asgi.client() as client:
        response = client.get("/crash?after=1")
        assert response.status_code == 500
        assert response.content != b"x"
        assert client.get("/").text == "hello"


def test_a_client_that_leaves_is_told_to_the_app(asgi: Propylon, tmp_path: Path) -> None:
    file = tmp_path / "left"
    with closing(socket.create_connection(asgi.address, DEADLINE)) as sock:
        sock.sendall(b"GET /watch?file=%b HTTP/1.1\r\nHost: h\r\n\r\n" % str(file).encode())
        answer = b""
        while b"watching" not in answer:
            answer += sock.recv(1_000)
    assert wait_for(lambda: file.exists() and file.read_text(), "the disconnect") == "sent"


# -- what the app is told ------------------------------------------------------------------------


def test_what_the_app_sees(asgi: Propylon) -> None:
    with asgi.client() as client:
        facts = client.get("/facts?a=b%20c&d", headers={"X-Two": "1"}).text.splitlines()
    host, port = asgi.address
    assert {
        "http_version='1.1'",
        "method='GET'",
        "scheme='http'",
        "path='/facts'",
        "root_path=''",
        "raw_path=b'/facts'",
        "query_string=b'a=b%20c&d'",
        f"server=('{host}', {port})",
        "header x-two=1",
        f"header host={host}:{port}",
    } <= set(facts)


def test_two_apps_side_by_side(tmp_path: Path) -> None:
    """An ASGI and a WSGI app, each below its own prefix, and nothing elsewhere."""
    config = tmp_path / "propylon.toml"
    config.write_text(
        """
        bind = ["127.0.0.1:0"]

        [[pools]]
        name = "asgi"
        app = "asgi_raw:app"

        [[pools]]
        name = "wsgi"
        app = "wsgi_raw:app"

        [[routes]]
        prefix = "/api"
        pool = "asgi"

        [[routes]]
        prefix = "/old"
        pool = "wsgi"

        [[routes]]
        host = "wsgi.example"
        pool = "wsgi"
        """
    )
    with Propylon("-c", str(config)) as propylon, propylon.client() as client:
        asgi = client.get("/api/facts").text.splitlines()
        assert {"root_path='/api'", "path='/api/facts'", "raw_path=b'/api/facts'"} <= set(asgi)
        wsgi = client.get("/old/facts").text.splitlines()
        assert {"SCRIPT_NAME=/old", "PATH_INFO=/facts"} <= set(wsgi)
        by_host = client.get("/facts", headers={"Host": "wsgi.example:80"}).text.splitlines()
        assert {"SCRIPT_NAME=", "PATH_INFO=/facts"} <= set(by_host)
        for path in ("/", "/apiary", "/older/facts", "/API/facts"):
            missing = client.get(path)
            assert missing.status_code == 404
            assert "404" in missing.text


def test_root_path_of_a_proxy_in_front() -> None:
    with Propylon("asgi_raw:app", "--root-path", "/shop") as propylon, propylon.client() as client:
        facts = client.get("/facts").text.splitlines()
    assert {"root_path='/shop'", "path='/shop/facts'"} <= set(facts)


# -- listeners and logs --------------------------------------------------------------------------


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "app.sock"
    with Propylon("asgi_raw:app", "-b", f"unix:{path}") as propylon:
        assert str(path) in propylon.url
        transport = httpx.HTTPTransport(uds=str(path))
        with httpx.Client(transport=transport, base_url="http://any") as client:
            assert client.get("/").text == "hello"
            assert (
                "client=None" in client.get("/facts").text
                or "client=('" in client.get("/facts").text
            )
        assert curl("--unix-socket", str(path), "http://any/").stdout == "hello"
    assert not path.exists()


def test_several_gateways_and_workers() -> None:
    flags = ["--gateways", "2", "-w", "2"]
    with Propylon("asgi_raw:app", *flags) as propylon:
        assert len(propylon.pids("gateway")) == 2
        assert len(propylon.pids("worker")) == 2
        with propylon.client() as client, ExitStack() as stack:
            # The least loaded worker is asked first: two at once are two workers.
            workers: set[bytes] = set()
            for _ in range(8):
                response = stack.enter_context(client.stream("GET", "/trickle?n=5"))
                workers.add(next(response.iter_raw()).split()[0])
            assert len(workers) == 2


def test_the_access_log_in_gunicorn_s_format() -> None:
    with Propylon("asgi_raw:app", "--access-log") as propylon:
        with propylon.client(headers={"User-Agent": 'a "quoted" one'}) as client:
            client.get("/?q=1", headers={"Referer": "http://r/"})
            client.get("/crash")
        line = propylon.stdout.find(r"^127\.0\.0\.1 - .*GET /\?q=1.*$")[0]
        assert re.fullmatch(
            r"127\.0\.0\.1 - - \[[^]]+\] \"GET /\?q=1 HTTP/1\.1\" 200 5 "
            r"\"http://r/\" \"a \\?.?.?.?.?quoted.* one\"",
            line,
        )
        propylon.stdout.find(r'"GET /crash HTTP/1\.1" 500 ')


def test_the_access_log_as_json() -> None:
    with Propylon("asgi_raw:app", "--access-logformat", "json") as propylon:
        with propylon.client() as client:
            client.get("/?q=1")
        row = json.loads(propylon.stdout.find(r"^\{.*\}$")[0])
        assert {200, "GET"} <= {value for value in row.values() if not isinstance(value, list)}


def test_no_access_log() -> None:
    with Propylon("asgi_raw:app", "--no-access-log") as propylon, propylon.client() as client:
        client.get("/")
        propylon.stop()
        assert propylon.stdout.text == ""
