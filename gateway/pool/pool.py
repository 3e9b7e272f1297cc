"""All workers of one app, and the one queue in front of them.

Workers announce their slots, so requests wait here, where the waiting can be bounded, measured and
cancelled, and where another worker can be chosen. While a slot is free, the queue is empty; while
the queue is not empty, no slot is free. Every change of either ends in `_dispatch`. (Of the last
slots some connections may have no more, and wait beside the queue: `last_slots`.)
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from logging import getLogger
from time import monotonic
from typing import Final, Literal, Protocol

from ...protocol.messages import SHUTDOWN, TIMED_OUT
from ...protocol.supervision.messages import WaitingCalls
from ..buffering.pool_buffers import PoolBuffers
from ..buffering.store import BufferStore
from ..exchange import end_codes
from ..exchange.exchange import Exchange, log_facts, log_tail
from ..files.disk_threads import DiskThreads
from ..settings import PoolSettings
from .balance import Balance
from .call import PoolCall
from .clip_text import plain
from .departures import Departures
from .health import AwakeClock
from .last_slots import LastSlots
from .load import PoolLoad
from .pool_member import PoolMember
from .queue import PoolQueue, retry_after
from .retry import KeptBodies, RetryBudget, may_retry, needs_confirmation
from .route_share import RouteShare, ShareLimit
from .sticky import Sticky
from .sticky_address import StickyAddresses
from .sticky_cookie import StickyCookies
from .versions import OtherVersions
from .workers_report import Workers, WorkersReport

log = getLogger("propylon.gateway")


MOST_PIDS: Final = 64
SAY_AGAIN: Final = 60.0
"""Seconds after which the log is told once more that calls are held back."""
Why = tuple[str, int, str, str]
"""How a call is answered: end code, status, sentence, and the option that sets the limit."""
_QUEUE_FULL: Final[Why] = (
    end_codes.GATEWAY_QUEUE_FULL,
    503,
    "The server is at its limit and its queue is full.",
    "queue-size",
)
_ROUTE_FULL: Final[Why] = (
    end_codes.GATEWAY_ROUTE_FULL,
    503,
    "Too many requests of this route are under way (limit_concurrency of [[routes]]).",
    "",
)
RetryReason = Literal["worker_died", "worker_refused"]


class PoolOwner(Protocol):
    """Is told what becomes of a pool."""

    def ready_changed(self, pool: str, ready: int) -> None:
        """Another number of members is ready now."""
        ...

    def workers_changed(self, pool: str, workers: Workers) -> None: ...

    def leaving_changed(self, pool: str, leaving: bool) -> None:
        """All workers of the pool want to leave, or (`leaving` is False) one stays again. While
        they want to leave, clients should go elsewhere."""
        ...

    def send_idle_away(self, pool: str) -> None:
        """The workers of the pool, which leaves, are about to go. Clients that are between two
        requests should go elsewhere now."""
        ...


class Pool:
    # It has more than 30 fields: without slots CPython searches for each (shared keys end there).
    # (pyright takes the slot `clock` for a method, and then for none that a call can use.)
    __slots__ = (
        "_balance",
        "_budget",
        "_departures",
        "_ended",
        "_held_back_said",
        "_high_priority",
        "_homes_turn",
        "_last_slots",
        "_leaving",
        "_outage_said",
        "_owner",
        "_queue",
        "_refused",
        "_report",
        "_requests",
        "_sent_away",
        "_sticky",
        "_warming",
        "awake",
        "buffers",
        "clock",
        "delivers_files",
        "disk",
        "kept",
        "last_failure",
        "members",
        "now",
        "request_timeout",
        "retries",
        "running",
        "settings",
        "shares",
        "versions",
        "winding_down",
    )

    def __init__(
        self,
        settings: PoolSettings,
        request_timeout: float,
        owner: PoolOwner,
        clock: Callable[[], float] = monotonic,
        store: BufferStore | None = None,
        high_priority: frozenset[str] = frozenset(),
    ) -> None:
        """`request_timeout` is in seconds, 0 means no limit; `clock` gives monotonic seconds.
        `store` is the account of what the process keeps of bodies. `high_priority` are the names
        of the routes whose requests pass others in the queue."""
        self.settings = settings
        self.clock = clock
        self.members: list[PoolMember] = []
        self._balance: Balance[PoolMember] = Balance(settings.balance, settings.gateways)
        self.now = 0.0
        """Monotonic seconds of the last sweep: exact enough for reports, but not for deadlines."""
        self.last_failure = ""
        """Why the last worker could not start; "" as soon as one is ready."""
        self.versions = OtherVersions(settings.name)
        self.awake = AwakeClock()
        self.request_timeout = request_timeout
        self._owner = owner
        self._report = WorkersReport(lambda workers: owner.workers_changed(settings.name, workers))
        self._departures = Departures(settings.drain_delay)
        self._leaving = False
        self._sent_away = False
        self.winding_down = False
        self._requests = 0
        self._budget = RetryBudget()
        self.shares: list[RouteShare[PoolCall]] = []
        """Routes that may have a part of the slots only."""
        self._sticky: Sticky[PoolMember, PoolCall] | None = sticky_of(settings)
        """Where clients are at home; None if they are nowhere."""
        self._homes_turn = True
        """Whether the queue has had a slot since calls that waited for their homes had one. It
        counts while the newest goes first."""
        self.retries: dict[str, int] = {"worker_died": 0, "worker_refused": 0}
        """Why exchanges were given to another worker -> how many."""
        self.kept = KeptBodies()
        self.disk: DiskThreads | None = None
        """What reads files that workers pass; None: they may pass none."""
        self.delivers_files = False
        """Whether a worker has passed a file: then clients may have one each."""
        self.buffers = PoolBuffers(settings, store)
        self._queue: PoolQueue[PoolCall] = PoolQueue(
            settings.queue_size, settings.queue_timeout, settings.queue_target
        )
        self._last_slots: LastSlots[PoolCall] = LastSlots()
        self._held_back_said = -SAY_AGAIN
        """When the log was last told that calls are held back."""
        self._high_priority = high_priority
        self._refused: deque[tuple[PoolCall, Why]] = deque()
        """Calls that have no place where they would wait, and are being answered, one after the
        other."""
        self.running: set[PoolCall] = set()
        """Calls that were handed to a worker and have not ended."""
        self._warming = False
        """Whether the weight of a member grows by itself."""
        self._outage_said = False
        self._ended: deque[int] = deque(maxlen=MOST_PIDS)
        """Processes that the supervisor has seen the end of, the latest of them."""

    def send_files(self, disk: DiskThreads) -> None:
        """Lets workers pass open files, which are sent from here."""
        self.disk = disk

    def deliver_file(self) -> DiskThreads | None:
        """A worker has passed a file. Returns what reads it; None: it may pass none."""
        self.delivers_files = self.disk is not None
        return self.disk

    # -- exchanges ---------------------------------------------------------------------------

    def submit(self, exchange: Exchange, share: RouteShare[PoolCall] | None = None) -> None:
        """Takes an exchange that was just opened, to be answered by a worker or an error page."""
        self._requests += 1
        if exchange.more_body and self.buffers.requests and not exchange.request.upgrade:
            self.buffers.collect(exchange, partial(self._submit_whole, share=share))
            return
        # As `_enter`, with two calls less: most exchanges come this way.
        now = exchange.opened
        call = PoolCall(self, exchange, now)  # pyright: ignore[reportArgumentType]
        exchange.connect(call, now)
        if (
            share is not None
            or self._sticky is not None
            or len(self.running) >= self._last_slots.begin_at
        ):
            self._enter(call, exchange, now, share)
        elif (member := self._balance.choose()) is not None:
            self._hand_over(call, member)
        else:
            self._queue_up(call, now)

    def submit_within(self, name: str, limit: ShareLimit) -> Callable[[Exchange], None]:
        """Gives a route a share of this pool (see `RouteShare`). Returns the function that takes
        the route's exchanges."""
        settings = self.settings
        share: RouteShare[PoolCall] = RouteShare(
            name, limit, settings.queue_size, settings.queue_timeout, settings.queue_target
        )
        self.shares.append(share)
        return partial(self.submit, share=share)

    def _submit_whole(self, exchange: Exchange, share: RouteShare[PoolCall] | None) -> None:
        """Takes an exchange whose body has become whole."""
        now = self.clock()
        call = PoolCall(self, exchange, now)  # pyright: ignore[reportArgumentType]
        exchange.connect(call, now)
        self._enter(call, exchange, now, share)

    def _enter(
        self, call: PoolCall, exchange: Exchange, now: float, share: RouteShare[PoolCall] | None
    ) -> None:
        """Gives a call its worker or its place, if its connection and its route have room."""
        if len(self.running) >= self._last_slots.begin_at and self._hold_back(call, exchange, now):
            if share is not None:
                call.belong_to(share)  # it enters the share when it is let in
        elif share is None or self._admit(call, share, now):
            self._place(call, exchange, now)

    def _let_in(self, call: PoolCall) -> None:
        """Gives a call that was held back its worker or its place, if its route has room."""
        now, exchange = self.clock(), call.exchange
        assert exchange is not None, "only calls that somebody waits for are held back"
        call.leave_queue(now)
        if call.share is None or self._admit(call, call.share, now):
            self._place(call, exchange, now)

    def _admit(self, call: PoolCall, share: RouteShare[PoolCall], now: float) -> bool:
        """Returns whether the call's route has room for it. If not, it waits or is answered."""
        call.belong_to(share)
        if share.enter(call, self._balance.slots()):
            return True
        call.enter_queue()
        refused = share.wait(call, now)
        if refused is not None:
            self._refuse(refused, self._why_no_room())
        return False

    def _why_no_room(self) -> Why:
        """How a call is answered that its route had no room for. Without a worker nothing leaves
        the route, and that is not the route's fault."""
        why = self._why_waiting()
        return why if why[0] == end_codes.GATEWAY_NO_WORKER else _ROUTE_FULL

    def _admit_waiting(self, share: RouteShare[PoolCall]) -> None:
        """Gives calls of the route their turn, if there is room for them now. Those that wait in
        the queue come first: `_dispatch` has to be called before."""
        if not share.waiting():
            return
        now = self.clock()
        for call in share.admitted(self._balance.slots(), now):
            exchange = call.exchange
            assert exchange is not None, "only calls that somebody waits for are admitted"
            call.leave_queue(now)
            self._place(call, exchange, now)

    def _admit_all(self) -> None:
        """The same for all routes: there are other slots, or calls that are gone."""
        for share in self.shares:
            self._admit_waiting(share)

    def _place(self, call: PoolCall, exchange: Exchange, now: float) -> None:
        """Gives a call its worker, or its place among those that wait."""
        choose, sticky = self._balance.choose, self._sticky
        member = choose() if sticky is None else sticky.choose(exchange, choose)
        if member is not None:
            self._hand_over(call, member)
        elif sticky is not None and sticky.wait(call, exchange, now):
            call.enter_queue()
        else:
            self._queue_up(call, now)

    def _hold_back(self, call: PoolCall, exchange: Exchange, now: float) -> bool:
        """Returns whether a call may have none of the last slots. It waits for others then."""
        last, free = self._last_slots, self._balance.free()
        if last.are_for(_slots_held(call), free) or exchange.route in self._high_priority:
            return False
        if now - self._held_back_said >= SAY_AGAIN:
            self._held_back_said = now
            log.warning(
                "pool %s has few slots left: requests of connections that have many wait",
                self.settings.name,
            )
        call.enter_queue()
        if len(last.waiting) + len(self._queue) >= self.settings.queue_size:
            self._refuse(call, _QUEUE_FULL)
        else:
            last.hold_back(call, now)
        return True

    def _release(self, call: PoolCall, now: float) -> None:
        """Gives a call that has waited for one worker to any."""
        member = self._balance.choose()
        if member is None:
            self._queue_up(call, now)
        else:
            call.leave_queue(now)
            self._hand_over(call, member)

    def _queue_up(self, call: PoolCall, now: float) -> None:
        call.enter_queue()
        exchange = call.exchange
        passes = exchange is not None and exchange.route in self._high_priority
        refused = self._queue.put(call, now, "high" if passes else "default")
        if refused is not None:
            self._refuse(refused, _QUEUE_FULL)

    def _refuse(self, call: PoolCall, why: Why) -> None:
        """Answers a call that has no place where it would wait. Its client may have sent the next
        request already, which comes here from inside of `_fail` and makes another one leave: a
        recursion, if they did not wait their turn."""
        self._refused.append((call, why))
        if len(self._refused) > 1:
            return
        while self._refused:
            refused, why = self._refused[0]
            self._fail(refused, *why)
            self._refused.popleft()

    def left_queue(self, call: PoolCall) -> None:
        """The client of a call that has no worker yet has left."""
        self._queue.remove(call)
        self._last_slots.remove(call)
        if call.share is not None:
            call.share.leave(call)

    def _hand_over(self, call: PoolCall, member: PoolMember) -> None:
        self.running.add(call)
        exchange = call.exchange
        assert exchange is not None, "only exchanges that somebody waits for are handed over"
        if self._sticky is not None:
            self._sticky.settle(exchange, member)
        member.open(call)
        if exchange.more_body and call.send_credit and call.exchange is not None:
            exchange.uploader.credit_arrived(exchange)

    def _dispatch(self) -> None:
        """Gives free slots to the calls that wait."""
        queue, last = self._queue, self._last_slots
        if self._sticky is not None:
            self._dispatch_home(self._sticky)
        while queue.line or queue.urgent:
            if last.waiting and (call := last.next(self._balance.free(), True, _slots_held)):
                self._let_in(call)
                continue
            member = self._balance.choose()
            if member is None:
                return
            now = self.clock()
            call = queue.take(now)
            call.leave_queue(now)
            self._homes_turn = True
            self._hand_over(call, member)
            if self._sticky is not None:
                self._dispatch_home(self._sticky)
        while last.waiting and (call := last.next(self._balance.free(), False, _slots_held)):
            self._let_in(call)

    def _dispatch_home(self, sticky: Sticky[PoolMember, PoolCall]) -> None:
        """Gives free slots to calls that wait for their own worker, unless the next of those that
        wait for any has waited longer, or may pass. The newest of a queue has never waited longer:
        while it goes first, they take turns."""
        now, queue = self.clock(), self._queue
        if queue.urgent or (not self._homes_turn and queue.order(now) == "newest-first"):
            return
        for call, home in sticky.due(now - queue.next_has_waited(now)):
            call.leave_queue(now)
            self._homes_turn = False
            self._hand_over(call, home)

    def _fail(
        self, call: PoolCall, end_code: str, status: int, sentence: str, option: str = ""
    ) -> None:
        exchange, share = call.detach(), call.share
        oldest = max(self._queue.oldest(self.now), self._last_slots.oldest(self.now))
        if share is not None:
            oldest = max(oldest, share.oldest(self.now))
            if call.member is None:
                share.leave(call)
        if exchange is not None:
            exchange.give_end(end_code)
            if status == 503:
                exchange.give_retry_after(retry_after(oldest))
            _answer(exchange, status, sentence, option)

    # -- members -----------------------------------------------------------------------------

    def join(self, member: PoolMember) -> None:
        self.members.append(member)
        self._rank()

    def introduced(self) -> None:
        """A member has said HELLO."""
        self.buffers.worker_speaks([member.who.get("interface") for member in self.members])
        self._report.changed(self.members, self.now)

    def worker_ended(self, child: int) -> None:
        """The supervisor has seen the end of a process, which may be a worker of this pool."""
        self._ended.append(child)
        for member in [member for member in self.members if member.who.get("id") == child]:
            member.worker_ended()

    def has_ended(self, who: dict[str, object]) -> bool:
        """Whether the supervisor has seen the end of the worker that says HELLO only now: it has
        dialled and died, and a child of it holds the link open."""
        return who.get("id") in self._ended

    def could_not_start(self, why: str) -> None:
        """A worker has said so; for the log, if no other is ready."""
        self.last_failure = why

    def changed(self) -> None:
        """A member became ready, wants to leave, or changed its grade."""
        self._let_go()
        self._rank()
        ready = sum(member.ready for member in self.members)
        if ready:
            self.last_failure = ""
            if self._outage_said:
                self._outage_said = False
                log.warning("pool %s has a worker again", self.settings.name)
        self._owner.ready_changed(self.settings.name, ready)
        self._report.changed(self.members, self.now)
        self._dispatch()
        self._admit_all()

    def slots_changed(self) -> None:
        """A member that gets calls takes more or fewer at once. A worker that seeks its limit says
        so once a second, so the supervisor is told with the next numbers."""
        self._last_slots.rank(self._balance.own_slots())
        self._dispatch()

    def _let_go(self) -> bool:
        """Lets go the members that want to leave and may. Returns whether there were any."""
        due = self._departures.due(self.members, self.clock())
        for member in due:
            member.drain()
        if self._departures.pool_leaves != self._leaving:
            self._leaving = not self._leaving
            log.info(
                "pool %s %s",
                self.settings.name,
                "leaves: all its workers want to; they are kept for a while"
                if self._leaving
                else "stays: there is a worker again",
            )
            self._owner.leaving_changed(self.settings.name, self._leaving)
        if self._departures.sends_away(self.clock()) != self._sent_away:
            self._sent_away = not self._sent_away
            if self._sent_away:
                self._owner.send_idle_away(self.settings.name)
        return bool(due)

    def _rank(self) -> None:
        now, slow_start = self.clock(), self.settings.slow_start
        self._warming = sum(member.judge(now, slow_start) for member in self.members) > 0
        self._balance.rank(self.members)
        self._last_slots.rank(self._balance.own_slots())
        if self._sticky is not None:
            self._sticky.rank(self.members)

    def leave(
        self, member: PoolMember, calls: list[PoolCall], reason: str, end_code: str = ""
    ) -> None:
        """A member's link has ended and was read to its end; `calls` on it have not ended.
        `end_code` is given if the worker has not simply died."""
        self.members.remove(member)
        self._rank()
        ready = sum(other.ready for other in self.members)
        self._owner.ready_changed(self.settings.name, ready)
        self._report.changed(self.members, self.now)
        for call in calls:
            exchange = call.exchange
            try:
                self._lost(call, reason, end_code)
            except Exception:
                # The barrier of one call: the others of this worker go elsewhere.
                tail, facts = log_tail(exchange), log_facts(exchange)
                log.exception("a dead worker's call could not be settled%s", tail, extra=facts)
                if exchange is not None:
                    self._give_up(call, exchange)
        self._dispatch()  # a hung worker may be the last now, and get calls again
        self._admit_all()

    def ended(self, call: PoolCall, member: PoolMember) -> None:
        """The call has left the app: its slot is free, and the member has counted that."""
        self.running.discard(call)
        if call.kept is not None:
            call.kept.drop()
        exchange = call.exchange
        if exchange is not None:
            # The worker has ended the call without a response; its log says why.
            member.count(500)
            no_response = end_codes.APP_NO_RESPONSE
            self._fail(call, no_response, 500, "The app ended without a response.")
        share, queue = call.share, self._queue
        if share is not None:
            share.leave(call)
        if queue.line or queue.urgent or self._sticky is not None or self._last_slots.waiting:
            self._dispatch()
        if share is not None:
            self._admit_waiting(share)

    def refused(self, call: PoolCall) -> None:
        """The worker has refused the call, before the app was called unless it contradicts itself.
        The slot is not free before END."""
        call.count_refusal()
        if not self._try_again(call, "worker_refused", started=call.started):
            refused = end_codes.WORKER_REFUSED
            self._fail(call, refused, 502, "The workers of this app refused this request.")

    def _give_up(self, call: PoolCall, exchange: Exchange) -> None:
        """Answers an exchange whose call, or the next one, is in an unknown state."""
        if call.detach() is None and exchange.source is not None:
            exchange.source.abandon(SHUTDOWN, "the gateway has failed")
        exchange.give_end(end_codes.GATEWAY_FAILED)
        _answer(exchange, 502, "The request could not be given to another worker.")

    def _lost(self, call: PoolCall, reason: str, end_code: str) -> None:
        self.running.discard(call)
        if call.share is not None:
            call.share.leave(call)
        if call.exchange is not None:
            if not end_code:
                has_begun = call.exchange.status
                end_code = end_codes.WORKER_DIED_RESPONSE if has_begun else end_codes.WORKER_DIED
            self.broken_off(call, end_code, reason, started=call.response != "opened")
        if call.kept is not None:
            call.kept.drop()

    def broken_off(self, call: PoolCall, end_code: str, reason: str, *, started: bool) -> None:
        """The worker died, or reset the call because it ends. `started` says whether it has
        reported the call of the app; `end_code` and `reason` are the exchange's if no other worker
        may have it."""
        exchange = call.exchange
        assert exchange is not None, "somebody waits for it"
        call.count_death()
        started = started or not needs_confirmation(exchange)
        if not self._try_again(call, "worker_died", started=started):
            exchange.give_reason(reason)
            sentence = "The worker that had this request ended before it answered."
            self._fail(call, end_code, 502, sentence)

    def _try_again(self, call: PoolCall, why: RetryReason, *, started: bool) -> bool:
        """Places the exchange once more, as a new call, if a retry is allowed. Returns whether it
        was."""
        exchange = call.exchange
        if exchange is None or not may_retry(
            exchange,
            started=started,
            whole=call.body_is_whole,
            deaths=call.deaths,
            refusals=call.refusals,
        ):
            return False
        if started and not self._budget.spend(self._requests):
            return False
        self.retries[why] += 1
        now = self.clock()
        another = call.next_attempt(exchange, now)
        exchange.connect(another, now)
        rest = call.rewind(exchange)
        if not another.awaited:
            return True  # its body could not be read again, and the client was told so
        if rest:
            exchange.uploader.take_back(exchange, rest)
        if another.share is not None:
            another.share.add(another)
        self._place(another, exchange, now)
        return True

    # -- time --------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Ends calls that have waited too long. To be called a few times a second."""
        self.now = now
        self.awake.look(now)
        self._budget.look(now, self._requests)
        for member in list(self.members):
            member.sweep()
        if self._let_go():
            self.changed()
        elif self._warming:
            self._rank()
        self._report.sweep(self.members, now)
        if self._sticky is not None:
            for call in self._sticky.released(now):
                self._release(call, now)
        while (call := self._queue.take_overdue(now)) is not None:
            self._fail(call, *self._why_waiting())
        for call in self._last_slots.overdue(now, self.settings.queue_timeout):
            self._fail(call, *self._why_waiting())
        for share in self.shares:
            for call in share.overdue(now):
                self._fail(call, *self._why_no_room())
            for call in share.late(now, self._queue.since):
                self._queue.remove(call)
                self._fail(call, *self._why_waiting())
            self._admit_waiting(share)
        if self.request_timeout:
            late = now - self.request_timeout
            for call in [call for call in self.running if call.since < late]:
                self._time_out(call)

    def _time_out(self, call: PoolCall) -> None:
        exchange = call.exchange
        if exchange is None or exchange.status:
            return  # given up, or the response has begun
        if exchange.more_body and call.send_credit > 0:
            return  # the app would take more of the body, so the client is late and not the app
        if call.member is not None:
            call.member.count(504)
        call.abandon(TIMED_OUT, "request timeout")
        exchange.give_end(end_codes.APP_TIMEOUT)
        _answer(exchange, 504, "The app did not answer in time.", "request-timeout")

    def _why_waiting(self) -> Why:
        """How a call is answered that has waited in the queue for too long."""
        if any(member.ready for member in self.members):
            late = end_codes.GATEWAY_QUEUE_TIMEOUT
            return late, 503, "No worker was free in time.", "queue-timeout"
        if not self._outage_said:  # once, and not once for each call that waited
            self._outage_said = True
            why = f"; the last one could not start: {self.last_failure}"
            log.error(
                "pool %s has no worker that is ready%s",
                self.settings.name,
                why if self.last_failure else "",
            )
        return end_codes.GATEWAY_NO_WORKER, 503, "No worker of this app is ready.", ""

    def load(self) -> PoolLoad:
        """How busy this pool is now."""
        now = self.clock()
        since = None if self._sticky is None else self._sticky.since()
        return PoolLoad(
            queued=self._waiting(),
            running=len(self.running),
            slots=self._balance.slots(),
            oldest_waiter=max(
                self._queue.oldest(now),
                self._last_slots.oldest(now),
                0.0 if since is None else now - since,
            ),
            order=self._queue.order(now),
        )

    def _waiting(self) -> int:
        """How many calls wait that have a client."""
        sticky = self._sticky
        routes = sum(share.waiting() for share in self.shares)
        homes = 0 if sticky is None else sticky.waiting()
        return len(self._queue) + len(self._last_slots.waiting) + homes + routes

    def websockets(self) -> int:
        """Counts the accepted WebSockets that workers run. It looks at each call."""
        exchanges = [call.exchange for call in self.running]
        return sum(
            1 for each in exchanges if each is not None and each.request.upgrade and each.status
        )

    def waits_for(self) -> tuple[WaitingCalls, ...]:
        """What is under way, for the log of a stop: an entry for each worker with calls, and one
        for the queue."""
        found: list[WaitingCalls] = []
        for member in self.members:
            requests, responses, websockets = member.under_way()
            if requests or responses or websockets:
                who = plain(member.who.get("worker"))
                found.append(WaitingCalls(who, requests, responses, websockets))
        if queued := self._waiting():
            found.append(WaitingCalls(None, queued))
        return tuple(found)

    def keep_workers(self) -> None:
        """Lets no worker go, since the gateway is about to end and has something to finish."""
        self._departures.hold()

    def wind_down(self) -> None:
        """Tells all workers that no new clients come. Apps of workers that are to leave should end
        their streams."""
        self.winding_down = True
        for member in list(self.members):
            member.wind_down()

    def fail_waiting(self) -> None:
        """Answers all clients that still wait with an error: the gateway's time to finish is
        over."""
        self.buffers.fail_collecting()
        waiting = [] if self._sticky is None else list(self._sticky.take_all())
        waiting += [call for share in self.shares for call in share.take_all(self.clock())]
        waiting += self._last_slots.take_all()
        while len(self._queue):
            waiting.append(self._queue.take(self.clock()))
        for call in waiting:
            stopped = end_codes.GATEWAY_STOPPED_QUEUE
            self._fail(call, stopped, 503, "The server ends, and no worker was free.")
        for call in [call for call in self.running if call.exchange is not None]:
            exchange = call.exchange
            if exchange is not None and not exchange.status:
                call.abandon(SHUTDOWN, "the gateway ends")
                exchange.give_end(end_codes.GATEWAY_STOPPED_APP)
                _answer(
                    exchange,
                    504,
                    "The server ends, and the app had not answered.",
                    "timeout-graceful-shutdown",
                )

    def drain(self) -> None:
        """Lets every worker go when it has finished: the gateway ends."""
        for member in list(self.members):
            member.drain()


def _slots_held(call: PoolCall) -> int:
    """How many slots the connection of a call has that somebody waits for."""
    exchange = call.exchange
    opener = None if exchange is None else exchange.opener
    return 0 if opener is None else opener.slots_held()


def _answer(exchange: Exchange, status: int, sentence: str, option: str = "") -> None:
    """Answers a client with an error, behind a barrier: others wait to be answered behind it."""
    try:
        exchange.sink.fail(exchange, status, sentence, option)
    except Exception:
        tail, facts = log_tail(exchange), log_facts(exchange)
        log.exception("a call could not be answered%s", tail, extra=facts)


def sticky_of(settings: PoolSettings) -> Sticky[PoolMember, PoolCall] | None:
    """The way in which a pool's clients are sticky; None if they are not."""
    if settings.balance == "sticky-cookie":
        homes = StickyCookies(settings.name)
    elif settings.balance == "sticky-address":
        homes = StickyAddresses()
    else:
        return None
    return Sticky(homes, settings.sticky_timeout, settings.queue_size)
