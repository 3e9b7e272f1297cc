"""A client of HTTP/2 on a socket of its own, for tests that wait for what comes."""

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Self

from .. import http2_frames as frames
from ..http2_client import Client, Reply
from ..http2_frames import PREFACE
from .server import DEADLINE


class Wire(Client):
    """One connection."""

    def __init__(
        self,
        address: tuple[str, int],
        *,
        tls: ssl.SSLContext | None = None,
        settings: Iterable[tuple[int, int]] = (),
        preface: bytes | None = None,
        takes: bool = True,
    ) -> None:
        """`settings`: ours. `preface`: instead of ours. `takes`: as of `Client`."""
        super().__init__(takes=takes)
        sock = socket.create_connection(address, DEADLINE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = tls.wrap_socket(sock, server_hostname="localhost") if tls else sock
        self.closed = False
        """By the server."""
        self.cut = False
        """By a reset."""
        self.send(PREFACE + frames.settings(*settings) if preface is None else preface)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        """What the server does not take any more is lost, and seen when its words are read."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            self.cut = True

    def upload(self, stream: int, data: bytes, *, end: bool = True) -> None:
        """Sends it as the windows allow, until all is sent or the stream is over."""
        view = memoryview(data)
        while view and not self.replies[stream].over:
            size = min(self.room(stream), len(view))
            if size <= 0:
                self.read_until(lambda: self.room(stream) > 0, stream)
                assert not self.closed, "closed before it took all"
                continue
            self.data(stream, bytes(view[:size]))
            view = view[size:]
        if end and not self.replies[stream].over:
            self.data(stream, b"", end=True)

    # -- hearing ---------------------------------------------------------------------------------

    def hear(self, deadline: float = DEADLINE) -> bool:
        """Takes what comes next. False: the server has closed."""
        if self.closed:
            return False
        self.sock.settimeout(deadline)
        try:
            received = self.sock.recv(262_144)
        except (ConnectionResetError, ssl.SSLEOFError):
            received, self.cut = b"", True
        if not received:
            assert self.between_frames, "closed in the midst of a frame"
            self.closed = True
            return False
        self.receive(received)
        return True

    def read_until(
        self, condition: Callable[[], object], stream: int = 0, deadline: float = DEADLINE
    ) -> None:
        """Until it is so, the stream is over or the server has closed."""
        end = time.monotonic() + deadline
        while not condition():
            if stream and self.replies[stream].over:
                return
            left = end - time.monotonic()
            assert left > 0, "it never came"
            if not self.hear(left):
                return

    def reply(self, stream: int, deadline: float = DEADLINE) -> Reply:
        """The whole of it, or what came before a reset or the connection's end."""
        self.read_until(lambda: False, stream, deadline)
        return self.replies[stream]

    def ask(self, path: bytes = b"/", *more: tuple[bytes, bytes], method: bytes = b"GET") -> Reply:
        return self.reply(self.get(path, *more, method=method))

    def settle(self) -> None:
        """Waits until each side knows the other's settings."""
        self.read_until(lambda: self.settled and self.acked)

    def round_trip(self) -> None:
        """All that was sent so far has been read when it ends (or the server has closed)."""
        count = len(self.pongs)
        self.send(frames.ping(b"roundtrp"))
        self.read_until(lambda: len(self.pongs) > count)

    def finish(self) -> None:
        """Reads to the connection's end."""
        self.read_until(lambda: False)
