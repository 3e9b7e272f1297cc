"""What all connections of a gateway process share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from ..exchange.exchange import NOBODY, Exchange, Observers
from ..http1.machine import HttpContext
from ..settings import ServeSettings, WebSocketSettings
from ..transport.client_socket import TransportContext
from ..transport.poller import Poller
from ..websocket.restarts import Restarts
from .client_faults import ClientFaults


class Connection(Protocol):
    """What the service does with a connection."""

    def sweep(self, now: float) -> None: ...

    def drain(self) -> None: ...

    def cut(self) -> None: ...


@dataclass(kw_only=True)
class ServiceState:
    http: HttpContext
    settings: ServeSettings
    websocket: WebSocketSettings
    apply_trust: Callable[[Exchange], None]
    """Hears the forwarded fields of an exchange that has any (the trust policy)."""
    answer: Callable[[Exchange], None]
    """Has an exchange answered (the router)."""
    poller: Poller
    observers: Observers = NOBODY
    """Told of every exchange (the access log)."""
    connections: set[Connection] = field(default_factory=lambda: set[Connection]())
    allowed_origins: frozenset[bytes] = frozenset()
    """Origins whose pages may open WebSockets, lower case; none: all."""
    client_faults: ClientFaults = field(default_factory=ClientFaults)
    draining: bool = False
    says_close: bool = field(init=False)
    """Whether responses end their connection: there is a reason to."""
    transports: TransportContext = field(init=False)
    restarts: Restarts = field(init=False)
    """WebSockets that are to be closed, one after the other."""
    clock: Callable[[], float] = monotonic
    """Monotonic seconds. A deadline begins with a reading of its own: with the sweeper's last one
    it would come early by as much as that is old."""

    def __post_init__(self) -> None:
        self._reasons: set[str] = set()
        self.close_for("no keep-alive", self.settings.timeout_keep_alive == 0)
        self.transports = TransportContext(self.poller, self.clock, self.settings.send_timeout)
        self.restarts = Restarts(self.settings.graceful_timeout / 2)

    def close_for(self, reason: str, holds: bool) -> None:
        """Clients had better come back on another connection, for as long as this holds."""
        (self._reasons.add if holds else self._reasons.discard)(reason)
        self.says_close = bool(self._reasons)
