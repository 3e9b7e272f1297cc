"""The processes of `--preload`: a zygote, which has imported the app, and its forked workers.

A zygote is a child of the supervisor. Its workers are its own children, so it waits for them and
reports how they ended. Their reports come on channels of their own. Signals go by pidfds, which the
zygote opens while it has not waited for the worker; so a signal never reaches another process that
has got the pid.
"""

import os
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import trio

from ....protocol.supervision.channel import Channel
from ....protocol.supervision.codec import read_report
from ....protocol.supervision.messages import (
    AppLoaded,
    ForkExited,
    ForkFailed,
    ForkWorker,
    NotUnderstood,
    Report,
    SignalFork,
    WorkerFailed,
    WorkerForked,
)
from .child import ChannelledProcess, ChildProcess, Hear, Launch, launch, send_settings
from .exit_reason import exit_words

UNKNOWN_END: Final = 255
"""The code for a worker that outlived its zygote; its real code cannot be known."""

_MOST_FDS: Final = 16


class PreloadFailed(Exception):
    """There will be no worker from this zygote: the app could not be loaded, or the zygote or the
    fork has failed. The message is a sentence."""

    def __init__(self, error: str, detail: str = "") -> None:
        super().__init__(error)
        self.error = error
        self.detail = detail
        """The app's traceback or ""."""


