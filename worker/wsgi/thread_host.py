"""Hosts a WSGI app on threads.

Calls wait in one queue, and threads take them. One lock guards every link (and the codec, which
they share), the queue and the leadership. A thread with an answer sends it on the non-blocking
socket itself, and leaves to the leader only what the socket would not take.

`leader` explains which thread hears the links, and why that changes: the main thread, which hands
the calls out to followers, or a leader among the app's threads, which hears and calls in turn.
`host.flush_policy` explains when an answer is sent.

Slots are announced to every gateway, and gateways do not know of each other. Together they may open
more calls than there are threads; these wait in the queue here.
"""

import contextvars
import logging
import selectors
import threading
import time
from typing import Final, cast

from ...protocol.messages import Scope
from ..app.load import LoadedApp
from ..host.flush_policy import PendingSends
from ..host.host import Host
from ..host.link_session import HostedCall, LinkSession
from ..process.supervisor_channel import SupervisorChannel
from ..settings import WorkerSettings
from .call import WsgiApp, WsgiCall
from .call_queue import CallQueue
from .leader import Leadership
from .leader_policy import SAMPLE, LeaderPolicy, better_in_parallel
from .wait_meter import WaitMeter

logger = logging.getLogger("propylon.worker")

JOIN_TIMEOUT: Final = 1.0
"""Seconds that idle threads have to end."""
LINGER: Final = 0.002
"""Seconds without a call after which a leader steps down: then the main thread, which would look
at it every millisecond, can sleep."""
HEAR_EVERY: Final = 0.001
"""Seconds between two reads of the links while calls wait."""


def serve(settings: WorkerSettings, loaded: LoadedApp, channel: SupervisorChannel) -> None:
    """Runs the worker until it has stopped."""
    ThreadHost(settings, loaded, channel).main()


