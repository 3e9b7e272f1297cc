"""The configuration without faults: one frozen `Config`, the same for every verb."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..listen.address import Address
from ..settings import (
    AdminSettings,
    BufferSettings,
    Http2Settings,
    HttpSettings,
    LogSettings,
    RouteSettings,
    ServeSettings,
    TlsSettings,
    TraceSettings,
    TrustSettings,
    WebSocketSettings,
)
from .identity import Identity
from .options import table


def pool_options(who: Literal["workers", "gateways"], **given: Any) -> Mapping[str, Any]:
    """The options that a pool's workers or gateways act on, by name; those that are not given have
    their defaults."""
    defaults = {row.field: row.default for row in table().values() if row.per_pool == who}
    return defaults | given


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """One app, the workers that host it and the queue in front of them: what the supervisor acts
    on, and what it only tells others."""

    name: str = "default"
    app: str = ""
    """"" where this process starts no workers."""
    app_dir: str = "."
    workers: int = 1
    """How many there are at the start, and at least."""
    workers_max: int | None = None
    """How many there may be; None: never more than `workers`."""
    workers_queue_time: float = 0.1
    workers_idle_time: float = 60.0
    preload: bool = False
    """Its workers are forked from one process that has imported the app."""
    for_workers: Mapping[str, Any] = field(default_factory=lambda: pool_options("workers"))
    """Options by name: fields of `worker.settings.WorkerSettings`."""
    for_gateways: Mapping[str, Any] = field(default_factory=lambda: pool_options("gateways"))
    """Options by name: fields of `PoolSettings`."""

    @property
    def most_workers(self) -> int:
        return self.workers if self.workers_max is None else self.workers_max

    @property
    def scales(self) -> bool:
        """Whether its number of workers is a range."""
        return self.most_workers > self.workers

    @property
    def workers_text(self) -> str:
        """ "1 worker", "2 to 8 workers"."""
        if self.scales:
            return f"{self.workers} to {self.most_workers} workers"
        return f"{self.workers} worker{'' if self.workers == 1 else 's'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadConfig:
    """Which files --reload watches: new workers are started when one of them changes."""

    dirs: tuple[str, ...]
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that one instance is told. Times are in seconds, sizes in bytes."""

    pools: tuple[PoolConfig, ...]
    routes: tuple[RouteSettings, ...]
    addresses: tuple[Address, ...]
    backlog: int = 2_048
    gateways: int = 1
    root_path: str = ""
    run_dir: str | None = None
    """None: a run directory is made for this instance."""
    pid_file: str | None = None
    identity: Identity | None = None
    """None: the children run as the user who starts Propylon."""
    umask: int | None = None
    """None: the umask stays as it was inherited."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables that workers have besides the supervisor's own environment."""
    startup_timeout: float = 60.0
    heartbeat_timeout: float = 30.0
    """Seconds without a sign of life after which a worker counts as hung; 0: never."""
    reload_observe: float = 1.0
    """Seconds that the canaries of a new generation serve before the other workers follow."""
    http: HttpSettings
    http2: Http2Settings = field(default_factory=Http2Settings)
    serve: ServeSettings
    websocket: WebSocketSettings
    buffering: BufferSettings = field(default_factory=BufferSettings)
    trust: TrustSettings
    log: LogSettings
    tls: TlsSettings
    metrics: bool = True
    """Whether gateways count requests."""
    trace: TraceSettings = field(default_factory=TraceSettings)
    reload: ReloadConfig | None = None
    admin_addresses: tuple[Address, ...] = ()
    """Where the admin listener listens; () means that there is none."""
    admin: AdminSettings = field(default_factory=AdminSettings)
