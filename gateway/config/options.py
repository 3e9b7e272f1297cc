"""The one table of options.

Each field of `Options` is an option: its type (with its range), default, help, the other names it
answers to. From this table come the flags, the environment variables, the TOML keys, the faults
and what `propylon check` prints.
"""

# ruff: noqa: RUF009  option() makes a field

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal, get_type_hints

from msgspec import Meta

from ..settings import (
    HttpSettings,
    LogSettings,
    PoolSettings,
    ServeSettings,
    TlsSettings,
    TrustSettings,
    WebSocketSettings,
)
from .option import GATEWAY_SIDE, WORKER_SIDE, Option, option, tls_option
from .words import (
    CERT_REQS,
    INTERFACES,
    LEVELS,
    read_app,
    read_bind,
    read_forwarded_fields,
    read_logformat,
    read_memory,
    read_peers,
    read_pool_name,
    read_prefix,
    read_umask,
    read_warm_up,
    read_worker_class,
)

_HTTP, _SERVE, _POOL, _LOG = HttpSettings(), ServeSettings(), PoolSettings(), LogSettings()
_WEBSOCKET = WebSocketSettings()
_TRUST = TrustSettings()
_TLS = TlsSettings()
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
        "", "The app: module:attribute.", section="app", verbs=WORKER_SIDE, read=read_app
    )
    factory: bool = option(
        False, "The attribute is a function that makes the app.", section="app", verbs=WORKER_SIDE
    )
    app_dir: str = option(
        ".",
        "Directory to import the app from.",
        section="app",
        aliases=("chdir",),
        verbs=WORKER_SIDE,
    )
    interface: Literal["auto", "asgi", "wsgi"] = option(
        "auto",
        "What the app speaks; auto looks at it.",
        section="app",
        words=INTERFACES,
        verbs=WORKER_SIDE,
    )
    lifespan: Literal["auto", "on", "off"] = option(
        "auto", "ASGI lifespan; auto tries it.", section="app", verbs=WORKER_SIDE
    )
    warm_up: tuple[str, ...] = option(
        (),
        "Path that a new worker asks its app for before it is ready; may be repeated.",
        section="app",
        verbs=WORKER_SIDE,
        read=read_warm_up,
    )
    pool: str = option(
        "default",
        "Name of the one pool, where no [[pools]] are given.",
        section="app",
        read=read_pool_name,
    )

    bind: tuple[str, ...] = option(
        (),
        "Address to listen on: HOST:PORT, [::1]:PORT, unix:PATH?mode=660&user=U&group=G, fd://N "
        "or systemd's fd://NAME; may be repeated.",
        section="address",
        short="-b",
        verbs=GATEWAY_SIDE,
        read=read_bind,
    )
    host: str | None = option(None, "Host to listen on.", section="address", verbs=GATEWAY_SIDE)
    port: Annotated[int, Meta(ge=0, le=65_535)] | None = option(
        None, "Port to listen on; 0: any free one.", section="address", verbs=GATEWAY_SIDE
    )
    uds: str | None = option(
        None, "Unix socket to listen on.", section="address", verbs=GATEWAY_SIDE
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
        read=read_prefix,
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
    )
    forwarded_fields: tuple[str, ...] = option(
        _TRUST.forwarded_fields,
        "What they are believed: for, proto, host, port, prefix (of X-Forwarded-*), real-ip and "
        "forwarded. Name those only that your proxy sets or removes; the others are dropped.",
        section="proxies",
        verbs=GATEWAY_SIDE,
        read=read_forwarded_fields,
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
    )

    workers: Literal["auto"] | Count = option(
        1,
        "Worker processes per pool; auto: one per CPU that it may use (affinity, control group).",
        section="processes",
        short="-w",
        aliases=("processes",),
        env=("WEB_CONCURRENCY",),
    )
    threads: Count = option(
        4,
        "Threads of a WSGI worker.",
        section="processes",
        aliases=("blocking-threads",),
        verbs=WORKER_SIDE,
    )
    loop: Literal["auto", "asyncio", "uvloop", "trio"] = option(
        "auto", "Event loop of an ASGI worker.", section="processes", verbs=WORKER_SIDE
    )
    worker_class: str | None = option(
        None,
        "gunicorn's and hypercorn's word for --loop and --interface.",
        section="processes",
        short="-k",
        verbs=WORKER_SIDE,
        read=read_worker_class,
    )
    limit_concurrency: Annotated[int, Meta(ge=0, le=1_000_000)] = option(
        0,
        "Requests that one worker runs at once; 0: the worker decides.",
        section="processes",
        aliases=("worker-connections", "backpressure"),
        verbs=WORKER_SIDE,
    )
    gateways: Annotated[int, Meta(ge=1, le=256)] = option(
        1, "Gateway processes.", section="processes", verbs=GATEWAY_SIDE
    )
    preload: bool = option(
        False,
        "Import the app once and fork the workers, which then share its memory.",
        section="processes",
        aliases=("preload-app",),
        verbs=WORKER_SIDE,
    )
    max_requests: Annotated[int, Meta(ge=0, le=2**40)] = option(
        0,
        "Requests after which a worker is replaced; 0: no limit.",
        section="processes",
        aliases=("limit-max-requests",),
        verbs=WORKER_SIDE,
    )
    max_requests_jitter: Annotated[int, Meta(ge=0, le=2**40)] = option(
        0,
        "At most so many more, by chance, so that workers don't all go together.",
        section="processes",
        verbs=WORKER_SIDE,
    )
    workers_max_rss: int | str = option(
        0,
        "Memory at which a worker is replaced, in bytes or as in 512M; 0: no limit.",
        section="processes",
        verbs=WORKER_SIDE,
        read=read_memory,
    )
    workers_lifetime: SecondsOrNone = option(
        0.0,
        "Seconds after which a worker is replaced, or up to a tenth less by chance; 0: no limit.",
        section="processes",
        verbs=WORKER_SIDE,
    )
    run_dir: str | None = option(None, "Directory of the pools' sockets.", section="processes")
    pid: str | None = option(None, "File to write the supervisor's pid to.", section="processes")
    umask: str | int | None = option(
        None, "umask of every process, in octal.", section="processes", read=read_umask
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
        aliases=("graceful-timeout",),
    )
    request_timeout: SecondsOrNone = option(
        _SERVE.request_timeout,
        "Seconds from a request's hand-over to the head of its response; 0: no limit.",
        section="time",
        verbs=GATEWAY_SIDE,
    )
    queue_timeout: Seconds = option(
        _POOL.queue_timeout,
        "Seconds that a request waits for a worker.",
        section="time",
        verbs=GATEWAY_SIDE,
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
    )
    send_timeout: Seconds = option(
        _SERVE.send_timeout,
        "Seconds that a client may take none of its response.",
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
        verbs=GATEWAY_SIDE,
    )
    limit_request_line: Size = option(
        _HTTP.limit_request_line, "Bytes.", section="limits", verbs=GATEWAY_SIDE
    )
    limit_request_fields: Annotated[int, Meta(ge=1, le=4000)] = option(
        _HTTP.limit_request_fields, "Header fields.", section="limits", verbs=GATEWAY_SIDE
    )
    limit_request_field_size: Size = option(
        _HTTP.limit_request_field_size, "Bytes.", section="limits", verbs=GATEWAY_SIDE
    )
    max_request_body_size: SizeOrNone = option(
        _HTTP.max_request_body_size,
        "Bytes; 0: no limit.",
        section="limits",
        verbs=GATEWAY_SIDE,
    )
    header_map: Literal["drop", "refuse", "dangerous"] = option(
        _HTTP.header_map,
        "Header fields whose names have an underscore, which apps can't tell from a dash: dropped, "
        "refused with 400, or given to the app.",
        section="limits",
    )
    http: Literal["auto", "httptools", "h11"] = option(
        "auto", "Parser of HTTP/1.1.", section="limits", verbs=GATEWAY_SIDE
    )

    ws_max_size: Size = option(
        _WEBSOCKET.max_size,
        "Bytes of one message, after decompression.",
        section="websocket",
        verbs=GATEWAY_SIDE,
    )
    ws_ping_interval: SecondsOrNone = option(
        _WEBSOCKET.ping_interval,
        "Seconds between pings to a silent client; 0: none.",
        section="websocket",
        verbs=GATEWAY_SIDE,
    )
    ws_ping_timeout: SecondsOrNone = option(
        _WEBSOCKET.ping_timeout,
        "Seconds that a client has to answer a ping; 0: no limit.",
        section="websocket",
        verbs=GATEWAY_SIDE,
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
    )

    ssl_certfile: tuple[str, ...] = tls_option(
        (),
        "Certificate and its chain, PEM: --bind speaks TLS. Repeated, a client gets the one of "
        "the name that it asks for, or the first.",
        aliases=("certfile", "ssl-certificate"),
    )
    ssl_keyfile: tuple[str, ...] = tls_option(
        (),
        "Private key of each --ssl-certfile, in the same order, if it is not in the same file.",
        aliases=("keyfile",),
    )
    ssl_keyfile_password: str = tls_option(
        "",
        "Password of encrypted keys; better given as PROPYLON_SSL_KEYFILE_PASSWORD.",
        aliases=("keyfile-password",),
        secret=True,
    )
    ssl_ca_certs: str = tls_option(
        "",
        "Who may have signed clients' certificates, PEM.",
        aliases=("ca-certs", "ssl-ca"),
    )
    ssl_cert_reqs: Literal["none", "optional", "required"] = tls_option(
        _TLS.cert_reqs,
        "Whether clients show a certificate.",
        aliases=("cert-reqs", "verify-mode"),
        words=CERT_REQS,
    )
    ssl_ciphers: str = tls_option(
        "",
        "Ciphers of TLS 1.2, as OpenSSL writes them, instead of Mozilla's intermediate ones.",
        aliases=("ciphers",),
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
        "info", "Least level that is logged.", section="log", words=LEVELS
    )
    access_log: bool = option(True, "Log every request.", section="log", verbs=GATEWAY_SIDE)
    access_logfile: str = option(
        _LOG.access_log,
        "Where to: a path, or - for standard output.",
        section="log",
        verbs=GATEWAY_SIDE,
    )
    access_logformat: str = option(
        _LOG.access_logformat,
        "gunicorn's atoms, or the word json.",
        section="log",
        aliases=("access-log-fmt",),
        verbs=GATEWAY_SIDE,
        read=read_logformat,
    )
    error_logfile: str = option(
        _LOG.error_log,
        "Where Propylon's own log goes: a path, or - for standard error.",
        section="log",
        aliases=("error-log", "log-file"),
    )
    use_colors: bool | None = option(
        None,
        "Colours in the log, or none, whatever NO_COLOR, FORCE_COLOR and the terminal suggest.",
        section="log",
    )
    server_header: bool = option(True, "Send the Server field.", section="log", verbs=GATEWAY_SIDE)

    reload: bool = option(
        False, "Start new workers when a file changes.", section="development", verbs=WORKER_SIDE
    )
    reload_dir: tuple[str, ...] = option(
        (),
        "Directory to watch, instead of --app-dir; may be repeated.",
        section="development",
        verbs=WORKER_SIDE,
    )
    reload_include: tuple[str, ...] = option(
        (),
        "Pattern of files to watch besides *.py; may be repeated.",
        section="development",
        verbs=WORKER_SIDE,
    )
    reload_exclude: tuple[str, ...] = option(
        (),
        "Pattern of files or directory not to watch; may be repeated.",
        section="development",
        verbs=WORKER_SIDE,
    )


@cache
def table() -> Mapping[str, Option]:
    """Every option by its field's name, in the table's order."""
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
    """Every option by each name and alias, with dashes."""
    return {name: row for row in table().values() for name in row.names}
