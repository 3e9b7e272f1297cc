"""Cleans up in processes that the app forks: they keep nothing of the worker's.

A child of os.fork (multiprocessing, a ProcessPoolExecutor, a daemon) has a copy of every
descriptor. A copy of a link keeps the link open when the worker dies: the gateway sees no end of
file, and clients wait on. So the child closes the worker's descriptors before any code of the app
runs in it. A program that is executed never gets them, because all of them are close-on-exec
(PEP 446).

The child only closes descriptors. It does not take them out of the event loop's epoll set, which
both processes share: the worker would hear no more of what the child takes out.

A signal has to mean to the child what it means to any process. Our handlers only count signals, or
ignore them, so with them `Process.terminate()` would do nothing, and the loop's wake-up descriptor
would report the child's signals to the worker. A signal that arrives in the middle of a fork waits
until the child is cleaned up.
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
"""Thread that is forking -> the signals that it had blocked before."""
_hosts: Final[list[Callable[[], None]]] = []
"""Functions of hosts that are called in a child."""
_state: Final = {"pid": 0}
"""The pid of the worker, or of the zygote that workers are forked from; 0: there is none yet; -1: a
worker is being forked."""


def begin() -> None:
    """Makes this process a worker: every process that it forks from now on is the app's."""
    if not _state["pid"]:
        os.register_at_fork(
            before=_hold_signals, after_in_parent=_let_signals_come, after_in_child=_forked
        )
    _state["pid"] = os.getpid()


def keep_from_children(sock: socket.socket) -> socket.socket:
    """Registers a socket to be closed in every process that the app forks, and returns it."""
    _sockets.add(sock)
    return sock


def handle(number: int, handler: Handler) -> None:
    """Sets a signal handler that the app's children do not keep. Only the main thread may call
    it."""
    signal.signal(number, handler)
    _handlers[number] = handler


def when_forked(do: Callable[[], None]) -> None:
    """Registers a function to be called in every process that the app forks. Such a process has one
    thread, a copy of the one that forked."""
    _hosts.append(do)


@contextmanager
def forking_a_worker() -> Generator[None]:
    """A context in which the zygote forks: the child is not the app's. It keeps what it has, and
    from the end of the block on it is a worker itself."""
    _state["pid"] = -1
    try:
        yield
    finally:
        _state["pid"] = os.getpid()


def end_if_child() -> None:
    """Ends a child of the app that returns into the worker's own code. It would repeat what its
    parent does, and take events from the epoll set that both share (trio's reports each once)."""
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
    """Cleans up in a child, before anything else runs there."""
    if _state["pid"] != -1:
        _let_go()
    _let_signals_come()
    _masks.clear()  # they belong to threads that the child does not have


def _let_go() -> None:
    for sock in list(_sockets):
        fd = sock.detach()  # else the object's end would close the next owner of the number
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)
    for do in _hosts:
        do()
    with suppress(ValueError):  # raised if the app forks in a subinterpreter
        signal.set_wakeup_fd(-1)
        for number, handler in _handlers.items():
            if signal.getsignal(number) == handler:
                plain = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
                signal.signal(number, plain)
        faulthandler.unregister(signal.SIGQUIT)
    own_log.let_go()