class ThreadHost(Host):
    loop_name = "threads"
    cancellable = False

    def __init__(
        self, settings: WorkerSettings, loaded: LoadedApp, channel: SupervisorChannel
    ) -> None:
        super().__init__(settings, loaded, channel)
        self.lock = threading.Lock()
        self.underscores = settings.header_map == "dangerous"
        self._app = cast("WsgiApp", loaded.app)
        self._calls = CallQueue(self.lock)
        self._leadership = Leadership()
        self._policy = LeaderPolicy()
        self._pending_sends: PendingSends[LinkSession] = PendingSends()
        self._websocket_asked = False
        self._heard_at = 0.0
        """When the leader among the app's threads last heard the links."""
        self._selector = selectors.DefaultSelector()

    # -- the main thread ---------------------------------------------------------------------

    def main(self) -> None:
        threads = [
            threading.Thread(target=self._work, name=f"app-{number}", daemon=True)
            for number in range(1, self.settings.threads + 1)
        ]
        for thread in threads:
            thread.start()
        self.take_signals()
        with self.lock:  # a warm-up has a link from now on, and threads flush it
            self.begin()
        while True:
            with self.lock:
                delay = self.tick()
            if delay is None:
                break
            self._serve_links(time.monotonic() + delay)
        with self.lock:
            self._calls.close()
        if not self.running:  # threads that are stuck in the app are left behind
            for thread in threads:
                thread.join(JOIN_TIMEOUT)
        if self.failure is not None:
            raise self.failure

    def _serve_links(self, until: float) -> None:
        """Hears the links as their leader, or looks whether another leader does."""
        while (rest := until - time.monotonic()) > 0:
            if self._leadership.leader == "main":
                self._hear(rest)
            elif self._leadership.look(rest):
                with self.lock:
                    if self._leadership.is_held_up():
                        self._leadership.take_back()
                        self._go_parallel()

    def _hear(self, timeout: float) -> bool:
        """Reads the links once, after `timeout` seconds at most. Returns whether they had news."""
        ready = self._selector.select(timeout)
        if not ready:
            return False
        with self.lock:
            for key, events in ready:
                self._serve(cast("LinkSession", key.data), events)
            if self._calls and self._leadership.leader == "main":
                self._hand_out()
        return True

    def _serve(self, session: LinkSession, events: int) -> None:
        if session.closed:
            return
        try:
            if events & selectors.EVENT_WRITE:
                self._selector.modify(session.sock, selectors.EVENT_READ, session)
                session.writable()
            if events & selectors.EVENT_READ:
                session.readable()
        except Exception:  # a fault of ours: it costs one link
            logger.exception("link %s has failed", session.path)
            session.lose("a fault of the worker")

    def _hand_out(self) -> None:
        """Hands the calls that have come to one follower, which is promoted, or to as many
        followers as there are calls."""
        now = time.monotonic()
        if self._policy.may_promote(now):
            self._leadership.promote_next(now)
            self._calls.wake(1)
        else:
            self._calls.wake(len(self._calls))

    def _go_parallel(self) -> None:
        """Makes the main thread the leader again, because calls wait for something; followers take
        those."""
        self._policy.failed(time.monotonic())
        self._flush_pending()
        self._calls.wake(len(self._calls))

    # -- an app thread -----------------------------------------------------------------------

    def _work(self) -> None:
        """Runs the loop of one thread."""
        context, meter = contextvars.copy_context(), WaitMeter()
        while not self._calls.closed:
            try:
                self._turn(context, meter)
            except BaseException:  # a fault of ours, outside of any call
                logger.exception("a thread has failed, and goes on")
                with self.lock:
                    self.waits()
        meter.close()

    def _turn(self, context: contextvars.Context, meter: WaitMeter) -> None:
        """Runs one call; if that comes with a promotion, as many as the term lasts."""
        with self.lock:
            self._flush_pending()
            call = self._take()
            promoted = call is not None and self._leadership.leader == "offered"
            term = self._leadership.promote() if promoted else 0
        if call is None:
            return
        if not term:
            self._run(call, context.copy())
            return
        self._heard_at = call.began
        meter.reset()
        while call is not None:
            meter.begin()
            self._run(call, context.copy())
            call = self._next(term, meter)

    def _take(self) -> WsgiCall | None:
        """Waits for a call that the leader leaves to others. Returns None if there will be no
        more."""
        while not self._calls.closed:
            if self._calls and self._leadership.leader != "thread":
                call = self._calls.pop()
                call.entered(time.monotonic())
                return call
            self._calls.wait()
        return None

    def _run(self, call: WsgiCall, context: contextvars.Context) -> None:
        try:
            context.run(call.run, self._app)
        except BaseException:  # a fault of ours costs a call, not the thread
            logger.exception("a call has failed%s", call.log_end(), extra=call.log_facts())

    # -- the leader among the app's threads --------------------------------------------------

    def _next(self, term: int, meter: WaitMeter) -> WsgiCall | None:
        """Finishes the call that has ended. Returns the next one, or None if this thread leads no
        more."""
        now = time.monotonic()
        with self.lock:
            if not self._leadership.still_leads(term):
                return None
            took = now - self._leadership.unheard_since
            if meter.end(took) >= SAMPLE:
                if better_in_parallel(meter.calls, meter.computed, meter.waited):
                    self._leadership.step_down()
                    self._go_parallel()
                    return None
                meter.reset()
            # The next call will take about as long as this one.
            if not (self._calls and self._pending_sends.may_wait(now + took)):
                self._flush_pending()
            if self._calls and now - self._heard_at < HEAR_EVERY:
                return self._begin(now)
            self._leadership.hears_links()
        return self._hear_calls()

    def _hear_calls(self) -> WsgiCall | None:
        while self._hear(0.0 if self._calls else LINGER) and not self._calls:
            pass
        with self.lock:
            if self._calls:
                self._heard_at = now = time.monotonic()
                return self._begin(now)
            self._leadership.step_down()
            return None

    def _begin(self, now: float) -> WsgiCall:
        call = self._calls.pop()
        call.entered(now)
        self._leadership.enters_app(now)
        return call

    # -- what the calls ask for, under the lock ----------------------------------------------

    def websocket_asked(self, name: str) -> None:
        """Logs once that a client asks for a WebSocket; clients try again and again."""
        if not self._websocket_asked:
            self._websocket_asked = True
            logger.warning(
                "%s: a WebSocket was asked for and refused, as WSGI has none: serve an ASGI app "
                "instead (for Flask: Quart; python-socketio: socketio.ASGIApp; Django: channels)",
                name,
            )

    def waits(self) -> None:
        """Has this thread step down, if it leads: it is about to wait for news from a link, and
        another has to hear them."""
        if self._leadership.is_leader:
            self._leadership.step_down()
            self._go_parallel()

    def answered(self, session: LinkSession) -> None:
        """Sends a response that is whole while its call still runs. A leader sends it when the call
        has ended, so that both go as one message. If that takes long, the main thread sends it."""
        if not self._leadership.is_leader:
            session.flush()

    # -- what the sessions ask for, under the lock -------------------------------------------

    def stuck(self, now: float) -> int:
        """How many calls are stuck, once all threads have a stuck call; 0 before. Until then the
        worker serves, and no client may have it replaced by leaving slow calls."""
        stuck = super().stuck(now)
        return stuck if stuck >= self.settings.threads else 0

    def new_event(self) -> threading.Event:
        return threading.Event()

    def new_call(self, session: LinkSession, scope: Scope) -> WsgiCall:
        return WsgiCall(session, self)

    def start(self, call: HostedCall) -> None:
        assert isinstance(call, WsgiCall)
        self.take(call)
        self._calls.put(call)

    def cancel(self, call: HostedCall) -> None:
        """Cancels a call as far as possible: its next read or write fails, and it is not waited
        for. A thread itself cannot be stopped."""
        call.disconnect()

    def watch(self, session: LinkSession) -> None:
        self._selector.register(session.sock, selectors.EVENT_READ, session)

    def watch_writable(self, session: LinkSession) -> None:
        # Any thread may call it: epoll(7) takes changes while another thread waits.
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        self._selector.modify(session.sock, both, session)

    def schedule_flush(self, session: LinkSession) -> None:
        self._pending_sends.add(session, time.monotonic())

    def _flush_pending(self) -> None:
        """Sends all that was said, as far as the sockets take it."""
        while (session := self._pending_sends.take()) is not None:
            try:
                session.flush()
            except Exception:  # a fault of ours: it costs one link
                logger.exception("link %s has failed", session.path)
                session.lose("a fault of the worker")

    def forked(self) -> None:
        """Cleans up in a process that the app has forked: the lock is free here, and no call has a
        client.

        Whether another thread had the lock cannot be asked. A thread that has just got it says so
        only once it has the interpreter's lock too, and the one that forks has that: `locked()` is
        false, and yet nobody here will release it. So the lock is made anew, as `threading` does
        with its own.
        """
        super().forked()
        self.lock._at_fork_reinit()  # pyright: ignore  # the stubs lack it
        with self.lock:
            for call in self.running:
                call.disconnect()

    def closing(self, session: LinkSession) -> None:
        self._selector.unregister(session.sock)
        super().closing(session)
