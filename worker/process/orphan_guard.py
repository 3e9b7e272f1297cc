"""The end of a worker that cannot end by itself: it hangs, and its supervisor is gone.

With a supervisor a worker that hangs is killed. Without one nobody would, and what was left behind
would hold its memory, its links and the app's locks for ever. So a thread sleeps in poll(2) until
the channel is cut, gives the worker the time of a drain and ends the process. Where the hang is a C
call that never lets go of the interpreter's lock, no thread of ours can run either: such a process
stays.

While the app is imported there is no such thread: an app may then do what cannot be done beside
one, as gevent's `monkey.patch_all()` and fork(2). There is nothing to finish yet either, and so the
kernel may end the process. The thread is none of `threading`'s, and what it calls is kept here:
such an app has put something else in the place of both.

A gateway process has a guard of its own (`gateway.process.end_within`), which does the same after
the start. It needs none of these precautions, as no app's code runs there; and the two parts share
pure code only, which none of this is.
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
    """In the block SIGIO ends this process when the supervisor has gone, or says a word: there is
    none yet but that it shall end. (fcntl(2), O_ASYNC; the signal's default ends a process.)"""
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
    """Ends this process so many seconds after the channel was cut, if it still runs. It reads
    nothing, which is for others to do. Not to be called before a fork: the child would not have
    the thread."""
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
    """Waits so long for it; None: for ever."""
    waiting = poll()
    waiting.register(channel, 0)  # POLLHUP, which comes unasked, and nothing else
    return any(event & POLLHUP for _, event in waiting.poll(milliseconds))
