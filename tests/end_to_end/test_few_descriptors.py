"""A real instance with few descriptors: it says so, survives being there, and recovers."""

import hashlib
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .server import DEADLINE, Propylon, command_line, descendants, wait_for
from .test_metrics import Page

pytestmark = pytest.mark.slow

FILES = 256
ROOM = 216
"""Client connections of a gateway process with so few files."""
REQUEST = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Clients:
    """Many clients of one instance."""

    def __init__(self, server: Propylon, stack: ExitStack) -> None:
        where = urlsplit(server.url)
        assert where.hostname is not None
        assert where.port is not None
        self._address = (where.hostname, where.port)
        self._stack = stack

    def connect(self, count: int, say: bytes) -> list[socket.socket]:
        """So many clients that connect, and say something."""
        found: list[socket.socket] = []
        for _ in range(count):
            client = self._stack.enter_context(socket.create_connection(self._address, DEADLINE))
            client.sendall(say)
            found.append(client)
        return found


@pytest.fixture
def served() -> Iterator[tuple[Propylon, Clients, Page]]:
    few = ("prlimit", f"--nofile={FILES}:{FILES}")
    flags = ("asgi_raw:app", "--no-access-log", "--admin-bind", "127.0.0.1:0")
    with Propylon(*flags, within=few) as server, ExitStack() as stack:
        page = Page(server.stderr)
        stack.callback(page.close)
        yield server, Clients(server, stack), page


def gateway_of(server: Propylon) -> int:
    (gateway,) = [
        pid for pid in descendants(server.process.pid) if "gateway.process" in command_line(pid)
    ]
    return gateway


def cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as stat:
        words = stat.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / 100


def answered(client: socket.socket) -> bool:
    return client.recv(10_000).startswith(b"HTTP/1.1 200")


def test_idle_clients_make_room_for_new_ones(served: tuple[Propylon, Clients, Page]) -> None:
    server, clients, page = served
    server.stderr.find(r"256 open files are allowed .* enough for 216 client connections")
    idle = clients.connect(ROOM, REQUEST)
    assert all(answered(one) for one in idle)
    assert page.sum("propylon_connections_limit") == ROOM
    for new in clients.connect(60, REQUEST):
        assert answered(new)
    assert page.sum("propylon_connections_evicted_total", 'reason="descriptors"') == 60
    ended = [one for one in idle if _has_ended(one)]
    assert ended == idle[:60]  # the longest idle ones, and no other
    server.stderr.find(
        r"a gateway process has 216 client connections, as many as its limit of open"
    )


def test_accepting_pauses_and_goes_on(served: tuple[Propylon, Clients, Page]) -> None:
    server, clients, page = served
    busy = clients.connect(ROOM, REQUEST[:10])  # none of them is idle
    wait_for(
        lambda: page.sum("propylon_connections", 'protocol="http/1.1"') == ROOM, "all connected"
    )
    (waiting,) = clients.connect(1, REQUEST)
    wait_for(lambda: page.sum("propylon_accept_pauses_total", 'reason="descriptors"'), "a pause")
    gateway = gateway_of(server)
    began, used = time.monotonic(), cpu_seconds(gateway)
    waiting.settimeout(1.0)
    with pytest.raises(TimeoutError):
        waiting.recv(1)
    assert cpu_seconds(gateway) - used < 0.3 * (time.monotonic() - began), "it spins"
    waiting.settimeout(DEADLINE)
    busy[0].close()
    assert answered(waiting)
    assert gateway_of(server) == gateway


def test_a_kernel_that_refuses_a_descriptor_is_survived(
    served: tuple[Propylon, Clients, Page],
) -> None:
    server, clients, page = served
    gateway = gateway_of(server)
    idle = clients.connect(30, REQUEST)
    assert all(answered(one) for one in idle)
    # As many as it has open already, so that `accept` fails for once.
    resource.prlimit(gateway, resource.RLIMIT_NOFILE, (40, FILES))
    for new in clients.connect(3, REQUEST):
        assert answered(new)
    server.stderr.find(r"Too many open files: idle ones are closed")
    assert page.sum("propylon_accept_pauses_total", 'reason="descriptors"') >= 1
    assert page.sum("propylon_connections_evicted_total", 'reason="descriptors"') >= 1
    resource.prlimit(gateway, resource.RLIMIT_NOFILE, (FILES, FILES))
    for new in clients.connect(30, REQUEST):
        assert answered(new)
    assert gateway_of(server) == gateway


UPLOADS = """
import hashlib

def app(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [hashlib.sha256(body).hexdigest().encode()]
"""
UPLOAD = bytes(range(256)) * 600
DOWNLOAD = bytes(range(256)) * 16_000
"""More than the kernel holds for a client that does not read."""


@pytest.mark.parametrize("gateways", [1, 2])
def test_clients_with_a_file_each_are_all_served(tmp_path: Path, gateways: int) -> None:
    """More of them than fit, with bodies in temporary files and files that are sent: those that are
    let in have a descriptor for theirs, and the others wait."""
    (tmp_path / "uploads.py").write_text(UPLOADS)
    (tmp_path / "files").mkdir()
    (tmp_path / "files/large.bin").write_bytes(DOWNLOAD)
    flags = ("uploads:app", "--no-access-log", "--admin-bind", "127.0.0.1:0", "--threads", "4")
    flags += ("--static", f"/files={tmp_path}/files", "--gateways", str(gateways))
    few = ("prlimit", f"--nofile={FILES}:{FILES}")
    count = 150 * gateways
    go, said = threading.Event(), hashlib.sha256(UPLOAD).hexdigest().encode()
    with (
        Propylon(*flags, within=few, cwd=tmp_path) as server,
        ThreadPoolExecutor(2 * count) as clients,
    ):
        server.stderr.find(r"256 open files are allowed .* enough for 108 client .* each with a")
        page = Page(server.stderr)
        where = urlsplit(server.url)

        def asks(first: bytes, rest: bytes) -> bytes:
            with socket.create_connection((where.hostname, where.port), DEADLINE) as sock:
                sock.sendall(first)
                assert go.wait(DEADLINE)
                sock.sendall(rest)
                answer = b""
                while got := sock.recv(1_000_000):
                    answer += got
                return answer

        head = f"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {len(UPLOAD)}\r\n"
        up = head.encode() + b"Connection: close\r\n\r\n" + UPLOAD[:-50_000], UPLOAD[-50_000:]
        down = b"GET /files/large.bin HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", b""
        asked = [clients.submit(asks, *each) for _ in range(count) for each in (up, down)]
        most = 108 * gateways
        wait_for(lambda: page.sum("propylon_connections", 'protocol="http/1.1"') == most, "108")
        assert page.sum("propylon_connections_limit") == most
        for pid in descendants(server.process.pid):
            if "gateway.process" in command_line(pid):
                assert len(os.listdir(f"/proc/{pid}/fd")) < FILES - 8
        go.set()
        for up_or_down, one in enumerate(asked):
            answer = one.result(DEADLINE)
            assert answer.startswith(b"HTTP/1.1 200"), answer[:300]
            assert answer.endswith(DOWNLOAD if up_or_down % 2 else said)
        page.close()
        assert "Too many open files" not in server.stderr.text
        assert "no more bodies can be kept" not in server.stderr.text


def _has_ended(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
