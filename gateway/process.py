"""A gateway process: `python -m propylon.gateway.process --settings-fd N --channel-fd M`.

The supervisor starts it with the listening sockets inherited, its GatewaySettings as JSON in a
pipe, and a channel: one end of a socket pair. What happens is reported on it as JSON lines; its end
means that the supervisor is gone, and then the gateway drains as it does on SIGTERM. The
lines `reopen` (the logs have other files), `ended` with a worker's number as a child (its process
has) and `now` (stop at once) come in on it.
"""

import argparse
import faulthandler
import json
import logging
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from time import monotonic, sleep

import trio

from . import json_texts
from .assemble import run_gateway
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

FLUSH_TIMEOUT = 5.0
"""Seconds that the supervisor has to take what was said, when the process is about to end."""
OUTLIVE = 10.0
"""Seconds beyond the graceful timeout that a gateway may live without its supervisor."""
EXIT_OUTLIVED = 4
LONGEST_LINE = 64
"""Bytes of a line from the supervisor that are looked at."""


class SupervisorChannel:
    """Our end of the socket pair with the supervisor.

    A supervisor that does not read must not hold up anything here. What has to get through is kept
    until the socket takes it, of each kind the latest: so memory is bounded by the number of pools.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        os.set_blocking(fd, False)
        self.started = False
        """Whether the gateway has said that it accepts."""
        self._kept: dict[tuple[object, object], bytes] = {}
        """Lines that wait, by their event and pool."""
        self._unsent = b""
        """The rest of a line that the socket took only a part of."""
        self._waiting = trio.Event()
        """Set while something waits."""

    def report(self, event: dict[str, object]) -> None:
        """One line, now or when there is room; none is ever torn. Only `alive` is dropped if it
        cannot go at once: there will be another."""
        if event["event"] == "listening":
            self.started = True
        self.flush()
        if event["event"] == "alive" and self._unsent:
            return
        key = event["event"], event.get("pool")
        self._kept.pop(key, None)  # the later one goes behind what was said between them
        self._kept[key] = json.dumps(event).encode() + b"\n"
        self.flush()
        if self._unsent:
            self._waiting.set()

    def flush(self) -> None:
        """Writes what waits, as far as there is room."""
        try:
            while self._unsent or self._kept:
                self._unsent = self._unsent or self._kept.pop(next(iter(self._kept)))
                self._unsent = self._unsent[os.write(self.fd, self._unsent) :]
        except BlockingIOError:
            pass
        except OSError as error:
            log.debug("the supervisor hears nothing any more: %s", error)
            self._kept.clear()
            self._unsent = b""

    async def write(self) -> None:
        """Writes what waits whenever there is room, for ever."""
        while True:
            await self._waiting.wait()
            await trio.lowlevel.wait_writable(self.fd)
            self.flush()
            if not self._unsent:
                self._waiting = trio.Event()

    def flush_before_exit(self) -> None:
        """Waits until all is said, for a bounded time: the process is about to end."""
        deadline = monotonic() + FLUSH_TIMEOUT
        self.flush()
        while self._unsent and monotonic() < deadline:
            sleep(0.01)
            self.flush()


class Stop:
    """The wish to stop: SIGTERM or the channel's end. The line `now` on it means at once; a second
    SIGTERM does not, since one to the whole group comes beside the supervisor's own."""

    def __init__(
        self, channel: int, reopen: Callable[[], None], ended: Callable[[int], None]
    ) -> None:
        """`reopen` has the logs opened again, `ended` is told of a worker's end."""
        self._channel = channel
        self._reopen = reopen
        self._worker_ended = ended
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
        heard = b""
        while True:
            await trio.lowlevel.wait_readable(self._channel)
            try:
                data = os.read(self._channel, 4096)
            except BlockingIOError:
                continue
            except OSError:
                data = b""  # reset: the supervisor was killed with reports unread
            if not data:
                break
            *lines, heard = (heard + data).split(b"\n")
            heard = heard[:LONGEST_LINE]
            for line in lines:
                word, _, number = line.partition(b" ")
                if word == b"ended" and number.isdigit():
                    self._worker_ended(int(number))
            if b"reopen" in lines:
                self._reopen()
            if b"now" in lines:
                self._wished.set()
                self._at_once.cancel()
        log.error("the supervisor is gone: finishing what is here")
        self._wished.set()


async def serve(settings: GatewaySettings, channel: SupervisorChannel) -> None:
    """Runs the gateway for as long as nobody wishes it to stop."""
    logs = Logs()
    ended = EndedWorkers()
    stop = Stop(channel.fd, logs.reopen, ended.add)
    async with trio.open_nursery() as nursery:
        await nursery.start(stop.watch_signals)  # they would end us before that
        nursery.start_soon(stop.watch_channel)
        nursery.start_soon(channel.write)
        with stop.at_once:
            await run_gateway(settings, channel.report, stop.wait, logs, ended)
        nursery.cancel_scope.cancel()


def end_within(seconds: float, channel: int) -> None:
    """Ends this process so many seconds after the supervisor's end, if it hangs: with a supervisor
    it would be killed, without one it would keep the port for ever. A thread waits in poll(2) for
    that, and reads nothing. A C call that never lets go of the interpreter's lock stops it too."""

    stacks = _stacks_fd()

    def watch() -> None:
        poll = select.poll()
        poll.register(channel, 0)  # POLLHUP, which comes unasked, and nothing else
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
    """The stacks of all threads go to stderr: at a crash, and at SIGQUIT, which the gateway
    survives. No Python code runs for that, so it works in a loop that hangs too."""
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison] - closed before exec
        return
    faulthandler.enable(_stacks_fd())
    faulthandler.register(signal.SIGQUIT, _stacks_fd(), all_threads=True)


@cache
def _stacks_fd() -> int:
    """Where `faulthandler` writes: it asks nobody whether the reader of stderr has stalled."""
    own = own_description(STDERR)
    return STDERR if own is None else own


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """Of the failures themselves; groups may lie in groups."""
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def main() -> int:
    for number in NOT_FOR_CHILDREN:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NOT_FOR_CHILDREN)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    parser = argparse.ArgumentParser(prog="propylon.gateway.process", description=__doc__)
    parser.add_argument("--settings-fd", type=int, required=True)
    parser.add_argument("--channel-fd", type=int, required=True)
    arguments = parser.parse_args()
    with open(arguments.settings_fd, "rb") as pipe:
        settings = json_texts.decode(pipe.read(), GatewaySettings)
    try:
        begin_log(settings.log)
    except OSError as error:
        begin_log(replace(settings.log, error_log="-"))
        log.error("%s; standard error is used", error)
    _show_stacks()
    channel = SupervisorChannel(arguments.channel_fd)
    end_within(settings.serve.graceful_timeout + OUTLIVE, channel.fd)
    failed = 0
    try:
        trio.run(serve, settings, channel)
    except* (OSError, ValueError, CertificateError) as group:
        failed = 1
        if channel.started:
            log.error("the gateway failed", exc_info=group)
        else:  # the operator's to mend, as a rule: a sentence is enough
            log.debug("the gateway could not start", exc_info=group)
            channel.report({"event": "failed", "error": str(_first(group))})
    channel.flush_before_exit()
    flush_log()
    end_if_stalled(failed)
    return failed


if __name__ == "__main__":
    sys.exit(main())
