"""Starts a child process and holds its channel.

The channel is a socket pair (see `protocol.supervision`). Its end of file tells the child that the
supervisor is gone, and the child must not outlive it. A child gets its settings on a pipe. Children
share the process group, so that an app's debugger keeps the terminal. The supervisor alone decides
what Ctrl-C means; children ignore it from their first instruction on.
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
"""Environment variables that children do not get: what systemd says to this process, and secrets. A
gateway has secrets in its settings, and an app need not know them."""

Hear = Callable[[Report | NotUnderstood], None]
"""Is told what a child says."""


class ChannelledProcess(ABC):
    """A running child, started by the supervisor or forked by a zygote."""

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
        """Sends a signal, but not to a process that has ended or to another one that has its pid
        by now."""

    @abstractmethod
    async def _wait(self) -> int:
        """Waits until it has ended. Returns its code as subprocess gives it."""

    @property
    def channel(self) -> int:
        """The channel's descriptor."""
        return self._sock.fileno()

    @property
    def has_ended(self) -> bool:
        """Whether it has ended, and its channel is closed."""
        return self._sock.fileno() < 0

    @property
    def unread(self) -> bytes:
        """The beginning of a line that has not come to its end."""
        return self._channel.unread

    def order(self, order: Order) -> None:
        """Sends an order now, or when the child reads again. A child that has ended or hangs does
        not get it; one that hangs is killed in the end."""
        self._channel.say(order)

    async def run(self, report: Hear) -> int:
        """Hands the child's reports to `report` until it has ended, and returns its code. To be
        called once."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, report)
            try:
                code = await self._wait()
            finally:
                nursery.cancel_scope.cancel()
        # All its reports are in the socket by now. There may be no end of file, because a
        # grandchild may hold the other end.
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
                # Whatever a child reports, or an app writes to its channel, the other children
                # need this process.
                sentence = "a fault of Propylon's supervisor, at what a child says: %r"
                logger.exception(sentence, message)


class Subprocess(Protocol):
    """What is needed of a subprocess.Popen."""

    @property
    def pid(self) -> int: ...

    def send_signal(self, sig: int, /) -> None: ...

    def wait(self) -> int: ...


class InheritedProcess:
    """A child that was started before an upgrade."""

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
                self._code = 0  # it ended at the moment of the exec, so its code is not known
        return self._code


class ChildProcess(ChannelledProcess):
    """A child that this code has started."""

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
        self._process.send_signal(number)  # subprocess sends none after it has waited for the pid

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
    """How a child is started."""

    module: str
    settings: bytes
    """The settings that the child reads from a pipe."""
    shown: Sequence[str] = ()
    """Arguments that describe it in a list of processes."""
    pass_fds: Sequence[int] = ()
    variables: Iterable[tuple[str, str]] = ()
    """Environment variables besides those of this process."""
    who: Identity | None = None
    """The identity that it runs as; None means that of this process."""


@dataclass(frozen=True, slots=True)
class Launched:
    process: "subprocess.Popen[bytes]"
    channel: socket.socket
    """The supervisor's end of the channel, which does not block."""
    settings: int
    """The pipe for its settings, to be closed when they are written."""


def spawn(it: Launch, nursery: trio.Nursery) -> ChildProcess:
    """Starts a child, and a task that writes its settings. Raises OSError."""
    launched = launch(it)
    nursery.start_soon(send_settings, launched.settings, it.settings)
    return ChildProcess(launched.process, launched.channel)


def launch(it: Launch) -> Launched:
    """Starts `python -m module --settings-fd=N --channel-fd=M`. Its settings are still to be
    written. Raises OSError."""
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
    # -P: a trio.py or msgpack.py in the current directory must not be imported. The worker puts
    # the app's directory on the path itself.
    command = [sys.executable, "-P", "-m", it.module, *it.shown]
    # Blocked signals stay blocked across exec, until the child handles them. This process gets
    # them a moment later.
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
        if not exc.filename:  # the fork itself has failed
            problem = f"nothing can be started as {name} here (CAP_SETUID, CAP_SETGID?)"
        raise PermissionError(exc.errno, problem) from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _variables_of(who: Identity | None) -> dict[str, str]:
    """HOME and so on, as login(1) and systemd set them: an app must not write to root's home."""
    if who is None or not who.name:
        return {}
    return {"HOME": who.home, "USER": who.name, "LOGNAME": who.name}


async def send_settings(pipe: int, settings: bytes) -> None:
    """Writes a child's settings and closes the pipe. If the child has died, its end is reported
    elsewhere."""
    async with trio.lowlevel.FdStream(pipe) as stream:
        try:
            await stream.send_all(settings)
        except trio.BrokenResourceError:
            pass
