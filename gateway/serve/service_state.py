"""The state that all connections of a gateway process share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import ClassVar, Protocol

from ...protocol.supervision.problems import Recurring
from ..exchange.exchange import NOBODY, Exchange, Observers
from ..http.request_ids import RequestIds
from ..http1.machine import HttpContext
from ..http2.engine import Engine
from ..http2.response_fields import ResponseFields
from ..settings import Http2Settings, ServeSettings, WebSocketSettings
from ..transport.client_socket import TransportContext
from ..transport.min_rate import RateLimit, rate_limit
from ..transport.poller import Poller
from ..websocket.restarts import Restarts
from .client_faults import ClientFaults
from .service_counts import ServiceCounts


class Connection(Protocol):
    """A connection, as the service sees it."""

    protocol: ClassVar[str]
    """What it speaks, for a metric: http/1.1, http/2, websocket, tls_handshake, proxy_header."""

    @property
    def held(self) -> int:
        """Bytes that are held for it in memory: received and not handed on, or not taken yet."""
        ...

    def sweep(self, now: float) -> None: ...

    def drain(self) -> None: ...

    def end_if_idle(self) -> None: ...

    def cut(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Http2Context:
    """What all HTTP/2 connections of a process share."""

    settings: Http2Settings
    most_head: int
    """Bytes of the largest head that is served: 65,536, or more if the limits of line and field
    together are more."""
    fields: ResponseFields
    engine: Callable[[], Engine]
    """Makes the engine of a connection."""


@dataclass(kw_only=True)
class ServiceState:
    http: HttpContext
    settings: ServeSettings
    websocket: WebSocketSettings
    apply_trust: Callable[[Exchange], None]
    """Applies the trust policy to an exchange with forwarded fields."""
    answer: Callable[[Exchange], None]
    """Gives an exchange to the handler that answers it (the router)."""
    poller: Poller
    http2: Http2Context | None = None
    """None on the admin listener, which speaks HTTP/1.1 only."""
    request_ids: RequestIds | None = None
    """Names each exchange; None if they get no ids."""
    observers: Observers = NOBODY
    """The observers of every exchange (the access log)."""
    connections: set[Connection] = field(default_factory=lambda: set[Connection]())
    allowed_origins: frozenset[bytes] = frozenset()
    """Origins with pages that may open WebSockets, in lower case; if empty, all may."""
    client_faults: ClientFaults = field(default_factory=ClientFaults)
    counts: ServiceCounts = field(default_factory=ServiceCounts)
    out_of_files: Recurring = field(default_factory=lambda: Recurring("open files", "clients"))
    """That no client can be accepted, for want of descriptors."""
    draining: bool = False
    returns_ids: bool = field(init=False)
    """Whether responses have the request's id."""
    says_close: bool = field(init=False)
    """Whether responses end their connection, because there is a reason to."""
    transports: TransportContext = field(init=False)
    body_rate: RateLimit | None = field(init=False)
    """How fast requests' bodies have to come; None: there is no limit."""
    restarts: Restarts = field(init=False)
    """The WebSockets that are to be closed, one after the other."""
    clock: Callable[[], float] = monotonic
    """The clock, in monotonic seconds. A deadline begins with a reading of its own: the sweeper's
    last reading is old, and the deadline would come early."""

    def __post_init__(self) -> None:
        self._reasons: set[str] = set()
        self.returns_ids = self.settings.request_id_response and self.request_ids is not None
        self.close_for("no keep-alive", self.settings.timeout_keep_alive == 0)
        limits = self.settings
        grace = limits.min_rate_grace
        self.body_rate = rate_limit(limits.min_body_rate, grace, limits.body_timeout)
        send_rate = rate_limit(limits.min_send_rate, grace, limits.send_timeout)
        self.transports = TransportContext(self.poller, self.clock, limits.send_timeout, send_rate)
        self.restarts = Restarts(self.settings.graceful_timeout / 2)

    def close_for(self, reason: str, holds: bool) -> None:
        """Asks clients to come back on another connection, for as long as the reason holds."""
        (self._reasons.add if holds else self._reasons.discard)(reason)
        self.says_close = bool(self._reasons)

    def close_idle(self) -> None:
        """Ends the connections that wait for a request, though the service goes on."""
        for connection in list(self.connections):
            connection.end_if_idle()
