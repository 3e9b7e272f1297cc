"""A metric family as it is shown, whoever has counted it: this house or the app. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from .families import FAMILIES, Family
from .snapshot import Series, Snapshot


class Sample(NamedTuple):
    name: str
    """The whole name, with its suffix: propylon_requests_total, x_bucket, x_sum."""
    labels: dict[str, str]
    value: float


@dataclass(slots=True)
class ExposedFamily:
    name: str
    """The family's name as `prometheus_client` has it: a counter's without `_total`."""
    kind: str
    """counter, gauge, histogram, summary, info, stateset, unknown."""
    help: str
    samples: list[Sample] = field(default_factory=list[Sample])


def exposed(snapshot: Snapshot, families: Iterable[Family] = FAMILIES) -> list[ExposedFamily]:
    """The families of ours as they are shown, in the table's order. One without series is left
    out."""
    return [
        ExposedFamily(
            name=family.name.removesuffix("_total") if family.kind == "counter" else family.name,
            kind=family.kind,
            help=family.help,
            samples=list(_samples(family, snapshot[family.name])),
        )
        for family in families
        if snapshot.get(family.name)
    ]


def _samples(family: Family, series: Series) -> Iterator[Sample]:
    bounds = [*map(repr, family.buckets), "+Inf"]
    for values, value in sorted(series.items()):
        labels = dict(zip(family.labels, values, strict=True))
        if not isinstance(value, list):
            yield Sample(family.name, labels, value)
            continue
        total, *counts = value
        cumulative = list(accumulate(counts))
        for bound, count in zip(bounds, cumulative, strict=True):
            yield Sample(f"{family.name}_bucket", {**labels, "le": bound}, count)
        yield Sample(f"{family.name}_sum", labels, total)
        yield Sample(f"{family.name}_count", labels, cumulative[-1])
