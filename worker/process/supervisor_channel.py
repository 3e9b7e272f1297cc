"""The worker's end of the channel to its supervisor.

What is said on it is `protocol.supervision`'s. Two orders mean something to a worker: `ReopenLogs`,
and `ExitNow`. End of file means that the supervisor is gone, and the worker must not outlive it.

A worker's host looks at its channel ten times a second; it need not be woken for it.
"""

import socket
import time

from ...protocol.supervision.channel import Channel
from ...protocol.supervision.codec import read_order
from ...protocol.supervision.messages import ExitNow, Order, ReopenLogs, Report
from .app_children import keep_from_children


class SupervisorChannel:
    __slots__ = ("_channel", "_logs_moved", "_sock", "hurried")

    def __init__(self, fd: int | None) -> None:
        """None: the worker was started by hand, and is its own master."""
        self._sock: socket.socket | None = None
        self._channel: Channel[Order] | None = None
        self._logs_moved = False
        self.hurried = False
        """The supervisor has said that we are to end at once."""
        if fd is not None:
            self._sock = keep_from_children(socket.socket(fileno=fd))
            self._sock.setblocking(False)
            self._sock.set_inheritable(False)  # nor is it for what the app executes
            self._channel = Channel(self._sock, read_order)

    @property
    def held(self) -> bool:
        return self._sock is not None

    @property
    def cut(self) -> bool:
        """The supervisor is gone."""
        return self._channel is not None and self._channel.ended

    def fileno(self) -> int:
        assert self._sock is not None
        return self._sock.fileno()

    def say(self, report: Report) -> None:
        """Never blocks."""
        if self._channel is not None:
            self._channel.say(report)

    def flush(self) -> None:
        """Sends what waits, as far as the socket takes it."""
        if self._channel is not None:
            self._channel.flush()

    def flush_before_exit(self) -> None:
        """Waits until all is said, for a bounded time: the process is about to end."""
        if self._channel is not None:
            self._channel.flush_before_exit(time.monotonic, time.sleep)

    def give(self) -> socket.socket:
        """The socket goes to somebody else, who speaks on it from now on."""
        assert self._sock is not None
        sock, self._sock, self._channel = self._sock, None, None
        return sock

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = self._channel = None

    def listen(self) -> None:
        """Hears what has come. Never blocks."""
        if self._channel is None:
            return
        for order in self._channel.hear():
            match order:
                case ExitNow():
                    self.hurried = True
                case ReopenLogs():
                    self._logs_moved = True
                case _:
                    pass  # for other kinds of children

    def take_logs_moved(self) -> bool:
        """Whether the logs are to be opened again: says it once."""
        moved, self._logs_moved = self._logs_moved, False
        return moved
