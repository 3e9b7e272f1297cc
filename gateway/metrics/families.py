"""All that is counted: the table of metric families. Pure.

The names follow Prometheus' conventions (https://prometheus.io/docs/practices/naming/): base units,
`_total` for counters, `_seconds`, `_bytes`. Label sets are bounded whatever a client sends: a label
holds a name of the configuration, a number of ours, or a word of a closed list. A label that does
not apply is "": a request that was refused before it was read took no route and has no pool.

Two tables, by who fills them. A gateway process counts what its clients do (`counters`); the
supervisor counts what becomes of processes. What several processes report for the same label values
becomes one as `Family.merge` says. A counter whose process has ended stays in the sum, a gauge
goes with its process.
"""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Family:
    """One row of the table."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """A histogram's upper bounds in ascending order, without +Inf."""
    merge: Literal["sum", "max"] = "sum"
    """How the values that several processes report for the same labels become one. Counters and
    histograms are summed."""


LATENCY: Final = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
"""Upper bounds in seconds. Below a millisecond nobody waits; above a minute somebody has left."""
STAYS: Final = (1.0, 10.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0)
"""Upper bounds in seconds for what stays: a WebSocket may be open for a day."""
DEPLOYMENTS: Final = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0)
"""Upper bounds in seconds for a reload, which is as slow as its app is to start."""

# -- what gateway processes count ------------------------------------------------------------