class _DescriptorSocket:
    """A socket with descriptors beside the data."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.fds: deque[int] = deque()
        """Descriptors that have come, in their order."""

    def send(self, data: bytes, /) -> int:
        return self._sock.send(data)

    def send_fds(self, data: bytes, fds: Sequence[int]) -> int:
        return socket.send_fds(self._sock, [data], fds)

    def recv(self, size: int, /) -> bytes:
        data, fds, _, _ = socket.recv_fds(self._sock, size, _MOST_FDS)
        self.fds.extend(fds)
        return data


class Zygote(ChildProcess):
    """A zygote. `run` has to run for as long as it and its workers live, because it takes their
    reports."""

    def __init__(self, process: "subprocess.Popen[bytes]", channel: socket.socket) -> None:
        super().__init__(process, channel)
        self._loaded = trio.Event()
        self._failure: PreloadFailed | None = None
        self._asking = trio.Lock()
        self._answers: dict[int, _Answer] = {}
        self._workers: dict[int, ForkedWorker] = {}

    def _open(self, sock: socket.socket, unread: bytes) -> Channel[Report | NotUnderstood]:
        self._descriptors = _DescriptorSocket(sock)
        return Channel(self._descriptors, read_report, unread, self._descriptors.send_fds)

    @property
    def usable(self) -> bool:
        """Whether it can fork workers. It cannot if it has ended, was told to end, or could not
        load the app; then another one is needed."""
        return self._failure is None

    @property
    def has_loaded(self) -> bool:
        """Whether the import of the app has ended, well or not."""
        return self._loaded.is_set()

    async def loaded(self) -> None:
        """Waits until the app is loaded. Raises PreloadFailed."""
        await self._loaded.wait()
        if self._failure is not None:
            raise self._failure

    async def fork(self, child: int, settings: Mapping[str, Any]) -> "ForkedWorker":
        """Forks a worker, with its settings, when the app is loaded. Raises PreloadFailed,
        OSError."""
        await self.loaded()
        ours, theirs = socket.socketpair()
        answer = self._answers[child] = _Answer(ours)
        order = ForkWorker(child, settings)
        try:
            with theirs:
                ours.setblocking(False)
                await self._ask(order, theirs)
            await answer.come.wait()
        except BaseException:
            ours.close()  # a worker that was forked sees the end of its channel and ends
            raise
        finally:
            del self._answers[child]
        if isinstance(answer.found, ForkedWorker):
            return answer.found
        ours.close()
        raise answer.found or self._failure or PreloadFailed("it was not forked")

    def stop(self) -> None:
        """Has it fork no more, and end after its last worker."""
        self._fail(PreloadFailed("the preloading process was told to end"))
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has ended

    async def run(self, report: Hear) -> int:
        """Takes its reports until it has ended, as for any child. Those that concern no worker go
        to `report`."""

        def hear(said: Report | NotUnderstood) -> None:
            self._hear_zygote(said)
            report(said)

        try:
            code = await super().run(hear)
            self._fail(PreloadFailed(f"the preloading process {exit_words(code)}"))
            return code
        finally:
            for answer in self._answers.values():
                answer.come.set()
            for worker in self._workers.values():
                worker.orphaned()
            for fd in self._descriptors.fds:
                os.close(fd)
            self._descriptors.fds.clear()

    def _hear_zygote(self, said: Report | NotUnderstood) -> None:
        match said:
            case WorkerForked(child, pid, pidfd):
                self._forked(child, pid, self._descriptors.fds.popleft() if pidfd else -1)
            case ForkFailed(child, error):
                self._answer(child, PreloadFailed(f"it could not be forked: {error}"))
            case ForkExited(child, code):
                if child in self._workers:
                    self._workers.pop(child).ended(code)
            case AppLoaded():
                self._loaded.set()
            case WorkerFailed(error, _, detail):
                self._fail(PreloadFailed(error, detail))
            case _:
                pass

    def _forked(self, child: int, pid: int, pidfd: int) -> None:
        answer = self._answers.get(child)
        if answer is None:  # the request was cancelled, and the worker's channel is cut
            if pidfd >= 0:
                os.close(pidfd)
            return
        worker = self._workers[child] = ForkedWorker(self, child, pid, pidfd, answer.channel)
        self._answer(child, worker)

    def _answer(self, child: int, found: "ForkedWorker | PreloadFailed") -> None:
        if child in self._answers:
            self._answers[child].found = found
            self._answers[child].come.set()

    def _fail(self, failure: PreloadFailed) -> None:
        self._failure = self._failure or failure
        self._loaded.set()

    async def _ask(self, order: ForkWorker, channel: socket.socket) -> None:
        """Sends the order, with the channel, and returns when both are sent."""
        async with self._asking:
            self._channel.say(order, [channel.fileno()])
            try:
                while not self._channel.flush():
                    await trio.lowlevel.wait_writable(self._sock)
            finally:
                self._channel.withdraw(order)  # this was cancelled before it was sent

    def pass_on(self, child: int, number: signal.Signals) -> None:
        """Has the zygote pass on a signal, if there are no pidfds."""
        self._channel.say(SignalFork(child, int(number)))


class ForkedWorker(ChannelledProcess):
    """A worker that a zygote has forked."""

    def __init__(
        self, zygote: Zygote, child: int, pid: int, pidfd: int, channel: socket.socket
    ) -> None:
        """`pidfd` is -1 if there are none."""
        super().__init__(channel)
        self._zygote = zygote
        self._child = child
        self._pid = pid
        self._pidfd = pidfd
        self._news = trio.Event()
        self._code: int | None = None

    @property
    def pid(self) -> int:
        return self._pid

    def signal(self, number: signal.Signals) -> None:
        if self._code is not None:
            return
        if self._pidfd < 0:
            self._zygote.pass_on(self._child, number)
            return
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            pass  # it has ended, which the zygote will report

    def ended(self, code: int) -> None:
        self._code = code
        self._news.set()

    def orphaned(self) -> None:
        """The zygote has ended before this worker."""
        self._news.set()

    async def _wait(self) -> int:
        try:
            await self._news.wait()
            if self._code is None and self._pidfd >= 0:
                await trio.lowlevel.wait_readable(self._pidfd)
        finally:
            if self._pidfd >= 0:
                os.close(self._pidfd)
                self._pidfd = -1
            if self._code is None:
                self._code = UNKNOWN_END
        return self._code


class _Answer:
    """The outcome of one fork, which the order's sender waits for."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.come = trio.Event()
        self.found: ForkedWorker | PreloadFailed | None = None


def start_zygote(it: Launch, nursery: trio.Nursery) -> Zygote:
    """Starts a zygote: a worker with the setting `zygote`. Raises OSError."""
    launched = launch(it)
    nursery.start_soon(send_settings, launched.settings, it.settings)
    return Zygote(launched.process, launched.channel)
