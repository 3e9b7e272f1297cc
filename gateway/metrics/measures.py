"""What a gateway process reports when it is asked: what it has counted, and what it does now."""

import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from logging import getLogger
from operator import attrgetter
from time import monotonic
from typing import ClassVar, Final, Literal, Protocol

from ...protocol.supervision.messages import GatewayMetrics, Report
from .counters import RequestCounters
from .failures import Failures
from .families import (
    ACCEPT_PAUSES,
    ACCEPTED,
    BUFFERED,
    CONNECTIONS,
    CONNECTIONS_LIMIT,
    CONNECTIONS_REFUSED,
    EVICTED,
    GATEWAY_CPU,
    GATEWAY_LAG,
    GATEWAY_RSS,
    HANDSHAKES,
    HELD,
    HTTP2_FLOODS,
    OPEN_WEBSOCKETS,
    POOL_NEWEST_FIRST,
    POOL_QUEUE_LENGTH,
    POOL_QUEUE_OLDEST,
    POOL_RUNNING,
    POOL_SLOTS,
    RETRIES,
    ROUTE_LIMIT,
    ROUTE_QUEUE_LENGTH,
    ROUTE_RUNNING,
    WEBSOCKET_MESSAGES,
)
from .snapshot import Snapshot, to_wire

log = getLogger("propylon.gateway")

PROTOCOLS: Final = ("http/1.1", "http/2", "websocket", "tls_handshake", "proxy_header")
LAG_WINDOW: Final = 10.0
"""Seconds that an event loop's worst lag is remembered for, at least."""
MOST_ASKED: Final = 1_000
"""Connections that are asked in a second, on the average, what they hold."""
_protocol_of: Final = attrgetter("protocol")


class Load(Protocol):
    @property
    def queued(self) -> int: ...
    @property
    def running(self) -> int: ...
    @property
    def slots(self) -> int: ...
    @property
    def oldest_waiter(self) -> float: ...

    @property
    def order(self) -> Literal["oldest-first", "newest-first"]: ...


class MeasuredShare(Protocol):
    name: str

    @property
    def running(self) -> int: ...
    def total(self, slots: int) -> int: ...
    def waiting(self) -> int: ...


class MeasuredPool(Protocol):
    """The part of a pool that is measured."""

    @property
    def shares(self) -> Sequence[MeasuredShare]: ...

    @property
    def retries(self) -> Mapping[str, int]: ...
    def load(self) -> Load: ...
    def websockets(self) -> int: ...


class Counts(Protocol):
    """What is counted of connections."""

    @property
    def accepted(self) -> int: ...
    @property
    def most(self) -> int: ...
    @property
    def pauses(self) -> Mapping[str, int]: ...
    @property
    def evicted(self) -> Mapping[str, int]: ...
    @property
    def floods(self) -> Mapping[str, int]: ...
    @property
    def refused(self) -> Mapping[str, int]: ...
    @property
    def handshakes(self) -> Mapping[tuple[str, str], int]: ...
    @property
    def received(self) -> int: ...
    @property
    def sent(self) -> int: ...


class MeasuredConnection(Protocol):
    protocol: ClassVar[str]

    @property
    def held(self) -> int: ...


class MeasuredService(Protocol):
    """The part of the service that is measured."""

    @property
    def counts(self) -> Counts: ...
    @property
    def connections(self) -> Collection[MeasuredConnection]: ...


class Kept(Protocol):
    """What the process keeps of bodies, in bytes."""

    @property
    def memory(self) -> int: ...
    @property
    def disk(self) -> int: ...


class LoopLag:
    """How late the event loop was, as something sees it that is called at even intervals."""

    def __init__(self, every: float) -> None:
        """`every`: the seconds between two calls, as they should be."""
        self._every = every
        self._last = 0.0
        self._worst = self._before = 0.0
        self._began = 0.0

    def sweep(self, now: float) -> None:
        if now - self._began >= LAG_WINDOW:
            self._before = self._worst if now - self._began < 2 * LAG_WINDOW else 0.0
            self._began, self._worst = now, 0.0
        if self._last:
            self._worst = max(self._worst, now - self._last - self._every)
        self._last = now

    @property
    def worst(self) -> float:
        """Seconds, the most within the last LAG_WINDOW, or twice that."""
        return max(self._worst, self._before)


