"""A client that costs next to nothing: the same bytes out each time, and of what comes back the
status, the length and the body are looked at."""

import re
import socket
import ssl

from .ground import Ground

PIECE = 65_536
PATIENCE = 15.0
"""Seconds without a byte."""
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.I)


class Wrong(Exception):
    """A contestant dropped requests or answered wrongly."""


def request(host: str, path: str, method: str = "GET", body: bytes = b"", kind: str = "") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n"
    if body:
        head += f"Content-Length: {len(body)}\r\n"
    if kind:
        head += f"Content-Type: {kind}\r\n"
    return f"{head}\r\n".encode() + body


def connect(ground: Ground) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", ground.port), PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ssl._create_unverified_context().wrap_socket(sock) if ground.tls else sock


def exchange(ground: Ground, text: bytes) -> bytes:
    """One response, as it is on the wire, on a connection of its own. Raises Wrong."""
    try:
        with connect(ground) as sock:
            sock.sendall(text)
            response = b""
            while not complete(response):
                data = sock.recv(PIECE)
                if not data:
                    raise Wrong(f"the connection ended in a response: {response[:200]!r}")
                response += data
            return response
    except OSError as error:
        raise Wrong(str(error)) from None


def complete(response: bytes) -> bool:
    """Of a response with a length."""
    head, blank, body = response.partition(b"\r\n\r\n")
    if not blank:
        return False
    length = LENGTH.search(head + b"\r\n")
    if length is None:
        raise Wrong(f"a response without a length: {head[:200]!r}")
    return len(body) >= int(length[1])


class KeepAlive:
    """One connection, one request under way at most."""

    def __init__(self, ground: Ground, text: bytes, size: int, expected: bytes) -> None:
        self._text, self._size, self._expected = text, size, expected
        self._heard = b""
        self.intended = 0.0
        """When the request should have been sent."""
        self.sock = connect(ground)

    def ask(self) -> None:
        self.sock.sendall(self._text)

    def hear(self) -> bool:
        """Whether the response is whole. Raises Wrong if it isn't the right one."""
        data = self.sock.recv(PIECE)
        if self._heard:
            data = self._heard + data
        if len(data) == self._size:
            if data.startswith(b"HTTP/1.1 200 ") and data.endswith(self._expected):
                self._heard = b""
                return True
        elif len(data) < self._size and len(data) > len(self._heard):
            self._heard = data
            return False
        raise Wrong(f"an answer was wrong: {data[:200]!r}" if data else "the connection was lost")
