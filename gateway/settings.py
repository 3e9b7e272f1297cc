"""One small frozen dataclass per room: what the room may be told. A leaf; every room imports it.

`config` makes these of flags, environment and TOML; the supervisor sends a `GatewaySettings` to
each gateway process as JSON. Times are seconds (0 = no limit where a field says so), sizes bytes.
"""

from dataclasses import dataclass, field
from typing import Final, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSettings:
    """One bound socket, inherited by its number."""

    fd: int
    address: str
    """As the operator wrote it: "127.0.0.1:8000", "[::1]:8000", "unix:/run/app.sock"."""
    tls: bool = False


MOST_HEAD: Final = 786_432
"""Bytes of a request's head that surely travel to a worker in one message, which is 1 MiB
(protocol/SPEC.md): beside it stand the first 64 KiB of the body, four thousand fields' framing, and
what is known of the client's certificate."""

HeaderMap = Literal["drop", "refuse", "dangerous"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Room `http`: parsing and its limits."""

    parser: str = "auto"
    """auto, httptools or h11; auto is httptools where it is installed."""
    limit_request_line: int = 8_190
    limit_request_fields: int = 100
    limit_request_field_size: int = 8_190
    limit_request_head: int = 65_536
    """Request line and all fields together."""
    max_request_body_size: int = 1_073_741_824
    """0: no limit."""
    header_map: HeaderMap = "drop"
    """What becomes of fields whose names have an underscore; dangerous: the app gets them."""
    websockets: bool = True
    """False: a request for a WebSocket is served as any other (RFC 9110 section 7.8)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """Room `serve`: how long a client may take, and how many there may be."""

    header_timeout: float = 15.0
    """From the first byte of a head to its last."""
    body_timeout: float = 60.0
    """Between two pieces of a request body."""
    send_timeout: float = 60.0
    """With bytes to send and none taken by the client."""
    timeout_keep_alive: float = 75.0
    request_timeout: float = 60.0
    """From the request's hand-over to a worker to the head of the response; 0: no limit."""
    graceful_timeout: float = 30.0
    """From the wish to stop to the cut."""
    drain_delay: float = 0.0
    """Of it, the time in which new connections are still accepted."""
    server_header: bool = True
    date_header: bool = True
    headers: tuple[tuple[str, str], ...] = ()
    """Fields, lower-case name and value, of every response; a `server` is instead of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustSettings:
    """Proxies in front: who is believed to be one, and what. Peers are addresses, networks,
    "unix" (who may connect to a Unix socket is on this machine, as on loopback) and "*"."""

    forwarded_allow_ips: tuple[str, ...] = ("127.0.0.1", "::1", "unix")
    forwarded_fields: tuple[str, ...] = ("for", "proto")
    """for, proto, host, port and prefix stand for X-Forwarded-*; forwarded is RFC 7239's field,
    real-ip X-Real-IP, which decides nothing and is passed on."""
    proxy_protocol: bool = False
    """Every connection begins with a PROXY header."""
    proxy_allow_from: tuple[str, ...] = ("127.0.0.1", "::1", "unix")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketSettings:
    """Rooms `http` and `serve`: WebSockets."""

    max_size: int = 16_777_216
    """Of one message, after decompression."""
    ping_interval: float = 20.0
    """0: no pings."""
    ping_timeout: float = 20.0
    """From a ping to the close of a silent client; 0: never."""
    per_message_deflate: bool = True
    deflate_window_bits: int = 12
    """9 to 15. A window takes 2**bits bytes in each direction, a compressor four times that."""
    deflate_context_takeover: bool = True
    """False: each message is compressed on its own, which frees the memory in between."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of the pages that may connect; none: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFiles:
    certfile: str
    """PEM: the certificate first, then its chain."""
    keyfile: str = ""
    """"": the key is in the certificate's file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """Rooms `listen` and `serve`: TLS on the listeners that have it."""

    certificates: tuple[CertificateFiles, ...] = ()
    """The first is for clients that ask for no name, or for one that none has."""
    keyfile_password: str = ""
    ca_certs: str = ""
    """PEM: who may have signed a client's certificate."""
    copies: dict[str, str] = field(default_factory=dict[str, str])
    """Path of such a file -> where its content is read instead, if we may not read it."""
    cert_reqs: Literal["none", "optional", "required"] = "none"
    ciphers: str = ""
    """Of TLS 1.2, as OpenSSL writes them; "": Mozilla's intermediate ones."""
    handshake_timeout: float = 10.0
    max_handshakes: int = 1_000
    """In progress at once; beyond that accepting pauses."""
    redirect: bool = False
    """Plain TCP listeners answer 308 with the https address."""
    https_port: int = 0
    """In that address; 0: that of the first TLS listener."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """Room `pool`: the queue of one pool, and its workers."""

    name: str = "default"
    queue_size: int = 1_024
    queue_timeout: float = 30.0
    heartbeat_timeout: float = 30.0
    """Without a PONG for so long a worker is hung; 0: never."""
    drain_delay: float = 0.0
    """How long the last worker is kept that asks to leave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings:
    """Room `handlers`: which requests go to which pool. The longest prefix of the most exact
    host wins, whatever the order."""

    pool: str = "default"
    host: str = ""
    """Lower case, without port; "" any, "*.example.com" every host below example.com."""
    prefix: str = ""
    """"/api" matches /api and /api/..., never /apiary; "" everything. The app sees it as its
    root_path (ASGI) or SCRIPT_NAME (WSGI)."""


DEFAULT_ACCESS_LOGFORMAT: Final = (
    '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"%(why)s'
)
"""gunicorn's (NCSA's combined one), and at the end why, of what the app has not answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """Room `observe`."""

    level: str = "info"
    access_log: str = "-"
    """"-" standard output, "" none, else a file's path, opened for appending."""
    access_logformat: str = DEFAULT_ACCESS_LOGFORMAT
    """gunicorn's atoms and some of ours (see `observe.formats`), or the word json."""
    error_log: str = "-"
    """Our own log: "-" standard error, else a file's path, opened for appending."""
    config: str = ""
    """--log-config as JSON text (see `config.log_config`); "": none."""
    use_colors: bool | None = None
    """None: as the environment and the terminal suggest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """All that one gateway process is told."""

    gateway: int = 1
    run_dir: str
    door: str = "1"
    """What its sockets for workers are called, without `.sock`: one that succeeds another has the
    same number, and both have doors for a while."""
    await_workers: bool = False
    """Whether it accepts clients only when there is a worker for them: somebody else still does,
    or has died and left them in the kernel's queue."""
    listeners: tuple[ListenerSettings, ...]
    pools: tuple[PoolSettings, ...] = (PoolSettings(),)
    routes: tuple[RouteSettings, ...] = (RouteSettings(),)
    root_path: str = ""
    """A prefix that a proxy in front has taken off; put back in front of every path."""
    http: HttpSettings = HttpSettings()
    serve: ServeSettings = ServeSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    trust: TrustSettings = TrustSettings()
    log: LogSettings = LogSettings()
    tls: TlsSettings = TlsSettings()
