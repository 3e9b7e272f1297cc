"""The worker's end of the channel to its supervisor.

`protocol.supervision` defines what is said on it. A worker gets the orders `ReopenLogs`,
`ConfirmLogs` and `ExitNow`. End of file means that the supervisor is gone, and that the worker must
end too.

The host looks at the channel ten times a second; no event loop watches it.
"""

import socket
import time

from ...protocol.supervision.channel import Channel
from ...protocol.supervision.codec import read_order
from ...protocol.supervision.messages import (
    ConfirmLogs,
    ExitNow,
    LogsReopened,
    Order,
    ReopenLogs,
    Report,
)
from .app_children import keep_from_children


class SupervisorChannel:
    __slots__ = ("_channel", "_logs_moved", "_sock", "_token", "hurried")

    def __init__(self, fd: int | None) -> None:
        """`fd` is the inherited socket; None if the worker was started by hand."""
        self._sock: socket.socket | None = None
        self._channel: Channel[Order] | None = None
        self._logs_moved = False
        self._token = 0
        """The token of the order to confirm that the logs are open again; 0 for none."""
        self.hurried = False
        """Whether the supervisor has ordered the worker to end at once."""
        if fd is not None:
            self._sock = keep_from_children(socket.socket(fileno=fd))
            self._sock.setblocking(False)
            self._sock.set_inheritable(False)  # programs that the app executes must not get it
            self._channel = Channel(self._sock, read_order)

    @property
    def held(self) -> bool:
        return self._sock is not None

    @property
    def cut(self) -> bool:
        """Whether the supervisor is gone."""
        return self._channel is not None and self._channel.ended

    def fileno(self) -> int:
        assert self._sock is not None
        return self._sock.fileno()

    def say(self, report: Report) -> None:
        """Sends a report, now or later. It never blocks."""
        if self._channel is not None:
            self._channel.say(report)

    def flush(self) -> None:
        """Sends the reports that wait, as far as the socket takes them."""
        if self._channel is not None:
            self._channel.flush()

    def flush_before_exit(self) -> None:
        """Sends the reports that wait, for a bounded time. To be called before the process ends."""
        if self._channel is not None:
            self._channel.flush_before_exit(time.monotonic, time.sleep)

    def give(self) -> socket.socket:
        """Hands the socket over to another owner; nothing is sent or read here any more."""
        assert self._sock is not None
        sock, self._sock, self._channel = self._sock, None, None
        return sock

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = self._channel = None

    def listen(self) -> None:
        """Reads the orders that have come. It never blocks."""
        if self._channel is None:
            return
        for order in self._channel.hear():
            match order:
                case ExitNow():
                    self.hurried = True
                case ReopenLogs():
                    self._logs_moved = True
                case ConfirmLogs(token):
                    self._token = token
                case _:
                    pass  # for other kinds of children

    def take_logs_moved(self) -> bool:
        """Whether the logs are to be opened again; true once for each order."""
        moved, self._logs_moved = self._logs_moved, False
        return moved

    def confirm_logs(self, problem: str) -> None:
        """Reports, if it was ordered, that the logs are open again. `problem` is what has hindered
        that, or ""."""
        token, self._token = self._token, 0
        if token:
            self.say(LogsReopened(token, problem))
