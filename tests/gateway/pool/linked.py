"""A pool with members whose workers are real machines in the same process: bytes, no sockets."""

from collections.abc import Callable
from dataclasses import dataclass, field

from propylon.gateway.buffering.store import BufferStore
from propylon.gateway.exchange.endpoint import Address, Endpoint
from propylon.gateway.exchange.exchange import Exchange, Request
from propylon.gateway.pool.call import PoolCall, under_way
from propylon.gateway.pool.health import Grade
from propylon.gateway.pool.pool import Pool
from propylon.gateway.pool.pool_member import PoolMember
from propylon.gateway.pool.retry import needs_confirmation
from propylon.gateway.pool.workers_report import Workers
from propylon.gateway.settings import PoolSettings
from propylon.protocol.calls import Call
from propylon.protocol.gateway_link import GatewayLink
from propylon.protocol.hello import Greeting
from propylon.protocol.messages import CONFIRM_START, CREDIT, OPEN, REQUEST_BODY, STARTED
from propylon.protocol.worker_link import WorkerLink

from ...fakes.exchange_sides import FakeClient


class LinkedMember(PoolMember):
    """Both ends of one link, and the worker's calls."""

    def __init__(
        self, pool: Pool, *, slots: int = 1, ready: bool = True, pid: int = 1, replica: str = ""
    ) -> None:
        super().__init__()
        self.pool, self.slots, self.ready = pool, slots, ready
        self.who = {"worker": 1, "pid": pid, "replica": replica}
        self.calls: list[Call] = []
        self.bodies: dict[Call, bytes] = {}
        """What has come of their bodies."""
        self.machine = GatewayLink(Greeting(who={"gateway": 1}), lambda: None)
        self.worker = WorkerLink(Greeting(who={"worker": 1}), lambda: None)
        self.machine.greet()
        self.worker.greet()
        self.exchange_bytes()
        self.pool.join(self)
        self.pool.changed()

    def open(self, call: PoolCall) -> None:
        assert call.exchange is not None
        self.running += 1
        call.place_on(self)
        request = call.exchange.request
        scope = (
            "http", "1.1", request.method, "http", request.path, b"", "", (), None, None, None,
        )  # fmt: skip
        flags = CONFIRM_START if needs_confirmation(call.exchange) else 0
        self.machine.open(call, scope, call.exchange.body, call.exchange.more_body, flags)
        self.exchange_bytes()

    def drain(self) -> None:
        self.slots, self.ready = 0, False

    def wind_down(self) -> None: ...

    def sweep(self) -> None: ...

    def under_way(self) -> tuple[int, int, int]:
        return under_way(call for call in self.machine.calls.values() if isinstance(call, PoolCall))

    def worker_ended(self) -> None:
        self.die()

    def ask_to_leave(self) -> None:
        self.asked_to_leave = self.pool.clock()
        self.pool.changed()

    def graded(self, grade: Grade) -> None:
        self.grade = grade
        self.pool.changed()

    def exchange_bytes(self) -> None:
        for call, message in list(self.worker.receive(self.machine.take_output())):
            if message[0] == OPEN and call is not None:
                self.calls.append(call)
                self.bodies[call] = message[3]
            if message[0] == REQUEST_BODY and call is not None:
                self.bodies[call] += message[2]
        for call, message in list(self.machine.receive(self.worker.take_output())):
            if isinstance(call, PoolCall) and message[0] == STARTED:
                call.entered()
            if isinstance(call, PoolCall) and message[0] == CREDIT and call.exchange is not None:
                call.exchange.uploader.credit_arrived(call.exchange)
            if isinstance(call, PoolCall) and call.response == "ended":
                call.detach()
                self.running -= 1
                self.pool.ended(call, self)

    def start(self, call: Call) -> None:
        self.worker.started([call])
        self.exchange_bytes()

    def read(self, call: Call, count: int) -> None:
        """The app takes what has come."""
        self.exchange_bytes()
        self.worker.taken(call, count)
        self.exchange_bytes()

    def answer(self, call: Call) -> None:
        self.worker.respond(call, 200, (), b"ok")
        self.worker.end(call)
        self.calls.remove(call)
        self.exchange_bytes()

    def die(self) -> None:
        self.slots, self.ready = 0, False
        calls = [call for call in self.machine.calls.values() if isinstance(call, PoolCall)]
        self.pool.leave(self, calls, "the worker was killed")


@dataclass
class Owner:
    """Keeps what it was told last."""

    ready: int = 0
    workers: list[Workers] = field(default_factory=list)
    leaving: list[bool] = field(default_factory=list)
    sent_away: int = 0

    def ready_changed(self, pool: str, ready: int) -> None:
        self.ready = ready

    def workers_changed(self, pool: str, workers: Workers) -> None:
        self.workers.append(workers)

    def leaving_changed(self, pool: str, leaving: bool) -> None:
        self.leaving.append(leaving)

    def send_idle_away(self, pool: str) -> None:
        self.sent_away += 1


def pool(
    owner: Owner | None = None,
    store: BufferStore | None = None,
    high: frozenset[str] = frozenset(),
    **settings: object,
) -> Pool:
    """Its clock stands still between two sweeps. `high` are routes of high priority."""
    made = Pool(
        PoolSettings(**settings),  # type: ignore[arg-type]
        60.0,
        owner or Owner(),
        clock=lambda: made.now,
        store=store,
        high_priority=high,
    )
    return made


def submit(
    to: Pool,
    method: str = "GET",
    *,
    body: bytes = b"",
    more: bool = False,
    holds: int = 0,
    route: str = "",
    address: Address | None = None,
    within: Callable[[Exchange], None] | None = None,
) -> tuple[Exchange, FakeClient]:
    """`holds`: how many slots the client's connection has besides. `within`: takes the exchanges of
    a route that has a share."""
    client = FakeClient(holds=holds)
    endpoint = Endpoint(address, None)
    exchange = Exchange(Request(method, b"/x", "1.1"), client, endpoint, opened=to.now)
    exchange.begin_body(body, more)
    exchange.take_route(route)
    (within or to.submit)(exchange)
    return exchange, client
