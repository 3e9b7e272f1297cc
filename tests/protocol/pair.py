"""Two ends of a link that have greeted each other, without a socket between them."""

from propylon.protocol.calls import Call
from propylon.protocol.codec import Decoder, encode
from propylon.protocol.gateway_link import GatewayLink
from propylon.protocol.hello import Greeting
from propylon.protocol.link import LinkMachine
from propylon.protocol.messages import COUNTED_MESSAGES, FILES, Message, Scope
from propylon.protocol.worker_link import WorkerLink

SCOPE: Scope = ("http", "1.1", "GET", "http", b"/", b"", "", (), None, None, None)


class Bell:
    """A schedule_flush that counts."""

    def __init__(self) -> None:
        self.rings = 0

    def __call__(self) -> None:
        self.rings += 1


def greeting(**changes: object) -> Greeting:
    return Greeting(**{"who": {}, "window": 65_536, **changes})  # pyright: ignore[reportArgumentType]


def pair(counted: bool = False) -> tuple[GatewayLink, WorkerLink]:
    """Both open; nothing waits to go out. Both have the feature FILES, and with
    `counted` COUNTED_MESSAGES too."""
    features = frozenset({COUNTED_MESSAGES, FILES} if counted else {FILES})
    gateway = GatewayLink(greeting(features=features), Bell())
    worker = WorkerLink(greeting(features=features), Bell())
    gateway.greet()
    worker.greet()
    exchange(gateway, worker)
    return gateway, worker


def exchange(gateway: GatewayLink, worker: WorkerLink) -> None:
    """Carries what waits, both ways, until nothing does."""
    while gateway.has_output or worker.has_output:
        list(worker.receive(gateway.take_output()))
        list(gateway.receive(worker.take_output()))


def opened(
    more: bool = False, flags: int = 0, counted: bool = False
) -> tuple[GatewayLink, Call, WorkerLink, Call]:
    """A pair with one call open on it: its gateway's and its worker's side."""
    gateway, worker = pair(counted)
    call = Call()
    gateway.open(call, SCOPE, b"", more, flags)
    exchange(gateway, worker)
    return gateway, call, worker, worker.calls[call.call_id]


def hear(link: LinkMachine, *messages: Message) -> list[Message]:
    """What the link makes of the messages."""
    data = b"".join(map(encode, messages))
    return [message for _, message in link.receive(data)]


def output(link: LinkMachine) -> list[Message]:
    """All that waits, in the order in which it goes out."""
    data = b""
    while link.has_output:
        data += link.take_output()
    return list(Decoder().feed(data))
