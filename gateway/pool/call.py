"""One attempt to have a worker answer an exchange; the exchange's source while it lasts."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...protocol.calls import Call
from ...protocol.messages import MAX_BODY
from ..exchange.exchange import IDEMPOTENT, Account, Exchange
from .retry import KeptBodies, KeptBody, needs_confirmation

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from ...protocol.gateway_link import GatewayLink
    from ..settings import PoolSettings

    class Carrier(Protocol):
        """What a call needs of its member."""

        machine: GatewayLink
        who: dict[str, object]

        def count(self, status: int) -> None: ...

    class Surroundings(Protocol):
        """What a call needs of its pool."""

        clock: Callable[[], float]
        kept: KeptBodies
        settings: PoolSettings


class PoolCall(Call):
    """Placed on one worker at a time; placed again if that one died and a retry is allowed."""

    __slots__ = (
        "_pool",
        "deaths",
        "earlier",
        "exchange",
        "kept",
        "member",
        "refusals",
        "since",
        "started",
        "waited",
    )

    def __init__(self, pool: "Surroundings", exchange: Exchange, now: float) -> None:
        """`now`: monotonic seconds."""
        super().__init__()
        self._pool = pool
        self.exchange: Exchange | None = exchange
        """None once nobody waits for the response any more."""
        self.member: Carrier | None = None
        """None while it waits in the queue."""
        self.deaths = 0
        """Workers that ended with this exchange on them."""
        self.refusals = 0
        self.earlier = 0
        """Workers that have had this exchange before."""
        self.started = False
        """Whether the worker has said that the app is called."""
        self.kept: KeptBody | None = None
        """What went to the worker behind OPEN; None: nothing did."""
        self.since = now
        """Made, taken from the queue or given body, whichever was last; monotonic seconds."""
        self.waited = 0.0
        """Seconds that it was in the queue, earlier attempts included."""

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for the response."""
        return self.exchange is not None

    def account(self) -> Account:
        """Where the exchange has got to."""
        member, waited = self.member, self.waited
        if member is None:
            waited += self._pool.clock() - self.since
        worker = None if member is None else member.who.get("worker")
        if not isinstance(worker, (int, str)):  # a worker may say anything of itself
            worker = None
        attempts = self.earlier + (member is not None)
        return Account(self._pool.settings.name, worker, waited, attempts)

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
        """The exchange has its answer, or gets it elsewhere: nobody waits for this call any more.
        Returns the exchange; None if nobody did before."""
        exchange, self.exchange = self.exchange, None
        return exchange

    def send_body(self, data: bytes, more: bool) -> None:
        if self.member is None:
            # Without credit only the bare end comes here, and OPEN will say it: the exchange has
            # no more body by then.
            return
        self.since = self._pool.clock()
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
        """The app is called: what may not be done twice will not be sent again."""
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
        return another

    def forget_body(self) -> None:
        """It will not be needed again, whatever becomes of the worker."""
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
        """Whether all that went to the worker could be sent again."""
        return self.kept is None or self.kept.whole

    def rewind(self, exchange: Exchange) -> bytes:
        """Makes the exchange ready to be opened anew; returns the body that follows OPEN's."""
        kept, self.kept = self.kept, None
        if kept is None:
            return b""
        body = kept.take(exchange.body)
        rest = body[MAX_BODY:]
        exchange.begin_body(body[:MAX_BODY], exchange.more_body or bool(rest))
        return rest

    # -- a WebSocket's -----------------------------------------------------------------------

    def send_message(self, data: bytes | str, more: bool) -> None:
        if self.member is not None:  # without one there is no credit, and nothing to send
            self.member.machine.send_ws_message(self, data, more)

    def settle(self) -> None:
        if self.member is not None and self.request == "complete" and self.response != "ended":
            self.member.machine.event(self, {"type": "websocket.settle"})

    def hang_up(self, event: dict[str, object]) -> None:
        self.exchange = None
        if self.member is not None and self.request == "complete" and self.response != "ended":
            self.member.machine.event(self, event)

    def give_up(self, code: int, reason: str) -> None:
        self.forget_body()
        self.exchange = None
        if self.member is not None and self.request != "reset" and self.response != "ended":
            self.member.machine.reset(self, code, reason)


def under_way(calls: Iterable[PoolCall]) -> tuple[int, int, int]:
    """How many somebody waits for: requests without a response's head, responses that are being
    sent, WebSockets."""
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
