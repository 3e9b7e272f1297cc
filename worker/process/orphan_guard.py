"""Ends a worker that hangs and has no supervisor any more.

A supervisor kills a worker that hangs. Without a supervisor the worker would stay for ever, and
with it its memory, its links and the app's locks. So a thread sleeps in poll(2) until the channel
is cut, gives the worker the time of a drain, and ends the process. If the hang is a C call that
never releases the interpreter's lock, no Python thread can run, and the process stays.

There is no such thread while the app is imported, because an app may then do what cannot be done
beside another thread, such as gevent's `monkey.patch_all()` and fork(2). There is nothing to finish
yet either, so the kernel may end the process. The thread is not made by `threading`, and the
functions that it calls are kept here, because such an app has replaced both.

A gateway process has a guard of its own (`gateway.process.end_within`), which does the same after
the start. It needs none of these precautions, because no app's code runs there. The two parts of
Propylon share only pure code, so neither can have the guard of the other.
"""

import faulthandler
import fcntl
import logging
import os
import signal
from _thread import start_new_thread
from collections.abc import Generator
from contextlib import contextmanager
from select import POLLHUP, poll
from time import sleep
from typing import Final

from .own_log import stacks_fd

logger = logging.getLogger("propylon.worker")

EXIT_OUTLIVED: Final = 4


@contextmanager
def end_at_once(channel: int) -> Generator[None]:
    """A context in which SIGIO ends this process when the supervisor is gone or sends an order; the
    only order that it could send by then is to end. (See fcntl(2), O_ASYNC; by default the signal
    ends a process.)"""
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    flags = fcntl.fcntl(channel, fcntl.F_GETFL)
    fcntl.fcntl(channel, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(channel, fcntl.F_SETFL, flags | fcntl.FASYNC)
    if _is_cut(channel, 0):  # before it was watched
        os._exit(EXIT_OUTLIVED)
    try:
        yield
    finally:
        fcntl.fcntl(channel, fcntl.F_SETFL, flags)


def end_within(seconds: float, channel: int) -> None:
    """Starts a thread that ends this process if it still runs `seconds` after the channel was cut.
    The thread reads nothing from the channel. Do not call this before a fork, because the child
    would not have the thread."""
    start_new_thread(_watch, (seconds, channel))


def _watch(seconds: float, channel: int) -> None:
    _is_cut(channel, None)
    sleep(seconds)
    try:
        logger.error("worker process %d hangs and has no supervisor: it ends", os.getpid())
        faulthandler.dump_traceback(stacks_fd(), all_threads=True)
    finally:  # an app may have put anything in the place of stderr
        os._exit(EXIT_OUTLIVED)


def _is_cut(channel: int, milliseconds: int | None) -> bool:
    """Waits for the channel to be cut, for ever with None. Returns whether it was."""
    waiting = poll()
    waiting.register(channel, 0)  # POLLHUP alone, which is always reported
    return any(event & POLLHUP for _, event in waiting.poll(milliseconds))
