"""A call: one attempt to have a worker answer an exchange. It is the exchange's source while it
lasts.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...protocol.calls import Call
from ...protocol.messages import MAX_BODY
from ..exchange.exchange import IDEMPOTENT, Account, Exchange
from .clip_text import plain
from .retry import KeptBodies, KeptBody, needs_confirmation

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from ...protocol.gateway_link import GatewayLink
    from ..settings import PoolSettings
    from .route_share import RouteShare

    class Carrier(Protocol):
        """The part of a pool member that a call needs."""

        machine: GatewayLink
        who: dict[str, object]

        def count(self, status: int) -> None: ...

    class Surroundings(Protocol):
        """The part of a pool that a call needs."""

        clock: Callable[[], float]
        kept: KeptBodies
        settings: PoolSettings

        running: set["PoolCall"]

        def left_queue(self, call: "PoolCall") -> None: ...


class PoolCall(Call):
    """A call of a pool. It is placed on one worker; if that worker dies and a retry is allowed,
    another call is made for the exchange."""

    __slots__ = (
        "_pool",
        "deaths",
        "earlier",
        "exchange",
        "kept",
        "member",
        "refusals",
        "share",
        "since",
        "started",
        "waited",
    )

    def __init__(self, pool: "Surroundings", exchange: Exchange, now: float) -> None:
        """`now`: monotonic seconds."""
        super().__init__()
        self._pool = pool
        self.exchange: Exchange | None = exchange
        """None as soon as the response is complete or the call is abandoned."""
        self.member: Carrier | None = None
        """None while it waits in the queue."""
        self.deaths = 0
        """How many workers have died with this exchange on them."""
        self.refusals = 0
        self.share: RouteShare[PoolCall] | None = None
        """Its route's share of the pool, if the route has one."""
        self.earlier = 0
        """How many workers have had this exchange before."""
        self.started = False
        """Whether the worker has said that the app is called."""
        self.kept: KeptBody | None = None
        """The body that went to the worker behind OPEN; None if none did."""
        self.since = now
        """Made, taken from the queue or given body, whichever was last; monotonic seconds."""
        self.waited = 0.0
        """Seconds in the queue, with those of earlier attempts."""

    @property
    def awaited(self) -> bool:
        """Whether a client waits for the response."""
        return self.exchange is not None

    def account(self) -> Account:
        """What the pool has done for the exchange so far."""
        member, waited = self.member, self.waited
        if member is None:
            waited += self._pool.clock() - self.since
        worker = generation = None
        if member is not None:
            # A worker may say anything of itself.
            worker, generation = plain(member.who.get("worker")), member.who.get("generation")
            if not isinstance(generation, int):
                generation = None
        attempts = self.earlier + (member is not None)
        return Account(self._pool.settings.name, worker, waited, attempts, generation)

    def belong_to(self, share: "RouteShare[PoolCall]") -> None:
        """It counts for this share from now on, or waits until it may."""
        self.share = share

    def enter_queue(self) -> None:
        """No member has room for it."""
        if self.exchange is not None:
            self.exchange.wait()

    def leave_queue(self, now: float) -> None:
        """Its turn has come."""
        self.waited += now - self.since
        self.since = now
        if self.exchange is not None:
            self.exchange.start(now)

    def place_on(self, member: "Carrier") -> None:
        """This member has it from now on."""
        self.member = member

    def never_opened(self) -> None:
        """Its member could not send it: there will be no END of it."""
        self.response = "ended"

    def detach(self) -> Exchange | None:
        """Ends the wait for this call: its exchange has its answer, or gets it from another call.
        Returns the exchange; None if the call was not awaited."""
        exchange, self.exchange = self.exchange, None
        return exchange

    def send_body(self, data: bytes, more: bool) -> None:
        if self.member is None:
            # Without credit only the end of the body comes here. OPEN will say it, since the
            # exchange has no more body by then.
            return
        self.since = self._pool.clock()
        if self.exchange is not None and self.exchange.collected is not None:
            self.member.machine.send_body(self, data, more)  # it is kept already
            return
        kept = self.kept
        if kept is None:
            opened = 0 if self.exchange is None else len(self.exchange.body)
            kept = self.kept = KeptBody(opened, self._pool.kept)
            if self._is_final:
                kept.drop()
        if kept.whole:
            kept.add(data, began=self._may_have_begun)
        if not kept.whole and self.exchange is not None:
            self.exchange.forget_body()
        self.member.machine.send_body(self, data, more)

    def consumed(self, count: int) -> None:
        if self.member is not None and self.response != "ended":
            self.member.machine.taken(self, count)

    # -- once more ---------------------------------------------------------------------------

    def entered(self) -> None:
        """The app is called. The body of a request that may not be done twice is dropped."""
        self.started = True
        if self._is_final:
            self.forget_body()

    def count_refusal(self) -> None:
        """A worker would not take it."""
        self.refusals += 1

    def count_death(self) -> None:
        """A worker ended with it."""
        self.deaths += 1

    def next_attempt(self, exchange: Exchange, now: float) -> "PoolCall":
        """The next attempt for its exchange, which leaves this one."""
        self.exchange = None
        another = PoolCall(self._pool, exchange, now)
        another.deaths, another.refusals = self.deaths, self.refusals
        another.waited, another.earlier = self.waited, self.earlier + 1
        another.share = self.share
        return another

    def forget_body(self) -> None:
        """Drops the body: it will not be sent again, even if the worker dies."""
        if self.kept is not None:
            self.kept.drop()
        if self.exchange is not None:
            self.exchange.forget_body()

    @property
    def _is_final(self) -> bool:
        exchange = self.exchange
        return exchange is None or bool(
            exchange.status or (self.started and exchange.request.method not in IDEMPOTENT)
        )

    @property
    def _may_have_begun(self) -> bool:
        exchange = self.exchange
        return exchange is None or self.started or not needs_confirmation(exchange)

    @property
    def body_is_whole(self) -> bool:
        """Whether the whole body that went to the worker could be sent again."""
        return self.kept is None or self.kept.whole

    def rewind(self, exchange: Exchange) -> bytes:
        """Makes the exchange ready for another OPEN. Returns the body that has to follow OPEN's."""
        if exchange.collected is not None:
            exchange.collected.rewind(exchange)
            return b""
        kept, self.kept = self.kept, None
        if kept is None:
            return b""
        body = kept.take(exchange.body)
        rest = body[MAX_BODY:]
        exchange.begin_body(body[:MAX_BODY], exchange.more_body or bool(rest))
        return rest

    # -- a WebSocket's -----------------------------------------------------------------------

    @property
    def message_overhead(self) -> int:
        return 0 if self.member is None else self.member.machine.message_overhead

    def send_message(self, data: bytes | str, more: bool) -> None:
        if self.member is not None:  # without a member there is no credit, and nothing to send
            self.member.machine.send_ws_message(self, data, more)

    def settle(self) -> None:
        if self.member is not None and self.request == "complete" and self.response != "ended":
            self.member.machine.event(self, {"type": "websocket.settle"})

    def hang_up(self, event: dict[str, object]) -> None:
        self.exchange = None
        if self.member is not None and self.request == "complete" and self.response != "ended":
            self.member.machine.event(self, event)

    def abandon(self, code: int, reason: str) -> None:
        self.forget_body()
        self.exchange = None
        if self.member is None:
            self._pool.left_queue(self)
        elif self.request != "reset" and self.response != "ended":
            self.member.machine.reset(self, code, reason)

    @property
    def is_running(self) -> bool:
        return self in self._pool.running


def under_way(calls: Iterable[PoolCall]) -> tuple[int, int, int]:
    """Counts the calls that are awaited: requests without a response's head, responses that are
    being sent, WebSockets."""
    requests = responses = websockets = 0
    for call in calls:
        exchange = call.exchange
        if exchange is None:
            continue
        if exchange.request.upgrade:
            websockets += 1
        elif exchange.status:
            responses += 1
        else:
            requests += 1
    return requests, responses, websockets
