"""Hosts a WSGI app on threads.

The main thread does the I/O of all links; app threads take calls from one queue. One lock guards
every link (and the codec, which they share); an app thread that has an answer sends it on the
non-blocking socket itself, and leaves the rest to the main thread only when the socket would block.

Slots are announced to every gateway, and several gateways do not know of each other: together they
may open more calls than there are threads. Those wait in the queue here.
"""

import contextvars
import logging
import queue
import selectors
import threading
import time
from typing import Final, cast

from ..protocol.messages import Scope
from .host import Host
from .leash import Leash
from .load_app import LoadedApp
from .session import HostedCall, LinkSession
from .settings import WorkerSettings
from .wsgi_call import WsgiApp, WsgiCall

logger = logging.getLogger("propylon.worker")

JOIN_TIMEOUT: Final = 1.0
"""Seconds that idle threads have to end."""


def serve(settings: WorkerSettings, loaded: LoadedApp, leash: Leash) -> None:
    """Runs until told to stop."""
    ThreadHost(settings, loaded, leash).main()


class ThreadHost(Host):
    loop_name = "threads"
    cancellable = False

    def __init__(self, settings: WorkerSettings, loaded: LoadedApp, leash: Leash) -> None:
        super().__init__(settings, loaded, leash)
        self._app = cast("WsgiApp", loaded.app)
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[WsgiCall | None] = queue.SimpleQueue()
        self._selector = selectors.DefaultSelector()

    def main(self) -> None:
        threads = [
            threading.Thread(target=self._work, name=f"app-{number}", daemon=True)
            for number in range(1, self.settings.threads + 1)
        ]
        for thread in threads:
            thread.start()
        self.take_signals()
        self.begin()
        while True:
            with self._lock:
                delay = self.tick()
            if delay is None:
                break
            self._serve_links(time.monotonic() + delay)
        for _ in threads:
            self._queue.put(None)
        if not self.running:  # a thread that is stuck in the app is left behind
            for thread in threads:
                thread.join(JOIN_TIMEOUT)
        if self.failure is not None:
            raise self.failure

    def _serve_links(self, until: float) -> None:
        while (rest := until - time.monotonic()) > 0:
            for key, events in self._selector.select(rest):
                session = cast("LinkSession", key.data)
                with self._lock:
                    if session.closed:
                        continue
                    if events & selectors.EVENT_WRITE:
                        self._selector.modify(session.sock, selectors.EVENT_READ, session)
                        session.writable()
                    if events & selectors.EVENT_READ:
                        session.readable()

    def _work(self) -> None:
        """An app thread's life."""
        context = contextvars.copy_context()
        while (call := self._queue.get()) is not None:
            call.began = time.monotonic()
            try:
                context.copy().run(call.run, self._app)
            except BaseException:  # a fault of ours: it costs a call and no thread
                logger.exception("a call has failed")

    def stuck(self, now: float) -> int:
        """Only when all threads are: until then it serves, and a slow call whose client has left
        is nothing that any client may have a worker replaced for."""
        stuck = super().stuck(now)
        return stuck if stuck >= self.settings.threads else 0

    # -- what the sessions ask for, under the lock -------------------------------------------

    def new_event(self) -> threading.Event:
        return threading.Event()

    def new_call(self, session: LinkSession, scope: Scope) -> WsgiCall:
        return WsgiCall(session, self._lock, self.shutdown)

    def start(self, call: HostedCall) -> None:
        assert isinstance(call, WsgiCall)
        self.take(call)
        self._queue.put(call)

    def cancel(self, call: HostedCall) -> None:
        """A thread cannot be stopped; its next read or write fails, and it is not waited for."""
        call.disconnect()

    def watch(self, session: LinkSession) -> None:
        self._selector.register(session.sock, selectors.EVENT_READ, session)

    def watch_writable(self, session: LinkSession) -> None:
        # From an app thread too: epoll(7) takes changes while another thread waits.
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        self._selector.modify(session.sock, both, session)

    def ring(self, session: LinkSession) -> None:
        """Whoever says something flushes before it lets go of the lock."""

    def closing(self, session: LinkSession) -> None:
        self._selector.unregister(session.sock)
        super().closing(session)