class HeldBytes:
    """What connections hold in memory. To ask each of them takes a microsecond, and reports are
    wanted every second: of ten thousand connections that would be a hundredth of the time, and a
    turn of 10 ms. So many are asked less often."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """`clock` gives monotonic seconds."""
        self._clock = clock
        self._held = Counter[str]()
        self._next_look = 0.0

    def of(self, connections: Collection[MeasuredConnection]) -> Mapping[str, int]:
        """Bytes by protocol, as they are or were a short while ago."""
        if (now := self._clock()) >= self._next_look:
            self._held.clear()
            for each in connections:
                self._held[each.protocol] += each.held
            self._next_look = now + len(connections) / MOST_ASKED
        return self._held


class GatewayMeasures:
    """All that one gateway process can report."""

    def __init__(
        self,
        gateway: int,
        pools: Mapping[str, MeasuredPool],
        service: MeasuredService,
        lag: LoopLag,
        requests: RequestCounters | None = None,
        failures: Failures | None = None,
        kept: Kept | None = None,
    ) -> None:
        """`gateway` is its number. Without `requests` and `failures` nothing is counted of
        exchanges."""
        self._gateway = str(gateway)
        self._pools = pools
        self._service = service
        self._lag = lag
        self._requests = requests
        self._failures = failures
        self._kept = kept
        self._held = HeldBytes()

    def report(self, token: int) -> GatewayMetrics:
        failed = () if self._failures is None else self._failures.report()
        return GatewayMetrics(token, to_wire(self.snapshot()), failed)

    def snapshot(self) -> Snapshot:
        """What was counted up to now, and what is under way."""
        found = self._requests.snapshot() if self._requests is not None else {}
        return found | self._of_pools() | self._of_connections() | self._of_process()

    def _of_pools(self) -> Snapshot:
        loads = {(name,): pool.load() for name, pool in self._pools.items()}
        shares = [(name, one) for name, pool in self._pools.items() for one in pool.shares]
        return {
            POOL_SLOTS.name: {pool: load.slots for pool, load in loads.items()},
            POOL_RUNNING.name: {pool: load.running for pool, load in loads.items()},
            POOL_QUEUE_LENGTH.name: {pool: load.queued for pool, load in loads.items()},
            POOL_QUEUE_OLDEST.name: {pool: load.oldest_waiter for pool, load in loads.items()},
            POOL_NEWEST_FIRST.name: {
                pool: int(load.order == "newest-first") for pool, load in loads.items()
            },
            ROUTE_RUNNING.name: {(pool, one.name): one.running for pool, one in shares},
            ROUTE_LIMIT.name: {
                (pool, one.name): one.total(loads[pool,].slots) for pool, one in shares
            },
            ROUTE_QUEUE_LENGTH.name: {(pool, one.name): one.waiting() for pool, one in shares},
            OPEN_WEBSOCKETS.name: {
                (name,): pool.websockets() for name, pool in self._pools.items()
            },
            RETRIES.name: {
                (name, why): count
                for name, pool in self._pools.items()
                for why, count in pool.retries.items()
            },
        }

    def _of_connections(self) -> Snapshot:
        counts = self._service.counts
        connections = self._service.connections
        speak = Counter[str](map(_protocol_of, connections))
        held = self._held.of(connections)
        return {
            HELD.name: {(self._gateway, name): held.get(name, 0) for name in {*PROTOCOLS, *held}},
            CONNECTIONS.name: {(name,): speak[name] for name in {*PROTOCOLS, *speak}},
            ACCEPTED.name: {(): counts.accepted},
            CONNECTIONS_LIMIT.name: {(): counts.most},
            ACCEPT_PAUSES.name: {(why,): count for why, count in counts.pauses.items()},
            EVICTED.name: {(why,): count for why, count in counts.evicted.items()},
            HTTP2_FLOODS.name: {(why,): count for why, count in counts.floods.items()},
            CONNECTIONS_REFUSED.name: {(why,): count for why, count in counts.refused.items()},
            HANDSHAKES.name: dict(counts.handshakes.items()),
            WEBSOCKET_MESSAGES.name: {("received",): counts.received, ("sent",): counts.sent},
        }

    def _of_process(self) -> Snapshot:
        mine = (self._gateway,)
        used = os.times()
        found: Snapshot = {
            GATEWAY_CPU.name: {mine: used.user + used.system},
            GATEWAY_LAG.name: {mine: self._lag.worst},
        }
        if self._kept is not None:
            found[BUFFERED.name] = {
                (self._gateway, "memory"): self._kept.memory,
                (self._gateway, "disk"): self._kept.disk,
            }
        if memory := resident_memory():
            found[GATEWAY_RSS.name] = {mine: memory}
        return found


def resident_memory() -> int:
    """Resident memory of this process in bytes (proc(5), statm); 0 without procfs."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


class MetricsReports:
    """Answers the supervisor, and has the last word of a process that ends."""

    def __init__(self, report: Callable[[Report], None]) -> None:
        self._report = report
        self._measures: GatewayMeasures | None = None

    def begin(self, measures: GatewayMeasures) -> None:
        """From now on there is something to report."""
        self._measures = measures

    def answer(self, token: int) -> None:
        measures, answer = self._measures, GatewayMetrics(token)
        if measures is not None:
            try:
                answer = measures.report(token)
            except Exception:  # a fault of ours costs numbers, and not the process
                log.exception("what was counted could not be reported")
        self._report(answer)

    def last_word(self) -> None:
        """Reports what was counted until the end; nothing if there was no beginning."""
        if self._measures is not None:
            self.answer(0)
