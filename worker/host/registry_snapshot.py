"""Reads the app's metrics: all that its `prometheus_client` registry has at one moment.

The worker has no `prometheus_client` of its own and never imports it. If the app has, the module is
there. Its registry is then read one collector at a time: one that raises costs its own families and
no others. What does not fit is left out a family at a time, because half a family is wrong in a way
that nobody sees: a histogram without its last buckets, a counter whose sum is too small.

The names of things in the registry that begin with an underscore are read with care: another
version of the library may lack them.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, cast

from ...protocol.app_metrics import MOST_BYTES, MOST_SAMPLES, SUFFIXES

MOST_FAMILIES: Final = 2_000
"""Families of one collector that are looked at. It may yield them without end."""
LONGEST_HELP: Final = 1_024

Say = Callable[[str, str], None]
"""Called with a topic and a sentence, when something of the app's is left out."""


class RegistrySnapshot:
    """What the registry had: the families as JSON, and the values of all samples in their order."""

    __slots__ = ("_bytes", "_say", "_texts", "left_out", "values")

    def __init__(self, say: Say) -> None:
        self.values: list[float] = []
        self.left_out: dict[str, int] = {}
        """Reason -> how many families, or collectors that failed."""
        self._texts: list[str] = []
        """The families, each as JSON."""
        self._bytes = 2
        self._say = say
        registry: Any = getattr(sys.modules.get("prometheus_client"), "REGISTRY", None)
        for collector in _collectors(registry):
            self._read(collector)

    @property
    def families(self) -> bytes:
        return f"[{','.join(self._texts)}]".encode()

    def _read(self, collector: Any) -> None:
        name = type(collector).__name__
        try:
            children = getattr(collector, "_metrics", None)
            if isinstance(children, dict) and len(cast("dict[Any, Any]", children)) > MOST_SAMPLES:
                # Not even asked: to make a hundred thousand samples would keep the app waiting.
                self._leave_out("too_many", str(getattr(collector, "_name", name)))
                return
            mode = getattr(collector, "_multiprocess_mode", "")
            for number, metric in enumerate(cast("Iterable[Any]", collector.collect())):
                if number == MOST_FAMILIES:
                    self._leave_out("too_many", f"families behind the first {number} of {name}")
                    break
                self._add(metric, mode if isinstance(mode, str) else "")
        except BaseException as error:  # of the app: whatever it is, it ends here
            self._leave_out("failed", f"{name}, which has raised {type(error).__name__}: {error}")

    def _add(self, metric: Any, mode: str) -> None:
        """Adds a family, unless it does not fit."""
        name, kind = str(metric.name), str(metric.type)
        suffixes = SUFFIXES.get(kind)
        if suffixes is None:
            self._leave_out("wrong", f"{name}, a {kind}")
            return
        room = MOST_SAMPLES - len(self.values)
        samples: list[Any] = metric.samples
        series: list[list[str]] = []
        values: list[float] = []
        for sample in samples:
            suffix = sample.name[len(name) :]
            if suffix not in suffixes or not sample.name.startswith(name):
                if suffix in ("_created", ""):
                    continue  # a summary's quantile has the name of its family
                self._leave_out("wrong", f"{name}, with a sample {sample.name}")
                return
            if len(values) == room:
                self._leave_out("too_many", name)
                return
            labels = [str(text) for pair in sample.labels.items() for text in pair]
            series.append([suffix, *labels])
            values.append(float(sample.value))
        text = json.dumps([name, kind, str(metric.documentation)[:LONGEST_HELP], mode, series])
        if self._bytes + len(text) + 1 > MOST_BYTES:
            self._leave_out("too_many", name)
            return
        self._bytes += len(text) + 1
        self._texts.append(text)
        self.values += values

    def _leave_out(self, reason: str, what: str) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + 1
        self._say(f"{reason} {what}", f"metrics of the app are left out ({reason}): {what}")


def _collectors(registry: Any) -> Iterator[Any]:
    """Yields the collectors of a registry; of one that is unknown to us, the registry itself."""
    known = getattr(registry, "_collector_to_names", None)
    if isinstance(known, dict):
        if getattr(registry, "_target_info", None):
            yield _TargetInfo(registry)
        yield from list(cast("dict[Any, Any]", known))
    elif registry is not None:
        yield registry


class _TargetInfo:
    """The labels of the target, which no collector has."""

    def __init__(self, registry: Any) -> None:
        self._registry = registry

    def collect(self) -> list[Any]:
        return [self._registry._target_info_metric()]
