"""Processes of an app, as a merge sees them: each says which series it has, and their values."""

import json
from collections.abc import Mapping
from itertools import count

from propylon.gateway.metrics.app_merge import AppMerge
from propylon.gateway.metrics.app_snapshot import AppShape
from propylon.gateway.metrics.app_worker import AppWorker
from propylon.protocol.app_metrics import Introduction

OURS = ("pool", "default")

Family = tuple[str, str, str, Mapping[tuple[str, ...], float]]
"""Name, kind, mode, and (suffix, label, value, ...) -> value."""


def counter(name: str, value: float, *labels: str) -> Family:
    return name, "counter", "", {("_total", *labels): value}


def gauge(name: str, value: float, mode: str = "all", *labels: str) -> Family:
    return name, "gauge", mode, {("", *labels): value}


def histogram(name: str, buckets: Mapping[str, float], total: float = 0.0, *labels: str) -> Family:
    """`buckets` as they are shown: each holds the lower ones."""
    samples = {("_bucket", *labels, "le", bound): value for bound, value in buckets.items()}
    samples["_count", *labels] = max(buckets.values())
    samples["_sum", *labels] = total
    return name, "histogram", "", samples


def payload(*families: Family) -> bytes:
    said = [[name, kind, f"help of {name}", mode, [list(one) for one in samples]]
            for name, kind, mode, samples in families]  # fmt: skip
    return json.dumps(said).encode()


class Instance:
    """An instance's merge, with processes that come and go."""

    def __init__(self, ids: "count[int] | None" = None) -> None:
        self.merge = AppMerge()
        self._ids = ids or count(5_000)
        self._shapes: dict[bytes, AppShape] = {}

    def comes(
        self, worker: int = 1, pool: str = "default", *, child: int | None = None, now: float = 0.0
    ) -> AppWorker:
        child = next(self._ids) if child is None else child
        who = Introduction(pool=pool, worker=worker, id=child, process=f"process {next(self._ids)}")
        return self.again(who, now)

    def again(self, who: Introduction, now: float = 0.0) -> AppWorker:
        found = self.merge.pool(who.pool).join(who, now)
        assert found is not None
        found.came(now)
        return found

    def upgraded(self) -> "Instance":
        """A new one, whose processes have other names than those of this one."""
        return Instance(self._ids)

    def says(self, worker: AppWorker, *families: Family, now: float = 0.0) -> None:
        said = payload(*families)
        shape = self._shapes.setdefault(said, AppShape(said))
        values = [value for family in families for value in family[3].values()]
        self.merge.pool(worker.who.pool).take(worker, shape, values, {}, now)

    def ends(self, worker: AppWorker) -> None:
        self.merge.pool(worker.who.pool).ended(worker)

    def series(self, *, ours: bool = False, now: float = 0.0) -> dict[str, float]:
        """What is shown: x_total{label="value",...} without the pool "default" -> value."""
        return {
            _text(sample.name, sample.labels): sample.value
            for family in self.merge.families(now)
            for sample in family.samples
            if ours or not family.name.startswith("propylon_")
        }


def _text(name: str, labels: Mapping[str, str]) -> str:
    shown = [f"{label}={text}" for label, text in labels.items() if (label, text) != OURS]
    return f"{name}{{{','.join(shown)}}}" if shown else name
