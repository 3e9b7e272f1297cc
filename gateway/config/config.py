"""The configuration without faults: one frozen `Config`, the same for every verb."""

from dataclasses import dataclass
from typing import Literal

from ..listen.address import Address
from ..settings import (
    HttpSettings,
    LogSettings,
    RouteSettings,
    ServeSettings,
    TlsSettings,
    TrustSettings,
    WebSocketSettings,
)
from .identity import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """One app, the workers that host it and the queue in front of them."""

    name: str = "default"
    app: str = ""
    """`module:attribute`; "" if this process starts no workers."""
    factory: bool = False
    app_dir: str = "."
    python_path: tuple[str, ...] = ()
    """More directories to import from, after app_dir."""
    interface: Literal["auto", "asgi", "wsgi"] = "auto"
    lifespan: Literal["auto", "on", "off"] = "auto"
    loop: Literal["auto", "asyncio", "uvloop", "trio"] = "auto"
    threads: int = 4
    workers: int = 1
    limit_concurrency: int = 0
    """Calls per worker; 0: the worker decides."""
    warm_up: tuple[str, ...] = ()
    """Paths that a worker asks its app for before it is ready."""
    preload: bool = False
    """Whether the workers are forked from one process that has imported the app."""
    max_requests: int = 0
    """Requests after which a worker is replaced. 0 means no limit, here and in the next fields."""
    max_requests_jitter: int = 0
    workers_max_rss: int = 0
    """Bytes."""
    workers_lifetime: float = 0.0
    queue_size: int = 1_024
    queue_timeout: float = 30.0


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
    serve: ServeSettings
    websocket: WebSocketSettings
    trust: TrustSettings
    log: LogSettings
    tls: TlsSettings
    reload: ReloadConfig | None = None
