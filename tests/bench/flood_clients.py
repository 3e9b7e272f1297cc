"""Clients that ask too much, each kind in a process of its own.

    python -m tests.bench.flood_clients KIND PORT

Each goes on until its standard input ends, and then says how often it has done what it does. One
core is the most that it takes, so that what others feel is the server's doing.
"""

import contextlib
import itertools
import os
import select
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Final

HOST: Final = "h"
MANY: Final = 10_000
"""Connections, or as many as this process may open."""
DRIPPING: Final = 300
"""Connections that send a byte a second."""
BLOCK: Final = 65_536
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
RESET = struct.pack("ii", 1, 0)

Over = Callable[[], bool]
"""Whether it is time to end."""
Flood = Callable[[int, Over], Iterator[int]]
"""Goes on until it is over, and says now and then how often it has done it meanwhile."""


def connected(port: int, source: str = "") -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), 5, (source, 0) if source else None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def addresses() -> Iterator[str]:
    """This machine's own ones, in turn: each has ports of its own."""
    return itertools.cycle(f"127.0.1.{number}" for number in range(1, 255))


def opens_and_closes(port: int, over: Over) -> Iterator[int]:
    """As fast as it can, in both ways to close."""
    for number, source in enumerate(addresses()):
        if over():
            return
        try:
            with connected(port, source) as sock:
                if number % 2:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            yield 1
        except OSError:
            time.sleep(0.01)


def opens_many(port: int, over: Over) -> Iterator[int]:
    """All at once; they say nothing. What the server closes is opened again."""
    poll, open_ones = select.epoll(), dict[int, socket.socket]()
    sources = addresses()
    while not over():
        for _ in range(min(200, MANY - len(open_ones))):
            sock = socket.socket()
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.bind((next(sources), 0))
            sock.connect_ex(("127.0.0.1", port))
            open_ones[sock.fileno()] = sock
            poll.register(sock, select.EPOLLIN | select.EPOLLRDHUP)
            yield 1
        for fd, _ in poll.poll(0.05 if len(open_ones) == MANY else 0):
            poll.unregister(fd)
            open_ones.pop(fd).close()
    for sock in open_ones.values():
        sock.close()


def sends(first: bytes, again: bytes, count: int) -> Flood:
    """Sends one block for ever, which does it `count` times, and drops the answers."""

    def flood(port: int, over: Over) -> Iterator[int]:
        while not over():
            with contextlib.suppress(OSError), connected(port) as sock:
                sock.sendall(UPGRADE if first.startswith(UPGRADE) else first)
                if first.startswith(UPGRADE):
                    while b"\r\n\r\n" not in sock.recv(BLOCK):
                        pass
                    sock.sendall(first.removeprefix(UPGRADE))
                sock.setblocking(False)
                poll = select.epoll()
                poll.register(sock, select.EPOLLIN | select.EPOLLOUT)
                left = again
                while not over():
                    for _, events in poll.poll(0.1):
                        if events & select.EPOLLIN and not sock.recv(1 << 20):
                            raise ConnectionResetError
                        if events & select.EPOLLOUT:
                            left = left[sock.send(left) :]
                            if not left:
                                left = again
                                yield count
            time.sleep(0.01)

    return flood


def burns(port: int, over: Over) -> Iterator[int]:
    """Keeps a core busy, and never comes near the server."""
    while not over():
        yield sum(1 for _ in range(10_000))


def drips(port: int, over: Over) -> Iterator[int]:
    """A byte a second of a head, or of a body, on many connections."""
    head = b"GET / HTTP/1.1\r\nHost: " + b"h" * 10_000
    body = b"POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\n\r\n"
    held: list[tuple[socket.socket, int]] = []
    number, due = 0, time.monotonic()
    while not over():
        if len(held) < DRIPPING:
            sock = connected(port)
            if number % 2:
                sock.sendall(body)
            held.append((sock, number % 2))
            number += 1
            yield 1
            continue
        due += 1.0
        for index, (sock, is_body) in reversed(list(enumerate(held))):
            try:
                sock.sendall(b"x" if is_body else head[:1] if due % 2 else head[1:2])
            except OSError:
                sock.close()
                del held[index]
        time.sleep(max(0.0, due - time.monotonic()))


def announces(port: int, over: Over) -> Iterator[int]:
    """10 GB, and sends what it can of them."""
    head = b"POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 10737418240\r\n\r\n"
    while not over():
        with contextlib.suppress(OSError), connected(port) as sock:
            sock.sendall(head)
            yield 1
            while not over():
                sock.sendall(bytes(BLOCK))


def frame(first: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, 0x80 | size, 0, 0, 0, 0)) + payload
    return bytes((first, 0xFE)) + size.to_bytes(2, "big") + bytes(4) + payload


def bomb() -> bytes:
    """A frame that becomes 15 MiB."""
    compressor = zlib.compressobj(9, wbits=-12)
    data = compressor.compress(bytes(15 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return frame(0xC2, data.removesuffix(b"\0\0\xff\xff"))


PIPELINED = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
CHUNKED = b"POST /up HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
NO_FLOOD: Final = "a busy core"
FLOODS: Final[dict[str, Flood]] = {
    NO_FLOOD: burns,
    "opens and closes": opens_and_closes,
    "10,000 connections": opens_many,
    "pipelined requests": sends(b"", PIPELINED * 1_000, 1_000),
    "chunks of one byte": sends(CHUNKED, b"1\r\nx\r\n" * 10_000, 10_000),
    "a byte a second": drips,
    "10 GB announced": announces,
    "pongs": sends(UPGRADE, frame(0x8A, b"") * 10_000, 10_000),
    "fragments of one byte": sends(UPGRADE + frame(2, b"x"), frame(0, b"x") * 10_000, 10_000),
    "frames of 15 MiB in 15 KiB": sends(UPGRADE, bomb(), 1),
}


def main() -> None:
    kind, port = sys.argv[1], int(sys.argv[2])
    ended = threading.Event()

    def wait_for_end() -> None:
        os.read(0, 1)
        ended.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    print(sum(FLOODS[kind](port, ended.is_set)), flush=True)


if __name__ == "__main__":
    main()
