"""Clients of HTTP/2 that ask too much, each kind in a process of its own.

    python -m tests.bench.http2_flood_clients KIND PORT

Each goes on until its standard input ends, and opens a new connection as often as its last one is
ended. It then says how often it has done what it does, and how many of its connections were ended.
One core is the most that it takes.
"""

import contextlib
import itertools
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ..http2_frames import END_HEADERS, END_STREAM, PADDED, PREFACE, Kind, Setting, frame
from .flood_clients import connected

HELD: Final = 100
"""Connections of those that hold what they have."""
BATCH: Final = 100
"""Units of what is sent at once."""

GET = b"\x82\x86\x41\x01h\x84"
"""GET / of http://h, without Huffman coding and without an entry in the table."""
UP = b"\x83\x86\x41\x01h\x04\x03/up"
DOWN = b"\x82\x86\x41\x01h\x04\x0e/down/10000000"


def head(stream: int, block: bytes, *, ended: bool = True) -> bytes:
    return frame(Kind.HEADERS, END_HEADERS | (END_STREAM if ended else 0), stream, block)


def data(stream: int, payload: bytes) -> bytes:
    return frame(Kind.DATA, 0, stream, payload)


def window(stream: int, more: int) -> bytes:
    return frame(Kind.WINDOW_UPDATE, 0, stream, more.to_bytes(4, "big"))


def reset(stream: int) -> bytes:
    return frame(Kind.RST_STREAM, 0, stream, b"\0\0\0\x08")


def settings(entries: int, size: int) -> bytes:
    entry = Setting.INITIAL_WINDOW_SIZE.to_bytes(2, "big") + size.to_bytes(4, "big")
    return frame(Kind.SETTINGS, 0, 0, entry * entries)


Sends = Iterator[tuple[bytes, int]]
"""Bytes, and how often they do it."""


def streams() -> Iterator[int]:
    return itertools.count(1, 2)


def each(unit: Callable[[int], bytes]) -> Callable[[], Sends]:
    """The same with one stream after the other."""

    def sends() -> Sends:
        numbers = streams()
        while True:
            yield b"".join(unit(next(numbers)) for _ in range(BATCH)), BATCH

    return sends


def again(unit: bytes, first: bytes = b"") -> Callable[[], Sends]:
    """The same for ever, behind `first`."""

    def sends() -> Sends:
        yield first, 0
        while True:
            yield unit * BATCH, BATCH

    return sends


def dribbles() -> Sends:
    """Responses without a window, which then get a byte each."""
    yield settings(1, 0), 0
    yield b"".join(head(stream, DOWN) for stream in range(1, 100, 2)), 0
    while True:
        yield b"".join(window(stream, 1) for stream in range(1, 100, 2)), 50


def bomb(stream: int) -> bytes:
    """An entry of 3,900 bytes, and 4,000 references to it: 16 MB in 8 KB."""
    value = b"\x40\x01a\x7f\xbd\x1d" + b"x" * 3_900
    return head(stream, GET + value + b"\xbe" * 4_000)


def cookies(stream: int) -> bytes:
    """3,000 crumbs, the entry of a table each."""
    return head(stream, GET + b"\x60\x03a=b" + b"\xbe" * 3_000)


def held(first: bytes, then: bytes = b"") -> Callable[[], Sends]:
    """Says something once a second, and nothing else."""

    def sends() -> Sends:
        yield first, 1
        while True:
            yield then, 0

    return sends


@dataclass(frozen=True)
class Attack:
    says: str
    """What it does, for a table."""
    sends: Callable[[], Sends]
    reads: bool = True
    connections: int = 1
    """How many at once. If more, each is slow."""


PING = frame(Kind.PING, 0, 0, bytes(8))
PADDING = frame(Kind.DATA, PADDED, 1, b"\xff" + bytes(255))
OPEN_UPLOAD = head(1, UP, ended=False)
BEGUN = frame(Kind.HEADERS, END_STREAM, 1, GET)
MANY_DOWN = b"".join(head(stream, DOWN) for stream in range(1, 200, 2))
MANY_UP = b"".join(
    head(stream, UP, ended=False) + data(stream, b"x") for stream in range(1, 200, 2)
)
NO_WINDOW = settings(1, 0)

