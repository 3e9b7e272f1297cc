"""A gateway process: `python -m propylon.gateway.process --settings-fd N --channel-fd M`.

The supervisor starts it with the listening sockets inherited, its GatewaySettings as JSON in a
pipe, and a channel: one end of a socket pair. `protocol.supervision` has the messages on it. The
end of the channel means that the supervisor is gone, and the gateway drains as it does on SIGTERM.
"""

import argparse
import faulthandler
import logging
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from time import monotonic, sleep

import trio

from ..protocol.supervision.channel import Channel
from ..protocol.supervision.codec import read_order
from ..protocol.supervision.messages import (
    CollectMetrics,
    ConfirmLogs,
    ExitNow,
    GatewayFailed,
    Listening,
    LogsReopened,
    Order,
    ReopenLogs,
    Report,
    WorkerEnded,
)
from . import json_texts
from .assemble import run_gateway
from .metrics.measures import MetricsReports
from .observe.configured import end_if_stalled
from .observe.console_log import flush_log
from .observe.log_file import STDERR, own_description
from .observe.logs import Logs
from .observe.process_log import begin_log
from .pool.workers_report import EndedWorkers
from .settings import GatewaySettings
from .supervisor.signals import NOT_FOR_CHILDREN
from .tls.session import CertificateError

log = logging.getLogger("propylon.gateway")

OUTLIVE = 10.0
"""Seconds beyond the graceful timeout that a gateway may live without its supervisor."""
EXIT_OUTLIVED = 4


class SupervisorChannel:
    """Our end of the channel to the supervisor."""

    def __init__(self, fd: int) -> None:
        self.sock = socket.socket(fileno=fd)
        self.sock.setblocking(False)
        self.sock.set_inheritable(False)
        self.started = False
        """Whether the gateway has reported that it accepts."""
        self._channel = Channel(self.sock, read_order)
        self._waiting = trio.Event()
        """Set while something waits."""

    def report(self, report: Report) -> None:
        """Sends a report, now or later. It never blocks."""
        self.started = self.started or isinstance(report, Listening)
        self._channel.say(report)
        if not self._channel.all_said:
            self._waiting.set()

    async def write(self) -> None:
        """Writes what waits whenever there is room, for ever."""
        while True:
            await self._waiting.wait()
            await trio.lowlevel.wait_writable(self.sock)
            if self._channel.flush():
                self._waiting = trio.Event()

    def flush_before_exit(self) -> None:
        """Waits until all is said, for a bounded time: the process is about to end."""
        self._channel.flush_before_exit(monotonic, sleep)

    @property
    def ended(self) -> bool:
        """Whether the supervisor has gone."""
        return self._channel.ended

    async def orders(self) -> list[Order]:
        """Waits until the supervisor has sent orders or is gone, and returns them."""
        await trio.lowlevel.wait_readable(self.sock)
        return self._channel.hear()


