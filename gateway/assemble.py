"""Assembles a gateway process from its settings. It is the only file that knows all rooms."""

import gc
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from logging import getLogger
from time import monotonic, time
from typing import TYPE_CHECKING

import trio

from ..protocol.messages import Pairs
from ..protocol.supervision.messages import (
    GatewayAlive,
    GatewayDraining,
    Listening,
    PoolWorkers,
    Problem,
    Report,
    StopWaits,
)
from ..protocol.supervision.problems import ProblemReporter, ProblemSource, problem
from .buffering.store import BufferStore
from .config.memory import memory_use_without_files
from .exchange.exchange import Observers
from .files.disk_threads import DiskThreads
from .files.hot_files import HotFiles
from .handlers.internal_files import InternalFiles
from .handlers.limited_bodies import largest, limited
from .handlers.redirect import HttpsRedirect
from .handlers.route import Answer, Router, name_of
from .handlers.static.static_files import StaticFiles
from .http.request_ids import RequestIds
from .http.trust import TrustPolicy
from .http.uuid7 import Uuid7
from .http1.machine import HttpContext
from .http1.request_head import choose_parser
from .http1.response_head import ResponseHeads
from .http2.builtin_engine import BuiltinEngine
from .http2.engine import Engine
from .http2.frames import HeadBounds, head_bounds
from .http2.response_fields import ResponseFields
from .listen.connections_bound import connections_bound
from .listen.descriptors import raise_descriptor_limit
from .metrics.counters import RequestCounters
from .metrics.failures import Failures
from .metrics.measures import GatewayMeasures, LoopLag, MetricsReports, resident_memory
from .observe.access_log import AccessLog
from .observe.logs import Logs
from .peers import PeerSet
from .pool.pool import Pool
from .pool.route_share import ShareLimit
from .pool.worker_listener import WorkerListener
from .pool.workers_report import EndedWorkers, Workers
from .serve.acceptor import ServiceListener
from .serve.address_limit import AddressLimit
from .serve.begin import Begin, HttpVersions
from .serve.capacity import Capacity
from .serve.memory_watch import MemoryWatch
from .serve.proxy_header import ProxyHeaders
from .serve.service import SWEEP_EVERY, Service
from .serve.service_state import Http2Context, ServiceState
from .serve.tls_handshake import Handshakes
from .settings import (
    GatewaySettings,
    Http2Settings,
    HttpSettings,
    ListenerSettings,
    RouteSettings,
    ServeSettings,
)
from .tls.certificates import Certificates
from .transport.poller import Poller

if TYPE_CHECKING:
    from .trace.tracer import Tracer

log = getLogger("propylon.gateway")

WORKERS_COME = 5.0
"""Seconds that a gateway which follows another waits for a worker before it accepts clients."""
OTHERS_COME = 1.0
"""Seconds after the first worker that it waits for workers of other pools. All dial it at the same
time, and a pool without workers must not keep the others' clients waiting."""
PULSE_EVERY = 1.0
"""Seconds between two signs of life for the supervisor."""
WORKERS_LEAVE = 0.5
"""Seconds that workers have to hear that the gateway ends."""


