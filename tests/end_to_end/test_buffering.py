"""Slow clients in front of few threads: they wait, and nobody waits for them."""

import hashlib
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ..gateway.tls.issued import trusting_in_threads
from .server import DEADLINE, Propylon

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
    body, events = b"", 0
    while True:
        event = await receive()
        body += event["body"]
        if not event["more_body"]:
            break
    fields = dict(scope["headers"])
    said = hashlib.sha256(body).hexdigest()
    length = fields.get(b"content-length", b"None").decode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{length} {said}".encode()})
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


@pytest.mark.parametrize("parser", ["httptools", "h11"])
@pytest.mark.parametrize("chunked", [False, True])
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
