"""The zygote: a process that has loaded the app and never runs it; workers are forked from it.

What the app's import has made lies in memory once, for as long as nobody changes it. A zygote has
no event loop, no link and no thread; the app's lifespan, as all that follows, is each worker's own.

Its supervisor speaks with it in JSON lines over one socket, on which descriptors travel too:

    loaded -->                        the app is there; before that, `not_ready` as of any worker
    <-- fork child arguments +channel   another worker, with arguments as on the command line
    forked child pid pidfd +pidfd --> (pidfd: false and no descriptor where the kernel has none)
    fork_failed child error -->
    <-- signal child number           for where there are no pidfds
    exited child code -->             as subprocess has it: negative is a signal

End of file means that there will be no more workers: it reports on those that it has, and ends
with the last. They have channels of their own and hear of the supervisor's end by themselves.
"""

import gc
import json
import logging
import os
import select
import signal
import socket
import sys
import threading
import warnings
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from .app_children import forking_a_worker, handle

logger = logging.getLogger("propylon.worker")

POLL: Final = 100
"""Milliseconds between two looks for children that have ended, where there are no pidfds."""
_MOST_FDS: Final = 16


class Forked(NamedTuple):
    """What makes a process a worker: said in the worker, by its fork."""

    arguments: Sequence[str]
    channel_fd: int


@dataclass(slots=True)
class _Child:
    pid: int
    pidfd: int
    """-1: the kernel has none."""


class Zygote:
    def __init__(self, control: socket.socket) -> None:
        control.setblocking(True)
        control.set_inheritable(False)
        self._control = control
        self._buffer = b""
        self._channels: deque[int] = deque()
        self._children: dict[int, _Child] = {}
        self._closed = False

    def serve(self, **about: object) -> Forked | None:
        """Returns many times: in every worker what it is, and None in the zygote at its end."""
        _warn_of_threads()
        handle(signal.SIGTERM, _ignore)  # the supervisor ends it, by closing the socket
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # an app may ignore it: no exit codes then
        gc.collect()
        gc.freeze()  # a collection in a worker would else write into every object
        self._say({"event": "loaded", "pid": os.getpid(), **about})
        while self._children or not self._closed:
            for request in self._wait():
                if request["do"] == "signal":
                    self._signal(request["child"], request["number"])
                elif request["do"] == "fork" and self._fork(request["child"]):
                    return self._into_worker(request["arguments"])
            self._reap()
        return None

    def _wait(self) -> Iterable[dict[str, Any]]:
        """Until there is something to do; the supervisor's wishes."""
        poll = select.poll()
        if not self._closed:
            poll.register(self._control, select.POLLIN)
        pidfds = [child.pidfd for child in self._children.values()]
        for pidfd in pidfds:
            if pidfd >= 0:
                poll.register(pidfd, select.POLLIN)
        ready = poll.poll(POLL if -1 in pidfds else None)
        return self._read() if any(fd == self._control.fileno() for fd, _ in ready) else ()

    def _read(self) -> Iterable[dict[str, Any]]:
        try:
            data, fds, _, _ = socket.recv_fds(
                self._control, 65_536, _MOST_FDS, socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            data, fds = b"", []
        self._closed = not data
        self._channels.extend(fds)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def _say(self, report: Mapping[str, object], fds: Sequence[int] = ()) -> None:
        try:
            socket.send_fds(self._control, [json.dumps(report).encode() + b"\n"], fds)
        except OSError:
            self._closed = True  # the supervisor is gone

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
            self._say({"event": "fork_failed", "child": child, "error": error.strerror})
            return False
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        os.close(self._channels.popleft())
        try:
            pidfd = os.pidfd_open(pid)
        except (AttributeError, OSError):  # an old or a sandboxed kernel
            pidfd = -1
        self._children[child] = _Child(pid, pidfd)
        report = {"event": "forked", "child": child, "pid": pid, "pidfd": pidfd >= 0}
        self._say(report, [pidfd] if pidfd >= 0 else [])
        return False

    def _into_worker(self, arguments: Sequence[str]) -> Forked:
        """Lets go of what is the zygote's. Python's `random` has a new seed by itself
        (os.register_at_fork); so have OpenSSL, `secrets` and `uuid`, which ask the kernel."""
        channel = self._channels.popleft()
        self._control.close()
        for each in self._children.values():
            if each.pidfd >= 0:
                os.close(each.pidfd)
        for fd in self._channels:
            os.close(fd)
        return Forked(arguments, channel)

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
                self._say({"event": "exited", "child": number, "code": code})


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