class StopWish:
    """The wish to stop: SIGTERM, the channel's end, or the order to exit now."""

    def __init__(
        self,
        channel: SupervisorChannel,
        logs: Logs,
        ended: Callable[[int], None],
        collect: Callable[[int], None],
    ) -> None:
        """`logs` are opened again, `ended` is told of a worker's end, and `collect` reports what
        was counted, with a token."""
        self._channel = channel
        self._logs = logs
        self._worker_ended = ended
        self._collect = collect
        self._wished = trio.Event()
        self._at_once = trio.CancelScope()

    @property
    def at_once(self) -> trio.CancelScope:
        return self._at_once

    async def wait(self) -> None:
        await self._wished.wait()

    async def watch_signals(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGINT:
                    continue  # Ctrl-C reaches the whole group; the supervisor is in charge
                self._wished.set()

    async def watch_channel(self) -> None:
        async with trio.open_nursery() as nursery:
            while not self._channel.ended:
                for order in await self._channel.orders():
                    match order:
                        case WorkerEnded(child):
                            self._worker_ended(child)
                        case CollectMetrics(token):
                            self._collect(token)
                        case ReopenLogs():
                            self._logs.reopen()
                        case ConfirmLogs(token):
                            nursery.start_soon(self._confirm_logs, token)
                        case ExitNow():
                            self._wished.set()
                            self._at_once.cancel()
                        case _:
                            pass  # for other kinds of children
            log.error("the supervisor is gone: finishing what is here")
            self._wished.set()

    async def _confirm_logs(self, token: int) -> None:
        self._channel.report(LogsReopened(token, await self._logs.settled()))


async def serve(settings: GatewaySettings, channel: SupervisorChannel) -> None:
    """Runs the gateway until it is to stop."""
    logs = Logs()
    ended = EndedWorkers()
    metrics = MetricsReports(channel.report)
    stop = StopWish(channel, logs, ended.add, metrics.answer)
    async with trio.open_nursery() as nursery:
        await nursery.start(stop.watch_signals)  # they would end us before that
        nursery.start_soon(stop.watch_channel)
        nursery.start_soon(channel.write)
        try:
            with stop.at_once:
                await run_gateway(settings, channel.report, stop.wait, logs, ended, metrics)
        finally:
            metrics.last_word()
        nursery.cancel_scope.cancel()


def end_within(seconds: float, channel: int) -> None:
    """Ends this process `seconds` after the supervisor's end, if it hangs. A supervisor would kill
    it; without one it would keep the port for ever. A thread waits in poll(2) for the end, and
    reads nothing. A C call that never releases the interpreter's lock stops that thread too. (A
    worker's guard is `worker.process.orphan_guard`, which explains why there are two.)"""

    stacks = _stacks_fd()

    def watch() -> None:
        poll = select.poll()
        poll.register(channel, 0)  # only POLLHUP, which comes unasked
        poll.poll()
        sleep(seconds)
        try:
            log.error("gateway process %d hangs and has no supervisor: it ends", os.getpid())
            flush_log()
            faulthandler.dump_traceback(stacks, all_threads=True)
        finally:
            os._exit(EXIT_OUTLIVED)

    threading.Thread(target=watch, name="propylon-channel", daemon=True).start()


def _show_stacks() -> None:
    """Has the stacks of all threads written to stderr at a crash, and at SIGQUIT, which the gateway
    survives. No Python code runs for that, so it works in a loop that hangs too."""
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison] - closed before exec
        return
    faulthandler.enable(_stacks_fd())
    faulthandler.register(signal.SIGQUIT, _stacks_fd(), all_threads=True)


@cache
def _stacks_fd() -> int:
    """The descriptor that `faulthandler` writes to. It is our own description of stderr, if there
    can be one, because a write there does not wait for a reader that has stalled."""
    own = own_description(STDERR)
    return STDERR if own is None else own


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """Returns the first failure of a group, which may have groups within."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def main() -> int:
    for number in NOT_FOR_CHILDREN:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NOT_FOR_CHILDREN)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    parser = argparse.ArgumentParser(prog="propylon.gateway.process", description=__doc__)
    parser.add_argument("--settings-fd", type=int, required=True)
    # A supervisor of the version before gives the second name; it runs on while code is installed.
    parser.add_argument("--channel-fd", "--leash-fd", type=int, required=True)
    arguments = parser.parse_args()
    with open(arguments.settings_fd, "rb") as pipe:
        settings = json_texts.decode(pipe.read(), GatewaySettings)
    about = {"process": "gateway", "gateway": settings.gateway}
    try:
        begin_log(settings.log, about)
    except OSError as error:
        begin_log(replace(settings.log, error_log="-"), about)
        log.error("%s; standard error is used", error)
    _show_stacks()
    channel = SupervisorChannel(arguments.channel_fd)
    end_within(settings.serve.graceful_timeout + OUTLIVE, channel.sock.fileno())
    failed = 0
    try:
        trio.run(serve, settings, channel)
    except* (OSError, ValueError, CertificateError) as group:
        failed = 1
        if channel.started:
            log.error("the gateway failed", exc_info=group)
        else:  # usually the operator has to mend it, and a sentence is enough
            log.debug("the gateway could not start", exc_info=group)
            channel.report(GatewayFailed(str(_first(group))))
    channel.flush_before_exit()
    flush_log()
    end_if_stalled(failed)
    return failed


if __name__ == "__main__":
    sys.exit(main())
