"""Slow clients in front of few threads: they wait, and nobody waits for them."""

import hashlib
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ..gateway.tls.issued import trusting_in_threads
from .operating import done
from .server import DEADLINE, Propylon, wait_for

SIZE = 400_000
"""Bytes of an upload: more than what is kept in memory, and than a window."""
APP = """
import hashlib, threading

lock, inside = threading.Lock(), 0

def app(environ, start_response):
    global inside
    with lock:
        inside += 1
        here = inside
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    said = hashlib.sha256(body).hexdigest()
    with lock:
        inside -= 1
    return [f"{environ.get('CONTENT_LENGTH')} {said} {here}".encode()]
"""
ASGI_APP = """
import hashlib

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError
    body = b""
    while True:
        event = await receive()
        body += event["body"]
        if not event["more_body"]:
            break
    fields = dict(scope["headers"])
    said = hashlib.sha256(body).hexdigest()
    length = fields.get(b"content-length", b"None").decode()
    answer = f"{length} {said}".encode()
    fields = [(b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": answer[:9], "more_body": True})
    await send({"type": "http.response.body", "body": answer[9:]})
"""


@contextmanager
def serving(folder: Path, app: str = APP, *flags: str) -> Iterator[Propylon]:
    (folder / "keeping.py").write_text(app)
    with Propylon("keeping:app", "--no-access-log", *flags, cwd=folder) as server:
        yield server


def connect(server: Propylon, folder: Path | None = None) -> socket.socket:
    sock = socket.create_connection(server.address, DEADLINE)
    if folder is not None:
        sock = trusting_in_threads().wrap_socket(sock, server_hostname="localhost")
    return sock


def head(*, chunked: bool = False, size: int = SIZE) -> bytes:
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    return f"POST / HTTP/1.1\r\nHost: test\r\n{length}\r\n\r\n".encode()


def framed(data: bytes, *, chunked: bool, last: bool = False) -> bytes:
    if not chunked:
        return data
    return b"%x\r\n%b\r\n" % (len(data), data) + (b"0\r\n\r\n" if last else b"")


def answer(sock: socket.socket) -> bytes:
    """The body of the answer that comes."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += (got := sock.recv(65_536))
        assert got, f"it ended after {data!r}"
    fields, _, body = data.partition(b"\r\n\r\n")
    if b"content-length:" in fields.lower():
        length = int(fields.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += (got := sock.recv(65_536))
            assert got
    return fields + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("parser", "chunked"),
    [
        ("httptools", True),
        pytest.param("httptools", False, marks=pytest.mark.slow),
        pytest.param("h11", True, marks=pytest.mark.slow),
        pytest.param("h11", False, marks=pytest.mark.slow),
    ],
)
def test_slow_uploads_hold_no_thread(tmp_path: Path, parser: str, chunked: bool) -> None:
    first, second = b"a" * (SIZE - 1_000), b"b" * 1_000
    said = hashlib.sha256(first + second).hexdigest().encode()
    with serving(tmp_path, APP, "--http", parser) as server, ExitStack() as stack:
        slow = [stack.enter_context(connect(server)) for _ in range(20)]
        for sock in slow:
            sock.sendall(head(chunked=chunked) + framed(first, chunked=chunked))
        fast = stack.enter_context(connect(server))
        for _ in range(20):
            fast.sendall(head(size=4) + b"fast")
            assert answer(fast).endswith(b" 1"), "it has the app for itself"
        for sock in slow:
            sock.sendall(framed(second, chunked=chunked, last=True))
        for sock in slow:
            assert b"%d %b" % (SIZE, said) in answer(sock)


DOWNLOADS = """
import itertools, os, threading, time

SIZE = 8_000_000
lock, inside, told = threading.Lock(), 0, threading.Event()

class Pieces:
    def __init__(self):
        self.left = SIZE

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        size = min(self.left, 50_000)
        self.left -= size
        return b"d" * size

    def close(self):
        global inside
        with lock:
            inside -= 1

def events():
    yield b"data: first\\n\\n"
    told.wait(20)
    yield b"data: second\\n\\n"

def app(environ, start_response):
    global inside
    slow = environ["PATH_INFO"] == "/slow"
    start_response("200 OK", [("Content-Length", str(SIZE))] if slow else [])
    if slow:
        with lock:
            inside += 1
        return Pieces()
    if environ["PATH_INFO"] == "/events":
        return events()
    if environ["PATH_INFO"] == "/tell":
        told.set()
    return [f"{inside} {os.getpid()}".encode()]
