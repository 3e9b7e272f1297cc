"""Options of gunicorn, uvicorn, granian, hypercorn and daphne that we do not have, and what becomes
of each, so that their command lines work here.

An option that means the same as one of ours stands in `options`, as an alias, and not here. Each
row has one of three verdicts. *accepted*: `translate` turns it into values of our options. *without
effect*: the start goes on, and one note says why nothing has to be done. *refused*: to go on would
give another service than the one that was asked for, and the reason says what to do instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Takes = Literal["value", "values", "nothing"]
"""What follows the option: one value; one value each time the option is given; or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerOption:
    verdict: Literal["accepted", "without effect", "refused"]
    why: str = ""
    """For an option without effect: the end of the note "... has no effect: "; "" writes no note.
    For a refused one: the reason and the remedy."""
    means: str = ""
    """For an accepted option: our fields that it stands for, separated by blanks."""
    takes: Takes = "value"
    short: str = ""
    fine: tuple[str, ...] = ()
    """Values that ask for what happens anyway; they write no note. If an option without effect has
    any, its other values are refused."""


def _as(means: str, *, takes: Takes = "value", short: str = "") -> PeerOption:
    return PeerOption(verdict="accepted", means=means, takes=takes, short=short)


def _idle(
    why: str = "", *, takes: Takes = "value", short: str = "", fine: tuple[str, ...] = ()
) -> PeerOption:
    return PeerOption(verdict="without effect", why=why, takes=takes, short=short, fine=fine)


def _no(
    why: str, *, takes: Takes = "value", short: str = "", fine: tuple[str, ...] = ()
) -> PeerOption:
    return PeerOption(verdict="refused", why=why, takes=takes, short=short, fine=fine)


_STATSD = "nothing is sent to statsd; `propylon status --json` has the figures"
_METRICS = (
    "the metrics are on the admin listener, and are collected when somebody asks: --admin-bind"
)
_HEADS = (
    "heads have the same limits in every version of HTTP: --limit-request-fields and "
    "--limit-request-field-size"
)
_PINGS = "a connection without a request is kept for --timeout-keep-alive"
_NO_DIRTY = "there are no dirty workers: run such work in a task queue, or in a process of its own"
_NO_STATIC = "say it as --static /PREFIX=FOLDER (docs/STATIC-FILES.md)"
_NO_LENIENCE = (
    "requests are read as RFC 9112 writes them, because what two servers read in two ways is a "
    "way in for attackers: leave it out, and mend the client"
)
_NO_PASTE = "Paste files are not read: write `app = loadapp('config:FILE')` into a module; name it"
_NO_SYSLOG = (
    "nothing is sent to syslog from here: standard error goes there by way of systemd's journal or "
    "`2>&1 | logger -t NAME`; or name a SysLogHandler in --log-config"
)
_CONTROL = "the control channel is a socket in --run-dir, for its owner only"
_WATCHED = "the system tells at once of a file that changes, so there is nothing to poll"
_NAMED = "processes keep the names that Python gives them; `propylon status` tells them apart"
_RUNTIME = "there is no such thread here: the event loop does the work"
_ONE_TLS = "TLS 1.2 and 1.3 are spoken, whichever is the best that the client knows"

