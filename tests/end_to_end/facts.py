"""What the raw apps say of a request, and requests as they stand on the wire."""

import re
import socket
from collections.abc import Iterable

from .server import DEADLINE

APPS = {"asgi": "asgi_raw:app", "wsgi": "wsgi_raw:app"}


class Facts(dict[str, str]):
    """Interface-independent: client, scheme, host, root_path, path, server_port; and all that
    `/facts` of asgi_raw or wsgi_raw says."""

    def __init__(self, text: str) -> None:
        super().__init__(line.split("=", 1) for line in text.splitlines())
        if "SCRIPT_NAME" in self:
            self["client"] = self.get("REMOTE_ADDR", "")
            self["client_port"] = self.get("REMOTE_PORT", "0")
            self["host"] = self["HTTP_HOST"]
            self["root_path"] = self["SCRIPT_NAME"]
            self["path"] = self["SCRIPT_NAME"] + self["PATH_INFO"]
            self["server_name"], self["server_port"] = self["SERVER_NAME"], self["SERVER_PORT"]
            return
        client = re.fullmatch(r"\('(.*)', (\d+|None)\)", self["client"])
        self["client"], self["client_port"] = client.groups() if client else ("", "0")
        server = re.fullmatch(r"\('(.*)', (\d+|None)\)", self["server"])
        self["server_name"], self["server_port"] = server.groups() if server else ("", "")
        for name in ("scheme", "root_path", "path"):
            self[name] = self[name].strip("'")
        self["host"] = self["header host"]

    def field(self, name: str) -> str | None:
        """A request's field as the app sees it."""
        return self.get(f"header {name}", self.get(f"HTTP_{name.upper().replace('-', '_')}"))


def request(path: str = "/facts", *fields: str, host: str = "app.test") -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *fields]
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


def connect(address: tuple[str, int] | str, source: str = "") -> socket.socket:
    """`source`: the address to come from, another of loopback's for somebody who is not us."""
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(DEADLINE)
        sock.connect(address)
        return sock
    return socket.create_connection(address, DEADLINE, (source, 0) if source else None)


def exchange(address: tuple[str, int] | str, *pieces: bytes, source: str = "") -> bytes:
    """All that comes back for these bytes, each piece in a packet of its own."""
    with connect(address, source) as sock:
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in pieces:
                sock.sendall(piece)
            return b"".join(received(sock))
        except (ConnectionResetError, BrokenPipeError):
            return b""


def received(sock: socket.socket) -> Iterable[bytes]:
    while data := sock.recv(65_536):
        yield data


def ask(
    address: tuple[str, int] | str, *fields: str, before: bytes = b"", source: str = ""
) -> Facts:
    """`/facts`, with these fields; `before` is a PROXY header."""
    answer = exchange(address, before + request("/facts", *fields), source=source)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    if b"transfer-encoding: chunked" in head.lower():
        body = re.sub(rb"(?:^|\r\n)[0-9a-f]+\r\n", b"", body)
    return Facts(body.decode())


def status(address: tuple[str, int] | str, *fields: str) -> int:
    return int(exchange(address, request("/facts", *fields)).split(b" ", 2)[1])


SPOOFED = (
    "X-Forwarded-For: 6.6.6.6",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Port: 1",
    "X-Forwarded-Prefix: /evil",
    "X-Real-IP: 6.6.6.6",
    "Forwarded: for=6.6.6.6;proto=https;host=evil.example",
    "X_Forwarded_Proto: https",
)
"""What a client may try to pass for."""