"""
DOWNLOAD = 8_000_000
"""Bytes of a download: more than the kernel keeps for a client."""


def ask(sock: socket.socket, path: str) -> None:
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())


def slow_reader(server: Propylon, folder: Path | None = None) -> socket.socket:
    """A client that has asked for a download and takes none of it yet."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.settimeout(DEADLINE)
    sock.connect(server.address)
    if folder is not None:
        sock = trusting_in_threads().wrap_socket(sock, server_hostname="localhost")
    ask(sock, "/slow")
    return sock


@pytest.mark.parametrize("parser", ["httptools", pytest.param("h11", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_slow_readers_hold_no_thread(tmp_path: Path, parser: str) -> None:
    with serving(tmp_path, DOWNLOADS, "--http", parser) as server, ExitStack() as stack:
        slow = [stack.enter_context(slow_reader(server)) for _ in range(8)]
        fast = stack.enter_context(connect(server))

        def inside() -> bytes:
            ask(fast, "/")
            return answer(fast).rpartition(b"\r\n")[2].split()[0]

        wait_for(lambda: inside() == b"0", "every thread has said all that it has")
        for sock in slow[:5]:
            assert answer(sock).endswith(b"\r\n\r\n" + b"d" * DOWNLOAD)


def test_an_event_is_sent_at_once(tmp_path: Path) -> None:
    with serving(tmp_path, DOWNLOADS) as server, ExitStack() as stack:
        events, other = (stack.enter_context(connect(server)) for _ in range(2))
        ask(events, "/events")
        said = b""
        while b"first" not in said:
            said += events.recv(1_000)
        assert b"second" not in said
        ask(other, "/tell")
        answer(other)
        while b"second" not in said:
            said += events.recv(1_000)


@pytest.mark.slow
def test_a_download_outlives_its_worker(tmp_path: Path) -> None:
    with serving(tmp_path, DOWNLOADS, "--reload-observe", "0") as server, ExitStack() as stack:
        slow = stack.enter_context(slow_reader(server))
        (old,) = server.pids("worker")
        done(server, "reload")
        wait_for(lambda: old not in server.pids("worker"), "the old worker has left")
        assert answer(slow).endswith(b"\r\n\r\n" + b"d" * DOWNLOAD)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("it takes the right to mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_costs_large_uploads_only(tmp_path: Path, small_disk: Path) -> None:
    flags = ("--temp-dir", str(small_disk))
    with serving(tmp_path, APP, *flags) as server, ExitStack() as stack:
        waiting = stack.enter_context(connect(server))
        waiting.sendall(head(size=600_000) + b"w" * 599_999)
        fast = stack.enter_context(connect(server))
        fast.sendall(head(size=4) + b"fast")
        answer(fast)
        refused = stack.enter_context(connect(server))
        refused.sendall(head(size=900_000) + b"r" * 700_000)
        assert answer(refused).startswith(b"HTTP/1.1 507 ")
        server.stderr.find(r"no more bodies can be kept .*No space left on device.* \(--temp-dir\)")
        fast.sendall(head(size=4) + b"fast")
        assert answer(fast).endswith(b" 1")
        waiting.sendall(b"w")
        assert b"600000 " in answer(waiting)
        again = stack.enter_context(connect(server))
        again.sendall(head(size=900_000) + b"a" * 900_000)
        assert b"900000 " in answer(again), "there is room again"


@pytest.mark.slow
def test_a_full_disk_slows_a_download(tmp_path: Path, small_disk: Path) -> None:
    flags = ("--temp-dir", str(small_disk))
    with serving(tmp_path, DOWNLOADS, *flags) as server, ExitStack() as stack:
        slow = [stack.enter_context(slow_reader(server)) for _ in range(2)]
        server.stderr.find(r"no more bodies can be kept")
        for sock in slow:
            assert answer(sock).endswith(b"\r\n\r\n" + b"d" * DOWNLOAD)


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_an_asgi_app_may_have_it_too(tmp_path: Path, loop: str) -> None:
    said = hashlib.sha256(b"a" * SIZE).hexdigest().encode()
    flags = ("--loop", loop, "--buffer-requests", "on", "--buffer-responses", "on")
    with serving(tmp_path, ASGI_APP, *flags) as server, connect(server) as sock:
        data = head(chunked=True) + framed(b"a" * SIZE, chunked=True, last=True)
        for start in range(0, len(data), 50_000):
            sock.sendall(data[start : start + 50_000])
        assert b"%d %b" % (SIZE, said) in answer(sock)
