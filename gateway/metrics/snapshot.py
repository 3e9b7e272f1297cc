"""A snapshot: what one process has counted at one moment, by family and label values. Pure.

A family is a name of the table in `families`. Label values stand in the order of its labels. A
counter's or gauge's value is a number. A histogram's is a list: the sum of all observations, then
the number of observations in each bucket, each counted once (they are not cumulative); the last
bucket is that without a bound.
"""

from collections.abc import Iterable, Mapping

Labels = tuple[str, ...]
"""Label values, in the order of the family's labels."""
Value = float | list[float]
"""A number, or a histogram: [sum, count of bucket 0, count of bucket 1, ..., count of +Inf]."""
Series = dict[Labels, Value]
Snapshot = dict[str, Series]
"""Family -> its series."""
Wire = dict[str, list[tuple[Labels, Value]]]
"""A snapshot as JSON has it, where a key can be no list."""


def to_wire(snapshot: Mapping[str, Mapping[Labels, Value]]) -> Wire:
    return {family: list(series.items()) for family, series in snapshot.items()}


def from_wire(wire: Mapping[str, Iterable[tuple[Iterable[str], Value]]]) -> Snapshot:
    """Reads what a process of this house has sent, perhaps of another version. Raises TypeError or
    ValueError if it is no snapshot at all."""
    return {
        str(family): {tuple(map(str, labels)): value for labels, value in series}
        for family, series in wire.items()
    }
