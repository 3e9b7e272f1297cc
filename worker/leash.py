"""The worker's end of the socket pair with its supervisor.

JSON lines go out: what became of the start, and once a second how the worker is. Nothing comes in;
end of file means that the supervisor is gone and the worker must not outlive it.

A supervisor that does not read must not hold up an app: what has to get through is kept until the
socket takes it, and what can be said again later is dropped meanwhile.
"""

import json
import socket
import time
from typing import Final

FAREWELL: Final = 5.0
"""Seconds that the supervisor has to take what was said, when the worker is about to end."""


class Leash:
    __slots__ = ("_sock", "_unsent")

    def __init__(self, fd: int | None) -> None:
        """None: the worker was started by hand, and is its own master."""
        self._sock: socket.socket | None = None
        self._unsent = b""
        if fd is not None:
            self._sock = socket.socket(fileno=fd)
            self._sock.setblocking(False)
            self._sock.set_inheritable(False)  # the app's own children must not hold it open

    @property
    def held(self) -> bool:
        return self._sock is not None

    def say(self, **report: object) -> None:
        """Has to get through, now or with a later `flush`. Never blocks."""
        if self._sock is not None:
            self._unsent += json.dumps(report).encode() + b"\n"
            self.flush()

    def offer(self, **report: object) -> None:
        """Is dropped if the supervisor is behind with reading. Never blocks."""
        if self._unsent or self._sock is None:
            return
        line = self._unsent = json.dumps(report).encode() + b"\n"
        self.flush()
        if len(self._unsent) == len(line):  # sent in part, its rest has to follow
            self._unsent = b""

    def flush(self) -> None:
        """Sends what waits, as far as the socket takes it."""
        while self._unsent and self._sock is not None:
            try:
                sent = self._sock.send(self._unsent)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._unsent = b""  # the supervisor is gone; `is_cut` will say so
                return
            self._unsent = self._unsent[sent:]

    def farewell(self) -> None:
        """Waits until all is said, for a bounded time: the process is about to end."""
        deadline = time.monotonic() + FAREWELL
        while self._unsent and time.monotonic() < deadline:
            self.flush()
            if self._unsent:
                time.sleep(0.01)

    def give(self) -> socket.socket:
        """The socket goes to somebody else, who speaks on it from now on."""
        assert self._sock is not None
        sock, self._sock = self._sock, None
        return sock

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def is_cut(self) -> bool:
        """Whether the supervisor is gone. Never blocks."""
        if self._sock is None:
            return False
        try:
            return self._sock.recv(4096) == b""
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
