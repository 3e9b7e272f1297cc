"""All workers of one app, and the one queue in front of them.

Slots are announced by the workers, so waiting happens here, where it can be bounded, measured,
cancelled and sent elsewhere. While a slot is free the queue is empty; while the queue is not
empty, no slot is free: every change of either ends in `_dispatch`.
"""

from collections import deque
from collections.abc import Callable
from logging import getLogger
from typing import Protocol

from ...protocol.messages import TIMED_OUT
from ..exchange import Exchange
from ..settings import PoolSettings
from .call import PoolCall
from .retry import may_retry

log = getLogger("propylon.gateway")


class PoolMember(Protocol):
    """One worker, as its pool sees it."""

    running: int
    slots: int
    """Calls that it is willing to run at once; 0 until it is ready and when it drains."""
    ready: bool

    def open(self, call: PoolCall) -> None: ...

    def drain(self) -> None: ...


class Pool:
    def __init__(
        self,
        settings: PoolSettings,
        request_timeout: float,
        on_change: Callable[[str, int], None],
    ) -> None:
        """`on_change(pool, ready members)` is told whenever that number changes."""
        self.settings = settings
        self.members: list[PoolMember] = []
        self.now = 0.0
        """Monotonic seconds, as of the last sweep: exact enough for deadlines."""
        self.last_failure = ""
        """Why the last worker could not start; "" once one is ready."""
        self._request_timeout = request_timeout
        self._on_change = on_change
        self._queue: deque[PoolCall] = deque()
        self.running: set[PoolCall] = set()
        """Handed over and not ended."""
        self._outage_said = False

    # -- exchanges ---------------------------------------------------------------------------

    def submit(self, exchange: Exchange) -> None:
        """Has the exchange answered, by a worker or by an error page."""
        call = PoolCall(self, exchange)
        exchange.source = call
        self._place(call)

    def _place(self, call: PoolCall) -> None:
        member = self._least_loaded()
        if member is not None:
            self._hand_over(call, member)
        elif len(self._queue) < self.settings.queue_size:
            call.since = self.now
            self._queue.append(call)
        else:
            self._drop_unwanted()
            if len(self._queue) < self.settings.queue_size:
                call.since = self.now
                self._queue.append(call)
            else:
                self._fail(call, 503, "The server is at its limit and its queue is full.")

    def _least_loaded(self) -> PoolMember | None:
        best = None
        least = 1 << 60
        for member in self.members:
            running = member.running
            if running < least and running < member.slots:
                best, least = member, running
        if best is not None and len(self.members) > 1:
            # Of equals, the one that was chosen longest ago.
            self.members.remove(best)
            self.members.append(best)
        return best

    def _hand_over(self, call: PoolCall, member: PoolMember) -> None:
        call.attempts += 1
        call.since = self.now
        self.running.add(call)
        member.running += 1
        member.open(call)
        exchange = call.exchange
        if exchange is not None and exchange.more_body and call.send_credit:
            exchange.sink.credit_arrived(exchange)

    def _dispatch(self) -> None:
        """Gives free slots to who waits longest."""
        queue = self._queue
        while queue:
            member = self._least_loaded()
            if member is None:
                return
            call = queue.popleft()
            if call.exchange is not None:
                self._hand_over(call, member)

    def _drop_unwanted(self) -> None:
        # In place: this happens in the midst of a loop over the queue too, when an exchange's
        # end makes its connection submit the next one.
        wanted = [call for call in self._queue if call.exchange is not None]
        self._queue.clear()
        self._queue.extend(wanted)

    def _fail(self, call: PoolCall, status: int, sentence: str) -> None:
        exchange, call.exchange = call.exchange, None
        if exchange is not None:
            exchange.sink.fail(exchange, status, sentence)

    # -- members -----------------------------------------------------------------------------

    def join(self, member: PoolMember) -> None:
        self.members.append(member)

    def changed(self) -> None:
        """A member became ready, announced other slots or drains."""
        ready = sum(member.ready for member in self.members)
        if ready:
            self.last_failure, self._outage_said = "", False
        self._on_change(self.settings.name, ready)
        self._dispatch()

    def leave(self, member: PoolMember, calls: list[PoolCall], reason: str) -> None:
        """A link has ended, read to its end; `calls` were on it and never ended."""
        self.members.remove(member)
        self._on_change(self.settings.name, sum(other.ready for other in self.members))
        for call in calls:
            self._lost(call, reason)

    def ended(self, call: PoolCall, member: PoolMember) -> None:
        """The call has left the app: its slot is free."""
        member.running -= 1
        self.running.discard(call)
        exchange = call.exchange
        if exchange is not None:
            # The worker ended the call without a response; its own log says why.
            self._fail(call, 500, "The app ended without a response.")
        if self._queue:
            self._dispatch()

    def refused(self, call: PoolCall) -> None:
        """The worker gave the call up before the app was called; it keeps the slot until END."""
        if not self._try_again(call, started=False):
            self._fail(call, 502, "The workers of this app refused this request.")

    def _lost(self, call: PoolCall, reason: str) -> None:
        self.running.discard(call)
        exchange = call.exchange
        if exchange is None:
            return
        started = call.response != "opened" or not needs_confirmation(exchange)
        if not self._try_again(call, started=started):
            request = exchange.request
            log.warning("%s %s: %s", request.method, request.path.decode("latin-1"), reason)
            self._fail(call, 502, "The worker that had this request ended before it answered.")

    def _try_again(self, call: PoolCall, *, started: bool) -> bool:
        """Places the exchange once more, as a new call, if that may be."""
        exchange = call.exchange
        if exchange is None or not may_retry(
            exchange, started=started, streamed=call.streamed, attempts=call.attempts
        ):
            return False
        call.exchange = None
        another = PoolCall(self, exchange)
        another.attempts = call.attempts
        exchange.source = another
        self._place(another)
        return True

    # -- time --------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Ends what has waited too long. Called a few times a second."""
        self.now = now
        queue = self._queue
        limit = self.settings.queue_timeout
        while queue and (queue[0].exchange is None or (limit and now - queue[0].since > limit)):
            self._fail(queue.popleft(), 503, self._why_waiting())
        if self._request_timeout:
            late = now - self._request_timeout
            for call in [call for call in self.running if call.since < late]:
                self._time_out(call)

    def _time_out(self, call: PoolCall) -> None:
        exchange = call.exchange
        if exchange is None or exchange.status:
            return  # given up, or the response has begun
        if exchange.more_body and call.send_credit > 0:
            return  # the app would take more of the body: it is the client that is late
        call.give_up(TIMED_OUT, "request timeout")
        exchange.sink.fail(exchange, 504, "The app did not answer in time.")

    def _why_waiting(self) -> str:
        if any(member.ready for member in self.members):
            return "No worker was free in time."
        if not self._outage_said:  # once, not once for each who waited
            self._outage_said = True
            why = f"; the last one could not start: {self.last_failure}"
            log.error(
                "pool %s has no worker that is ready%s",
                self.settings.name,
                why if self.last_failure else "",
            )
        return "No worker of this app is ready."

    def drain(self) -> None:
        """The gateway ends: every worker may go when it is done."""
        for member in list(self.members):
            member.drain()


def needs_confirmation(exchange: Exchange) -> bool:
    """Whether the worker must say STARTED before the app is called: after its death, only that
    tells whether a second worker may do what can't be done twice."""
    return exchange.request.method not in _NEVER_CONFIRMED


_NEVER_CONFIRMED = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
