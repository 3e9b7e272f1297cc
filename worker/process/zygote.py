"""The zygote: a process that has loaded the app and never runs it; workers are forked from it.

What the app's import has made lies in memory once, for as long as nobody changes it. A zygote has
no event loop, no link and no thread; the app's lifespan, as all that follows, is each worker's own.

Its supervisor orders workers on the zygote's channel, and hears on it what became of them (see
`protocol.supervision`). End of file means that there will be no more workers: it reports on those
that it has, and ends with the last. They have channels of their own and hear of the supervisor's
end by themselves.

The zygote has nothing else to do than to carry out orders and to wait for its workers. So it waits
until the supervisor has taken each report: no descriptor is closed before it has been sent.
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
    ForkExited,
    ForkFailed,
    ForkWorker,
    Order,
    Report,
    SignalFork,
    WorkerForked,
)
from .app_children import forking_a_worker, handle

logger = logging.getLogger("propylon.worker")

POLL: Final = 100
"""Milliseconds between two looks for children that have ended, where there are no pidfds."""
_MOST_FDS: Final = 16


class Forked(NamedTuple):
    """What makes a process a worker: said in the worker, by its fork."""

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
        """Workers' channels that have come with orders to fork."""
        self._channel = Channel(self, read_order, send_fds=self._send_fds)
        self._children: dict[int, _Child] = {}

    def serve(self, app: str, interface: str) -> Forked | None:
        """Returns many times: in every worker what it is, and None in the zygote at its end."""
        _warn_of_threads()
        handle(signal.SIGTERM, _ignore)  # the supervisor ends it, by closing the socket
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # an app may ignore it: no exit codes then
        gc.collect()
        gc.freeze()  # a collection in a worker would else write into every object
        self._say(AppLoaded(os.getpid(), app, interface))
        while self._children or not self._channel.ended:
            for order in self._wait():
                match order:
                    case SignalFork(child, number):
                        self._signal(child, number)
                    case ForkWorker(child, settings):
                        if self._fork(child):
                            return self._into_worker(settings)
                    case _:
                        pass
            self._reap()
        return None

    def _wait(self) -> list[Order]:
        """Until there is something to do; the supervisor's orders."""
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
        """Whether this is the worker."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # what waits there would be written twice
        # A SIGTERM for the worker must find it ready to die of it, or to drain.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            with warnings.catch_warnings():
                # Of threads, from Python 3.12 on: there is a better one, with their names.
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
        """Lets go of what is the zygote's. Python's `random` has a new seed by itself
        (os.register_at_fork); so have OpenSSL, `secrets` and `uuid`, which ask the kernel."""
        channel = self._channels.popleft()
        self._control.close()
        for each in self._children.values():
            if each.pidfd >= 0:
                os.close(each.pidfd)
        for fd in self._channels:
            os.close(fd)
        return Forked(settings, channel)

    def _signal(self, child: int, number: int) -> None:
        if child in self._children:  # not waited for: the pid is still its own
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
    """A handler, not SIG_IGN: that would be inherited by what the app starts."""
