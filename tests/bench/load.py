"""Load for one contestant at a time: requests by wrk, WebSocket messages by a client of our own.

Everything that is not the expected answer is an error, and a contestant with errors has no figure.
"""

import asyncio
import os
import re
import shutil
import ssl
import subprocess
from time import monotonic
from typing import cast
from urllib.parse import urlsplit

import uvloop


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


class Echo(asyncio.Protocol):
    """One WebSocket: a message out, the same message back, and again. The frames' bytes never
    change, so that the client costs as little as it can."""

    def __init__(self, host: str, size: int, end: float) -> None:
        self._payload = os.urandom(size)
        key = os.urandom(4)
        masked = bytes(b ^ key[i % 4] for i, b in enumerate(self._payload))
        self._frame = b"\x82" + _length(size, 0x80) + key + masked
        self._expected = b"\x82" + _length(size, 0) + self._payload
        self._host = host
        self._end = end
        self._heard = bytearray()
        self._open = False
        self.count = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class
        self._transport.write(
            f"GET /ws HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if self._open and not self._heard and data == self._expected:
            self._go_on()
            return
        self._heard += data
        if not self._open:
            head, found, rest = self._heard.partition(b"\r\n\r\n")
            if found:
                if not head.startswith(b"HTTP/1.1 101 "):
                    self._fail(f"no handshake: {bytes(head[:60])!r}")
                self._open, self._heard = True, rest
                self._transport.write(self._frame)
        elif len(self._heard) >= len(self._expected):
            if self._heard != self._expected:
                self._fail("an echo was wrong")
            self._heard.clear()
            self._go_on()

    def _go_on(self) -> None:
        self.count += 1
        if monotonic() < self._end:
            self._transport.write(self._frame)
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(Wrong(why))
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"the connection was lost: {exc}")


def _length(size: int, mask: int) -> bytes:
    if size < 126:
        return bytes([mask | size])
    return bytes([mask | 126]) + size.to_bytes(2, "big")


def echoes(url: str, seconds: float, size: int, connections: int = 64) -> float:
    """Echoes per second over that many WebSockets, one message under way on each."""
    address = urlsplit(url)
    assert address.hostname
    assert address.port
    context = ssl._create_unverified_context() if address.scheme == "https" else None

    async def run() -> float:
        loop = asyncio.get_running_loop()
        started = monotonic()
        clients = [
            (
                await loop.create_connection(
                    lambda: Echo(address.netloc, size, started + seconds),
                    address.hostname,
                    address.port,
                    ssl=context,
                )
            )[1]
            for _ in range(connections)
        ]
        async with asyncio.timeout(seconds + 30):
            await asyncio.gather(*(client.done for client in clients))
        return sum(client.count for client in clients) / (monotonic() - started)

    return uvloop.run(run())