ATTACKS: Final[dict[str, Attack]] = {
    "requests": Attack("plain requests, for comparison", each(lambda n: head(n, GET))),
    "rapid reset": Attack(
        "requests that are cancelled at once", each(lambda n: head(n, GET) + reset(n))
    ),
    "made reset": Attack(
        "requests with DATA behind their end, which is answered by RST_STREAM",
        each(lambda n: head(n, GET) + data(n, b"x")),
    ),
    "malformed": Attack(
        "requests with a field in upper case", each(lambda n: head(n, GET + b"\0\x01A\x01b"))
    ),
    "too many streams": Attack(
        "uploads that do not go on", each(lambda n: head(n, UP, ended=False))
    ),
    "continuation": Attack(
        "a head with CONTINUATIONs without end",
        again(frame(Kind.CONTINUATION, 0, 1), BEGUN),
    ),
    "large continuation": Attack(
        "a head with CONTINUATIONs of 16 KiB",
        again(frame(Kind.CONTINUATION, 0, 1, bytes(16_384)), BEGUN),
    ),
    "compression bomb": Attack("heads of 16 MB in 8 KB", each(bomb)),
    "cookies": Attack("heads with 3,000 cookies", each(cookies)),
    "empty data": Attack("an upload of empty DATA", again(data(1, b""), OPEN_UPLOAD)),
    "padding": Attack("an upload of padding", again(PADDING, OPEN_UPLOAD)),
    "small data": Attack("an upload of a byte for each DATA", again(data(1, b"x"), OPEN_UPLOAD)),
    "ping": Attack("PING", again(PING)),
    "unread ping": Attack("PING, without reading the answers", again(PING), reads=False),
    "settings": Attack("SETTINGS", again(settings(0, 0))),
    "many settings": Attack("SETTINGS with 32 entries", again(settings(32, 4_096))),
    "window update": Attack("WINDOW_UPDATE of a byte", again(window(0, 1))),
    "dribble": Attack("windows of a byte for 50 responses", dribbles),
    "priority": Attack("PRIORITY", again(frame(Kind.PRIORITY, 0, 1, bytes(5)))),
    "priority update": Attack(
        "PRIORITY_UPDATE of streams that are not open",
        each(lambda n: frame(Kind.PRIORITY_UPDATE, 0, 0, n.to_bytes(4, "big") + b"u=1")),
    ),
    "late reset": Attack(
        "RST_STREAM of a stream that has ended", again(reset(1), head(1, GET) + reset(1))
    ),
    "goaway": Attack("GOAWAY", again(frame(Kind.GOAWAY, 0, 0, bytes(8)))),
    "unknown frames": Attack("frames of an unknown kind", again(frame(0xBB, 0, 0, b"x"))),
    "unread responses": Attack("100 responses that are not read", held(MANY_DOWN), reads=False),
    "no window": Attack(
        f"100 responses without a window, on {HELD} connections",
        held(NO_WINDOW + MANY_DOWN),
        connections=HELD,
    ),
    "uploads without end": Attack(
        f"100 uploads of a byte, on {HELD} connections", held(MANY_UP, PING), connections=HELD
    ),
}


class Client:
    """One connection of an attack after the other."""

    def __init__(self, attack: Attack, port: int) -> None:
        self.attack, self.port = attack, port
        self.done = self.ended = 0
        self.sock: socket.socket | None = None
        self._left = b""
        self._count = 0

    def open(self) -> socket.socket:
        self.sock = sock = connected(self.port)
        self._sends = self.attack.sends()
        self._left = PREFACE + settings(0, 0)
        self._count = 0
        sock.setblocking(False)
        return sock

    def send(self) -> None:
        assert self.sock is not None
        if not self._left:
            self.done += self._count
            self._left, self._count = next(self._sends)
        if self._left:
            self._left = self._left[self.sock.send(self._left) :]

    def receive(self) -> None:
        assert self.sock is not None
        if not self.sock.recv(1 << 20):
            raise ConnectionResetError

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None
            self.ended += 1


def run(attack: Attack, port: int, over: Callable[[], bool]) -> tuple[int, int]:
    """Returns how often it was done, and how many connections were ended."""
    clients = [Client(attack, port) for _ in range(attack.connections)]
    while not over():
        ready = list[tuple[socket.socket, Client]]()
        for client in clients:
            with contextlib.suppress(OSError):
                ready.append((client.sock or client.open(), client))
        poll = select.poll()
        by_fd = dict[int, Client]()
        for sock, client in ready:
            by_fd[sock.fileno()] = client
            poll.register(sock, (select.POLLIN if attack.reads else 0) | select.POLLOUT)
        for fd, events in poll.poll(100):
            client = by_fd[fd]
            try:
                if events & (select.POLLERR | select.POLLHUP):
                    raise ConnectionResetError
                if events & select.POLLIN:
                    client.receive()
                elif events & select.POLLOUT:
                    client.send()
            except BlockingIOError:
                pass
            except OSError:
                client.close()
                time.sleep(0.01)
        if attack.connections > 1 or attack.sends.__qualname__.startswith("held"):
            time.sleep(0.1)
    ended = sum(client.ended for client in clients)
    for client in clients:
        client.close()
    return sum(client.done for client in clients), ended


def main() -> None:
    kind, port = sys.argv[1], int(sys.argv[2])
    ended = threading.Event()

    def wait_for_end() -> None:
        os.read(0, 1)
        ended.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    print(*run(ATTACKS[kind], port, ended.is_set), flush=True)


if __name__ == "__main__":
    main()
