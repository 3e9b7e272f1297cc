"""`python -m propylon.worker`: one worker process, from its settings to its end.

A worker that the supervisor has started reports on its channel and prints no traceback. One that
was started by hand says on standard error what went wrong.
"""

import faulthandler
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from typing import Final

from ..protocol.messages import BYE_NORMAL
from ..protocol.supervision.messages import WorkerFailed
from ..protocol.worker_link import WorkerLink
from .app.load import AppLoadError, LoadedApp, load_app
from .app.tracebacks import summary
from .command_line import parse, read_settings
from .host.dialer import sockets_in
from .host.host import worker_greeting
from .process import app_children, own_log
from .process.orphan_guard import end_at_once, end_within
from .process.own_imports import reserve
from .process.supervisor_channel import SupervisorChannel
from .settings import SettingsError, WorkerSettings, settings_of

logger = logging.getLogger("propylon.worker")

EXIT_NOT_READY: Final = 3
"""The exit code if the app could not be started. Other codes are Python's own."""
BYE_TIMEOUT: Final = 0.5
"""Seconds that a gateway has to take NOT_READY."""
OUTLIVE: Final = 20.0
"""Seconds beyond the graceful timeout that a worker may live without its supervisor, for the app's
shutdown and its threads."""
GEVENT_AND_TRIO: Final = (
    "--loop trio: the app has taken select.epoll away, as gevent's monkey.patch_all() does, and "
    "trio cannot run without it; leave --loop out"
)
NOT_OURS: Final = (
    signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU,
    signal.SIGALRM,
)  # fmt: skip
"""Signals that only the supervisor handles, although they reach its whole process group. By default
they would end or stop a worker."""
EXIT_TIMEOUT: Final = 5.0
"""Seconds that the app's own threads have to end after the worker has."""


def main() -> int:
    told = parse(sys.argv[1:])
    channel = SupervisorChannel(told.channel_fd)
    try:
        settings = read_settings(told)
    except SettingsError as error:
        _say_why(channel, AppLoadError("settings", str(error)))
        return EXIT_NOT_READY
    own_log.begin(settings.log_level, settings.log_file, _formatter(settings))
    _show_stacks()
    app_children.begin()
    for number in NOT_OURS if channel.held else NOT_OURS[2:]:
        app_children.handle(number, _ignore)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NOT_OURS)  # see the supervisor's `spawn`
    try:
        with end_at_once(channel.fileno()) if channel.held else nullcontext():
            reserve(trio=settings.loop == "trio")
            loaded = load_app(settings)
        serve = _host(settings, loaded)
        if settings.zygote:  # there must be no thread yet: a fork leaves threads behind
            from .process.zygote import Zygote

            forked = Zygote(channel.give()).serve(loaded.name, loaded.interface)
            if forked is None:
                _exit_within(EXIT_TIMEOUT)
                return 0
            channel = SupervisorChannel(forked.channel_fd)
            settings = settings_of(forked.settings)
            own_log.begin_again(_formatter(settings))
        if channel.held:
            end_within(settings.graceful_timeout + OUTLIVE, channel.fileno())
        serve(settings, loaded, channel)
    except AppLoadError as error:
        _not_ready(settings, channel, error)
        return EXIT_NOT_READY
    except Exception as error:  # a fault of ours, for which our own frames matter
        detail = traceback.format_exc()
        _not_ready(settings, channel, AppLoadError("worker", summary(error), detail))
        return 1
    logger.debug("stopped")
    _exit_within(EXIT_TIMEOUT)
    return 0


def _formatter(settings: WorkerSettings) -> logging.Formatter:
    if settings.log_format == "text":
        return own_log.LineFormatter(settings.colour, settings.log_sender)
    from .process.json_lines import JsonFormatter  # imported here, as lines of text do without it

    about: dict[str, int | str] = {"process": "zygote", "pool": settings.pool}
    if not settings.zygote:
        about |= {"process": "worker", "worker": settings.worker_id}
    return JsonFormatter(about | {"generation": settings.generation})


def _host(
    settings: WorkerSettings, loaded: LoadedApp
) -> Callable[[WorkerSettings, LoadedApp, SupervisorChannel], None]:
    # Only one host is imported: a WSGI worker never loads asyncio, and an asyncio worker never
    # loads trio.
    if loaded.interface == "wsgi":
        from .wsgi.thread_host import serve
    elif settings.loop == "trio":
        if not hasattr(select, "epoll"):
            raise AppLoadError("loop", GEVENT_AND_TRIO)
        from .asgi.trio_host import serve
    else:
        from .asgi.asyncio_host import loop_factory, serve

        loop_factory(settings.loop)  # imports uvloop now, once for all workers of a zygote
    return serve


def _show_stacks() -> None:
    """Has the stacks of all threads written to standard error at a crash and at SIGQUIT, which the
    worker survives. No Python code runs for it, so it works in a loop that hangs and in a C
    call."""
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison] - closed before exec
        return
    fd = own_log.stacks_fd()
    faulthandler.enable(fd)
    faulthandler.register(signal.SIGQUIT, fd, all_threads=True)


def _not_ready(settings: WorkerSettings, channel: SupervisorChannel, error: AppLoadError) -> None:
    _say_why(channel, error)
    for path in sockets_in(settings.pool_dir):
        try:
            _tell(path, settings, error)
        except OSError as problem:
            logger.debug("%s was not told: %s", path, problem)


def _say_why(channel: SupervisorChannel, error: AppLoadError) -> None:
    channel.say(WorkerFailed(error.message, error.step, error.detail))
    channel.flush_before_exit()
    if not channel.held:
        print(f"{error.detail}{error.message}", file=sys.stderr)


def _tell(path: str, settings: WorkerSettings, error: AppLoadError) -> None:
    """Sends HELLO, NOT_READY and BYE to one gateway. Raises OSError."""
    link = WorkerLink(worker_greeting(settings, settings.interface), lambda: None)
    link.greet()
    link.not_ready(error.step, error.message, error.detail)
    link.bye(BYE_NORMAL, "the app could not be started")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(BYE_TIMEOUT)
        sock.connect(path)
        sock.sendall(link.take_output())
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65_536):  # to close with unread bytes would reset what was sent
            pass


def _exit_within(seconds: float) -> None:
    """Ends the process after some seconds, if the app's threads still run: the interpreter would
    wait for them without end."""

    def leave() -> None:
        time.sleep(seconds)
        logger.warning("threads of the app did not end, leaving without them")
        os._exit(0)

    threading.Thread(target=leave, daemon=True).start()


def _ignore(number: int, frame: object) -> None:
    """Ignores a signal that is meant for the supervisor: Ctrl-C, a terminal's hang-up, the USR1 of
    a log rotation. An app may set a handler of its own. It is a handler, because the app's children
    would inherit SIG_IGN."""
