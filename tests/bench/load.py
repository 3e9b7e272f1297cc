"""Load for one contestant at a time: requests by wrk, WebSocket messages by a client of our own.

Everything that is not the expected answer is an error, and a contestant with errors has no figure.
"""

import os
import re
import select
import shutil
import socket
import subprocess
from contextlib import ExitStack
from time import monotonic
from urllib.parse import urlsplit


class Wrong(Exception):
    """A contestant dropped requests or answered wrongly."""


def requests(url: str, seconds: float, *flags: str, connections: int = 64) -> float:
    """Requests per second of a closed loop of keep-alive connections."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SystemExit("wrk is not installed (Debian: apt-get install wrk)")
    command = [wrk, "-t1", f"-c{connections}", f"-d{seconds:.0f}s", *flags, url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if trouble := re.search(r"(Non-2xx.*|Socket errors.*)", text):
        # wrk counts a server's regular close of its own last connections as read errors.
        raise Wrong(trouble[0])
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    assert rate, text
    return float(rate[1])


class EchoClient:
    """One WebSocket: a message out, the same message back, and again. The frames' bytes never
    change and there is nothing but system calls, so that the load costs as little as it can."""

    def __init__(self, url: str, size: int) -> None:
        address = urlsplit(url)
        payload, key = os.urandom(size), os.urandom(4)
        masked = bytes(b ^ key[i % 4] for i, b in enumerate(payload))
        self._frame = b"\x82" + _length(size, 0x80) + key + masked
        self._expected = b"\x82" + _length(size, 0) + payload
        self._heard = bytearray()
        self.sock = socket.create_connection((address.hostname or "", address.port or 0), 10)
        self.sock.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\n"
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
        self.sock.sendall(self._frame)

    def hear(self) -> bool:
        """Whether the echo is whole; a next message is on its way then."""
        data = self.sock.recv(65_536)
        if data != self._expected:
            self._heard += data
            if data and len(self._heard) < len(self._expected):
                return False
            if self._heard != self._expected:
                raise Wrong("an echo was wrong" if data else "the connection was lost")
            self._heard.clear()
        self.sock.sendall(self._frame)
        return True


def _length(size: int, mask: int) -> bytes:
    if size < 126:
        return bytes([mask | size])
    return bytes([mask | 126]) + size.to_bytes(2, "big")


def echoes(url: str, seconds: float, size: int, connections: int = 64) -> float:
    """Echoes per second over that many WebSockets, one message under way on each."""
    with ExitStack() as stack:
        poll = stack.enter_context(select.epoll())
        clients: dict[int, EchoClient] = {}
        for _ in range(connections):
            client = EchoClient(url, size)
            stack.enter_context(client.sock)
            clients[client.sock.fileno()] = client
            poll.register(client.sock, select.EPOLLIN)
        count, started = 0, monotonic()
        for client in clients.values():
            client.say()
        while monotonic() < started + seconds:
            ready = poll.poll(10)
            if not ready:
                raise Wrong("no echo for 10 seconds")
            for fd, _ in ready:
                count += clients[fd].hear()
        return count / (monotonic() - started)
