"""What all connections of a gateway process share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ..exchange import Exchange
from ..http.machine import HttpContext
from ..poller import Poller
from ..settings import ServeSettings, WebSocketSettings
from .notices import Notices


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
    believe: Callable[[Exchange], None]
    """Hears the forwarded fields of an exchange that has any (the trust policy)."""
    answer: Callable[[Exchange], None]
    """Has an exchange answered (the router)."""
    finished: Callable[[Exchange, float], None]
    """Told of every exchange at its end (the access log): the exchange and its seconds."""
    poller: Poller
    connections: set[Connection] = field(default_factory=lambda: set[Connection]())
    allowed_origins: frozenset[bytes] = frozenset()
    """Origins whose pages may open WebSockets, lower case; none: all."""
    notices: Notices = field(default_factory=Notices)
    draining: bool = False
    says_close: bool = field(init=False)
    """Whether responses end their connection: the service drains, or keep-alive is off."""
    now: float = 0.0
    """Monotonic seconds as of the last sweep: exact enough for deadlines."""

    def __post_init__(self) -> None:
        self.says_close = self.settings.timeout_keep_alive == 0
