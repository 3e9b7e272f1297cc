"""The one table of options.

Each field of `Options` is an option: its type with its range, its default, its help, and its other
names. The flags, the environment variables, the TOML keys, the faults and the report of `propylon
check` are all made from this table.
"""

# ruff: noqa: RUF009  option() makes a field

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal, get_type_hints

from msgspec import Meta

from ..settings import (
    LARGEST_WINDOW,
    AdminSettings,
    BufferSettings,
    Http2Settings,
    HttpSettings,
    LogSettings,
    PoolSettings,
    ServeSettings,
    TlsSettings,
    TrustSettings,
    WebSocketSettings,
)
from .log_config import check_log_config
from .option import GATEWAY_SIDE, WORKER_SIDE, Option, option, tls_option
from .values import (
    CERT_REQS_ALIASES,
    H2C,
    INTERFACES,
    LEVEL_ALIASES,
    LOOPS,
    MOST_FIELDS,
    WEBSOCKETS,
    read_admin_bind,
    read_app,
    read_bind,
    read_concurrency,
    read_field_limit,
    read_forwarded_fields,
    read_headers,
    read_id_header,
    read_internal_files,
    read_labels,
    read_limit,
    read_logformat,
    read_memory,
    read_name,
    read_peers,
    read_pool_name,
    read_root_path,
    read_static,
    read_umask,
    read_variables,
    read_warm_up,
    read_words,
    read_worker_class,
    read_workers,
)

_HTTP, _SERVE, _POOL, _LOG = HttpSettings(), ServeSettings(), PoolSettings(), LogSettings()
_HTTP2 = Http2Settings()
_WEBSOCKET = WebSocketSettings()
_BUFFERING = BufferSettings()
_TRUST = TrustSettings()
_TLS = TlsSettings()
_ADMIN = AdminSettings()
"""The rooms' own defaults are the options' defaults."""