async def run_gateway(
    settings: GatewaySettings,
    report: Callable[[Report], None],
    wait_for_stop: Callable[[], Awaitable[None]],
    logs: Logs | None = None,
    ended: EndedWorkers | None = None,
    metrics: MetricsReports | None = None,
) -> None:
    """Serves until `wait_for_stop` returns, then drains. If cancelled, it stops at once.

    `report` takes the reports for the supervisor (see `protocol.supervision`). `logs` get the
    access log, `ended` has the workers that the supervisor has seen end, and `metrics` get what is
    counted. Raises OSError or ValueError if it cannot start.
    """
    pools: dict[str, Pool] = {}
    owner = PoolsOwner(report, pools)
    poller = Poller()
    descriptors = raise_descriptor_limit()  # half of them may be the store's
    store = BufferStore(settings.buffering, settings.run_dir, poller.at_end_of_turn)
    disk = DiskThreads(poller.call_soon_threadsafe)
    for pool_settings in settings.pools:
        pools[pool_settings.name] = Pool(
            pool_settings,
            settings.serve.request_timeout,
            owner,
            store=store,
            high_priority=_high_priority(settings),
        )
        pools[pool_settings.name].send_files(disk)
        if ended is not None:
            ended.tell(pools[pool_settings.name].worker_ended)
    access_log = _open_access_log(settings)
    if access_log is not None and logs is not None:
        logs.add(access_log)
    requests = failures = None
    if settings.metrics:
        failures = Failures(time)
        requests = RequestCounters(_pools_of_routes(settings), failures.add)
    tracer = _begin_tracing(settings)
    observers = Observers(
        at_start=() if tracer is None else (tracer.opened,),
        at_end=tuple(each.ended for each in (access_log, requests, tracer) if each is not None),
    )
    worker_listeners = {
        name: WorkerListener(os.path.join(settings.run_dir, name, f"{settings.door}.sock"), name)
        for name in pools
    }
    sockets = [_socket(listener.fd) for listener in settings.listeners]
    hot = HotFiles()
    router = Router(_answers(settings, pools, disk, hot), settings.root_path)
    async with trio.open_nursery() as background:
        state = ServiceState(
            http=HttpContext(
                _http_of_all_routes(settings),
                choose_parser(settings.http.parser),
                _response_heads(settings.serve),
            ),
            settings=settings.serve,
            http2=_http2(settings),
            websocket=settings.websocket,
            allowed_origins=frozenset(
                origin.lower().encode() for origin in settings.websocket.allowed_origins
            ),
            apply_trust=TrustPolicy(settings.trust, log.info).apply,
            answer=_with_redirect(router.answer, settings, sockets),
            poller=poller,
            request_ids=_request_ids(settings),
            observers=observers,
        )
        owner.state = state
        capacity = Capacity(
            state,
            connections_bound(settings.serve, descriptors),
            connections_bound(settings.serve, descriptors, with_files=True),
            FilesOfClients(settings, store, pools),
            MemoryWatch(
                settings.serve.limit_buffered_bytes,
                resident=resident_memory,
                group=memory_use_without_files,
            ),
        )
        tls: Handshakes | None = None
        seen: list[ProblemSource] = [
            *(pool.versions.at for pool in pools.values()),
            *(listener.problems for listener in worker_listeners.values()),
            state.out_of_files.at,
            capacity.problems,
            store.full.at,
        ]
        if logs is not None:
            seen.append(logs.problems)
        if tracer is not None:
            seen.append(tracer.problems)
        if settings.tls.certificates:
            certificates = Certificates(settings.tls, loud=settings.gateway == 1)
            tls = Handshakes(state, certificates, settings.tls)
            seen.append(lambda _, of=certificates: _certificate_problems(of))
            background.start_soon(tls.renew)
        layers = _Layers(settings, state)
        listeners = [
            _listener(sock, listener, layers, tls if listener.tls else None)
            for sock, listener in zip(sockets, settings.listeners, strict=True)
        ]
        lag = LoopLag(SWEEP_EVERY)
        if metrics is not None:
            metrics.begin(
                GatewayMeasures(settings.gateway, pools, state, lag, requests, failures, store)
            )
        problems = ProblemReporter(report, seen)
        sweepers = [lag.sweep, Pulse(report).sweep, Waits(report, pools, state).sweep]
        sweepers += [problems.sweep, capacity.sweep, hot.sweep]
        service = Service(state, [*sweepers, *(pool.sweep for pool in pools.values())], capacity)
        background.start_soon(poller.run)
        background.start_soon(service.sweep)
        if access_log is not None:
            background.start_soon(access_log.run)
        for name, listener in worker_listeners.items():
            background.start_soon(listener.welcome, pools[name], settings.gateway, poller)
        # What lives now lives as long as the process: the collector need not look at it again.
        gc.freeze()
        if settings.await_workers:
            await owner.await_workers()
        background.start_soon(service.accept, listeners)
        report(Listening())
        try:
            await wait_for_stop()
            for pool in pools.values():
                pool.keep_workers()
            await service.stop_accepting(owner.left_for())
            for pool in pools.values():
                pool.wind_down()
            report(GatewayDraining())  # a worker that ends from now on cannot come back here
            await service.drain(owner.fail_waiting)
            for pool in pools.values():
                pool.drain()
            if any(pool.members for pool in pools.values()):
                with trio.move_on_after(WORKERS_LEAVE):
                    await owner.workers_left.wait()
            if tracer is not None:
                await trio.to_thread.run_sync(tracer.close, abandon_on_cancel=True)
        finally:
            background.cancel_scope.cancel()
            if access_log is not None:
                access_log.close()
            for listener in worker_listeners.values():
                listener.close()


def _certificate_problems(certificates: Certificates) -> Iterator[Problem]:
    for one in certificates.status():
        if one.fault:
            yield problem("certificate", one.path, one.fault, logged=True)


class Pulse:
    """Tells the supervisor that the loop turns."""

    def __init__(self, report: Callable[[Report], None]) -> None:
        self._report = report
        self._next = 0.0

    def sweep(self, now: float) -> None:
        if now >= self._next:
            self._next = now + PULSE_EVERY
            self._report(GatewayAlive())


