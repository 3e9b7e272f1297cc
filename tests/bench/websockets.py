"""WebSocket messages by a client of our own: every message is compared, byte by byte. The frames'
bytes never change and there is nothing but system calls, so that the load costs little."""

import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import monotonic

from ..compare.light_client import PIECE, Wrong, connect
from .load import Sample, percentiles
from .servers import Ground, Server

PATIENCE = 5.0
"""Seconds without any message."""


def length(size: int, mask: int) -> bytes:
    if size < 126:
        return bytes([mask | size])
    return bytes([mask | 126]) + size.to_bytes(2, "big")


class Message:
    """One, as a client sends it and as it comes back."""

    def __init__(self, size: int) -> None:
        payload, key = os.urandom(size), os.urandom(4)
        masked = bytes(b ^ key[i % 4] for i, b in enumerate(payload))
        self.out = b"\x82" + length(size, 0x80) + key + masked
        self.back = b"\x82" + length(size, 0) + payload


class WebSocket:
    def __init__(self, ground: Ground, path: str, message: Message) -> None:
        self._message = message
        self._heard = b""
        self.said = 0.0
        self.sock = connect(ground)
        self.sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {ground.bind}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            data = self.sock.recv(1)
            if not data:
                break
            head += data
        if not head.startswith(b"HTTP/1.1 101 "):
            raise Wrong(f"no handshake: {head[:60]!r}")

    def say(self) -> None:
        self.said = monotonic()
        self.sock.sendall(self._message.out)

    def hear(self) -> int:
        """How many messages became whole. Raises Wrong if one isn't the one that was sent."""
        data = self.sock.recv(PIECE)
        if not data:
            raise Wrong("a connection was lost")
        back = self._message.back
        if data == back and not self._heard:
            return 1
        data = self._heard + data
        count, rest = divmod(len(data), len(back))
        if data != back * count + back[:rest]:
            raise Wrong("a message was wrong")
        self._heard = data[len(data) - rest :]
        return count


@contextmanager
def opened(
    server: Server, path: str, size: int, connections: int
) -> Iterator[tuple[list[WebSocket], Callable[[], Iterator[WebSocket]]]]:
    """WebSockets, and a call that waits until some of them have something to hear."""
    with ExitStack() as stack:
        poll = stack.enter_context(select.epoll())
        sockets: dict[int, WebSocket] = {}
        message = Message(size)
        for _ in range(connections):
            one = WebSocket(server.ground, path, message)
            stack.enter_context(one.sock)
            sockets[one.sock.fileno()] = one
            poll.register(one.sock, select.EPOLLIN)

        def ready() -> Iterator[WebSocket]:
            found = poll.poll(PATIENCE)
            if not found:
                raise Wrong(f"no message for {PATIENCE:g} seconds")
            return (sockets[fd] for fd, _ in found)

        try:
            yield list(sockets.values()), ready
        except OSError as error:
            raise Wrong(str(error)) from None
        for one in sockets.values():
            one.sock.settimeout(0)
            one.sock.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Echoes:
    """One message under way on each WebSocket: out, back, and again."""

    size: int
    connections: int = 64
    unit: str = "echoes/s"
    figure: str = "rate"
    ready: tuple[str, ...] = ("/",)

    def warm_up(self, server: Server, seconds: float) -> None:
        self.measure(server, seconds)

    def measure(self, server: Server, seconds: float) -> Sample:
        latencies: list[float] = []
        with opened(server, "/ws", self.size, self.connections) as (sockets, ready):
            began = monotonic()
            for one in sockets:
                one.say()
            while monotonic() < began + seconds:
                for one in ready():
                    if one.hear():
                        latencies.append((monotonic() - one.said) * 1e3)
                        one.say()
            elapsed = monotonic() - began
        count = len(latencies)
        return {"rate": count / elapsed, "count": count, **percentiles(latencies)}


@dataclass(frozen=True)
class Broadcasts:
    """One says something, all hear it, and when the last has heard it comes the next."""

    size: int = 128
    connections: int = 64
    unit: str = "messages/s"
    figure: str = "rate"
    ready: tuple[str, ...] = ("/",)

    def warm_up(self, server: Server, seconds: float) -> None:
        self.measure(server, seconds)

    def measure(self, server: Server, seconds: float) -> Sample:
        latencies: list[float] = []
        with opened(server, "/broadcast", self.size, self.connections) as (sockets, ready):
            began, speaker = monotonic(), sockets[0]
            while monotonic() < began + seconds:
                speaker.say()
                missing = len(sockets)
                while missing:
                    missing -= sum(one.hear() for one in ready())
                latencies.append((monotonic() - speaker.said) * 1e3)
            elapsed = monotonic() - began
        count = len(latencies) * self.connections
        return {"rate": count / elapsed, "count": count, **percentiles(latencies)}