REQUESTS: Final = Family(
    "propylon_requests_total",
    "counter",
    "Requests that have ended, by who ended them and in which phase; ok: the app's response is"
    " whole. An accepted WebSocket is one when it closes.",
    ("pool", "route", "method", "status", "end"),
)
QUEUE_SECONDS: Final = Family(
    "propylon_request_queue_seconds",
    "histogram",
    "Seconds that requests have waited for a free worker.",
    ("pool", "route"),
    LATENCY,
)
APP_SECONDS: Final = Family(
    "propylon_request_app_seconds",
    "histogram",
    "Seconds from the hand-over of a request to a worker until the head of its response.",
    ("pool", "route"),
    LATENCY,
)
DURATION_SECONDS: Final = Family(
    "propylon_request_duration_seconds",
    "histogram",
    "Seconds from the complete head of a request until its response was sent. WebSockets are not"
    " among them.",
    ("pool", "route"),
    LATENCY,
)
RECEIVED_BYTES: Final = Family(
    "propylon_request_body_bytes_total",
    "counter",
    "Bytes of request bodies, and of messages from WebSockets, that have come. Counted when a "
    "request ends.",
    ("pool", "route"),
)
SENT_BYTES: Final = Family(
    "propylon_response_body_bytes_total",
    "counter",
    "Bytes of response bodies, and of messages to WebSockets, that were sent. Counted when a"
    " request ends.",
    ("pool", "route"),
)
REFUSED: Final = Family(
    "propylon_requests_refused_total",
    "counter",
    "Requests that were refused before an app had them, by kind. All of them are in"
    " propylon_requests_total as well.",
    ("pool", "kind"),
)
RETRIES: Final = Family(
    "propylon_retries_total",
    "counter",
    "Requests that were given to another worker, because the first one has died or refused them.",
    ("pool", "reason"),
)
POOL_SLOTS: Final = Family(
    "propylon_pool_slots",
    "gauge",
    "Requests that the workers are willing to run at once.",
    ("pool",),
    merge="max",  # each gateway process counts the slots for all of them together
)
POOL_RUNNING: Final = Family(
    "propylon_pool_running", "gauge", "Requests and WebSockets that workers run.", ("pool",)
)
POOL_QUEUE_LENGTH: Final = Family(
    "propylon_pool_queue_length", "gauge", "Requests that wait for a free worker.", ("pool",)
)
POOL_QUEUE_OLDEST: Final = Family(
    "propylon_pool_queue_oldest_seconds",
    "gauge",
    "Seconds that the oldest of the waiting requests has waited; 0 while none waits.",
    ("pool",),
    merge="max",
)
POOL_NEWEST_FIRST: Final = Family(
    "propylon_pool_newest_first",
    "gauge",
    "1 while the newest of the waiting requests goes first: the oldest has waited for longer"
    " than --queue-target, and more wait than are served in that time.",
    ("pool",),
    merge="max",
)
ROUTE_RUNNING: Final = Family(
    "propylon_route_running",
    "gauge",
    "Requests of a route with limit_concurrency that are under way.",
    ("pool", "route"),
)
ROUTE_LIMIT: Final = Family(
    "propylon_route_limit",
    "gauge",
    "Requests of a route with limit_concurrency that may be under way at once, over all gateway"
    " processes.",
    ("pool", "route"),
    merge="max",  # each gateway process knows the whole
)
ROUTE_QUEUE_LENGTH: Final = Family(
    "propylon_route_queue_length",
    "gauge",
    "Requests of a route with limit_concurrency that wait until there is room for them.",
    ("pool", "route"),
)
OPEN_WEBSOCKETS: Final = Family(
    "propylon_websockets", "gauge", "WebSockets that are open.", ("pool",)
)
WEBSOCKET_SECONDS: Final = Family(
    "propylon_websocket_duration_seconds",
    "histogram",
    "Seconds that accepted WebSockets were open, counted when they have closed.",
    ("pool", "route"),
    STAYS,
)
WEBSOCKET_MESSAGES: Final = Family(
    "propylon_websocket_messages_total",
    "counter",
    "Whole messages of WebSockets, received from clients or sent to them.",
    ("direction",),
)
CONNECTIONS: Final = Family(
    "propylon_connections",
    "gauge",
    "Open client connections by what they speak; tls_handshake and proxy_header: they have not come"
    " as far as HTTP.",
    ("protocol",),
)
ACCEPTED: Final = Family(
    "propylon_connections_accepted_total", "counter", "Client connections that were accepted."
)
CONNECTIONS_LIMIT: Final = Family(
    "propylon_connections_limit",
    "gauge",
    "Client connections that gateway processes take at once: --limit-connections, or what open"
    " files and memory allow.",
)
ACCEPT_PAUSES: Final = Family(
    "propylon_accept_pauses_total",
    "counter",
    "Times that a client had to wait to be accepted, by what was short.",
    ("reason",),
)
EVICTED: Final = Family(
    "propylon_connections_evicted_total",
    "counter",
    "Idle connections that were closed to make room for others, by what was short.",
    ("reason",),
)
HTTP2_FLOODS: Final = Family(
    "propylon_http2_floods_total",
    "counter",
    "HTTP/2 connections that were ended because of what their clients sent, by what there was too"
    " much of (docs/HTTP2.md).",
    ("reason",),
)
CONNECTIONS_REFUSED: Final = Family(
    "propylon_connections_refused_total",
    "counter",
    "Client connections that were closed before they were served, by reason.",
    ("reason",),
)
HANDSHAKES: Final = Family(
    "propylon_tls_handshakes_total",
    "counter",
    "TLS handshakes that have ended, by result, and by TLS version where one was agreed on.",
    ("result", "version"),
)
GATEWAY_CPU: Final = Family(
    "propylon_gateway_cpu_seconds_total",
    "counter",
    "Seconds of processor time that gateway processes have used, user and system.",
    ("gateway",),
)
GATEWAY_RSS: Final = Family(
    "propylon_gateway_resident_memory_bytes",
    "gauge",
    "Resident memory of a gateway process.",
    ("gateway",),
)
BUFFERED: Final = Family(
    "propylon_gateway_buffered_bytes",
    "gauge",
    "Bytes of bodies that a gateway process keeps for slow clients (--buffer-requests,"
    " --buffer-responses), in memory and in temporary files.",
    ("gateway", "place"),
)
HELD: Final = Family(
    "propylon_gateway_held_bytes",
    "gauge",
    "Bytes that a gateway process holds in memory for its connections beside that, received and not"
    " handed on, or not taken by their clients.",
    ("gateway", "protocol"),
)
GATEWAY_LAG: Final = Family(
    "propylon_gateway_loop_lag_seconds",
    "gauge",
    "Seconds by which the event loop of a gateway process was late, the most within the last 10 to"
    " 20 seconds.",
    ("gateway",),
    merge="max",
)

