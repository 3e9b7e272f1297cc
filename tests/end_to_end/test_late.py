"""Clients that are late, and those that only seem so: what the time-outs end and what they spare.

The times here are the server's settings, and each test lets the client take longer than one of
them by being late in the way that this setting is not about.
"""

import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ..cases import some_slow
from .server import DEADLINE, Propylon

IMPATIENT = ["--header-timeout", "0.5", "--body-timeout", "0.5", "--send-timeout", "0.5"]
KINDS = {
    "httptools": ["asgi_raw:app", "--http", "httptools"],
    "h11-trio": ["asgi_raw:app", "--http", "h11", "--loop", "trio"],
}
LATER = 0.8
"""Seconds, more than any of the time-outs and a sweep together."""


@pytest.fixture(params=KINDS, scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Propylon]:
    with Propylon(*KINDS[request.param], *IMPATIENT, "--timeout-keep-alive", "0.5") as propylon:
        yield propylon


def dial(propylon: Propylon, receive_buffer: int = 0) -> socket.socket:
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(DEADLINE)
    sock.connect(propylon.address)
    return sock


def read_until(sock: socket.socket, pattern: bytes) -> bytes:
    heard = b""
    while not re.search(pattern, heard, re.S):
        data = sock.recv(65_536)
        assert data, heard
        heard += data
    return heard


def read_all(sock: socket.socket, pause: float = 0.0) -> bytes:
    heard = bytearray()
    while data := sock.recv(100_000):
        heard += data
        time.sleep(pause)
    return bytes(heard)


# -- ended -----------------------------------------------------------------------------------------


def test_a_late_head_is_408(server: Propylon) -> None:
    with closing(dial(server)) as sock:
        sock.sendall(b"GET / HTT")
        assert read_all(sock).startswith(b"HTTP/1.1 408 ")


def test_a_late_body_is_408(server: Propylon) -> None:
    with closing(dial(server)) as sock:
        sock.sendall(b"POST /swallow HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf")
        assert read_all(sock).startswith(b"HTTP/1.1 408 ")


def test_a_promised_body_that_stays_away_is_408(server: Propylon) -> None:
    """The body's time begins with the 100 Continue."""
    with closing(dial(server)) as sock:
        sock.sendall(
            b"POST /swallow HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert re.match(rb"HTTP/1.1 100 .*HTTP/1.1 408 ", read_all(sock), re.S)


def test_an_idle_connection_ends(server: Propylon) -> None:
    with closing(dial(server)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert read_all(sock).endswith(b"hello")


def test_an_empty_line_behind_a_request_is_no_late_head(server: Propylon) -> None:
    with closing(dial(server)) as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nfour\r\n")
        answer = read_all(sock)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200"], answer


def test_who_takes_nothing_is_cut(server: Propylon) -> None:
    with closing(dial(server, 4096)) as sock:
        sock.sendall(b"GET /stream?n=50000001 HTTP/1.1\r\nHost: h\r\n\r\n")
        server.stdout.find(r"GET /stream\?n=50000001 ")  # its end is in the access log
        try:
            assert len(read_all(sock)) < 50_000_000
        except ConnectionResetError:
            pass


# -- spared ----------------------------------------------------------------------------------------


def test_who_waits_for_100_is_not_late(server: Propylon) -> None:
    with closing(dial(server)) as sock:
        sock.sendall(
            b"POST /ask?s=%.1f HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n"
            b"Connection: close\r\nExpect: 100-continue\r\n\r\n" % LATER
        )
        assert read_until(sock, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"body")
        assert read_all(sock).endswith(b"\r\n\r\n4")


def test_an_app_that_asks_late_is_not_the_client_s_fault(server: Propylon) -> None:
    with server.client() as client:
        assert client.post(f"/ask?s={LATER}", content=bytes(3_000_000)).text == "3000000"


def test_a_download_goes_on_while_the_upload_rests(server: Propylon) -> None:
    """Half of the request is sent; the app answers without it, and the client is busy reading."""
    with closing(dial(server)) as sock:
        sock.sendall(
            b"POST /stream?n=20000000 HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n"
            + bytes(1_000)
        )
        started = time.monotonic()
        assert read_all(sock, 0.008).endswith(b"0\r\n\r\n")
        assert time.monotonic() - started > LATER, "it was too fast to show anything"


@pytest.mark.slow
def test_a_response_outlives_the_keep_alive(tmp_path: Path) -> None:
    """The app is done, and what is kept for the client is not idle time. A Unix socket keeps
    little in the kernel."""
    path = tmp_path / "s"
    with (
        Propylon("asgi_raw:app", "--timeout-keep-alive", "0.3", "-b", f"unix:{path}") as propylon,
        closing(socket.socket(socket.AF_UNIX)) as sock,
    ):
        sock.settimeout(DEADLINE)
        sock.connect(str(path))
        sock.sendall(b"GET /stream?n=320000 HTTP/1.1\r\nHost: h\r\n\r\n")
        propylon.stdout.find(r"GET /stream\?n=320000 ")  # as far as the app is concerned
        time.sleep(LATER)
        assert read_all(sock).endswith(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("size", some_slow(1, [5_000_000, 10]))
def test_without_keep_alive_responses_say_so(size: int) -> None:
    with (
        Propylon("asgi_raw:app", "--timeout-keep-alive", "0") as propylon,
        closing(dial(propylon)) as sock,
    ):
        sock.sendall(b"GET /stream?n=%d HTTP/1.1\r\nHost: h\r\n\r\n" % size)
        head, _, body = read_all(sock).partition(b"\r\n\r\n")
        assert b"\r\nconnection: close" in head
        if size == 10:  # said in one turn: it has a length
            assert b"\r\ncontent-length: 10" in head
            assert body == bytes(10)
        else:
            assert len(body) > size
            assert body.endswith(b"\r\n0\r\n\r\n")


# -- the end of what went wrong --------------------------------------------------------------------


def test_an_error_behind_a_head_request_has_its_body(server: Propylon) -> None:
    with closing(dial(server)) as sock:
        sock.sendall(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nBad Field: x\r\n\r\n")
        answer = read_all(sock).partition(b"HTTP/1.1 400 ")[2]
        length = re.search(rb"content-length: (\d+)", answer)
        assert length
        assert len(answer.partition(b"\r\n\r\n")[2]) == int(length[1]) > 0


def test_a_refusal_reaches_who_is_still_sending() -> None:
    """A client that writes its whole body before it reads gets the 413 and no broken pipe."""
    with (
        Propylon("asgi_raw:app", "--max-request-body-size", "1000") as propylon,
        closing(dial(propylon)) as sock,
    ):
        sock.sendall(b"POST /swallow HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n")
        sock.sendall(bytes(5_000_000))
        assert sock.recv(65_536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.slow
def test_a_stop_does_not_wait_for_a_connection_that_falls_idle() -> None:
    """It was busy when the stop began, so its response could not say `Connection: close`."""
    with Propylon("asgi_raw:app", "--timeout-graceful-shutdown", "15") as propylon:
        with propylon.client() as client, client.stream("GET", "/trickle?n=5") as response:
            pieces = response.iter_text()
            next(pieces)
            propylon.process.send_signal(signal.SIGTERM)
            assert "".join(pieces).endswith(".")
            assert propylon.process.wait(10) == 0
        assert "cut" not in propylon.stderr.finish()