PEERS_OPTIONS: Final[Mapping[str, PeerOption]] = {
    # -- time and limits --------------------------------------------------------------------------
    "timeout": _as("heartbeat_timeout request_timeout", short="-t"),
    "timeout-worker-healthcheck": _as("heartbeat_timeout"),
    "http1-header-read-timeout": _as("header_timeout"),
    "http1-keep-alive": _as("timeout_keep_alive", takes="nothing"),
    "h11-max-incomplete-event-size": _as("limit_request_line limit_request_field_size"),
    "http1-buffer-size": _idle("a connection has the buffer that its request needs"),
    "http1-pipeline-flush": _idle(
        "requests of a pipeline are answered one by one", takes="nothing"
    ),
    "blocking-threads-idle-timeout": _idle("idle threads are kept"),
    "websocket-timeout": _idle("a WebSocket may stay for as long as it answers pings"),
    "websocket-connect-timeout": _idle("an app may take --request-timeout to accept a WebSocket"),
    "websocket-max-frame-size": _idle("--ws-max-size limits the whole message"),
    "application-close-timeout": _idle("a handler whose client has left runs to its end"),
    "asgi-disconnect-grace-period": _idle("a handler whose client has left runs to its end"),
    "ws-max-queue": _idle("a client is slowed down as soon as the app reads more slowly"),
    # -- app and its environment ------------------------------------------------------------------
    "reset-contextvars": _idle("each request runs in a context of its own", takes="nothing"),
    "task-impl": _idle("tasks are asyncio's own", fine=("asyncio",)),
    "paste": _no(_NO_PASTE),
    "paster": _no(_NO_PASTE),
    "paste-global": _no(_NO_PASTE, takes="values"),
    "dirty-app": _no(_NO_DIRTY, takes="values"),
    "dirty-workers": _no(_NO_DIRTY, fine=("0",)),
    "dirty-threads": _no(_NO_DIRTY, fine=("1",)),
    "dirty-timeout": _idle("there are no dirty workers"),
    "dirty-graceful-timeout": _idle("there are no dirty workers"),
    # -- addresses --------------------------------------------------------------------------------
    "uds-permissions": _as("uds"),
    "reuse-port": _idle("all gateway processes accept from the same socket", takes="nothing"),
    "endpoint": _no(
        "Twisted's endpoint descriptions are not read: write --bind HOST:PORT, with --ssl-certfile "
        "and --ssl-keyfile for TLS, or --bind unix:PATH",
        takes="values",
    ),
    "quic-bind": _no(
        "HTTP/3 is not spoken: leave it out, or put Caddy or nginx in front for it", takes="values"
    ),
    "server-name": _no(
        "hypercorn's meaning, the hosts that are served, is written in propylon.toml as [[routes]] "
        "with host = NAME; daphne's, the Server field, is --no-server-header --header server:NAME",
        takes="values",
        short="-s",
    ),
    "no-server-name": _as("server_header", takes="nothing"),
    "proxy-headers-host": _idle("X-Forwarded-For of a trusted proxy is read"),
    "proxy-headers-port": _idle("X-Forwarded-For of a trusted proxy is read"),
    "uwsgi-allow-from": _no("the uwsgi protocol is not spoken: have nginx proxy_pass to --bind"),
    "protocol": _no(
        "the protocol is HTTP: have nginx use proxy_pass instead of uwsgi_pass or fastcgi_pass",
        fine=("http",),
    ),
    "forwarder-headers": _no(
        "a proxy's fields become the app's root path only by name: say --forwarded-fields "
        "for,proto,prefix and have the proxy send X-Forwarded-Prefix",
        fine=("SCRIPT_NAME,PATH_INFO",),
    ),
    # -- HTTP -------------------------------------------------------------------------------------
    "http-parser": _as("http"),
    "casefold-http-method": _no(_NO_LENIENCE, takes="nothing"),
    "permit-obsolete-folding": _no(_NO_LENIENCE, takes="nothing"),
    "permit-unconventional-http-method": _no(_NO_LENIENCE, takes="nothing"),
    "permit-unconventional-http-version": _no(_NO_LENIENCE, takes="nothing"),
    "strip-header-spaces": _no(_NO_LENIENCE, takes="nothing"),
    "no-sendfile": _idle("sendfile(2) is not used anyway", takes="nothing"),
    "sendfile": _idle("an app's file comes through the worker's link", takes="nothing"),
    "http-protocols": _as("http2"),
    "http2-adaptive-window": _idle(
        "the windows are --http2-stream-window, and are filled again as the app reads",
        takes="nothing",
    ),
    "http2-initial-connection-window-size": _idle(
        "a connection has room for all of its streams: --http2-max-streams times "
        "--http2-stream-window"
    ),
    "http2-keep-alive-interval": _idle(_PINGS),
    "http2-keep-alive-timeout": _idle(_PINGS),
    "http2-max-header-list-size": _idle(_HEADS),
    "http2-max-headers-size": _idle(_HEADS),
    "http2-max-send-buffer-size": _idle("256 KiB of a response wait for a client that is slow"),
    "static-path-route": _no(_NO_STATIC, takes="values"),
    "static-path-mount": _no(_NO_STATIC, takes="values"),
    "static-path-dir-to-file": _no(_NO_STATIC),
    "static-path-expires": _idle("static files are not served yet"),
    # -- TLS --------------------------------------------------------------------------------------
    "ssl-version": _no(
        f"{_ONE_TLS}; there is nothing to choose",
        fine=("2", "16", "17", "TLS", "TLS_SERVER", "TLSv1_2+", "tls", "tls_server"),
    ),
    "ssl-protocol-min": _no(f"{_ONE_TLS}; there is nothing to choose", fine=("tls1.2",)),
    "ssl-client-verify": _as("ssl_cert_reqs", takes="nothing"),
    "ssl-crl": _no(
        "certificates are not looked up in lists of revoked ones: issue clients' certificates for "
        "a short time, or check them in a proxy in front",
        takes="values",
    ),
    "do-handshake-on-connect": _idle("a handshake always comes first", takes="nothing"),
    "suppress-ragged-eofs": _idle("a TLS connection that is cut is no error", takes="nothing"),
    # -- processes --------------------------------------------------------------------------------
    "daemon": _no(
        "it stays in the foreground, where systemd, Docker or supervisord look after it; by hand: "
        "`nohup propylon serve ... &`, and `propylon stop`",
        takes="nothing",
        short="-D",
    ),
    "initgroups": _idle("--user always brings the user's own groups", takes="nothing"),
    "name": _idle(_NAMED, short="-n"),
    "process-name": _idle(_NAMED),
    "worker-tmp-dir": _idle("heartbeats need no files"),
    "runtime-threads": _idle(_RUNTIME),
    "runtime-blocking-threads": _idle(_RUNTIME),
    "runtime-mode": _idle(_RUNTIME),
    "respawn-failed-workers": _idle("a worker that has died is always replaced", takes="nothing"),
    "respawn-interval": _idle("the pause before a restart grows while a worker fails again"),
    "rss-sample-interval": _idle("memory is looked at every few seconds"),
    "rss-samples": _idle("a worker over its limit is replaced at the first look"),
    "control-socket": _idle(_CONTROL),
    "no-control-socket": _idle(_CONTROL, takes="nothing"),
    "control-socket-mode": _idle(_CONTROL),
    "check-config": _no("say it with a verb of its own: propylon check", takes="nothing"),
    "print-config": _no("say it with a verb of its own: propylon check", takes="nothing"),
    # -- logs -------------------------------------------------------------------------------------
    "log": _as("log_level", takes="nothing"),
    "verbosity": _as("log_level"),
    "capture-output": _idle(
        "what the app prints goes where the server's standard output and standard error go",
        takes="nothing",
    ),
    "enable-stdio-inheritance": _idle(
        "what the app prints goes to the server's standard output at once: set PYTHONUNBUFFERED=1 "
        "where it is a pipe",
        takes="nothing",
        short="-R",
    ),
    "disable-redirect-access-to-syslog": _idle("nothing goes to syslog", takes="nothing"),
    "log-syslog": _no(_NO_SYSLOG, takes="nothing"),
    "log-syslog-to": _no(_NO_SYSLOG),
    "log-syslog-prefix": _no(_NO_SYSLOG),
    "log-syslog-facility": _no(_NO_SYSLOG),
    "logger-class": _no(
        "loggers of one's own are not loaded: give handlers and formats as --log-config",
        fine=("gunicorn.glogging.Logger", "gunicorn.instrument.statsd.Statsd"),
    ),
    "log-fmt": _idle("the log's format is --log-config's"),
    "statsd-host": _idle(_STATSD),
    "statsd-prefix": _idle(_STATSD),
    "dogstatsd-tags": _idle(_STATSD),
    "enable-backlog-metric": _idle(_STATSD, takes="nothing"),
    "metrics-scrape-interval": _idle(_METRICS),
    "metrics-address": _idle(_METRICS),
    "metrics-port": _idle(_METRICS),
    # -- development ------------------------------------------------------------------------------
    "reload-delay": _idle(_WATCHED),
    "reload-tick": _idle(_WATCHED),
    "reload-engine": _idle(_WATCHED),
    "reload-extra-file": _as("reload_include", takes="values"),
    "reload-ignore-patterns": _idle(
        "it holds regular expressions: write --reload-exclude with patterns as *.log",
        takes="values",
    ),
    "reload-ignore-worker-failure": _idle(
        "old workers serve until new ones have started", takes="nothing"
    ),
    "debug": _idle("set PYTHONASYNCIODEBUG=1 for asyncio's debug mode", takes="nothing"),
    "spew": _no("to see every line that runs, use python -m trace", takes="nothing"),
}
"""Every option by its long name, without the dashes in front. An option without a value can also be
written --no-NAME, unless its name begins with no- itself."""

PEERS_VARIABLES: Final = {
    "GUNICORN_CMD_ARGS": "gunicorn",
    "UVICORN_": "uvicorn",
    "GRANIAN_": "granian",
}
"""Environment variable with another server's options (or the beginning of several) -> that
server."""
