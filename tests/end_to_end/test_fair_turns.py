"""One client floods the server, another asks politely: how long does that one wait?

Turns are counted in `tests/gateway/serve/test_websocket_connection.py` and `test_turns.py`. This is
a witness that nothing else stands between a turn and a client's answer. It compares two times of
the same machine, and is patient with it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from time import perf_counter

import pytest

from .server import DEADLINE, Propylon

ROUNDS = 3
"""The best time of them counts, with a flood and without: what else the machine does is no fault of
ours."""
ASKED = 100
MOST = 100.0
"""Times that the 99th percentile beside a flood may be that of a quiet server. On two busy cores it
is 10 to 30; with pongs it was 4,000 when a turn handled all that one read had brought."""
UPGRADE = (
    b"GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(first: int, payload: bytes = b"") -> bytes:
    return bytes((first, 0x80 | len(payload), 0, 0, 0, 0)) + payload


FLOODS = {
    "pongs": (b"", frame(0x8A)),
    "pings": (b"", frame(0x89)),
    "fragments": (frame(2, b"x"), frame(0, b"x")),
}
"""What it sends first, and then for ever. Each is a matter of the gateway alone. Small messages are
not among them: what waits for the worker is bounded in bytes and not in messages (SPEC.md 7)."""


def opened(server: Propylon) -> socket.socket:
    sock = socket.create_connection(server.address, DEADLINE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(UPGRADE)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ")
    return sock


@contextmanager
def flooded(server: Propylon, kind: str) -> Iterator[None]:
    first, again = FLOODS[kind]
    over = threading.Event()
    with closing(opened(server)) as sock:

        def send() -> None:
            data = again * 2_000
            try:
                sock.sendall(first)
                while not over.is_set():
                    sock.sendall(data)
            except OSError:
                pass

        def receive() -> None:
            try:
                while sock.recv(1 << 20):
                    pass
            except OSError:
                pass

        threads = [threading.Thread(target=act) for act in (send, receive)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            sock.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def percentile(server: Propylon) -> float:
    """The 99th of the seconds that an echo takes."""
    times: list[float] = []
    with closing(opened(server)) as sock:
        for _ in range(ASKED):
            begun = perf_counter()
            sock.sendall(frame(0x82, b"?"))
            heard = b""
            while len(heard) < 3:
                data = sock.recv(3 - len(heard))
                assert data, "the polite client was sent away"
                heard += data
            times.append(perf_counter() - begun)
    return sorted(times)[ASKED * 99 // 100]


@pytest.mark.slow
@pytest.mark.parametrize("kind", FLOODS)
def test_a_polite_client_beside_a_flood(kind: str) -> None:
    quiet: list[float] = []
    beside: list[float] = []
    with Propylon("websocket_raw:app") as server:
        percentile(server)  # all is warm
        for _ in range(ROUNDS):
            quiet.append(percentile(server))
            with flooded(server, kind):
                beside.append(percentile(server))
    ratio = min(beside) / min(quiet)
    print(f"{kind}: p99 beside a flood is {ratio:.1f} times that of a quiet server")
    assert ratio < MOST
