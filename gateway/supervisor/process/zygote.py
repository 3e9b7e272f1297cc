"""The processes of `--preload`: a zygote, which has imported the app, and the workers it forks.

A zygote is a child of ours; its workers are its children, not ours. It waits for them and tells us
how they ended. What they say of themselves comes on channels of their own, and signals go by pidfds
that the zygote opened while it alone could end their pids' lives, so none can hit a stranger.
"""

import json
import os
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import trio

from ...config.identity import Identity
from .child import ChannelledProcess, ChildProcess, Event, launch
from .exit_reason import exit_words

UNKNOWN_END: Final = 255
"""The return code of a worker whose zygote ended before it: nobody can know it."""

_MOST_FDS: Final = 16


class PreloadFailed(Exception):
    """There will be no worker from this zygote: the app could not be loaded, or the zygote or the
    fork has failed."""

    def __init__(self, error: str, detail: str = "") -> None:
        super().__init__(error)
        self.error = error
        self.detail = detail
        """The app's traceback or ""."""


class Zygote(ChildProcess):
    """`run` has to run for as long as it and its workers live: it hears what they have to say."""

    def __init__(self, process: "subprocess.Popen[bytes]", channel: socket.socket) -> None:
        super().__init__(process, channel)
        self._loaded = trio.Event()
        self._failure: PreloadFailed | None = None
        self._fds: deque[int] = deque()
        self._answers: dict[int, _Answer] = {}
        self._workers: dict[int, ForkedWorker] = {}

    @property
    def usable(self) -> bool:
        """False: it is ended, told to end, or could not load the app. Another is needed."""
        return self._failure is None

    @property
    def has_loaded(self) -> bool:
        """Whether it is known what became of the app's import."""
        return self._loaded.is_set()

    async def loaded(self) -> None:
        """Waits until the app is. Raises PreloadFailed."""
        await self._loaded.wait()
        if self._failure is not None:
            raise self._failure

    async def fork(self, child: int, arguments: Sequence[str]) -> "ForkedWorker":
        """A worker; `arguments` as of `spawn`, but that its channel has no number yet. Waits for
        the app to be loaded. Raises PreloadFailed, OSError."""
        await self.loaded()
        ours, theirs = socket.socketpair()
        answer = self._answers[child] = _Answer(ours)
        request = {"do": "fork", "child": child, "arguments": [*arguments]}
        try:
            with theirs:
                ours.setblocking(False)
                await self._ask(request, [theirs.fileno()])
            await answer.come.wait()
        except BaseException:
            ours.close()  # the worker, if there is one, hears that nobody wants it
            raise
        finally:
            del self._answers[child]
        if isinstance(answer.found, ForkedWorker):
            return answer.found
        ours.close()
        raise answer.found or self._failure or PreloadFailed("it was not forked")

    def stop(self) -> None:
        """It forks no more, and ends with the last of its workers."""
        self._give_up(PreloadFailed("the preloading process was told to end"))
        try:
            self._channel.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has ended

    async def run(self, report: Callable[[Event], None]) -> int:
        """As of any child. Reports `loaded` and `not_ready`."""

        def hear(event: Event) -> None:
            self._hear(event, report)

        try:
            code = await super().run(hear)
            self._give_up(PreloadFailed(f"the preloading process {exit_words(code)}"))
            return code
        finally:
            for answer in self._answers.values():
                answer.come.set()
            for worker in self._workers.values():
                worker.orphaned()
            for fd in self._fds:
                os.close(fd)
            self._fds.clear()

    def _hear(self, event: Event, report: Callable[[Event], None]) -> None:
        match event:
            case {"event": "forked", "child": int(child), "pid": int(pid), "pidfd": pidfd}:
                self._forked(child, pid, self._fds.popleft() if pidfd else -1)
            case {"event": "fork_failed", "child": int(child), "error": str(error)}:
                self._answer(child, PreloadFailed(f"it could not be forked: {error}"))
            case {"event": "exited", "child": int(child), "code": int(code)}:
                if child in self._workers:
                    self._workers.pop(child).ended(code)
            case {"event": "loaded"}:
                self._loaded.set()
                report(event)
            case {"event": "not_ready", "error": str(error)}:
                self._give_up(PreloadFailed(error, str(event.get("detail") or "")))
                report(event)
            case _:
                report(event)

    def _forked(self, child: int, pid: int, pidfd: int) -> None:
        answer = self._answers.get(child)
        if answer is None:  # who asked for it has been cancelled; its channel is cut
            if pidfd >= 0:
                os.close(pidfd)
            return
        worker = self._workers[child] = ForkedWorker(self, child, pid, pidfd, answer.channel)
        self._answer(child, worker)

    def _answer(self, child: int, found: "ForkedWorker | PreloadFailed") -> None:
        if child in self._answers:
            self._answers[child].found = found
            self._answers[child].come.set()

    def _give_up(self, failure: PreloadFailed) -> None:
        self._failure = self._failure or failure
        self._loaded.set()

    def _receive(self) -> bytes:
        data, fds, _, _ = socket.recv_fds(self._channel, 65_536, _MOST_FDS)
        self._fds.extend(fds)
        return data

    async def _ask(self, request: Mapping[str, object], fds: Sequence[int]) -> None:
        """One line, which the socket takes whole or not at all: it is short."""
        line = json.dumps(request).encode() + b"\n"
        while True:
            try:
                socket.send_fds(self._channel, [line], fds)
                return
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._channel)

    def pass_on(self, child: int, number: signal.Signals) -> None:
        """A signal, where there are no pidfds."""
        request = {"do": "signal", "child": child, "number": int(number)}
        try:
            self._channel.send(json.dumps(request).encode() + b"\n")
        except OSError:
            pass  # it has ended, or is so far behind that it knows of no child


class ForkedWorker(ChannelledProcess):
    """A worker that a zygote has forked."""

    def __init__(
        self, zygote: Zygote, child: int, pid: int, pidfd: int, channel: socket.socket
    ) -> None:
        """`pidfd`: -1 where there are none."""
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
            pass  # ended, and we shall hear of it

    def ended(self, code: int) -> None:
        self._code = code
        self._news.set()

    def orphaned(self) -> None:
        """The zygote has ended before it."""
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
    """What becomes of one fork."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.come = trio.Event()
        self.found: ForkedWorker | PreloadFailed | None = None


def start_zygote(
    arguments: Callable[[int], Sequence[str]],
    variables: Iterable[tuple[str, str]] = (),
    who: Identity | None = None,
) -> Zygote:
    """`arguments` of a worker, made of the channel's number; the rest as of `spawn`. Raises
    OSError."""
    return Zygote(
        *launch(
            "propylon.worker",
            lambda channel: [*arguments(channel), "--preload"],
            variables=variables,
            who=who,
        )
    )
