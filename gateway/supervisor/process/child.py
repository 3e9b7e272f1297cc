"""Starts a child process and holds its channel.

The channel is a socket pair (see `protocol.supervision`); its end of file tells the child that the
supervisor is gone, and it must not outlive it. A child gets its settings on a pipe. Children share
the process group, so that an app's debugger keeps the terminal; what Ctrl-C means is the
supervisor's to say, and they ignore it from their first instruction on.
"""

import os
import signal
import socket
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, Self

import trio

from ....protocol.supervision.channel import Channel
from ....protocol.supervision.codec import read_report
from ....protocol.supervision.messages import (
    NotUnderstood,
    Order,
    Report,
)
from ...config.identity import Identity
from ...config.options import table
from ...listen import activation
from ...observe.process_log import logger
from .. import systemd_notify
from ..signals import NOT_FOR_CHILDREN

children: Final[set[int]] = set()
"""Pids of our children that are waited for here."""

_OURS_ALONE: Final = frozenset(activation.LISTEN_VARIABLES + systemd_notify.VARIABLES) | {
    variable for row in table().values() if row.secret for variable in row.variables
}
"""What systemd says to the process that it has started, and secrets: a gateway has those of its
settings, and an app need not know them."""

Hear = Callable[[Report | NotUnderstood], None]
"""Is told what a child says."""


class ChannelledProcess(ABC):
    """A running child, whoever is its parent."""

    def __init__(self, sock: socket.socket, unread: bytes = b"") -> None:
        """`sock`: our end of its channel, which does not block; `unread`: what older code of this
        process has heard of a line."""
        self._sock = sock
        self._channel = self._open(sock, unread)

    def _open(self, sock: socket.socket, unread: bytes) -> Channel[Report | NotUnderstood]:
        return Channel(sock, read_report, unread)

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
        return self._sock.fileno()

    @property
    def unread(self) -> bytes:
        """The beginning of a line that has not been finished."""
        return self._channel.unread

    def order(self, order: Order) -> None:
        """Says it now, or when the child reads again and says something itself. One that has ended
        or hangs hears nothing; a hanging one is killed in the end."""
        self._channel.say(order)

    async def run(self, report: Hear) -> int:
        """Reports what it says until it has ended; its return code. Once per process."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, report)
            try:
                code = await self._wait()
            finally:
                nursery.cancel_scope.cancel()
        # All it said is in the socket by now, while a grandchild may hold the other end open.
        self._hear(report)
        self._sock.close()
        return code

    async def _listen(self, report: Hear) -> None:
        while not self._channel.ended:
            await trio.lowlevel.wait_readable(self._sock)
            self._hear(report)
            self._channel.flush()

    def _hear(self, report: Hear) -> None:
        for message in self._channel.hear():
            try:
                report(message)
            except Exception:
                # Whatever a child says, or an app on its channel, those who serve need this
                # process.
                sentence = "a fault of Propylon's supervisor, at what a child says: %r"
                logger.exception(sentence, message)


class Subprocess(Protocol):
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

    def __init__(self, process: Subprocess, channel: socket.socket, unread: bytes = b"") -> None:
        super().__init__(channel, unread)
        children.add(process.pid)
        self._process = process

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A child that is to be started."""

    module: str
    settings: bytes
    """Read by the child on a pipe."""
    shown: Sequence[str] = ()
    """Words of its command line that tell it in a list of processes."""
    pass_fds: Sequence[int] = ()
    variables: Iterable[tuple[str, str]] = ()
    """Its environment's, besides ours."""
    who: Identity | None = None
    """The user that it runs as; None: as we do."""


@dataclass(frozen=True, slots=True)
class Launched:
    process: "subprocess.Popen[bytes]"
    channel: socket.socket
    """Our end, which does not block."""
    settings: int
    """A pipe that takes its settings, to be closed when they are written."""


def spawn(it: Launch, nursery: trio.Nursery) -> ChildProcess:
    """Raises OSError."""
    launched = launch(it)
    nursery.start_soon(send_settings, launched.settings, it.settings)
    return ChildProcess(launched.process, launched.channel)


def launch(it: Launch) -> Launched:
    """`python -m module --settings-fd=N --channel-fd=M`; its settings are still to be written.
    Raises OSError."""
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    try:
        with theirs:
            ours.setblocking(False)
            process = _start(it, read, theirs.fileno())
    except BaseException:
        ours.close()
        os.close(write)
        raise
    finally:
        os.close(read)
    return Launched(process, ours, write)


def _start(it: Launch, settings: int, channel: int) -> "subprocess.Popen[bytes]":
    # -P: neither a trio.py nor a msgpack.py in the current directory is ours to import; the worker
    # puts the app's directory on the path itself.
    command = [sys.executable, "-P", "-m", it.module, *it.shown]
    # What is blocked stays so across exec, until the child knows what to do with it. To this
    # process it comes a moment later.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, NOT_FOR_CHILDREN)
    try:
        return subprocess.Popen(
            [*command, f"--settings-fd={settings}", f"--channel-fd={channel}"],
            pass_fds=(settings, channel, *it.pass_fds),
            env={name: text for name, text in os.environ.items() if name not in _OURS_ALONE}
            | _variables_of(it.who)
            | dict(it.variables),
            user=it.who.uid if it.who else None,
            group=it.who.gid if it.who else None,
            extra_groups=it.who.groups if it.who else None,
        )
    except PermissionError as exc:
        if it.who is None:
            raise
        name = f"user {it.who.name or it.who.uid}"
        problem = f"{name} may not run {sys.executable}"
        if not exc.filename:  # it has not come so far
            problem = f"nothing can be started as {name} here (CAP_SETUID, CAP_SETGID?)"
        raise PermissionError(exc.errno, problem) from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


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
