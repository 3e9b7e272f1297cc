"""The zygote: a process that has loaded the app and never runs it. Workers are forked from it.

Objects that the app's import has made lie in memory once, for as long as no process changes them. A
zygote has no event loop, no link and no thread. The app's lifespan, and all that follows it, belong
to each worker.

The supervisor orders workers on the zygote's channel and gets reports about them there (see
`protocol.supervision`). End of file means that there will be no more workers: the zygote reports on
those that it has, and ends after the last one. The workers have channels of their own, on which
they notice the supervisor's end themselves.

The zygote only carries out orders and waits for its workers. So it may wait until the supervisor
has taken each report, and no descriptor is closed before it was sent.
"""

import gc
import logging
import os
import select
import signal
import socket
import sys
import threading
import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ...protocol.supervision.channel import Channel
from ...protocol.supervision.codec import read_order
from ...protocol.supervision.messages import (
    AppLoaded,
    ConfirmLogs,
    ForkExited,
    ForkFailed,
    ForkWorker,
    LogsReopened,
    Order,
    ReopenLogs,
    Report,
    SignalFork,
    WorkerForked,
)
from . import own_log
from .app_children import forking_a_worker, handle

logger = logging.getLogger("propylon.worker")

POLL: Final = 100
"""Milliseconds between two looks for children that have ended, if there are no pidfds."""
_MOST_FDS: Final = 16


class Forked(NamedTuple):
    """What a forked process needs to be a worker. `Zygote.serve` returns it in the worker."""

    settings: Mapping[str, Any]
    """As it was ordered."""
    channel_fd: int


@dataclass(slots=True)
class _Child:
    pid: int
    pidfd: int
    """-1: the kernel has none."""


class Zygote:
    def __init__(self, control: socket.socket) -> None:
        """`control`: its channel's socket."""
        control.setblocking(False)
        control.set_inheritable(False)
        self._control = control
        self._channels: deque[int] = deque()
        """Channels for workers, which came with orders to fork."""
        self._channel = Channel(self, read_order, send_fds=self._send_fds)
        self._children: dict[int, _Child] = {}
        self._logs_problem = ""
        """Why the log could not be opened again, when that was last tried."""

    def serve(self, app: str, interface: str) -> Forked | None:
        """Serves the supervisor. It returns in every forked worker, and with None in the zygote at
        its end."""
        _warn_of_threads()
        handle(signal.SIGTERM, _ignore)  # the supervisor ends it, by closing the socket
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # an app may ignore it: no exit codes then
        gc.collect()
        gc.freeze()  # else a collection in a worker would write into every object
        self._say(AppLoaded(os.getpid(), app, interface))
        while self._children or not self._channel.ended:
            for order in self._wait():
                match order:
                    case SignalFork(child, number):
                        self._signal(child, number)
                    case ReopenLogs():
                        self._logs_problem = own_log.reopen()
                    case ConfirmLogs(token):
                        self._say(LogsReopened(token, self._logs_problem))
                    case ForkWorker(child, settings):
                        if self._fork(child):
                            return self._into_worker(settings)
                    case _:
                        pass
            self._reap()
        return None

    def _wait(self) -> list[Order]:
        """Waits until there is something to do, and returns the supervisor's orders."""
        poll = select.poll()
        if not self._channel.ended:
            poll.register(self._control, select.POLLIN)
        pidfds = [child.pidfd for child in self._children.values()]
        for pidfd in pidfds:
            if pidfd >= 0:
                poll.register(pidfd, select.POLLIN)
        ready = poll.poll(POLL if -1 in pidfds else None)
        return self._channel.hear() if any(fd == self._control.fileno() for fd, _ in ready) else []

    def _say(self, report: Report, fds: Sequence[int] = ()) -> None:
        self._channel.say(report, fds)
        while not self._channel.flush():
            poll = select.poll()
            poll.register(self._control, select.POLLOUT)
            poll.poll()

    # What the channel needs of a socket; descriptors come and go beside the data.

    def recv(self, size: int, /) -> bytes:
        data, fds, _, _ = socket.recv_fds(self._control, size, _MOST_FDS, socket.MSG_CMSG_CLOEXEC)
        self._channels.extend(fds)
        return data

    def send(self, data: bytes, /) -> int:
        return self._control.send(data)

    def _send_fds(self, data: bytes, fds: Sequence[int]) -> int:
        return socket.send_fds(self._control, [data], fds)

    # -- children ----------------------------------------------------------------------------

    def _fork(self, child: int) -> bool:
        """Forks, and returns whether this process is the worker."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # what waits there would be written twice
        # A SIGTERM for the worker waits until it can end by it, or drain.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            with warnings.catch_warnings():
                # Python 3.12 and later warn of threads; our own message names them.
                warnings.simplefilter("ignore", DeprecationWarning)
                with forking_a_worker():
                    pid = os.fork()
            if pid == 0:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                return True
        except OSError as error:
            os.close(self._channels.popleft())
            self._say(ForkFailed(child, error.strerror or str(error)))
            return False
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        os.close(self._channels.popleft())
        try:
            pidfd = os.pidfd_open(pid)
        except (AttributeError, OSError):  # an old or a sandboxed kernel
            pidfd = -1
        self._children[child] = _Child(pid, pidfd)
        self._say(WorkerForked(child, pid, pidfd >= 0), [pidfd] if pidfd >= 0 else [])
        return False

    def _into_worker(self, settings: Mapping[str, Any]) -> Forked:
        """Lets go of everything that belongs to the zygote. Random numbers differ in each worker by
        themselves: Python's `random` gets a new seed (os.register_at_fork), and OpenSSL, `secrets`
        and `uuid` ask the kernel."""
        channel = self._channels.popleft()
        self._control.close()
        for each in self._children.values():
            if each.pidfd >= 0:
                os.close(each.pidfd)
        for fd in self._channels:
            os.close(fd)
        return Forked(settings, channel)

    def _signal(self, child: int, number: int) -> None:
        if child in self._children:  # it was not waited for, so the pid is still its own
            os.kill(self._children[child].pid, number)

    def _reap(self) -> None:
        for number, child in list(self._children.items()):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                del self._children[number]
                if child.pidfd >= 0:
                    os.close(child.pidfd)
                code = os.waitstatus_to_exitcode(status)
                self._say(ForkExited(number, code))


def _warn_of_threads() -> None:
    names = [
        thread.name
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and thread.is_alive()
    ]
    if names:
        logger.warning(
            "--preload: the app started threads when it was imported, and no worker will have "
            "them: %s; have them start with the lifespan or with the first request",
            ", ".join(names),
        )


def _ignore(number: int, frame: object) -> None:
    """Ignores a signal. It is a handler, because programs that the app starts inherit SIG_IGN."""