class Waits:
    """Tells the supervisor what a stop waits for."""

    def __init__(
        self,
        report: Callable[[Report], None],
        pools: Mapping[str, Pool],
        state: ServiceState,
    ) -> None:
        self._report = report
        self._pools = pools
        self._state = state
        self._next = 0.0

    def sweep(self, now: float) -> None:
        if self._state.draining and now >= self._next:
            self._next = now + PULSE_EVERY
            calls = {name: pool.waits_for() for name, pool in self._pools.items()}
            connections = len(self._state.connections)
            self._report(StopWaits(connections, calls))


class PoolsOwner:
    """Tells the supervisor, and the connections, what becomes of the pools."""

    def __init__(self, report: Callable[[Report], None], pools: Mapping[str, Pool]) -> None:
        self._report = report
        self._pools = pools
        self.state: ServiceState | None = None
        """The state of the service; None until there may be connections."""
        self._first_there = trio.Event()
        """Set when a pool has had a worker."""
        self._all_there = trio.Event()
        """Set when every pool has had a worker."""
        self._served: set[str] = set()
        self._leaving: dict[str, float] = {}
        """Pool that leaves -> since when, in monotonic seconds."""
        self.workers_left = trio.Event()
        """Set when a drain has let all workers go."""

    async def await_workers(self) -> None:
        """Waits for workers of every pool, for a bounded time."""
        with trio.move_on_after(WORKERS_COME):
            await self._first_there.wait()
            with trio.move_on_after(OTHERS_COME):
                await self._all_there.wait()

    def ready_changed(self, pool: str, ready: int) -> None:
        if ready:
            self._served.add(pool)
            self._first_there.set()
            if self._served >= self._pools.keys():
                self._all_there.set()
        draining = self.state is not None and self.state.draining
        if draining and not any(each.members for each in self._pools.values()):
            self.workers_left.set()

    def workers_changed(self, pool: str, workers: Workers) -> None:
        self._report(PoolWorkers(pool, workers))

    def fail_waiting(self) -> None:
        for pool in self._pools.values():
            pool.fail_waiting()

    def leaving_changed(self, pool: str, leaving: bool) -> None:
        # Clients of other pools are sent elsewhere too: /readyz fails as soon as one pool that has
        # a route cannot serve, so whoever balances takes the whole gateway out.
        if leaving:
            self._leaving[pool] = monotonic()
        else:
            del self._leaving[pool]
        if self.state is not None:
            self.state.close_for(f"pool {pool} leaves", leaving)

    def send_idle_away(self, pool: str) -> None:
        if self.state is not None:
            self.state.close_idle()

    def left_for(self) -> float:
        """For how many seconds all pools have been leaving, and clients have been sent elsewhere;
        0.0 if one stays."""
        if self._leaving.keys() != self._pools.keys():
            return 0.0
        return monotonic() - max(self._leaving.values(), default=monotonic())


def _request_ids(settings: GatewaySettings) -> RequestIds | None:
    name = settings.http.request_id_header
    if not name:
        return None
    peers = PeerSet(settings.trust.forwarded_allow_ips)
    return RequestIds(name.encode(), peers, Uuid7(time, os.urandom))


def _high_priority(settings: GatewaySettings) -> frozenset[str]:
    """The names of the routes whose requests pass others in their pool's queue."""
    routes = {name_of(route): route for route in reversed(settings.routes)}
    return frozenset(name for name, route in routes.items() if route.priority == "high")


def _answer_of_pool(route: RouteSettings, pool: Pool, disk: DiskThreads) -> Answer:
    answer = _asked(route, pool)
    folders = pool.settings.internal_files
    return InternalFiles(folders, answer, disk).answer if folders else answer


def _asked(route: RouteSettings, pool: Pool) -> Answer:
    if route.most_calls or route.most_percent:
        gateway, gateways = route.share_of
        limit = ShareLimit(
            calls=route.most_calls,
            percent=route.most_percent,
            gateway=gateway,
            gateways=gateways,
        )
        return pool.submit_within(name_of(route), limit)
    return pool.submit


def _answers(
    settings: GatewaySettings, pools: Mapping[str, Pool], disk: DiskThreads, hot: HotFiles
) -> Iterator[tuple[RouteSettings, Answer]]:
    """Each route with what answers it."""
    default = settings.http.max_request_body_size
    most = largest(default, settings.routes)
    for route in settings.routes:
        answer = _answer_of_pool(route, pools[route.pool], disk) if route.pool else None
        if route.static is not None:
            answer = StaticFiles(route.static, route.prefix, disk, hot, answer).answer
        if answer is not None:
            yield route, limited(answer, route, default, most)