BY_GATEWAYS: Final = (
    REQUESTS, QUEUE_SECONDS, APP_SECONDS, DURATION_SECONDS, RECEIVED_BYTES, SENT_BYTES, REFUSED,
    RETRIES, POOL_SLOTS, POOL_RUNNING, POOL_QUEUE_LENGTH, POOL_QUEUE_OLDEST, POOL_NEWEST_FIRST,
    ROUTE_RUNNING, ROUTE_LIMIT, ROUTE_QUEUE_LENGTH,
    OPEN_WEBSOCKETS, WEBSOCKET_SECONDS, WEBSOCKET_MESSAGES, CONNECTIONS, ACCEPTED,
    CONNECTIONS_LIMIT, ACCEPT_PAUSES, EVICTED, HTTP2_FLOODS, CONNECTIONS_REFUSED, HANDSHAKES,
    GATEWAY_CPU, GATEWAY_RSS, BUFFERED, HELD, GATEWAY_LAG,
)  # fmt: skip
"""What a gateway process reports."""

# -- what the supervisor counts --------------------------------------------------------------

WORKERS: Final = Family(
    "propylon_workers",
    "gauge",
    "Worker processes by their state and the generation of the app that they run.",
    ("pool", "state", "generation"),
)
WORKERS_WANTED: Final = Family(
    "propylon_workers_wanted", "gauge", "Worker processes that there should be.", ("pool",)
)
WORKERS_MAX: Final = Family(
    "propylon_workers_max",
    "gauge",
    "The most worker processes that a pool with a range of --workers may have.",
    ("pool",),
)
SCALINGS: Final = Family(
    "propylon_worker_scalings_total",
    "counter",
    "How often a pool with a range of --workers has grown (up) or shrunk (down) by itself.",
    ("pool", "direction"),
)
RESTARTS: Final = Family(
    "propylon_worker_restarts_total",
    "counter",
    "Workers that were replaced because they had failed, by how.",
    ("pool", "reason"),
)
RECYCLES: Final = Family(
    "propylon_worker_recycles_total",
    "counter",
    "Workers that were replaced as planned: they had served enough, grown too large or become too"
    " old, or a reload has brought newer code.",
    ("pool", "reason"),
)
WORKER_CPU: Final = Family(
    "propylon_worker_cpu_seconds_total",
    "counter",
    "Seconds of processor time that the workers of a pool have used, user and system.",
    ("pool",),
)
WORKER_RSS: Final = Family(
    "propylon_worker_resident_memory_bytes",
    "gauge",
    "Resident memory of a worker.",
    ("pool", "worker"),
)
WORKER_LIMIT: Final = Family(
    "propylon_worker_concurrency_limit",
    "gauge",
    "Requests at once that a worker with --limit-concurrency auto has found to be right.",
    ("pool", "worker"),
    merge="max",
)
WORKER_LAG: Final = Family(
    "propylon_worker_loop_lag_seconds",
    "gauge",
    "Seconds by which the event loop of a worker was late.",
    ("pool", "worker"),
    merge="max",
)
WORKER_CALLS: Final = Family(
    "propylon_worker_calls", "gauge", "Requests and WebSockets in the app.", ("pool", "worker")
)
WORKER_OLDEST_CALL: Final = Family(
    "propylon_worker_oldest_call_seconds",
    "gauge",
    "Seconds that the oldest request or WebSocket has been in the app.",
    ("pool", "worker"),
    merge="max",
)
GATEWAYS: Final = Family("propylon_gateways", "gauge", "Gateway processes by state.", ("state",))
GATEWAY_RESTARTS: Final = Family(
    "propylon_gateway_restarts_total",
    "counter",
    "Gateway processes that were replaced because they had failed, by how.",
    ("reason",),
)
GENERATION: Final = Family(
    "propylon_generation", "gauge", "The generation of app and configuration that is in force."
)
RELOADS: Final = Family(
    "propylon_reloads_total",
    "counter",
    "Reloads that have ended: committed, aborted, or overtaken by another one or a stop.",
    ("result",),
)
RELOAD_SECONDS: Final = Family(
    "propylon_reload_duration_seconds",
    "histogram",
    "Seconds from the order to reload until it was committed, aborted or overtaken.",
    ("result",),
    DEPLOYMENTS,
)
LAST_RELOAD_OK: Final = Family(
    "propylon_last_reload_successful",
    "gauge",
    "1 if the last reload was committed, or there was none; 0 if it was aborted.",
)
LAST_RELOAD: Final = Family(
    "propylon_last_reload_timestamp_seconds",
    "gauge",
    "When the last reload ended, in seconds since the epoch.",
)
READY: Final = Family(
    "propylon_ready",
    "gauge",
    "1 if a gateway accepts and each pool has a ready worker; else 0.",
)
CERTIFICATE_EXPIRY: Final = Family(
    "propylon_certificate_expiry_timestamp_seconds",
    "gauge",
    "When a certificate expires, in seconds since the epoch, by the first name that it is for.",
    ("name",),
)
PROBLEMS: Final = Family(
    "propylon_problems",
    "gauge",
    "What is wrong around the instance at this moment and waits for an operator, by kind"
    " (docs/PROBLEMS.md).",
    ("kind",),
)
BUILD_INFO: Final = Family(
    "propylon_build_info", "gauge", "The versions of Propylon and Python; 1.", ("version", "python")
)
START_TIME: Final = Family(
    "propylon_start_time_seconds", "gauge", "When the instance began, in seconds since the epoch."
)
SNAPSHOT_AGE: Final = Family(
    "propylon_gateway_snapshot_age_seconds",
    "gauge",
    "How old the numbers of a gateway process are; large if it hangs.",
    ("gateway",),
    merge="max",
)
APP_METRICS_AGE: Final = Family(
    "propylon_app_metrics_age_seconds",
    "gauge",
    "How old the app's metrics of a worker are; large if it hangs.",
    ("pool", "worker"),
    merge="max",
)
APP_METRICS_DROPPED: Final = Family(
    "propylon_app_metrics_dropped_total",
    "counter",
    "Families of apps that were left out, by reason; one counts at each scrape.",
    ("pool", "reason"),
)
SCRAPES: Final = Family(
    "propylon_scrapes_total",
    "counter",
    "Times that these metrics were gathered, by result: ok, or partial if some are missing because"
    " of a fault. Scrapes that come at the same time share one.",
    ("result",),
)

BY_SUPERVISOR: Final = (
    WORKERS, WORKERS_WANTED, WORKERS_MAX, SCALINGS, RESTARTS, RECYCLES, WORKER_CPU, WORKER_RSS,
    WORKER_LIMIT, WORKER_LAG, WORKER_CALLS, WORKER_OLDEST_CALL, GATEWAYS, GATEWAY_RESTARTS,
    GENERATION, RELOADS, RELOAD_SECONDS, LAST_RELOAD_OK, LAST_RELOAD, READY, CERTIFICATE_EXPIRY,
    PROBLEMS, BUILD_INFO, START_TIME, SNAPSHOT_AGE, APP_METRICS_AGE, APP_METRICS_DROPPED, SCRAPES,
)  # fmt: skip
"""What the supervisor fills."""

FAMILIES: Final = BY_GATEWAYS + BY_SUPERVISOR
BY_NAME: Final = {family.name: family for family in FAMILIES}
