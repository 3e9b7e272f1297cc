"""Starts a child process and holds its channel.

The channel is a socket pair: the child writes JSON lines, what became of its start; the end of file
tells it that the supervisor is gone, and it must not outlive it. A gateway gets its settings on a
pipe. Children share the process group, so that an app's debugger keeps the terminal; what Ctrl-C
means is the supervisor's to say, and they ignore it from their first instruction on.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol, Self, cast

import trio

from ...config.identity import Identity
from ...config.options import table
from ...listen import activation
from ...observe.process_log import logger
from .. import systemd_notify
from ..signals import NOT_FOR_CHILDREN

children: Final[set[int]] = set()
"""Pids of our children that are waited for here."""
LONGEST_LINE: Final = 4 * 1024 * 1024
"""Of a channel, in bytes: a report carries at most a traceback."""

_OURS_ALONE: Final = frozenset(activation.VARIABLES + systemd_notify.VARIABLES) | {
    variable for row in table().values() if row.secret for variable in row.variables
}
"""What systemd says to the process that it has started, and secrets: a gateway has those of its
settings, and an app need not know them."""

Event = dict[str, Any]


class ChannelledProcess(ABC):
    """A running child, whoever is its parent."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._buffer = b""

    @property
    @abstractmethod
    def pid(self) -> int: ...

    @abstractmethod
    def signal(self, number: signal.Signals) -> None:
        """Not sent to a process that has ended, nor to another that has its pid by now."""

    @abstractmethod
    async def _wait(self) -> int:
        """Until it has ended; its return code as subprocess gives it."""

    @property
    def channel(self) -> int:
        """Its number as a file descriptor."""
        return self._channel.fileno()

    @property
    def unread(self) -> bytes:
        """The beginning of a line that has not been finished."""
        return self._buffer

    def hurry(self) -> None:
        """Says that it shall end at once."""
        try:
            self._channel.send(b"now\n")
        except OSError:
            pass  # it has ended, or does not read: the kill comes in a moment

    def reopen_logs(self) -> None:
        """Says that its logs' files were moved away. One that does not read misses it."""
        try:
            self._channel.send(b"reopen\n")
        except OSError:
            pass  # it has ended, or hangs

    def worker_ended(self, child: int) -> None:
        """Says to a gateway that the process of a worker has ended."""
        try:
            self._channel.send(b"ended %d\n" % child)
        except OSError:
            pass  # it has ended, or hangs

    async def run(self, report: Callable[[Event], None]) -> int:
        """Reports what it says until it has ended; its return code. Once per process."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, report)
            try:
                code = await self._wait()
            finally:
                nursery.cancel_scope.cancel()
        # All it said is in the socket by now, while a grandchild may hold the other end open.
        self._read_all(report)
        self._channel.close()
        return code

    async def _listen(self, report: Callable[[Event], None]) -> None:
        while self._read_all(report):
            await trio.lowlevel.wait_readable(self._channel)

    def _read_all(self, report: Callable[[Event], None]) -> bool:
        """False at the end of file."""
        while True:
            try:
                data = self._receive()
            except (BlockingIOError, InterruptedError):
                return True
            except OSError:
                return False
            if not data:
                return False
            *lines, self._buffer = (self._buffer + data).split(b"\n")
            self._buffer = self._buffer[:LONGEST_LINE]
            for line in lines:
                event = _decode(line)
                if event is not None:
                    _hand_on(event, report)

    def _receive(self) -> bytes:
        return self._channel.recv(65_536)


class Process(Protocol):
    """What is needed of a subprocess.Popen."""

    @property
    def pid(self) -> int: ...

    def send_signal(self, sig: int, /) -> None: ...

    def wait(self) -> int: ...


class InheritedProcess:
    """A child that older code of this process has started."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def send_signal(self, sig: int, /) -> None:
        if self._code is None:
            os.kill(self.pid, sig)

    def wait(self) -> int:
        if self._code is None:
            try:
                self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            except ChildProcessError:
                self._code = 0  # it ended at the moment of the exec, and nobody knows how
        return self._code