class FilesOfClients:
    """Files that clients have beside their connection: a static one, one that an app has named or
    passed, or a body's temporary one."""

    def __init__(
        self, settings: GatewaySettings, store: BufferStore, pools: Mapping[str, Pool]
    ) -> None:
        self._sends_files = any(route.static is not None for route in settings.routes) or any(
            pool.internal_files for pool in settings.pools
        )
        self._keeps_files = settings.buffering.disk > 0
        self._pools = pools
        self.allow = store.allow_files

    @property
    def used(self) -> bool:
        """Whether there may be any. A pool knows it when its workers have said what they run, or
        have passed a file."""
        return self._sends_files or any(
            pool.delivers_files or (self._keeps_files and pool.buffers.in_use)
            for pool in self._pools.values()
        )


def _http_of_all_routes(settings: GatewaySettings) -> HttpSettings:
    """What holds before the route of a request is known."""
    most = largest(settings.http.max_request_body_size, settings.routes)
    return replace(settings.http, max_request_body_size=most)


def _pools_of_routes(settings: GatewaySettings) -> dict[str, str]:
    """Each route's name -> its pool. Of two routes with one name the first one counts, as for the
    router."""
    return {name_of(route): route.pool for route in reversed(settings.routes)}


def _http2(settings: GatewaySettings) -> Http2Context:
    most_head = settings.http.limit_request_head
    bounds = head_bounds(most_head, settings.http.limit_request_fields)
    server, fields = _own_fields(settings.serve)
    engine: Callable[[Http2Settings, HeadBounds], Engine] = BuiltinEngine
    if settings.http2.engine == "h2":
        from .http2.h2_engine import H2Engine  # a library that hardly anybody asks for

        engine = H2Engine
    return Http2Context(
        settings.http2,
        most_head,
        ResponseFields(server, time(), dated=settings.serve.date_header, more=fields),
        lambda: engine(settings.http2, bounds),
    )


def _response_heads(settings: ServeSettings) -> ResponseHeads:
    server, fields = _own_fields(settings)
    return ResponseHeads(server, time(), dated=settings.date_header, more=fields)


def _own_fields(settings: ServeSettings) -> tuple[bytes, Pairs]:
    """The value of Server, b"" for none, and the further fields of every response."""
    fields = tuple((name.encode(), value.encode("latin-1")) for name, value in settings.headers)
    ours = settings.server_header and all(name != b"server" for name, _ in fields)
    return b"propylon" if ours else b"", fields


def _open_access_log(settings: GatewaySettings) -> AccessLog | None:
    path = settings.log.access_log
    return (
        AccessLog(path, settings.log.access_logformat, settings.log.config, settings.log.use_colors)
        if path
        else None
    )


def _begin_tracing(settings: GatewaySettings) -> "Tracer | None":
    """Begins to trace, if that is wanted. Raises ValueError if it cannot."""
    if settings.trace.export == "off":
        return None
    from .trace.tracer import begin_tracing  # OpenTelemetry is an extra

    return begin_tracing(settings.gateway)


class _Layers:
    """What all listeners have below TLS and HTTP."""

    def __init__(self, settings: GatewaySettings, state: ServiceState) -> None:
        self.http = HttpVersions(state, prior_knowledge=settings.http2.prior_knowledge)
        self.below: list[Callable[[Begin], Begin]] = []
        """From the top down."""
        trust = settings.trust
        if most := settings.serve.limit_connections_per_address:
            trusted = PeerSet(trust.forwarded_allow_ips)
            limit = AddressLimit(most, trusted, state, named=trust.proxy_protocol)
            self.below.append(limit.before)
        if trust.proxy_protocol:
            self.below.append(ProxyHeaders(trust, state).before)


def _listener(
    sock: socket.socket,
    settings: ListenerSettings,
    layers: "_Layers",
    tls: Handshakes | None,
) -> ServiceListener:
    """Makes a listener with the layers between its socket and HTTP, from the top down."""
    begin: Begin = layers.http.begin if tls is None else tls.begin
    for before in layers.below:
        begin = before(begin)
    return ServiceListener(sock, settings.address, begin, tls)


def _with_redirect(
    answer: Answer, settings: GatewaySettings, sockets: list[socket.socket]
) -> Answer:
    """Puts the 308 of --redirect-to-https, if that is on, before the handler that would answer."""
    if not settings.tls.redirect:
        return answer
    ports: list[int] = [
        sock.getsockname()[1]
        for sock, listener in zip(sockets, settings.listeners, strict=True)
        if listener.tls and sock.family != socket.AF_UNIX
    ]
    port = settings.tls.https_port or (ports[0] if ports else 443)
    return HttpsRedirect(answer, port).answer


def _socket(fd: int) -> socket.socket:
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    return sock
