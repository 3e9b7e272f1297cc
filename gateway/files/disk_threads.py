"""Threads that wait for disks and file servers, so that the gateway's loop never does.

What a site sends is in the kernel's caches, nearly always, and is opened and read from there in
microseconds (see `folder`, `page_cache`). Sometimes it is not, and then it takes as long as the
disk does, or the server at the other end of a network: milliseconds, or for ever. Only that comes
here. The threads are daemons, a few, and made when they are needed first: one that hangs with its
file server holds no exit up, and no more than so many can hang. What waits for them is bounded too.

What a thread has found comes back to the loop in a turn of its own, in which no link and no
connection stands above it that would answer for what goes wrong. An exchange whose answer goes on
there has no other call to wait for: it would hang for ever. So `on_the_loop` is its barrier.
"""

import errno
from collections.abc import Callable
from logging import getLogger
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, TypeVar

from ...protocol.messages import CLIENT_GONE
from ..exchange import end_codes
from ..exchange.errors import RequestError
from ..exchange.exchange import Exchange, log_facts, log_tail
from .file_system import KnownStores

log = getLogger("propylon.gateway")

THREADS: Final = 4
MOST_JOBS: Final = 1_000
"""Jobs that are done or wait. Behind a disk that does not answer there would be ever more."""
MAY_BE_OVER: Final = frozenset({errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors that may be over when the client asks again: too much waits for the disk, or is open."""

T = TypeVar("T")


class DiskThreads:
    def __init__(self, call_soon_threadsafe: Callable[[Callable[[], None]], None]) -> None:
        """`call_soon_threadsafe` has a function called on the gateway's loop (`Poller`)."""
        self.stores = KnownStores()
        self._call_soon = call_soon_threadsafe
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Callable[[Any], None]]] = SimpleQueue()
        self._started = 0
        self._busy = 0

    def run(self, job: Callable[[], T], done: Callable[[T | OSError], None]) -> None:
        """Does a job in a thread, and calls `done` on the loop, later, with what it returns or the
        OSError that it raises; EAGAIN if no thread will do it."""
        if self._busy >= MOST_JOBS:
            self._refuse(done, "too much waits for the disk")
            return
        if self._busy >= self._started < THREADS:
            try:
                Thread(target=self._work, name="propylon-disk", daemon=True).start()
                self._started += 1
            except RuntimeError as error:  # as many as the container may have
                if not self._started:
                    self._refuse(done, str(error))
                    return
        self._busy += 1
        self._jobs.put((job, done))

    def _refuse(self, done: Callable[[OSError], None], why: str) -> None:
        error = OSError(errno.EAGAIN, why)
        self._call_soon(lambda: done(error))

    def _work(self) -> None:
        while True:
            self._do(*self._jobs.get())

    def _do(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        """Does one job; nothing of it is held until there is another."""
        found: Any
        try:
            found = job()
        except OSError as error:
            found = error
        except Exception:
            # The barrier of one job: whoever waits for it must hear that it is over.
            log.exception("a job for the disk failed")
            found = OSError(errno.EIO, "it failed")
        self._call_soon(lambda: self._deliver(done, found))

    def _deliver(self, done: Callable[[Any], None], found: Any) -> None:
        self._busy -= 1
        done(found)


def on_the_loop(
    exchange: Exchange, then: Callable[[T | OSError], None]
) -> Callable[[T | OSError], None]:
    """What goes on with an exchange when a thread is done, to be given to `DiskThreads.run`. It is
    dropped if the exchange is over by then. The barrier of one exchange: whatever `then` raises,
    the client is answered, or sees that its response is cut."""

    def go_on(found: T | OSError) -> None:
        if exchange.ended:
            return
        try:
            then(found)
        except RequestError as error:
            _give_up(exchange, error.end_code, error.status, error.sentence, error.option)
        except Exception:
            tail, facts = log_tail(exchange), log_facts(exchange)
            log.exception("an answer failed behind a disk's thread%s", tail, extra=facts)
            failed = end_codes.GATEWAY_FAILED
            _give_up(exchange, failed, 500, "The gateway could not answer this request.")

    return go_on


def _give_up(
    exchange: Exchange, end_code: str, status: int, sentence: str, option: str = ""
) -> None:
    if exchange.source is not None:
        exchange.source.abandon(CLIENT_GONE, sentence)
    exchange.give_end(end_code)
    exchange.sink.fail(exchange, status, sentence, option)
