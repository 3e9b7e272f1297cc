"""Processes that the app forks hold nothing of ours.

A child of os.fork (multiprocessing, a ProcessPoolExecutor, a daemon) has a copy of every
descriptor. A copy of a link keeps it open when the worker dies: the gateway sees no end of file,
and whoever waits for an answer waits on. So the child closes them before any code of the app runs
in it. What is executed has none to begin with, as all of ours are close-on-exec (PEP 446).

The child only closes numbers. An event loop's epoll set is one and the same in both processes, and
what the child took out of it the worker would hear no more of.

A signal means to the child what it means to any process: our handlers, which only count or ignore,
would make `Process.terminate()` do nothing, and the loop's wake-up descriptor would tell the worker
of signals that the child got. One that comes in the middle of the fork waits until that is done.
"""

import faulthandler
import logging
import os
import signal
import socket
from _thread import get_ident
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final
from weakref import WeakSet

from . import own_log

logger = logging.getLogger("propylon.worker")

Handler = Callable[[int, FrameType | None], None]

_sockets: Final[WeakSet[socket.socket]] = WeakSet()
_handlers: Final[dict[int, Handler]] = {}
_masks: Final[dict[int, set[int]]] = {}
"""Thread that forks -> the signals that it had blocked before."""
_hosts: Final[list[Callable[[], None]]] = []
"""What hosts do in a child."""
_state: Final = {"pid": 0}
"""Of the process that is the worker, or the one that workers are forked from; 0: there is none."""


def begin() -> None:
    """From now on this process is a worker, and whatever it forks is the app's."""
    if not _state["pid"]:
        os.register_at_fork(
            before=_hold_signals, after_in_parent=_let_signals_come, after_in_child=_forked
        )
    _state["pid"] = os.getpid()


def keep_from_children(sock: socket.socket) -> socket.socket:
    """Has the socket closed in every process that the app forks; returns it."""
    _sockets.add(sock)
    return sock


def handle(number: int, handler: Handler) -> None:
    """Sets a handler of ours, which the app's children do not have. Main thread only."""
    signal.signal(number, handler)
    _handlers[number] = handler


def when_forked(do: Callable[[], None]) -> None:
    """Has it called in every process that the app forks, whose one thread is the one that did."""
    _hosts.append(do)


@contextmanager
def forking_a_worker() -> Generator[None]:
    """The child of a fork in here is not the app's: it keeps what it has, and is a worker itself
    from the end of the block on."""
    _state["pid"] = -1
    try:
        yield
    finally:
        _state["pid"] = os.getpid()


def end_if_child() -> None:
    """Ends a child of the app's that comes back to where the worker runs: it could only do what
    its parent does once more, and take from it what their one epoll set tells (trio's says it
    once)."""
    if _state["pid"] not in (0, os.getpid()):
        logger.error("process %d, forked by the app, did not end by itself: it ends", os.getpid())
        os._exit(1)


def _hold_signals() -> None:
    _masks[get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, _handlers)


def _let_signals_come() -> None:
    before = _masks.pop(get_ident(), None)
    if before is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _forked() -> None:
    """In every child, before anything else runs there."""
    if _state["pid"] != -1:
        _let_go()
    _let_signals_come()
    _masks.clear()  # of threads that are not here


def _let_go() -> None:
    for sock in list(_sockets):
        fd = sock.detach()  # else the end of the object would close the number's next owner
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)
    for do in _hosts:
        do()
    with suppress(ValueError):  # where the app forks in an interpreter of its own
        signal.set_wakeup_fd(-1)
        for number, handler in _handlers.items():
            if signal.getsignal(number) == handler:
                plain = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
                signal.signal(number, plain)
        faulthandler.unregister(signal.SIGQUIT)
    own_log.let_go()
