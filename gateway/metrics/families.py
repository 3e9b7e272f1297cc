"""All that is counted: the table of metric families. Pure.

The names follow Prometheus' conventions (https://prometheus.io/docs/practices/naming/): base units,
`_total` for counters, `_seconds`, `_bytes`. Label sets are bounded whatever a client sends: a label
holds a name of the configuration, a number of ours, or a word of a closed list.
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

REQUESTS: Final = Family(
    "propylon_requests_total",
    "counter",
    "Requests that have ended.",
    ("pool", "route", "method", "status", "end"),
)
FAMILIES: Final = (REQUESTS,)
BY_NAME: Final = {family.name: family for family in FAMILIES}
