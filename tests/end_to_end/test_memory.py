"""Streams of any length in bounded memory, through the gateway and through the worker."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from .server import DEADLINE, Propylon, resident

BOUND = 32 << 20
"""What either process may grow by, in bytes."""
PIECE = bytes(1 << 18)
EVERYDAY, LARGE = 200 << 20, 1 << 30


@pytest.fixture(scope="module", params=["asgi_raw:app", "wsgi_raw:app"])
def server(request: pytest.FixtureRequest) -> Iterator[Propylon]:
    flags = ["--max-request-body-size", "0", "--no-access-log"]
    with Propylon(request.param, *flags) as propylon, propylon.client() as client:
        # What the first of each kind costs is no growth.
        client.get("/stream?n=2000000")
        client.post("/swallow", content=PIECE * 8)
        client.post("/echo", content=PIECE * 8)
        yield propylon


def both_ways(propylon: Propylon, pieces: Iterator[bytes]) -> int:
    """Sends and reads at the same time, as httpx does not. Returns the count of bytes read."""
    with closing(socket.create_connection(propylon.address, DEADLINE)) as sock:

        def send() -> None:
            head = b"POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
            sock.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
            for piece in pieces:
                sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            sock.sendall(b"0\r\n\r\n")

        sender = threading.Thread(target=send)
        sender.start()
        count = sum(map(len, iter(lambda: sock.recv(1 << 18), b"")))
        sender.join()
    return count


def sizes(propylon: Propylon) -> dict[int, int]:
    return {pid: resident(pid) for kind in ("gateway", "worker") for pid in propylon.pids(kind)}


@pytest.mark.parametrize(
    "size", [EVERYDAY, pytest.param(LARGE, marks=pytest.mark.slow)], ids=["200 MB", "1 GB"]
)
@pytest.mark.parametrize("way", ["down", "up", "both"])
@pytest.mark.slow
def test_growth(server: Propylon, way: str, size: int) -> None:
    before = sizes(server)
    most = dict(before)

    def look() -> None:
        for pid, now in sizes(server).items():
            most[pid] = max(most[pid], now)

    def pieces() -> Iterator[bytes]:
        for number in range(size // len(PIECE)):
            if number % 100 == 0:
                look()
            yield PIECE

    with server.client() as client:
        if way == "up":
            assert client.post("/swallow", content=pieces()).text == str(size)
        elif way == "down":
            with client.stream("GET", f"/stream?n={size}") as response:
                count = 0
                for number, data in enumerate(response.iter_raw()):
                    count += len(data)
                    if number % 1_000 == 0:
                        look()
            assert count == size
        else:
            assert both_ways(server, pieces()) > size
    look()
    grown = {pid: most[pid] - before[pid] for pid in before}
    assert max(grown.values()) < BOUND, grown
