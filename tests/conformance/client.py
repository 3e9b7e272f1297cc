"""HTTP/1.1 and WebSocket clients on a raw socket, which see the wire and mend nothing."""

import os
import socket
import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from .check import Failed

PATIENCE = 3.0
"""Seconds for the next byte."""
WITHOUT_BODY = {204, 304}


class Silence(Failed):
    """Nothing more came, and the connection stayed open."""


class Ended(Failed):
    """The connection ended in the middle of something."""


@dataclass
class Response:
    version: bytes
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    interim: list["Response"] = field(default_factory=list)
    """1xx responses before it."""
    framing: str = ""
    """What delimits it: "length", "chunked", "close" or "none" (it has no body)."""
    complete: bool = True
    """Whether it ended as its framing says. One that the connection's end delimits always does."""

    def values(self, name: bytes) -> list[bytes]:
        return [value for one, value in self.headers if one.lower() == name]


class Connection:
    """`wire` makes other bytes of what comes: a server's fault, where a test wants one."""

    def __init__(
        self,
        address: tuple[str, int],
        context: ssl.SSLContext | None = None,
        wire: Callable[[bytes], bytes] | None = None,
    ) -> None:
        sock = socket.create_connection(address, PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = context.wrap_socket(sock, server_hostname="localhost") if context else sock
        self._wire = wire or (lambda data: data)
        self._rest = b""

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    # -- bytes -------------------------------------------------------------------------------

    def more(self, patience: float = PATIENCE) -> bool:
        """Waits for bytes. Returns whether there were any: False is the connection's end. Raises
        Silence."""
        self.sock.settimeout(patience)
        try:
            data = self.sock.recv(65_536)
        except TimeoutError:
            raise Silence(f"nothing came within {patience} s") from None
        except OSError:  # a reset ends it too
            data = b""
        self._rest += self._wire(data) if data else b""
        return bool(data)

    def heard(self, what: bytes, patience: float = PATIENCE) -> bool:
        """Whether this comes, from wherever it has been read to. Nothing is taken out. Raises
        Silence."""
        while what not in self._rest:
            if not self.more(patience):
                return False
        return True

    def until(self, end: bytes) -> bytes:
        while end not in self._rest:
            if not self.more():
                raise Ended(f"the connection ended behind {self._rest[-80:]!r}")
        found, _, self._rest = self._rest.partition(end)
        return found

    def exactly(self, count: int) -> bytes:
        while len(self._rest) < count:
            if not self.more():
                raise Ended(f"the connection ended {count - len(self._rest)} bytes early")
        found, self._rest = self._rest[:count], self._rest[count:]
        return found

    def rest(self) -> bytes:
        """All up to the connection's end."""
        while self.more():
            pass
        found, self._rest = self._rest, b""
        return found

    def silent(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes for so long, and the connection stays open."""
        if self._rest:
            return False
        try:
            self.more(seconds)
        except Silence:
            return True
        return False

    def ends(self) -> bool:
        """Whether the server closes the connection, whatever it says before."""
        try:
            self.rest()
        except Silence:
            return False
        return True

    # -- HTTP --------------------------------------------------------------------------------

    def head(self) -> Response:
        """The next response's head, 1xx ones among them."""
        start, *lines = self.until(b"\r\n\r\n").split(b"\r\n")
        version, _, rest = start.partition(b" ")
        status = rest[:3]
        if not version.startswith(b"HTTP/1.") or not status.isdigit():
            raise Failed(f"no status line: {start[:80]!r}")
        return Response(version, int(status), fields(lines))

    def response(self, method: str = "GET") -> Response:
        """The next response, whole, with the interim ones before it."""
        interim: list[Response] = []
        while (response := self.head()).status < 200 and response.status != 101:
            interim.append(response)
        response.interim = interim
        self.body(response, method)
        return response

    def body(self, response: Response, method: str = "GET") -> None:
        codings = response.values(b"transfer-encoding")
        lengths = response.values(b"content-length")
        if method == "HEAD" or response.status in WITHOUT_BODY or response.status == 101:
            response.framing = "none"
        elif codings:
            response.framing = "chunked"
            if [coding.lower() for coding in codings] != [b"chunked"] or lengths:
                raise Failed(f"framing: Transfer-Encoding {codings}, Content-Length {lengths}")
            self._chunks(response)
        elif lengths:
            response.framing = "length"
            if len(set(lengths)) > 1 or not lengths[0].isdigit():
                raise Failed(f"framing: Content-Length {lengths}")
            self._counted(response, int(lengths[0]))
        else:
            response.framing = "close"
            response.body = self.rest()

    def _counted(self, response: Response, length: int) -> None:
        while len(self._rest) < length:
            if not self.more():
                response.complete = False
                break
        response.body, self._rest = self._rest[:length], self._rest[length:]

    def _chunks(self, response: Response) -> None:
        try:
            while size := int(self.until(b"\r\n").partition(b";")[0], 16):
                response.body += self.exactly(size)
                if self.exactly(2) != b"\r\n":
                    raise Failed("a chunk does not end where its size says")
            while line := self.until(b"\r\n"):
                response.trailers += fields([line])
        except Ended:
            response.complete = False
        except ValueError:
            raise Failed(f"no chunk size before {self._rest[:40]!r}") from None

    # -- WebSocket ---------------------------------------------------------------------------

    def frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True) -> None:
        """Sends one frame, masked as a client's has to be."""
        size, mask = len(payload), os.urandom(4)
        head = bytes([fin << 7 | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65_536:
            head += b"\xfe" + struct.pack("!H", size)
        else:
            head += b"\xff" + struct.pack("!Q", size)
        masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
        self.send(head + mask + masked)

    def read_frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next one that is not a PING, which is answered. Raises
        Ended."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            first, second = self.exactly(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", self.exactly(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self.exactly(8))
            payload = self.exactly(size)
            if first & 0x0F != PING:
                return first & 0x0F, payload
            self.frame(PONG, payload)
        raise Silence("nothing but PINGs")

    def closed(self) -> tuple[int, str]:
        """Code and reason of the server's close frame, which is the next. (0, "") without one."""
        try:
            opcode, payload = self.read_frame()
        except Ended:
            return 0, ""
        if opcode != CLOSE:
            raise Failed(f"no close frame, but opcode {opcode}: {payload[:80]!r}")
        if not payload:
            return 1005, ""
        return struct.unpack("!H", payload[:2])[0], payload[2:].decode("utf-8", "replace")


CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def fields(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or name != name.strip():
            fail(f"no header field: {line[:80]!r}")
        found.append((name, value.strip()))
    return found


def fail(why: str) -> NoReturn:
    raise Failed(why)
