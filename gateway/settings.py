"""Settings: one small frozen dataclass for each room. A leaf, which every room may import.

`config` makes them of flags, environment and TOML. The supervisor sends a `GatewaySettings` to each
gateway process as JSON. Times are in seconds and sizes in bytes; 0 means no limit where a field
says so.
"""

from dataclasses import dataclass, field
from typing import Final, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSettings:
    """One listening socket that a gateway process inherits by its descriptor."""

    fd: int
    address: str
    """The address as the operator wrote it: "127.0.0.1:8000", "[::1]:8000", "unix:/run/x.sock"."""
    tls: bool = False


MOST_HEAD: Final = 786_432
"""Bytes of a request's head that surely travel to a worker in one message, which is 1 MiB
(protocol/SPEC.md): beside it stand the first 64 KiB of the body, four thousand fields' framing, and
what is known of the client's certificate."""

LARGEST_WINDOW: Final = 2**31 - 1
"""Bytes of the largest window of HTTP/2 (RFC 9113 section 6.9.1)."""

HeaderMap = Literal["drop", "refuse", "dangerous"]
EarlyHints = Literal["auto", "all", "off"]
Http2EngineName = Literal["builtin", "h2"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """Room `http`: parsing and its limits."""

    parser: str = "auto"
    """auto, httptools or h11. auto takes httptools if it is installed."""
    limit_request_line: int = 8_190
    limit_request_fields: int = 100
    limit_request_field_size: int = 8_190
    limit_request_head: int = 65_536
    """Bytes of the request line and all fields together."""
    max_request_body_size: int = 1_073_741_824
    """0 means no limit."""
    header_map: HeaderMap = "drop"
    """What is done with a field that has an underscore in its name: it is dropped, its request is
    refused, or the app gets it (dangerous)."""
    early_hints: EarlyHints = "auto"
    """Which clients get an app's early hints (103): all from HTTP/1.1 on, none, or (auto) those of
    versions in which every client reads them. HTTP/1.1 is not one: nginx before 1.29 and Python's
    http.client take a 103 for the response, and browsers ignore it there."""
    websockets: bool = True
    """Whether a request for a WebSocket is one; if not, it is served as any other request (RFC 9110
    section 7.8)."""
    request_id_header: str = "x-request-id"
    """The field of request ids, in lower case; "" if requests get none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Http2Settings:
    """Rooms `http2` and `serve`: HTTP/2 and its limits. Whether TLS listeners offer it is in
    `TlsSettings.alpn`."""

    prior_knowledge: bool = False
    """Whether plain listeners take it from clients that begin with it (RFC 9113 section 3.3)."""
    websockets: bool = True
    """Whether its streams can become WebSockets (RFC 8441)."""
    max_streams: int = 100
    """Requests of one connection at once."""
    stream_window: int = 262_144
    """Bytes of a request's body that may be under way before the app takes some: at least 65,535,
    which a client may send before it knows of this."""
    engine: Http2EngineName = "builtin"
    """What speaks it: the gateway's own engine, or a library."""
    max_frame_size: int = 16_384
    """Bytes of the largest frame that a client may send: 16384 to 16777215."""
    max_resets: int = 1_000
    """Requests that may be in vain at once, beside each second one (see `http2.flood_guard`); 0: no
    limit."""

    @property
    def connection_window(self) -> int:
        """Bytes of all requests' bodies that may be under way: as many as their streams may have,
        so that one that is not read holds no other."""
        return min(self.max_streams * self.stream_window, LARGEST_WINDOW)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """Room `serve`: how long a client may take, and what every response carries."""

    header_timeout: float = 15.0
    """Seconds from the first byte of a head to its last."""
    body_timeout: float = 60.0
    """Seconds between two pieces of a request's body."""
    send_timeout: float = 60.0
    """Seconds in which the client takes no byte although some wait for it."""
    min_body_rate: int = 240
    """Bytes a second at which a request's body has to come; 0: no limit."""
    min_send_rate: int = 240
    """Bytes a second at which the client has to take what waits for it; 0: no limit."""
    min_rate_grace: float = 10.0
    """Seconds that a client has before either counts."""
    timeout_keep_alive: float = 75.0
    """Seconds that a connection may be idle; 0 closes it after each response."""
    request_timeout: float = 60.0
    """Seconds from the hand-over to a worker to the head of the response; 0 means no limit."""
    graceful_timeout: float = 30.0
    """Seconds from the wish to stop until what still runs is cut."""
    drain_delay: float = 0.0
    """Seconds of the graceful timeout in which new connections are still accepted."""
    limit_connections: int = 0
    """Client connections of one gateway process; 0: as many as descriptors and memory allow."""
    limit_connections_per_address: int = 0
    """Client connections of one gateway process from one address, or one /64 of IPv6; 0: no
    limit."""
    limit_requests_per_connection: int = 0
    """Requests after which a connection is closed, with the last response saying so; 0: no
    limit."""
    limit_buffered_bytes: int = 0
    """Bytes that are held in memory for all clients of a gateway process, beside kept bodies; 0: no
    limit."""
    connections_in_memory: int = 0
    """Connections that fit into the memory, for the default; 0: it is not known."""
    server_header: bool = True
    date_header: bool = True
    headers: tuple[tuple[str, str], ...] = ()
    """Fields of every response, as names in lower case and values. A `server` replaces ours."""
    request_id_response: bool = False
    """Whether responses have the request's id as a field, of the name that requests have it by."""
    limits_are_options: bool = True
    """Whether an error page names the option that sets the limit which was met."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustSettings:
    """Proxies in front: which peers are trusted, and which of their fields. Peers are addresses,
    networks, "unix" (a peer on a Unix socket is on this machine, as one on loopback is) and "*"."""

    forwarded_allow_ips: tuple[str, ...] = ("127.0.0.1", "::1", "unix")
    forwarded_fields: tuple[str, ...] = ("for", "proto")
    """Trusted fields: for, proto, host, port and prefix stand for X-Forwarded-*, forwarded for
    Forwarded (RFC 7239), real-ip for X-Real-IP, which changes nothing here and reaches the app."""
    proxy_protocol: bool = False
    """Whether every connection begins with a PROXY header."""
    proxy_allow_from: tuple[str, ...] = ("127.0.0.1", "::1", "unix")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketSettings:
    """Rooms `http` and `serve`: WebSockets."""

    max_size: int = 16_777_216
    """Bytes of one message, after decompression."""
    max_rate: int = 0
    """Messages of a client a second, in the long run; 0: no limit."""
    max_byte_rate: int = 0
    """Bytes of a client a second, in the long run; 0: no limit."""
    ping_interval: float = 20.0
    """Seconds between two pings; 0 sends none."""
    ping_timeout: float = 20.0
    """Seconds from a ping until a silent client is closed; 0 never closes it."""
    per_message_deflate: bool = True
    deflate_window_bits: int = 12
    """9 to 15. A window takes 2**bits bytes in each direction, a compressor four times that."""
    deflate_context_takeover: bool = True
    """Whether the compression of a message uses the messages before it. If not, the memory is free
    between messages."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of the pages that may connect; empty means all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFiles:
    """The files of one certificate."""

    certfile: str
    """A PEM file: the certificate first, then its chain."""
    keyfile: str = ""
    """"" means that the key is in the certificate's file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """Rooms `listen` and `serve`: TLS on the listeners that have it."""

    certificates: tuple[CertificateFiles, ...] = ()
    """The first one is for clients that ask for no name or for one that no certificate has."""
    keyfile_password: str = ""
    ca_certs: str = ""
    """A PEM file of the authorities that may sign clients' certificates."""
    copies: dict[str, str] = field(default_factory=dict[str, str])
    """Path of a file that the gateway process may not read -> where it reads a copy."""
    cert_reqs: Literal["none", "optional", "required"] = "none"
    ciphers: str = ""
    """Ciphers of TLS 1.2, as OpenSSL writes them; "" means Mozilla's intermediate ones."""
    alpn: tuple[str, ...] = ("http/1.1",)
    """Protocols that are offered to clients (RFC 7301), the preferred one first."""
    handshake_timeout: float = 10.0
    max_handshakes: int = 1_000
    """Handshakes in progress at once. Beyond that accepting pauses."""
    redirect: bool = False
    """Whether plain TCP listeners answer 308 with the https address."""
    https_port: int = 0
    """The port in that address; 0 means the port of the first TLS listener."""


Buffered = Literal["auto", "on", "off"]
MOST_WORKER_LABELS: Final = 8
"""Labels of one worker that are shown (protocol/SPEC.md 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """Room `pool`: the queue of one pool, and its workers."""

    name: str = "default"
    gateways: int = 1
    """How many gateway processes serve the pool."""
    balance: Literal["least-loaded", "round-robin", "sticky-cookie", "sticky-address"] = (
        "least-loaded"
    )
    """How a worker is chosen (see `pool.balance`)."""
    sticky_timeout: float = 1.0
    """Seconds that a sticky client's request waits for its own worker while that has no free slot;
    0: it does not."""
    slow_start: float = 0.0
    """Seconds over which the weight of a fresh worker grows; 0: it has all of it at once."""
    queue_size: int = 1_024
    queue_timeout: float = 30.0
    queue_target: float = 1.0
    """Seconds of waiting beyond which the newest request goes first (see `pool.queue`); 0 means
    never."""
    heartbeat_timeout: float = 30.0
    """Seconds without a PONG after which a worker is hung; 0 means never."""
    drain_delay: float = 0.0
    """Seconds that a pool's workers are kept when all of them ask to leave."""
    buffer_requests: Buffered = "auto"
    """Whether a worker gets a request when its body is whole. auto: a WSGI app's does."""
    buffer_responses: Buffered = "auto"
    """Whether a response is taken from its worker as fast as it comes. auto: a WSGI app's is."""
    internal_files: tuple[str, ...] = ()
    """Folders of which the app may name files in a field of its response: PREFIX=DIR, with an
    absolute path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferSettings:
    """Room `buffering`: how much of bodies is kept."""

    body: int = 65_536
    """Bytes of one body in memory; what is longer goes into a file."""
    memory: int = 67_108_864
    """Bytes of all bodies of a gateway process in memory."""
    disk: int = 4_294_967_296
    """Bytes of all files of a gateway process; 0: there are none."""
    directory: str = ""
    """The folder of the files; "" means the first that can be used of $TMPDIR, /var/tmp, /tmp and
    the run directory."""


Priority = Literal["default", "high"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticSettings:
    """Room `handlers.static`: files that a route sends."""

    folder: str
    """An absolute path."""
    index: str = "index.html"
    """The file that is sent for a folder; "" for none."""
    fallback: str = ""
    """The file that is sent for pages that there is no file for (single-page apps); "" for none."""
    not_found: str = ""
    """The file that is sent with 404; "" for a page of ours."""
    cache_control: str = ""
    """Of files without a hash of their content in their name; "" means no-cache."""
    immutable: bool = True
    """Whether files with one may be kept for a year without being asked for again."""
    precompressed: bool = True
    """Whether `app.js.br` is sent for `app.js` to who takes it."""
    symlinks: Literal["inside", "refuse", "follow"] = "inside"
    hidden: bool = False
    """Whether names that begin with a dot are sent."""
    listing: bool = False
    """Whether a folder without an index is answered with what it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings:
    """Room `handlers`: which requests go to which pool. The longest prefix of the most exact
    host wins, whatever the order."""

    pool: str = "default"
    """What answers; with `static` what no file is there for, and "" if that is a 404."""
    host: str = ""
    """A host in lower case, without port. "" matches any host, "*.example.com" every host below
    example.com."""
    prefix: str = ""
    """"/api" matches /api and /api/..., never /apiary; "" matches everything."""
    root_path: str | None = None
    """What the app sees as its root_path (ASGI) or SCRIPT_NAME (WSGI): the prefix, or a beginning
    of it; None means the whole prefix."""
    priority: Priority = "default"
    """Whether its requests pass those of other routes in the pool's queue."""
    static: StaticSettings | None = None
    """The files that it sends; None if it only leads to a pool."""
    most_calls: int = 0
    """Its requests that may be under way at once, over all gateway processes; 0: `most_percent`
    says it."""
    most_percent: int = 0
    """The same as a part of the pool's slots; 0 as well: there is no limit."""
    share_of: tuple[int, int] = (1, 1)
    """Which of how many gateway processes this one is, that have equal parts of it."""
    max_request_body_size: int | None = None
    """Bytes of a request's body, 0 for no limit; None for `HttpSettings.max_request_body_size`."""


DEFAULT_ACCESS_LOGFORMAT: Final = (
    '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"%(why)s'
)
"""gunicorn's format (NCSA's combined one). Its end says why, if the app has not answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """Room `observe`: where logs go, and in which form."""

    level: str = "info"
    format: Literal["text", "json"] = "text"
    """The form of the lines of our own log."""
    access_log: str = "-"
    """"-" means standard output, "" no access log; any other text is a path to append to."""
    access_logformat: str = DEFAULT_ACCESS_LOGFORMAT
    """gunicorn's atoms and some of ours (see `observe.formats`), or the word json."""
    error_log: str = "-"
    """Where our own log goes: "-" means standard error, any other text is a path to append to."""
    config: str = ""
    """--log-config as JSON text (see `config.log_config`); "" if it was not given."""
    sender: str = ""
    """What names the process in lines of text, as `gateway 2`; "" if there is only one."""
    use_colors: bool | None = None
    """None leaves it to the environment and the terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings:
    """Room `admin`: what a reload may change of the admin listener."""

    token_file: str = ""
    """The file with the token that status, metrics and page ask for; "" if they ask for none."""
    max_queue_time: float = 10.0
    """Seconds that a request may wait for a worker until its pool counts as overloaded; 0: it never
    does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSettings:
    """Room `trace`: what becomes of traces. All else about them is in OTEL_* variables."""

    export: Literal["off", "otlp"] = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Everything that one gateway process is told when it starts."""

    gateway: int = 1
    run_dir: str
    door: str = "1"
    """The name of its worker listeners' sockets, without `.sock`. A gateway process and its
    replacement have the same number and listen side by side for a while, so their names differ."""
    await_workers: bool = False
    """Whether it accepts clients only when it has a worker for them. Another gateway process
    accepts meanwhile, or has ended and left its clients in the kernel's queue."""
    listeners: tuple[ListenerSettings, ...]
    pools: tuple[PoolSettings, ...] = (PoolSettings(),)
    routes: tuple[RouteSettings, ...] = (RouteSettings(),)
    root_path: str = ""
    """A prefix that a proxy in front has taken off. It is put back in front of every path."""
    http: HttpSettings = HttpSettings()
    http2: Http2Settings = Http2Settings()
    serve: ServeSettings = ServeSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    buffering: BufferSettings = BufferSettings()
    trust: TrustSettings = TrustSettings()
    log: LogSettings = LogSettings()
    tls: TlsSettings = TlsSettings()
    metrics: bool = True
    """Whether it counts exchanges. What is under way it reports in any case."""
    trace: TraceSettings = TraceSettings()
