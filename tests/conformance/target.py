"""A server that runs, as the checks' clients see it."""

import itertools
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .calls import WAIT, read
from .check import Check, Failed, expect
from .client import Connection, Response, Silence

_NUMBERS = itertools.count(1)
LOGGED = 2.0
"""Seconds until a line is in a log."""


@dataclass(frozen=True)
class Target:
    address: tuple[str, int]
    interface: str
    """"asgi" or "wsgi"."""
    context: ssl.SSLContext | None = None
    """For a server that speaks TLS."""
    log: Callable[[], str] | None = None
    """What it has logged so far, where that can be read."""
    faulty: bool = False
    """Whether every check runs behind its fault."""
    certificate: str = ""
    """The server's own, PEM, where it is known."""

    def wait_for_log(self, text: str) -> None:
        """Raises Failed."""
        assert self.log is not None
        until = time.monotonic() + LOGGED
        while text not in self.log():
            if time.monotonic() > until:
                raise Failed(f"its log does not have {text!r}")
            time.sleep(0.02)


@dataclass
class Visit:
    """One check's dealings with the server. Every request carries the visit's key."""

    target: Target
    check: Check
    key: str = field(default_factory=lambda: f"{next(_NUMBERS)}-{time.time_ns()}")

    @property
    def prefix(self) -> str:
        return f"/faulty/{self.check.name}" if self.target.faulty else f"/{self.check.name}"

    def connect(self) -> Connection:
        fault = self.check.fault if self.target.faulty else None
        return Connection(self.target.address, self.target.context, fault and fault.wire)

    def request(
        self,
        rest: str = "/",
        *headers: tuple[str, str],
        method: str = "GET",
        body: bytes = b"",
        version: str = "1.1",
    ) -> bytes:
        """A request's bytes. `rest` is behind the check's own part of the path."""
        lines = [f"{method} {self.prefix}{rest} HTTP/{version}", f"Host: {self.host}"]
        lines += [f"X-Key: {self.key}", *(f"{name}: {value}" for name, value in headers)]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body

    @property
    def host(self) -> str:
        return "{}:{}".format(*self.target.address)

    def get(self, rest: str = "/", *headers: tuple[str, str], **more: Any) -> Response:
        """One request on a connection of its own, and its response."""
        with self.connect() as connection:
            connection.send(self.request(rest, *headers, **more))
            return connection.response(more.get("method", "GET"))

    def told(self, rest: str = "/", *headers: tuple[str, str], **more: Any) -> Any:
        """What the app tells about such a request."""
        return told(self.get(rest, *headers, **more))

    # -- what the app has noted --------------------------------------------------------------

    def notes(self) -> list[str]:
        return read(self._aside("notes").body)

    def wait_for_note(self, start: str, seconds: float = WAIT) -> str:
        """The first note that begins so. Raises Failed."""
        until = time.monotonic() + seconds
        while True:
            for note in self.notes():
                if note.startswith(start):
                    return note
            if time.monotonic() > until:
                raise Failed(f"the app did not see within {seconds} s: {start}")
            time.sleep(0.01)

    def release(self) -> None:
        """Lets the app go on."""
        self._aside("release")

    def hears_first(self, connection: Connection, fault: str) -> None:
        """Lets the app go on only when its first piece, `first`, has come. Raises Failed with this
        fault if it does not come before the app goes on."""
        try:
            expect(connection.heard(b"first", 2.0), "the connection ended")
        except Silence:
            raise Failed(fault) from None
        finally:
            self.release()

    def _aside(self, what: str) -> Response:
        with Connection(self.target.address, self.target.context) as connection:
            request = f"GET /{what}/{self.key} HTTP/1.1\r\nHost: {self.host}\r\n\r\n"
            connection.send(request.encode())
            return connection.response()

    # -- WebSocket ---------------------------------------------------------------------------

    def handshake(self, rest: str = "/", *headers: tuple[str, str]) -> bytes:
        return self.request(
            rest,
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            *headers,
        )

    def websocket(self, rest: str = "/", *headers: tuple[str, str]) -> Connection:
        """One that is open. Raises Failed."""
        connection = self.connect()
        try:
            connection.send(self.handshake(rest, *headers))
            response = connection.response()
            if response.status != 101:
                raise Failed(f"no WebSocket, but status {response.status}")
        except BaseException:
            connection.sock.close()
            raise
        return connection


def told(response: Response) -> Any:
    if response.status != 200:
        raise Failed(f"status {response.status}: {response.body[:120]!r}")
    return read(response.body)