Count = Annotated[int, Meta(ge=1, le=4096)]
Size = Annotated[int, Meta(ge=1, le=2**40)]
SizeOrNone = Annotated[int, Meta(ge=0, le=2**50)]
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]
SecondsOrNone = Annotated[float, Meta(ge=0, le=31_536_000)]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Every option with its final value."""

    app: str = option(
        "",
        "The app: module:attribute.",
        section="app",
        per_pool="supervisor",
        verbs=WORKER_SIDE,
        read=read_app,
        metavar="MODULE:ATTRIBUTE",
    )
    factory: bool = option(
        False,
        "The attribute is a function that makes the app.",
        section="app",
        per_pool="workers",
        verbs=WORKER_SIDE,
    )
    app_dir: str = option(
        ".",
        "Directory to import the app from.",
        section="app",
        per_pool="supervisor",
        aliases=("chdir", "working-dir"),
        verbs=WORKER_SIDE,
        metavar="DIR",
        example="src",
    )
    pythonpath: tuple[str, ...] = option(
        (),
        "More directories to import from, after --app-dir; may be repeated.",
        section="app",
        per_pool="workers",
        verbs=WORKER_SIDE,
        read=read_words,
        metavar="DIR",
    )
    env: tuple[str, ...] = option(
        (),
        "Variable for the app's environment; may be repeated.",
        section="app",
        verbs=WORKER_SIDE,
        short="-e",
        read=read_variables,
        secret=True,
        metavar="NAME=VALUE",
        example="DJANGO_SETTINGS_MODULE=mysite.settings",
    )
    env_file: tuple[str, ...] = option(
        (),
        "File of NAME=VALUE lines for the app's environment, where it has no such variable yet; "
        "may be repeated.",
        section="app",
        verbs=WORKER_SIDE,
        aliases=("env-files",),
        metavar="PATH",
        example=".env",
    )
    interface: Literal["auto", "asgi", "wsgi"] = option(
        "auto",
        "What the app speaks; auto looks at it.",
        section="app",
        per_pool="workers",
        words=INTERFACES,
        verbs=WORKER_SIDE,
    )
    lifespan: Literal["auto", "on", "off"] = option(
        "auto",
        "ASGI lifespan; auto tries it.",
        section="app",
        per_pool="workers",
        verbs=WORKER_SIDE,
        aliases=("asgi-lifespan",),
    )
    warm_up: tuple[str, ...] = option(
        (),
        "Path that a new worker asks its app for before it is ready; may be repeated.",
        section="app",
        per_pool="workers",
        verbs=WORKER_SIDE,
        read=read_warm_up,
        metavar="PATH",
        example="/health",
    )
    pool: str = option(
        "default",
        "Name of the one pool, where no [[pools]] are given.",
        section="app",
        read=read_pool_name,
        metavar="NAME",
    )

    bind: tuple[str, ...] = option(
        (),
        "Address to listen on: HOST:PORT, [::1]:PORT, unix:PATH?mode=660&user=U&group=G, fd://N "
        "or systemd's fd://NAME; may be repeated.",
        section="address",
        short="-b",
        verbs=GATEWAY_SIDE,
        read=read_bind,
        metavar="ADDRESS",
        example="0.0.0.0:8000",
    )
    host: str | None = option(
        None,
        "Host to listen on.",
        section="address",
        verbs=GATEWAY_SIDE,
        metavar="HOST",
        example="0.0.0.0",
    )
    port: Annotated[int, Meta(ge=0, le=65_535)] | None = option(
        None,
        "Port to listen on; 0: any free one.",
        section="address",
        verbs=GATEWAY_SIDE,
        metavar="PORT",
        example="8080",
    )
    uds: str | None = option(
        None,
        "Unix socket to listen on.",
        section="address",
        verbs=GATEWAY_SIDE,
        metavar="PATH",
        aliases=("unix-socket",),
        example="/run/app.sock",
    )
    fd: Annotated[int, Meta(ge=0, le=999_999)] | None = option(
        None, "Inherited listening socket, by number.", section="address", verbs=GATEWAY_SIDE
    )
    insecure_bind: tuple[str, ...] = option(
        (),
        "Address to listen on without TLS, beside --bind; may be repeated.",
        section="address",
        verbs=GATEWAY_SIDE,
        read=read_bind,
        metavar="ADDRESS",
        example=":80",
    )
    backlog: Annotated[int, Meta(ge=1, le=65_535)] = option(
        2048,
        "Connections the kernel holds before they are accepted.",
        section="address",
        verbs=GATEWAY_SIDE,
    )
    root_path: str = option(
        "",
        "Prefix that a proxy in front has taken off every path.",
        section="address",
        aliases=("url-path-prefix",),
        verbs=GATEWAY_SIDE,
        read=read_root_path,
        metavar="PREFIX",
        example="/api",
    )

    proxy_headers: bool = option(
        True,
        "Believe Forwarded and X-Forwarded-* of trusted proxies.",
        section="proxies",
        verbs=GATEWAY_SIDE,
    )
    forwarded_allow_ips: tuple[str, ...] = option(
        _TRUST.forwarded_allow_ips,
        "Proxies that are believed: addresses, networks, unix, *; commas between them.",
        section="proxies",
        aliases=("trusted-proxy",),
        env=("FORWARDED_ALLOW_IPS",),
        verbs=GATEWAY_SIDE,
        read=read_peers,
        metavar="PEERS",
        example="10.0.0.0/8,unix",
    )
    forwarded_fields: tuple[str, ...] = option(
        _TRUST.forwarded_fields,
        "What they are believed: for, proto, host, port, prefix (of X-Forwarded-*), real-ip and "
        "forwarded. Name those only that your proxy sets or removes; the others are dropped.",
        section="proxies",
        verbs=GATEWAY_SIDE,
        read=read_forwarded_fields,
        metavar="FIELDS",
        example="for,proto,host",
    )
    proxy_protocol: bool = option(
        False,
        "Every connection begins with a PROXY protocol header, version 1 or 2.",
        section="proxies",
        verbs=GATEWAY_SIDE,
    )
    proxy_allow_from: tuple[str, ...] = option(
        _TRUST.proxy_allow_from,
        "Who may connect with --proxy-protocol: as --forwarded-allow-ips.",
        section="proxies",
        aliases=("proxy-allow-ips",),
        verbs=GATEWAY_SIDE,
        read=read_peers,
        metavar="PEERS",
    )

    workers: int | str = option(
        1,
        "Worker processes per pool; auto: one per CPU that it may use (affinity, control group). A "
        "range as 2..8 or 1..auto: more when requests wait, fewer when workers are not needed.",
        section="processes",
        per_pool="supervisor",
        short="-w",
        aliases=("processes",),
        env=("WEB_CONCURRENCY",),
        read=read_workers,
        metavar="N|auto|MIN..MAX",
        example="4",
    )
    workers_queue_time: Seconds = option(
        0.1,
        "Seconds that requests may wait before a pool with a range of --workers grows.",
        section="processes",
        per_pool="supervisor",
    )
    workers_idle_time: Annotated[float, Meta(ge=1, le=86_400)] = option(
        60.0,
        "Seconds that such a pool keeps workers that it does not need; at least ten times as long "
        "as the app takes to start.",
        section="processes",
        per_pool="supervisor",
    )
    threads: Count = option(
        4,
        "Threads of a WSGI worker.",
        section="processes",
        per_pool="workers",
        aliases=("blocking-threads",),
        verbs=WORKER_SIDE,
    )
    loop: Literal["auto", "asyncio", "uvloop", "trio"] = option(
        "auto",
        "Event loop of an ASGI worker.",
        section="processes",
        per_pool="workers",
        verbs=WORKER_SIDE,
        aliases=("asgi-loop",),
        words=LOOPS,
    )
    worker_class: str | None = option(
        None,
        "gunicorn's and hypercorn's word for --loop and --interface.",
        section="processes",
        short="-k",
        verbs=WORKER_SIDE,
        read=read_worker_class,
        metavar="NAME",
        example="uvicorn.workers.UvicornWorker",
    )
    limit_concurrency: int | str = option(
        0,
        "Requests that one worker runs at once; 0: the threads of a WSGI worker, 10,000 of an ASGI "
        "worker; auto: an ASGI worker finds out how many its event loop and what is behind it can "
        "take, and a WSGI worker has its threads.",
        section="processes",
        per_pool="workers",
        aliases=("worker-connections", "backpressure"),
        verbs=WORKER_SIDE,
        read=read_concurrency,
        metavar="N|auto",
        example="auto",
    )
    balance: Literal["least-loaded", "round-robin", "sticky-cookie", "sticky-address"] = option(
        _POOL.balance,
        "How a worker is chosen: the one with the fewest calls, the next in turn, or for each "
        "client the same one, by a cookie or by its address.",
        section="processes",
        per_pool="gateways",
        verbs=GATEWAY_SIDE,
        example="sticky-cookie",
    )
    weight: Annotated[int, Meta(ge=1, le=100)] = option(
        1,
        "Share of the requests of one of these workers, beside those that another supervisor has "
        "started for the same gateway.",
        section="processes",
        per_pool="workers",
        verbs=WORKER_SIDE,
        example="2",
    )
    label: tuple[str, ...] = option(
        (),
        "Label of these workers for status, as zone=a; may be repeated.",
        section="processes",
        per_pool="workers",
        verbs=WORKER_SIDE,
        read=read_labels,
        metavar="NAME=VALUE",
        example="zone=a",
    )
    gateways: Annotated[int, Meta(ge=1, le=256)] = option(
        1, "Gateway processes.", section="processes", verbs=GATEWAY_SIDE
    )
    preload: bool = option(
        False,
        "Import the app once and fork the workers, which then share its memory.",
        section="processes",
        per_pool="supervisor",
        aliases=("preload-app",),
        verbs=WORKER_SIDE,
    )
    max_requests: Annotated[int, Meta(ge=0, le=2**40)] = option(
        0,
        "Requests after which a worker is replaced; 0: no limit.",
        section="processes",
        per_pool="workers",
        aliases=("limit-max-requests",),
        verbs=WORKER_SIDE,
        example="1000",
    )
    max_requests_jitter: Annotated[int, Meta(ge=0, le=2**40)] = option(
        0,
        "At most so many more, by chance, so that workers don't all go together.",
        section="processes",
        per_pool="workers",
        verbs=WORKER_SIDE,
        aliases=("limit-max-requests-jitter",),
    )
    workers_max_rss: int | str = option(
        0,
        "Memory at which a worker is replaced: bytes, 512M, a part of the container's limit for "
        "all together as 80%, or auto; 0: no limit.",
        section="processes",
        per_pool="workers",
        verbs=WORKER_SIDE,
        read=read_memory,
        metavar="BYTES|N%|auto",
        example="512M",
    )
    workers_lifetime: SecondsOrNone = option(
        0.0,
        "Seconds after which a worker is replaced, or up to a tenth less by chance; 0: no limit.",
        section="processes",
        per_pool="workers",
        verbs=WORKER_SIDE,
    )
    run_dir: str | None = option(
        None,
        "Directory of the pools' sockets.",
        section="processes",
        metavar="DIR",
        example="/run/app",
    )
    pid: str | None = option(
        None,
        "File to write the supervisor's pid to.",
        section="processes",
        metavar="PATH",
        short="-p",
        aliases=("pid-file", "pidfile"),
        example="/run/app.pid",
    )
    user: str | int | None = option(
        None,
        "User that the gateway and the workers run as, by name or number; only root can say so.",
        section="processes",
        short="-u",
        metavar="NAME",
        read=read_name,
    )
    group: str | int | None = option(
        None,
        "Group that they run as, besides the user's own.",
        section="processes",
        short="-g",
        metavar="NAME",
        read=read_name,
    )
    umask: str | int | None = option(
        None,
        "umask of every process, in octal.",
        section="processes",
        read=read_umask,
        metavar="MODE",
        short="-m",
        example="027",
    )

    timeout_keep_alive: SecondsOrNone = option(
        _SERVE.timeout_keep_alive,
        "Seconds that an idle connection is kept.",
        section="time",
        aliases=("keep-alive",),
        verbs=GATEWAY_SIDE,
    )
    timeout_graceful_shutdown: SecondsOrNone = option(
        _SERVE.graceful_timeout,
        "Seconds that running requests get to finish at a stop.",
        section="time",
        aliases=("graceful-timeout", "workers-kill-timeout"),
        example="20",
    )
    request_timeout: SecondsOrNone = option(
        _SERVE.request_timeout,
        "Seconds from a request's hand-over to the head of its response; 0: no limit.",
        section="time",
        verbs=GATEWAY_SIDE,
        aliases=("http-timeout",),
        example="120",
    )
    queue_timeout: Seconds = option(
        _POOL.queue_timeout,
        "Seconds that a request waits for a worker.",
        section="time",
        per_pool="gateways",
        verbs=GATEWAY_SIDE,
    )
    sticky_timeout: SecondsOrNone = option(
        _POOL.sticky_timeout,
        "Seconds that a request waits for the one worker that its client is sticky to, while that "
        "is busy; then any gets it.",
        section="time",
        per_pool="gateways",
        verbs=GATEWAY_SIDE,
    )
    queue_target: SecondsOrNone = option(
        _POOL.queue_target,
        "Seconds that requests wait in order; beyond, the newest goes first; 0: always in order.",
        section="time",
        per_pool="gateways",
        verbs=GATEWAY_SIDE,
        example="0",
    )
    slow_start: SecondsOrNone = option(
        _POOL.slow_start,
        "Seconds in which a fresh worker comes to its full share of the requests; 0: at once.",
        section="time",
        per_pool="gateways",
        verbs=GATEWAY_SIDE,
        example="10",
    )
    header_timeout: Seconds = option(
        _SERVE.header_timeout,
        "Seconds for a request's head, from its first byte to its last.",
        section="time",
        verbs=GATEWAY_SIDE,
    )
    body_timeout: Seconds = option(
        _SERVE.body_timeout,
        "Seconds between two pieces of a request's body.",
        section="time",
        verbs=GATEWAY_SIDE,
        aliases=("read-timeout",),
    )
    send_timeout: Seconds = option(
        _SERVE.send_timeout,
        "Seconds that a client may take none of its response.",
        section="time",
        verbs=GATEWAY_SIDE,
    )
    min_body_rate: Annotated[int, Meta(ge=0, le=1_000_000_000)] = option(
        _SERVE.min_body_rate,
        "Bytes a second at which a request's body has to come, while no response has begun; 0: "
        "no limit.",
        section="time",
        verbs=GATEWAY_SIDE,
    )
    min_send_rate: Annotated[int, Meta(ge=0, le=1_000_000_000)] = option(
        _SERVE.min_send_rate,
        "Bytes a second at which a client has to take what waits for it; 0: no limit.",
        section="time",
        verbs=GATEWAY_SIDE,
    )
    min_rate_grace: Seconds = option(
        _SERVE.min_rate_grace,
        "Seconds that a client has before its rate counts.",
        section="time",
        verbs=GATEWAY_SIDE,
    )
    startup_timeout: Seconds = option(
        60.0, "Seconds that a worker may take to start.", section="time"
    )
    reload_observe: SecondsOrNone = option(
        1.0,
        "Seconds that the first new workers of a reload serve beside the old ones, before these "
        "are replaced.",
        section="time",
    )
    heartbeat_timeout: SecondsOrNone = option(
        _POOL.heartbeat_timeout,
        "Seconds without a sign of life after which a worker counts as hung; 0: never.",
        section="time",
    )
    drain_delay: SecondsOrNone = option(
        _SERVE.drain_delay,
        "Seconds that a stop goes on accepting, so that load balancers can look away; they are "
        "part of --timeout-graceful-shutdown.",
        section="time",
        verbs=GATEWAY_SIDE,
    )

    queue_size: Annotated[int, Meta(ge=0, le=10_000_000)] = option(
        _POOL.queue_size,
        "Requests that wait for a worker, per pool and gateway process.",
        section="limits",
        per_pool="gateways",
        verbs=GATEWAY_SIDE,
    )
    limit_connections: Annotated[int, Meta(ge=0, le=10_000_000)] = option(
        _SERVE.limit_connections,
        "Client connections at once, per gateway process: beyond them idle ones are closed, then "
        "the next wait to be accepted; 0: as many as open files and memory allow.",
        section="limits",
        verbs=GATEWAY_SIDE,
        example="10000",
    )
    limit_connections_per_address: Annotated[int, Meta(ge=0, le=10_000_000)] = option(
        _SERVE.limit_connections_per_address,
        "Client connections at once from one address (a /64 of IPv6), per gateway process; the "
        "next are reset. Trusted proxies are not counted; 0: no limit.",
        section="limits",
        verbs=GATEWAY_SIDE,
        example="100",
    )
    limit_buffered_bytes: SizeOrNone = option(
        _SERVE.limit_buffered_bytes,
        "Bytes held in memory for all clients beside kept bodies, per gateway process: beyond them "
        "idle connections are closed, and accepting pauses; 0: half of the memory.",
        section="limits",
        verbs=GATEWAY_SIDE,
        metavar="BYTES",
        example="536870912",
    )
    limit_requests_per_connection: Annotated[int, Meta(ge=0, le=2**40)] = option(
        _SERVE.limit_requests_per_connection,
        "Requests after which a connection is closed, as its last response says; 0: no limit.",
        section="limits",
        verbs=GATEWAY_SIDE,
        example="10000",
    )
    limit_request_line: SizeOrNone = option(
        _HTTP.limit_request_line,
        "Size of the request line; 0: as much as can be.",
        section="limits",
        verbs=GATEWAY_SIDE,
        metavar="BYTES",
        read=read_limit,
    )
    limit_request_fields: Annotated[int, Meta(ge=0, le=MOST_FIELDS)] = option(
        _HTTP.limit_request_fields,
        "Header fields of a request; 0: as many as can be.",
        section="limits",
        verbs=GATEWAY_SIDE,
        read=read_field_limit,
    )
    limit_request_field_size: SizeOrNone = option(
        _HTTP.limit_request_field_size,
        "Size of one header field; 0: as much as can be.",
        section="limits",
        verbs=GATEWAY_SIDE,
        metavar="BYTES",
        read=read_limit,
    )
    max_request_body_size: SizeOrNone = option(
        _HTTP.max_request_body_size,
        "Size of a request's body; 0: no limit.",
        section="limits",
        verbs=GATEWAY_SIDE,
        example="10485760",
        metavar="BYTES",
    )
    buffer_requests: Literal["auto", "on", "off"] = option(
        _POOL.buffer_requests,
        "Keep a request until its body is whole, and only then give it to a worker; auto: for "
        "WSGI, so that a slow client holds no thread.",
        section="limits",
        per_pool="gateways",
        verbs=GATEWAY_SIDE,
    )
    buffer_responses: Literal["auto", "on", "off"] = option(
        _POOL.buffer_responses,
        "Take a response from its worker as fast as it comes, and keep what the client does not "
        "take at once; auto: for WSGI, so that a slow client holds no thread.",
        section="limits",
        per_pool="gateways",
        verbs=GATEWAY_SIDE,
    )
    buffer_size: Annotated[int, Meta(ge=0, le=2**30)] = option(
        _BUFFERING.body,
        "Bytes of a kept body that stay in memory; the rest goes into a temporary file.",
        section="limits",
        verbs=GATEWAY_SIDE,
        metavar="BYTES",
    )
    buffer_memory: Annotated[int, Meta(ge=0, le=2**40)] = option(
        _BUFFERING.memory,
        "Bytes of all kept bodies in memory, per gateway process.",
        section="limits",
        verbs=GATEWAY_SIDE,
        metavar="BYTES",
    )
    buffer_disk: Annotated[int, Meta(ge=0, le=2**50)] = option(
        _BUFFERING.disk,
        "Bytes of all kept bodies in temporary files, per gateway process; 0: no files.",
        section="limits",
        verbs=GATEWAY_SIDE,
        metavar="BYTES",
    )
    temp_dir: str | None = option(
        None,
        "Directory of temporary files; by default the first that can be used of $TMPDIR, "
        "/var/tmp, /tmp and the run directory.",
        section="limits",
        verbs=GATEWAY_SIDE,
        metavar="DIR",
        example="/var/tmp",
    )
    header_map: Literal["drop", "refuse", "dangerous"] = option(
        _HTTP.header_map,
        "Header fields whose names have an underscore, which apps can't tell from a dash: dropped, "
        "refused with 400, or given to the app.",
        section="limits",
    )
    early_hints: Literal["auto", "all", "off"] = option(
        _HTTP.early_hints,
        "Clients that get the early hints (103) of an app: those of HTTP/2, all from HTTP/1.1 on, "
        "or none.",
        section="limits",
        verbs=GATEWAY_SIDE,
    )
    http: Literal["auto", "httptools", "h11"] = option(
        "auto",
        "Parser of HTTP/1.1.",
        section="limits",
        verbs=GATEWAY_SIDE,
    )

    static: tuple[str, ...] = option(
        (),
        "Files of a folder, sent below a prefix without asking the app; may be repeated.",
        section="responses",
        verbs=GATEWAY_SIDE,
        metavar="PREFIX=DIR",
        example="/assets=dist/assets",
        read=read_static,
    )
    internal_files: tuple[str, ...] = option(
        _POOL.internal_files,
        "Folder of files that the app may have sent by X-Accel-Redirect (a path below PREFIX) or "
        "X-Sendfile (a path of the folder); may be repeated.",
        section="responses",
        per_pool="gateways",
        verbs=GATEWAY_SIDE,
        metavar="PREFIX=DIR",
        example="/protected=/srv/files",
        read=read_internal_files,
    )
    server_header: bool = option(
        True, "Send the Server field.", section="responses", verbs=GATEWAY_SIDE
    )
    date_header: bool = option(
        True, "Send the Date field.", section="responses", verbs=GATEWAY_SIDE
    )
    header: tuple[str, ...] = option(
        (),
        "Field to add to every response; may be repeated.",
        section="responses",
        verbs=GATEWAY_SIDE,
        metavar="NAME:VALUE",
        example="X-Frame-Options:DENY",
        read=read_headers,
    )

    request_ids: bool = option(
        True,
        "Give every request an id: a trusted proxy's, or else a new UUID of version 7.",
        section="requests",
        verbs=GATEWAY_SIDE,
    )
    request_id_header: str = option(
        _HTTP.request_id_header,
        "Field of request ids, as proxies set it and as the app gets it.",
        section="requests",
        verbs=GATEWAY_SIDE,
        read=read_id_header,
        metavar="NAME",
        example="x-correlation-id",
    )
    request_id_response: bool = option(
        _SERVE.request_id_response,
        "Send the request's id in responses too.",
        section="requests",
        verbs=GATEWAY_SIDE,
    )

    http2: bool = option(
        True,
        "Offer HTTP/2 to clients of listeners with TLS, before HTTP/1.1 (ALPN).",
        section="http2",
        verbs=GATEWAY_SIDE,
    )
    h2c: Literal["off", "prior-knowledge"] = option(
        "off",
        "HTTP/2 on listeners without TLS, for clients that begin with it: a load balancer in "
        "front, say. HTTP/1.1 is spoken there as well.",
        section="http2",
        verbs=GATEWAY_SIDE,
        aliases=("http2-cleartext",),
        words=H2C,
        example="prior-knowledge",
    )
    http2_websocket: bool = option(
        _HTTP2.websockets,
        "WebSockets on streams of HTTP/2 (RFC 8441), unless --ws none.",
        section="http2",
        verbs=GATEWAY_SIDE,
    )
    http2_engine: Literal["builtin", "h2"] = option(
        _HTTP2.engine,
        "What speaks HTTP/2: Propylon itself, or the library h2, which is slower (docs/HTTP2.md).",
        section="http2",
        verbs=GATEWAY_SIDE,
    )
    http2_max_streams: Annotated[int, Meta(ge=1, le=10_000)] = option(
        _HTTP2.max_streams,
        "Requests of one connection at once; the next are refused, and clients send them again.",
        section="http2",
        verbs=GATEWAY_SIDE,
        aliases=("http2-max-concurrent-streams",),
        example="250",
    )
    # Not below HTTP/2's own: a client may send so much before it knows of ours (RFC 9113, 6.5.3).
    http2_stream_window: Annotated[int, Meta(ge=65_535, le=LARGEST_WINDOW)] = option(
        _HTTP2.stream_window,
        "Bytes of a request's body that a client may send before the app takes some.",
        section="http2",
        verbs=GATEWAY_SIDE,
        aliases=("http2-initial-window-size", "http2-initial-stream-window-size"),
        metavar="BYTES",
        example="1048576",
    )
    http2_max_frame_size: Annotated[int, Meta(ge=16_384, le=16_777_215)] = option(
        _HTTP2.max_frame_size,
        "Size of the largest frame that a client may send.",
        section="http2",
        verbs=GATEWAY_SIDE,
        metavar="BYTES",
    )
    http2_max_resets: Annotated[int, Meta(ge=0, le=1_000_000)] = option(
        _HTTP2.max_resets,
        "Requests of one connection that may be cancelled, faulty or refused in half a minute, "
        "beside every second one; beyond them it ends; 0: no limit.",
        section="http2",
        verbs=GATEWAY_SIDE,
        example="2000",
    )

    ws: Literal["auto", "none"] = option(
        "auto",
        "none: a request for a WebSocket is served as any other request.",
        section="websocket",
        words=WEBSOCKETS,
        verbs=GATEWAY_SIDE,
    )
    ws_max_size: Size = option(
        _WEBSOCKET.max_size,
        "Bytes of one message, after decompression.",
        section="websocket",
        verbs=GATEWAY_SIDE,
        aliases=("websocket-max-message-size",),
    )
    ws_max_rate: Annotated[int, Meta(ge=0, le=1_000_000)] = option(
        _WEBSOCKET.max_rate,
        "Messages of a client a second, with bursts of ten seconds' worth; beyond them it is "
        "closed with 1008; 0: no limit.",
        section="websocket",
        verbs=GATEWAY_SIDE,
        example="100",
    )
    ws_max_byte_rate: SizeOrNone = option(
        _WEBSOCKET.max_byte_rate,
        "Bytes of a client a second, compressed ones as what they become, with bursts of ten "
        "seconds' worth; beyond them it is closed with 1008; 0: no limit.",
        section="websocket",
        verbs=GATEWAY_SIDE,
        example="1000000",
    )
    ws_ping_interval: SecondsOrNone = option(
        _WEBSOCKET.ping_interval,
        "Seconds between pings to a silent client; 0: none.",
        section="websocket",
        verbs=GATEWAY_SIDE,
        aliases=("websocket-ping-interval", "ping-interval"),
    )
    ws_ping_timeout: SecondsOrNone = option(
        _WEBSOCKET.ping_timeout,
        "Seconds that a client has to answer a ping; 0: no limit.",
        section="websocket",
        verbs=GATEWAY_SIDE,
        aliases=("ping-timeout",),
    )
    ws_per_message_deflate: bool = option(
        _WEBSOCKET.per_message_deflate,
        "Compress messages where the client offers it.",
        section="websocket",
        verbs=GATEWAY_SIDE,
    )
    ws_deflate_window_bits: Annotated[int, Meta(ge=9, le=15)] = option(
        _WEBSOCKET.deflate_window_bits,
        "Window of the compression, as a power of two.",
        section="websocket",
        verbs=GATEWAY_SIDE,
    )
    ws_deflate_context_takeover: bool = option(
        _WEBSOCKET.deflate_context_takeover,
        "Keep the compression's window from message to message.",
        section="websocket",
        verbs=GATEWAY_SIDE,
    )
    ws_allowed_origin: tuple[str, ...] = option(
        (),
        "Origin whose pages may open WebSockets, as https://example.com; may be repeated.",
        section="websocket",
        verbs=GATEWAY_SIDE,
        metavar="ORIGIN",
    )

    ssl_certfile: tuple[str, ...] = tls_option(
        (),
        "Certificate and its chain, PEM: --bind speaks TLS. Repeated, a client gets the one of "
        "the name that it asks for, or the first.",
        aliases=("certfile", "ssl-certificate"),
        metavar="PATH",
        example="cert.pem",
    )
    ssl_keyfile: tuple[str, ...] = tls_option(
        (),
        "Private key of each --ssl-certfile, in the same order, if it is not in the same file.",
        aliases=("keyfile",),
        metavar="PATH",
        example="key.pem",
    )
    ssl_keyfile_password: str = tls_option(
        "",
        "Password of encrypted keys; better given as PROPYLON_SSL_KEYFILE_PASSWORD.",
        aliases=("keyfile-password",),
        secret=True,
        metavar="TEXT",
    )
    ssl_ca_certs: str = tls_option(
        "",
        "Who may have signed clients' certificates, PEM.",
        aliases=("ca-certs", "ssl-ca"),
        metavar="PATH",
    )
    ssl_cert_reqs: Literal["none", "optional", "required"] = tls_option(
        _TLS.cert_reqs,
        "Whether clients show a certificate.",
        aliases=("cert-reqs", "verify-mode"),
        words=CERT_REQS_ALIASES,
    )
    ssl_ciphers: str = tls_option(
        "",
        "Ciphers of TLS 1.2, as OpenSSL writes them, instead of Mozilla's intermediate ones.",
        aliases=("ciphers",),
        metavar="CIPHERS",
    )
    ssl_handshake_timeout: Seconds = tls_option(
        _TLS.handshake_timeout,
        "Seconds that a client may take for its handshake.",
    )
    ssl_max_handshakes: Annotated[int, Meta(ge=1, le=1_000_000)] = tls_option(
        _TLS.max_handshakes,
        "Handshakes in progress at once, per gateway process; the next wait to be accepted.",
    )
    redirect_to_https: bool = tls_option(
        False,
        "Answer on --insecure-bind with the https address (308).",
    )
    https_port: Annotated[int, Meta(ge=0, le=65_535)] = tls_option(
        _TLS.https_port,
        "Port in that address, where clients know another than we do; 0: that of the first "
        "TLS listener.",
    )

    log_level: Literal["debug", "info", "warning", "error", "critical"] = option(
        "info",
        "Least level that is logged.",
        section="log",
        words=LEVEL_ALIASES,
        example="debug",
    )
    metrics: bool = option(
        True,
        "Count requests, for metrics and status. Without it only what is under way is known.",
        section="admin",
        verbs=GATEWAY_SIDE,
    )
    log_format: Literal["text", "json"] = option(
        _LOG.format,
        "Form of every line that Propylon logs, in all of its processes; with json the access log "
        "has it too, unless --access-logformat is given.",
        section="log",
        example="json",
    )
    access_log: bool = option(True, "Log every request.", section="log", verbs=GATEWAY_SIDE)
    access_logfile: str = option(
        _LOG.access_log,
        "Where to: a path, or - for standard output.",
        section="log",
        verbs=GATEWAY_SIDE,
        metavar="PATH",
        example="/var/log/app/access.log",
    )
    access_logformat: str = option(
        _LOG.access_logformat,
        "gunicorn's atoms, or the word json.",
        section="log",
        aliases=("access-log-fmt",),
        verbs=GATEWAY_SIDE,
        read=read_logformat,
        metavar="FORMAT",
        example="json",
    )
    error_logfile: str = option(
        _LOG.error_log,
        "Where Propylon's own log goes: a path, or - for standard error.",
        section="log",
        aliases=("error-log", "log-file"),
        metavar="PATH",
        example="/var/log/app/error.log",
    )
    log_config: str = option(
        "",
        "Configuration of the logging module, applied in the workers before the app is imported "
        "and to Propylon's own log: JSON, TOML, YAML or INI.",
        section="log",
        aliases=("log-config-json",),
        metavar="FILE",
        read=check_log_config,
    )
    traces: Literal["off", "otlp"] = option(
        "off",
        "Send a trace of each request by OTLP, as OTEL_* variables say; needs propylon[otel].",
        section="log",
        verbs=GATEWAY_SIDE,
        example="otlp",
    )
    use_colors: bool | None = option(
        None,
        "Colours in the log, or none, whatever NO_COLOR, FORCE_COLOR and the terminal suggest.",
        section="log",
    )

    admin_bind: tuple[str, ...] = option(
        (),
        "Address of the admin listener: health, metrics, status and a page that shows it, over "
        "plain HTTP: HOST:PORT or unix:PATH?mode=660&user=U&group=G; may be repeated.",
        section="admin",
        read=read_admin_bind,
        metavar="ADDRESS",
        example="127.0.0.1:9180",
    )
    admin_token_file: str = option(
        _ADMIN.token_file,
        "File with a token that metrics, status and page ask for; health never does.",
        section="admin",
        metavar="PATH",
        example="/run/secrets/propylon",
    )
    admin_max_queue_time: SecondsOrNone = option(
        _ADMIN.max_queue_time,
        "Seconds that a request may wait for a worker; beyond them /readyz says overloaded; 0: "
        "never.",
        section="admin",
    )

    reload: bool = option(
        False, "Start new workers when a file changes.", section="development", verbs=WORKER_SIDE
    )
    reload_dir: tuple[str, ...] = option(
        (),
        "Directory to watch, instead of --app-dir; may be repeated.",
        section="development",
        verbs=WORKER_SIDE,
        metavar="DIR",
        aliases=("reload-paths",),
    )
    reload_include: tuple[str, ...] = option(
        (),
        "Pattern of files to watch besides *.py; may be repeated.",
        section="development",
        verbs=WORKER_SIDE,
        metavar="PATTERN",
        example="*.html",
    )
    reload_exclude: tuple[str, ...] = option(
        (),
        "Pattern of files or directory not to watch; may be repeated.",
        section="development",
        verbs=WORKER_SIDE,
        metavar="PATTERN",
        aliases=("reload-ignore-dirs", "reload-ignore-paths"),
        example="*.log",
    )


@cache
def table() -> Mapping[str, Option]:
    """Every option by the name of its field, in the table's order."""
    hints = get_type_hints(Options, include_extras=True)
    return {
        field.name: dataclasses.replace(
            field.metadata["option"],
            name=field.name.replace("_", "-"),
            type=hints[field.name],
            default=field.default,
        )
        for field in dataclasses.fields(Options)
    }


@cache
def names() -> Mapping[str, Option]:
    """Every option by each of its names and aliases, written with dashes."""
    return {name: row for row in table().values() for name in row.names}
