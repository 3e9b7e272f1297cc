"""HTTP/1.1 as a correct and strict client sees it, on a raw socket.

What is a failure (RFC 9112, 9.3 to 9.6), and what is not:

- A connection that the server closed *before* a request was written on it is no failure: a client
  must expect that, and opens another one. Whether it was closed is asked in the instant before the
  write (a peek), and again in the instant after it (the socket's TCP state): what was closed within
  these microseconds crossed, and is counted apart.
- A close after the request was written, and without an answer, is a failure. A client may repeat an
  idempotent request on its own, but not a POST, and a server can avoid it: it says
  `Connection: close` with its last answer, or half-closes and reads for a while.
- Behind an answer with `Connection: close` nothing that was pipelined is processed (9.6): the
  client asks again, no failure. The same without `close` is one.
- An answer that ends before its length or its last chunk is `truncated`, visibly. One that claims
  to be complete and is not, is `truncated invisibly`; so is one that only the connection's end
  delimits, when less came than should have.
- A reset is a failure whenever a request was under way, even behind half an answer: it may destroy
  what the server had sent before.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import h11

PATIENCE = 12.0
"""Seconds that a client waits for a connection, or for the next byte."""
ESTABLISHED = 1
"""Of TCP_INFO's states."""


class Failed(Exception):
    """What a correct client cannot handle, or must not be offered. `what` is the cause, in the
    words that the table counts by."""

    def __init__(self, what: str, detail: str = "", *, born: float = 0.0, age: float = 0.0) -> None:
        super().__init__(what, detail)
        self.what = what
        self.detail = detail
        self.born = born
        """Monotonic time at which its connection was asked for."""
        self.age = age
        """Seconds since its request was sent."""


class ClosedIdle(Exception):
    """The server had closed the connection before a request was written."""


@dataclass
class Response:
    """A response's head."""

    status: int
    headers: dict[str, str]
    delimited: bool
    """By a length or chunks; else by the connection's end."""
    closes: bool
    """Whether it says that it is the connection's last."""

    @property
    def what(self) -> str:
        """The cause of the failure that this response is."""
        politely = " with Retry-After" if "retry-after" in self.headers else ""
        return f"status {self.status}{politely}"


class Connection:
    """One connection. Requests are written as bytes; each answer is `head` and then `body`."""

    def __init__(self, sock: socket.socket, born: float) -> None:
        self.sock = sock
        self.born = born
        self.sent_at = born
        self._reading: h11.Connection | None = None
        self._rest = b""
        """Bytes behind the answer that was read."""
        self._something = False
        """Whether a byte of the present answer has come."""
        self._crossed = False
        self._error: OSError | None = None
        """What a look at the socket found: the kernel tells it once."""

    @classmethod
    async def open(cls, address: tuple[str, int], buffer: int = 0) -> "Connection":
        """`buffer`: bytes that the kernel may take in before they are read (0: its own choice)."""
        born = time.monotonic()
        sock = socket.socket()
        sock.setblocking(False)
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.get_running_loop().sock_connect(sock, address)
        except BaseException as error:
            sock.close()
            if isinstance(error, ConnectionRefusedError):
                raise Failed("refused", born=born) from None
            if isinstance(error, OSError):  # a TimeoutError, too
                raise Failed("no connection", repr(error), born=born) from None
            raise
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock, born)

    def close(self) -> None:
        self.sock.close()

    def failed(self, what: str, detail: str = "") -> Failed:
        age = time.monotonic() - self.sent_at
        return Failed(what, f"{detail} after {age:.3f} s".strip(), born=self.born, age=age)

    # -- writing -----------------------------------------------------------------------------

    async def ask(self, data: bytes) -> None:
        """Writes a request's first bytes, or a whole one. Raises ClosedIdle."""
        if self.peek() is not None:
            raise ClosedIdle
        self.sent_at = time.monotonic()
        try:
            count = self.sock.send(data)
        except BlockingIOError:
            count = 0
        except OSError:
            raise ClosedIdle from None  # in the instant since the peek
        self._crossed = self._tcp_state() != ESTABLISHED
        if count < len(data):
            await self.go_on(data[count:])

    async def go_on(self, data: bytes) -> None:
        """Writes more of a request."""
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.get_running_loop().sock_sendall(self.sock, data)
        except TimeoutError:
            raise self.failed("takes nothing more", "the request's body") from None
        except OSError as error:
            raise self.failed("reset", f"while sending: {error!r}") from None

    def peek(self) -> bytes | None:
        """What there is to be read: None nothing, b"" the end."""
        if self._rest:
            return self._rest
        try:
            return self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        except OSError as error:
            self._error = error
            return b""

    def _tcp_state(self) -> int:
        return self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]

    # -- reading -----------------------------------------------------------------------------

    async def head(self, method: str = "GET") -> Response:
        """The next answer's head."""
        self._reading = reading = h11.Connection(h11.CLIENT)
        reading.send(h11.Request(method=method, target="/", headers=[("host", "h")]))
        reading.send(h11.EndOfMessage())
        self._something = bool(self._rest)
        if self._rest:
            reading.receive_data(self._rest)
            self._rest = b""
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                break
        headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
        keeps = (
            event.http_version >= b"1.1" and "close" not in headers.get("connection", "").lower()
        )
        delimited = "content-length" in headers or "transfer-encoding" in headers
        delimited = delimited or event.status_code in (204, 304)
        return Response(event.status_code, headers, delimited, not (keeps and delimited))

    async def body(self) -> AsyncIterator[bytes]:
        """The answer's pieces as they come, up to its end."""
        while True:
            event = await self._event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert self._reading is not None
                self._rest = self._reading.trailing_data[0]
                return

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self.body()])

    async def _event(self) -> h11.Event:
        assert self._reading is not None
        try:
            while (event := self._reading.next_event()) is h11.NEED_DATA:
                data = await self._receive()
                if not data and not self._something:
                    if self._crossed:
                        raise ClosedIdle
                    raise self.failed("closed without an answer")
                self._something = True
                self._reading.receive_data(data)
        except h11.RemoteProtocolError as error:
            ended = self._reading.trailing_data[1] or "closed connection" in str(error)
            raise self.failed("truncated" if ended else "not HTTP", str(error)) from None
        assert isinstance(event, h11.Event)
        return event

    async def _receive(self) -> bytes:
        try:
            if self._error is not None:
                raise self._error
            async with asyncio.timeout(PATIENCE):
                return await asyncio.get_running_loop().sock_recv(self.sock, 262_144)
        except TimeoutError:
            where = "in the answer" if self._something else "for an answer"
            raise self.failed("silence", where) from None
        except OSError as error:
            if self._crossed and not self._something:
                raise ClosedIdle from None
            what = "reset in an answer" if self._something else "reset"
            raise self.failed(what, repr(error)) from None
