"""A pool with members whose workers are real machines in the same process: bytes, no sockets."""

from dataclasses import dataclass, field

from propylon.gateway.exchange import Exchange, Request
from propylon.gateway.pool.call import PoolCall
from propylon.gateway.pool.pool import Pool, needs_confirmation
from propylon.gateway.settings import PoolSettings
from propylon.protocol.calls import Call
from propylon.protocol.gateway_link import GatewayLink
from propylon.protocol.hello import Greeting
from propylon.protocol.messages import CONFIRM_START, OPEN, Pairs
from propylon.protocol.worker_link import WorkerLink


@dataclass
class Client:
    """A sink that keeps what it was given."""

    failed: tuple[int, str] | None = None
    credited: int = 0

    def respond(self, exchange: Exchange, status: int, headers: Pairs, body: bytes) -> None: ...

    def start(self, exchange: Exchange, status: int, headers: Pairs) -> None: ...

    def body(self, exchange: Exchange, data: bytes) -> None: ...

    def end(self, exchange: Exchange) -> None: ...

    def fail(self, exchange: Exchange, status: int, sentence: str) -> None:
        assert self.failed is None, "an exchange fails once"
        self.failed = (status, sentence)

    def credit_arrived(self, exchange: Exchange) -> None:
        self.credited += 1


@dataclass(eq=False)
class LinkedMember:
    """Both ends of one link, and the worker's calls."""

    pool: Pool
    slots: int = 1
    running: int = 0
    ready: bool = True
    drained: bool = False
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.machine = GatewayLink(Greeting(who={"gateway": 1}), lambda: None)
        self.worker = WorkerLink(Greeting(who={"worker": 1}), lambda: None)
        self.machine.greet()
        self.worker.greet()
        self.exchange_bytes()
        self.pool.join(self)
        self.pool.changed()

    def open(self, call: PoolCall) -> None:
        assert call.exchange is not None
        call.member = self
        request = call.exchange.request
        scope = (
            "http", "1.1", request.method, "http", request.path, b"", "", (), None, None, None,
        )  # fmt: skip
        flags = CONFIRM_START if needs_confirmation(call.exchange) else 0
        self.machine.open(call, scope, call.exchange.body, call.exchange.more_body, flags)
        self.exchange_bytes()

    def drain(self) -> None:
        self.drained = True

    def exchange_bytes(self) -> None:
        for call, message in list(self.worker.receive(self.machine.take_output())):
            if message[0] == OPEN and call is not None:
                self.calls.append(call)
        for call, _ in list(self.machine.receive(self.worker.take_output())):
            if isinstance(call, PoolCall) and call.response == "ended":
                call.exchange = None
                self.pool.ended(call, self)

    def start(self, call: Call) -> None:
        self.worker.started([call])
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


def pool(**settings: float) -> Pool:
    return Pool(PoolSettings(**settings), 60.0, lambda _name, _ready: None)  # type: ignore[arg-type]


def submit(
    to: Pool, method: str = "GET", *, body: bytes = b"", more: bool = False
) -> tuple[Exchange, Client]:
    client = Client()
    exchange = Exchange(Request(method, b"/x", "1.1"), client, None, None)
    exchange.body, exchange.more_body = body, more
    to.submit(exchange)
    return exchange, client
