import json
import sys
from collections.abc import Iterator
from typing import Any

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Histogram, Info, Summary
from prometheus_client.core import GaugeMetricFamily, Metric
from propylon.protocol.app_metrics import MOST_BYTES, MOST_SAMPLES
from propylon.worker.host.registry_snapshot import MOST_FAMILIES, RegistrySnapshot


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> CollectorRegistry:
    """The app's registry."""
    found = CollectorRegistry(auto_describe=False)
    monkeypatch.setattr(prometheus_client, "REGISTRY", found)
    return found


class Taken:
    def __init__(self) -> None:
        self.said: list[str] = []
        taken = RegistrySnapshot(lambda topic, sentence: self.said.append(sentence))
        self.left_out = taken.left_out
        self.families = json.loads(taken.families)
        values = iter(taken.values)
        self.samples = {
            (name + suffix, *labels): next(values)
            for name, _, _, _, series in self.families
            for suffix, *labels in series
        }
        assert not list(values)


class Own:
    """A collector of the app's own."""

    def __init__(self, *metrics: Any) -> None:
        self.metrics = metrics

    def collect(self) -> Iterator[Any]:
        for metric in self.metrics:
            if isinstance(metric, BaseException):
                raise metric
            yield metric


def test_every_kind(registry: CollectorRegistry) -> None:
    Counter("c_total", "counts", ["path"], registry=registry).labels('/"\n').inc(2)
    Gauge("g", "is", registry=registry, multiprocess_mode="livesum").set(float("inf"))
    Histogram("h", "takes", registry=registry, buckets=(1, 2)).observe(1.5)
    Summary("s", "takes", registry=registry).observe(3)
    Info("i", "says", registry=registry).info({"version": "1"})
    Enum("e", "state", registry=registry, states=["up", "down"]).state("up")
    taken = Taken()
    assert [(name, kind, mode) for name, kind, _, mode, _ in taken.families] == [
        ("c", "counter", ""),
        ("g", "gauge", "livesum"),
        ("h", "histogram", ""),
        ("s", "summary", ""),
        ("i", "info", ""),
        ("e", "stateset", ""),
    ]
    assert taken.samples == {
        ("c_total", "path", '/"\n'): 2,
        ("g",): float("inf"),
        ("h_bucket", "le", "1.0"): 0,
        ("h_bucket", "le", "2.0"): 1,
        ("h_bucket", "le", "+Inf"): 1,
        ("h_count",): 1,
        ("h_sum",): 1.5,
        ("s_count",): 1,
        ("s_sum",): 3,
        ("i_info", "version", "1"): 1,
        ("e", "e", "up"): 1,
        ("e", "e", "down"): 0,
    }
    assert not taken.left_out


def test_an_app_without_prometheus_client_has_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "prometheus_client")
    assert Taken().families == []
    assert "prometheus_client" not in sys.modules


def test_an_app_that_is_about_to_import_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(prometheus_client, "REGISTRY")
    assert Taken().families == []


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(3)])
def test_a_collector_that_raises_costs_its_own_families(
    registry: CollectorRegistry, error: BaseException
) -> None:
    registry.register(Own(error))
    registry.register(Own(GaugeMetricFamily("kept", "", 1), error))
    Counter("c", "counts", registry=registry).inc()
    taken = Taken()
    assert taken.samples == {("kept",): 1, ("c_total",): 1}
    assert taken.left_out == {"failed": 2}
    assert f"Own, which has raised {type(error).__name__}" in taken.said[0]


def test_what_is_no_metric(registry: CollectorRegistry) -> None:
    wrong = GaugeMetricFamily("wrong", "", labels=["a"])
    wrong.add_sample("other_name", {}, 1)
    none = GaugeMetricFamily("none", "", None)
    none.add_sample("none", {}, None)  # type: ignore[arg-type]
    native = Metric("native", "", "gaugehistogram")
    for metric in (wrong, none, native, object()):
        registry.register(Own(metric))
    Counter("c", "counts", registry=registry).inc()
    taken = Taken()
    assert taken.samples == {("c_total",): 1}
    assert taken.left_out == {"wrong": 2, "failed": 2}


def test_a_hundred_thousand_series_are_left_out_and_the_rest_is_served(
    registry: CollectorRegistry,
) -> None:
    many = Counter("many", "counts", ["n"], registry=registry)
    for number in range(MOST_SAMPLES + 1):
        many.labels(str(number))
    own = GaugeMetricFamily("own", "", labels=["n"])
    for number in range(100_000):
        own.add_metric([str(number)], 1)
    registry.register(Own(own))
    Counter("c", "counts", registry=registry).inc()
    taken = Taken()
    assert taken.samples == {("c_total",): 1}
    assert taken.left_out == {"too_many": 2}
    assert taken.said == [
        "metrics of the app are left out (too_many): many",
        "metrics of the app are left out (too_many): own",
    ]


def test_too_many_bytes(registry: CollectorRegistry) -> None:
    gauge = Gauge("g", "is", ["text"], registry=registry)
    for number in range(8):
        gauge.labels("x" * (MOST_BYTES // 8) + str(number))
    Gauge("small", "is", ["text"], registry=registry).labels("x" * 100)
    taken = Taken()
    assert taken.left_out == {"too_many": 1}
    assert len(taken.samples) == 1


def test_a_collector_without_end(registry: CollectorRegistry) -> None:
    registry.register(Own(*(GaugeMetricFamily(f"g{n}", "", 1) for n in range(MOST_FAMILIES + 1))))
    taken = Taken()
    assert len(taken.samples) == MOST_FAMILIES
    assert taken.left_out == {"too_many": 1}


def test_a_registry_of_another_version(registry: CollectorRegistry) -> None:
    Counter("c", "counts", registry=registry).inc()
    del registry._collector_to_names
    registry.collect = lambda: [GaugeMetricFamily("g", "", 1)]  # type: ignore[method-assign]
    assert Taken().samples == {("g",): 1}


def test_the_info_of_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    target = CollectorRegistry(target_info={"env": "test"})
    monkeypatch.setattr(prometheus_client, "REGISTRY", target)
    assert Taken().samples == {("target_info", "env", "test"): 1}
