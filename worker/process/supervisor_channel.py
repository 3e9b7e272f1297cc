"""The worker's end of the socket pair with its supervisor.

JSON lines go out: what became of the start, and once a second how the worker is. Two lines come in.
`reopen`: the log's file was moved away. `now`: nothing is to be finished any more; that is not said
by a second SIGTERM, since a signal to the whole group (`kill -TERM -PGID`, a service manager's
stop) comes beside the supervisor's own. End of file means that the supervisor is gone and the
worker must not outlive it.

A supervisor that does not read must not hold up an app: what has to get through is kept until the
socket takes it, and what can be said again later is dropped meanwhile.
"""

import json
import socket
import time
from typing import Final

from .app_children import keep_from_children

NOW: Final = b"now"
REOPEN: Final = b"reopen"
"""The lines that come in."""
FLUSH_TIMEOUT: Final = 5.0
"""Seconds that the supervisor has to take what was said, when the worker is about to end."""


class SupervisorChannel:
    __slots__ = ("_heard", "_sock", "_unsent", "cut", "hurried", "logs_moved")

    def __init__(self, fd: int | None) -> None:
        """None: the worker was started by hand, and is its own master."""
        self._sock: socket.socket | None = None
        self._unsent = b""
        self._heard = b""
        """The begin of a line."""
        self.cut = False
        """The supervisor is gone."""
        self.hurried = False
        """It has said that we are to end at once."""
        self.logs_moved = False
        """It has said that logs are to be opened again; whoever does it takes this back."""
        if fd is not None:
            self._sock = keep_from_children(socket.socket(fileno=fd))
            self._sock.setblocking(False)
            self._sock.set_inheritable(False)  # nor is it for what the app executes

    @property
    def held(self) -> bool:
        return self._sock is not None

    def fileno(self) -> int:
        assert self._sock is not None
        return self._sock.fileno()

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
                self._unsent = b""  # the supervisor is gone; `listen` will notice
                return
            self._unsent = self._unsent[sent:]

    def flush_before_exit(self) -> None:
        """Waits until all is said, for a bounded time: the process is about to end."""
        deadline = time.monotonic() + FLUSH_TIMEOUT
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

    def listen(self) -> None:
        """Hears what has come. Never blocks."""
        while self._sock is not None and not self.cut:
            try:
                data = self._sock.recv(4096)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data = b""  # reset: it was killed with our reports unread
            self.cut = not data
            *lines, rest = (self._heard + data).split(b"\n")
            self._heard = rest[: len(REOPEN) + 1]  # nothing longer means anything to us
            self.hurried = self.hurried or NOW in lines
            self.logs_moved = self.logs_moved or REOPEN in lines