class ChildProcess(ChannelledProcess):
    """A child of ours."""

    def __init__(self, process: Process, channel: socket.socket, unread: bytes = b"") -> None:
        super().__init__(channel)
        children.add(process.pid)
        self._process = process
        self._buffer = unread

    @classmethod
    def inherited(cls, pid: int, channel: int, unread: bytes) -> Self:
        sock = socket.socket(fileno=channel)
        sock.set_inheritable(False)
        return cls(InheritedProcess(pid), sock, unread)

    @property
    def pid(self) -> int:
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)  # not sent to a pid that has been waited for

    async def _wait(self) -> int:
        code = await self._wait_for_the_end()
        children.discard(self.pid)
        return code

    async def _wait_for_the_end(self) -> int:
        try:
            pidfd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # not on Linux, or an old or a sandboxed kernel
            return await trio.to_thread.run_sync(self._process.wait, abandon_on_cancel=True)
        try:
            await trio.lowlevel.wait_readable(pidfd)
        finally:
            os.close(pidfd)
        return self._process.wait()


def _decode(line: bytes) -> Event | None:
    """What is no JSON object with an event is not ours: an app may write to any descriptor."""
    try:
        event: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast("Event", event) if isinstance(event, dict) and "event" in event else None


def _hand_on(event: Event, report: Callable[[Event], None]) -> None:
    """Whatever a child says, or an app on its channel, those who serve need this process."""
    try:
        report(event)
    except Exception:
        logger.exception("a fault of Propylon's supervisor, at what a child says: %r", event)


def spawn(
    module: str,
    arguments: Callable[[int], Sequence[str]],
    pass_fds: Sequence[int] = (),
    variables: Iterable[tuple[str, str]] = (),
    who: Identity | None = None,
) -> ChildProcess:
    """`python -m module`, with `arguments` made of the channel's number; `variables` are its
    environment's besides ours; `who` it runs as, None: as we do. Raises OSError."""
    return ChildProcess(*launch(module, arguments, pass_fds, variables, who))


def launch(
    module: str,
    arguments: Callable[[int], Sequence[str]],
    pass_fds: Sequence[int] = (),
    variables: Iterable[tuple[str, str]] = (),
    who: Identity | None = None,
) -> "tuple[subprocess.Popen[bytes], socket.socket]":
    """As `spawn`: the process, and our end of its channel."""
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        # -P: neither a trio.py nor a msgpack.py in the current directory is ours to import; the
        # worker puts the app's directory on the path itself.
        command = [sys.executable, "-P", "-m", module, *arguments(theirs.fileno())]
        # What is blocked stays so across exec, until the child knows what to do with it. To this
        # process it comes a moment later.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, NOT_FOR_CHILDREN)
        try:
            process = subprocess.Popen(
                command,
                pass_fds=(theirs.fileno(), *pass_fds),
                env={name: text for name, text in os.environ.items() if name not in _OURS_ALONE}
                | _variables_of(who)
                | dict(variables),
                user=who.uid if who else None,
                group=who.gid if who else None,
                extra_groups=who.groups if who else None,
            )
        except PermissionError as exc:
            ours.close()
            if who is None:
                raise
            name = f"user {who.name or who.uid}"
            problem = f"{name} may not run {sys.executable}"
            if not exc.filename:  # it has not come so far
                problem = f"nothing can be started as {name} here (CAP_SETUID, CAP_SETGID?)"
            raise PermissionError(exc.errno, problem) from None
        except BaseException:
            ours.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return process, ours


def _variables_of(who: Identity | None) -> dict[str, str]:
    """As login(1) and systemd set them: an app's files in its home are not to go to root's."""
    if who is None or not who.name:
        return {}
    return {"HOME": who.home, "USER": who.name, "LOGNAME": who.name}


async def send_settings(pipe: int, settings: bytes) -> None:
    """Writes and closes; a child that has died meanwhile is reported by its end."""
    async with trio.lowlevel.FdStream(pipe) as stream:
        try:
            await stream.send_all(settings)
        except trio.BrokenResourceError:
            pass
