"""The worker's end of the socket pair with its supervisor.

JSON lines go out: what became of the start. Nothing comes in; end of file means that the
supervisor is gone and the worker must not outlive it.
"""

import json
import socket


class Leash:
    __slots__ = ("_sock",)

    def __init__(self, fd: int | None) -> None:
        """None: the worker was started by hand, and is its own master."""
        self._sock: socket.socket | None = None
        if fd is not None:
            self._sock = socket.socket(fileno=fd)
            self._sock.setblocking(False)
            self._sock.set_inheritable(False)  # the app's own children must not hold it open

    @property
    def held(self) -> bool:
        return self._sock is not None

    def say(self, **report: object) -> None:
        if self._sock is None:
            return
        self._sock.settimeout(5)
        try:
            self._sock.sendall(json.dumps(report).encode() + b"\n")
        except OSError:
            return  # the supervisor is gone; `is_cut` will say so
        finally:
            self._sock.setblocking(False)

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
