from dataclasses import dataclass, field
from time import time

import pytest
from propylon.gateway.metrics.counters import RequestCounters
from propylon.gateway.metrics.failures import Failures
from propylon.gateway.metrics.families import BY_GATEWAYS
from propylon.gateway.metrics.measures import (
    LAG_WINDOW,
    MOST_ASKED,
    GatewayMeasures,
    HeldBytes,
    LoopLag,
    MetricsReports,
    resident_memory,
)
from propylon.gateway.metrics.snapshot import from_wire
from propylon.gateway.pool.load import PoolLoad
from propylon.gateway.serve.service_counts import ServiceCounts
from propylon.protocol.supervision.messages import GatewayMetrics, Report


def test_lag_is_the_worst_of_the_last_seconds() -> None:
    lag = LoopLag(0.25)
    now = 1_000.0
    lag.sweep(now)
    assert lag.worst == 0.0
    now += 0.75
    lag.sweep(now)
    assert lag.worst == 0.5
    begun = now
    while now - begun < LAG_WINDOW - 1:
        now += 0.25
        lag.sweep(now)
    assert lag.worst == 0.5
    while now - begun < 2 * LAG_WINDOW + 1:
        now += 0.25
        lag.sweep(now)
    assert lag.worst == 0.0


def test_a_loop_that_stood_for_long_says_so() -> None:
    lag = LoopLag(0.25)
    lag.sweep(1_000.0)
    lag.sweep(1_000.0 + 5 * LAG_WINDOW)
    assert lag.worst == 5 * LAG_WINDOW - 0.25


@dataclass
class Share:
    """A route's share of a pool, as far as it is measured."""

    name: str = "/slow/"
    running: int = 3

    def waiting(self) -> int:
        return 4

    def total(self, slots: int) -> int:
        return slots + 2


@dataclass
class Pool:
    """The part of a pool that is measured: rows of a table."""

    shares: tuple[Share, ...] = (Share(),)
    retries: dict[str, int] = field(default_factory=lambda: {"worker_died": 2})

    def load(self) -> PoolLoad:
        return PoolLoad(queued=1, running=2, slots=3, oldest_waiter=4.5, order="newest-first")

    def websockets(self) -> int:
        return 1


class Kept:
    memory, disk = 5, 6


class Broken(Pool):
    def load(self) -> PoolLoad:
        raise RuntimeError("a fault of ours")


class Websocket:
    protocol = "websocket"
    held = 1_000


class Http3:
    protocol = "http/3"
    held = 7


@dataclass
class Service:
    counts: ServiceCounts = field(default_factory=ServiceCounts)
    connections: tuple[Websocket | Http3, ...] = (Websocket(), Websocket(), Http3())


def measures(service: Service) -> GatewayMeasures:
    count = RequestCounters({"/": "a"}, Failures(time).add)
    return GatewayMeasures(2, {"a": Pool()}, service, LoopLag(0.25), count, Failures(time), Kept())


def test_what_is_measured() -> None:
    service = Service()
    service.counts.accept()
    service.counts.end_handshake("ok", "TLSv1.3")
    for _ in range(2):
        service.counts.end_handshake("timeout")
    service.counts.receive_message()
    found = measures(service).snapshot()
    assert found.keys() == {family.name for family in BY_GATEWAYS}
    assert found["propylon_pool_slots"] == {("a",): 3}
    assert found["propylon_pool_running"] == {("a",): 2}
    assert found["propylon_pool_queue_length"] == {("a",): 1}
    assert found["propylon_pool_queue_oldest_seconds"] == {("a",): 4.5}
    assert found["propylon_pool_newest_first"] == {("a",): 1}
    assert found["propylon_websockets"] == {("a",): 1}
    assert found["propylon_route_running"] == {("a", "/slow/"): 3}
    assert found["propylon_route_limit"] == {("a", "/slow/"): 5}
    assert found["propylon_route_queue_length"] == {("a", "/slow/"): 4}
    assert found["propylon_retries_total"] == {("a", "worker_died"): 2}
    assert found["propylon_connections"] == {
        ("http/1.1",): 0,
        ("http/2",): 0,
        ("http/3",): 1,
        ("websocket",): 2,
        ("tls_handshake",): 0,
        ("proxy_header",): 0,
    }
    assert found["propylon_connections_accepted_total"] == {(): 1}
    assert set(found["propylon_http2_floods_total"].values()) == {0}
    assert found["propylon_tls_handshakes_total"] == {("ok", "TLSv1.3"): 1, ("timeout", ""): 2}
    assert found["propylon_websocket_messages_total"] == {("received",): 1, ("sent",): 0}
    assert found["propylon_gateway_cpu_seconds_total"].keys() == {("2",)}
    assert found["propylon_gateway_held_bytes"] == {
        ("2", "http/1.1"): 0, ("2", "http/2"): 0, ("2", "http/3"): 7, ("2", "proxy_header"): 0,
        ("2", "tls_handshake"): 0, ("2", "websocket"): 2_000,
    }  # fmt: skip
    kept = found["propylon_gateway_buffered_bytes"]
    assert kept == {("2", "memory"): 5, ("2", "disk"): 6}
    memory = found["propylon_gateway_resident_memory_bytes"]["2",]
    assert isinstance(memory, int)
    assert 1_000_000 < memory <= 2 * resident_memory()


def test_many_connections_are_asked_less_often() -> None:
    class Asked:
        protocol = "http/1.1"
        times = 0

        @property
        def held(self) -> int:
            Asked.times += 1
            return 2

    now = 100.0
    held = HeldBytes(lambda: now)
    many = [Asked() for _ in range(10 * MOST_ASKED)]
    for _ in range(25):
        assert held.of(many) == {"http/1.1": 2 * len(many)}
        now += 1.0
    assert Asked.times == 3 * len(many)
    now += 10.0
    held.of(many[:500])
    for _ in range(5):
        now += 1.0
        assert held.of(many[:3]) == {"http/1.1": 6}, "few are asked each time"


def test_a_report_travels() -> None:
    said: list[Report] = []
    reports = MetricsReports(said.append)
    reports.last_word()
    assert said == []
    reports.answer(3)
    assert said == [GatewayMetrics(3)]
    one = measures(Service())
    reports.begin(one)
    reports.answer(4)
    reports.last_word()
    _, answer, last = said
    assert isinstance(answer, GatewayMetrics)
    assert isinstance(last, GatewayMetrics)
    assert (answer.token, last.token) == (4, 0)
    assert from_wire(answer.snapshot).keys() == one.snapshot().keys()


def test_what_cannot_be_measured_costs_nobody_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    said: list[Report] = []
    reports = MetricsReports(said.append)
    lag = LoopLag(0.25)
    reports.begin(GatewayMeasures(1, {"a": Broken()}, Service(), lag))
    reports.answer(5)
    assert said == [GatewayMetrics(5)]
    assert caplog.messages == ["what was counted could not be reported"]
