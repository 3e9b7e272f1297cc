"""A metric family as it is shown, whoever has counted it: this house or the app. Pure."""

from dataclasses import dataclass, field
from typing import NamedTuple


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
