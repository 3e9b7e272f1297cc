"""`python -m propylon.worker`: one worker process, from its settings to its end.

Started by the supervisor, it reports on its channel and prints no traceback; started by hand, it
says on stderr what went wrong.
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
"""The app could not be started. Other codes are Python's own."""
BYE_TIMEOUT: Final = 0.5
"""Seconds that a gateway has to take a NOT_READY."""
OUTLIVE: Final = 20.0
"""Seconds beyond the graceful timeout that a worker may live without its supervisor: for the app's
shutdown, and for its threads."""
GEVENT_AND_TRIO: Final = (
    "--loop trio: the app has taken select.epoll away, as gevent's monkey.patch_all() does, and "
    "trio cannot run without it; leave --loop out"
)
NOT_OURS: Final = (
    signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU,
    signal.SIGALRM,
)  # fmt: skip
"""Signals that mean something to the supervisor alone, or nothing, and reach all that is in its
process group; their defaults would end a worker, or stop it."""
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
    own_log.begin(settings.log_level, settings.log_file, settings.colour)
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
        if settings.zygote:  # no thread before a fork, which would leave it behind
            from .process.zygote import Zygote

            forked = Zygote(channel.give()).serve(loaded.name, loaded.interface)
            if forked is None:
                _exit_within(EXIT_TIMEOUT)
                return 0
            channel = SupervisorChannel(forked.channel_fd)
            settings = settings_of(forked.settings)
            own_log.reopen()  # its file may have been moved since the app was loaded
        if channel.held:
            end_within(settings.graceful_timeout + OUTLIVE, channel.fileno())
        serve(settings, loaded, channel)
    except AppLoadError as error:
        _not_ready(settings, channel, error)
        return EXIT_NOT_READY
    except Exception as error:  # a fault of ours: here our own frames are what matters
        detail = traceback.format_exc()
        _not_ready(settings, channel, AppLoadError("worker", summary(error), detail))
        return 1
    logger.debug("stopped")
    _exit_within(EXIT_TIMEOUT)
    return 0


def _host(
    settings: WorkerSettings, loaded: LoadedApp
) -> Callable[[WorkerSettings, LoadedApp, SupervisorChannel], None]:
    # One host is imported, and what it needs: a WSGI worker never loads asyncio, an asyncio
    # worker never loads trio.
    if loaded.interface == "wsgi":
        from .wsgi.thread_host import serve
    elif settings.loop == "trio":
        if not hasattr(select, "epoll"):
            raise AppLoadError("loop", GEVENT_AND_TRIO)
        from .asgi.trio_host import serve
    else:
        from .asgi.asyncio_host import loop_factory, serve

        loop_factory(settings.loop)  # imports uvloop now: once for all workers of a zygote
    return serve


def _show_stacks() -> None:
    """The stacks of all threads go to stderr: at a crash, and at SIGQUIT, which the worker
    survives. No Python code runs for that, so it works in a loop that hangs, and in a C call."""
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
    """HELLO, NOT_READY and BYE, in a breath."""
    link = WorkerLink(worker_greeting(settings, settings.interface), lambda: None)
    link.greet()
    link.not_ready(error.step, error.message, error.detail)
    link.bye(BYE_NORMAL, "the app could not be started")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(BYE_TIMEOUT)
        sock.connect(path)
        sock.sendall(link.take_output())
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65_536):  # closing over unread bytes would reset what we said
            pass


def _exit_within(seconds: float) -> None:
    """The interpreter waits for the app's threads before it exits; not for ever."""

    def leave() -> None:
        time.sleep(seconds)
        logger.warning("threads of the app did not end, leaving without them")
        os._exit(0)

    threading.Thread(target=leave, daemon=True).start()


def _ignore(number: int, frame: object) -> None:
    """Ctrl-C, a terminal's hang-up or a log rotation's USR1 reach the whole process group; what
    they mean is the supervisor's to say, or the app's, which may have a handler of its own. A
    handler, not SIG_IGN: that would be inherited by the app's own children."""
