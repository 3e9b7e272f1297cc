"""Totals: what several processes have counted becomes one, though processes come and go. Pure.

The problem
===========

A counter that is shown must never go back: whoever reads it takes a fall for a restart, and counts
everything since again. But the processes that count are mortal. A reload replaces gateways, one may
be killed between two collections, an upgrade replaces the reader itself, and whoever has ended has
taken its integers along. Nor can each process be shown as a series of its own: series of the dead
would pile up, and the sum over those that live would fall at each end.

So of each process the last snapshot is kept, and a new one takes its place. When the process ends,
its last snapshot moves into the sums of those that have ended, and its gauges vanish with it. What
is shown is these sums and the last snapshots, added up. Moving changes no sum, so it does not
matter when it happens; and a snapshot that is lost leaves the sums too low for what happened in
between, but never lower than they were. In an upgrade both travel, still apart: a process that
lives on sends its whole count again, which must take the place of its last one and not be added to
it.

One trap is left: 0.1 + 0.7 + 0.3 and 0.1 + 0.3 + 0.7 differ in their last bit as floating-point
numbers, so that a sum could fall when a number only moves from one place to another. A reader takes
the smallest fall for a restart. So numbers with a fraction are rounded to multiples of 2 to the
power of -16 when they come in. Sums of these are exact, in any order, up to 137 billion.

Snapshots come from processes, perhaps of another version, perhaps broken. What is not of the table
of families, or has not its form, is left out and named; the rest counts. A number that falls within
one process is not believed: the higher one stays.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, cast

from .families import BY_NAME, Family
from .snapshot import Labels, Series, Snapshot, Value, Wire, to_wire

RESOLUTION: Final = 65_536
"""Fractions in which a number is kept: 15 microseconds, where it counts seconds."""
MOST_SERIES: Final = 20_000
"""Series of one family in one snapshot at most. Labels are bounded, so only a fault has more."""


class Totals:
    """What processes have counted, those that have ended and those that go on."""

    def __init__(self, families: Mapping[str, Family] = BY_NAME) -> None:
        self._families = families
        self._ended: Snapshot = {}
        """The sums of processes that have ended, without gauges."""
        self._last: dict[int, Snapshot] = {}
        """Process -> its last snapshot, for all that have not ended."""

    def take(self, process: int, wire: object) -> list[str]:
        """Takes the snapshot of a process, as it has travelled. Returns a sentence for each part of
        it that is left out. The number of a process that has ended must not come again."""
        now, faults = read_wire(wire, self._families)
        before = self._last.get(process, {})
        for name in before.keys() | now.keys():
            if self._families[name].kind != "gauge":
                now[name] = _not_below(before.get(name, {}), now.get(name, {}))
        self._last[process] = now
        return faults

    def end(self, process: int) -> None:
        """A process has ended: its counts are kept, its gauges vanish."""
        for name, series in self._last.pop(process, {}).items():
            if self._families[name].kind != "gauge":
                merge(self._ended.setdefault(name, {}), series)

    def total(self) -> Snapshot:
        """The sums over all processes. Families and series that nobody has are not in it."""
        total: Snapshot = {}
        for snapshot in (self._ended, *self._last.values()):
            for name, series in snapshot.items():
                merge(total.setdefault(name, {}), series, self._families[name].merge)
        return total

    def series(self, family: Family) -> Series:
        """The sums of one family."""
        found: Series = {}
        for snapshot in (self._ended, *self._last.values()):
            merge(found, snapshot.get(family.name, {}), family.merge)
        return found

    # -- an upgrade ----------------------------------------------------------------------------

    def save(self) -> tuple[Wire, dict[int, Wire]]:
        """The sums of those that have ended, and the last snapshot of each process that has not."""
        return to_wire(self._ended), {number: to_wire(one) for number, one in self._last.items()}

    def restore(self, ended: object, last: Mapping[int, object]) -> list[str]:
        """Takes what `save` has returned, perhaps in another version. Returns a sentence for each
        part that is left out."""
        self._ended, faults = read_wire(ended, self._families)
        for process, wire in last.items():
            faults += self.take(process, wire)
        return faults


def merge(into: Series, series: Series, how: Literal["sum", "max"] = "sum") -> None:
    """Adds series to others: numbers and histograms are added, or the larger one stays."""
    for labels, value in series.items():
        before = into.get(labels)
        if before is None:
            into[labels] = list(value) if isinstance(value, list) else value
        elif isinstance(value, list):
            into[labels] = [a + b for a, b in zip(cast("list[float]", before), value, strict=True)]
        else:
            number = cast("float", before)
            into[labels] = max(number, value) if how == "max" else number + value


def exact(number: float) -> float:
    """A number that can be added to others of this kind without an error of rounding."""
    if isinstance(number, int) or number >= 2**53:
        return number
    return round(number * RESOLUTION) / RESOLUTION


def _not_below(before: Series, now: Series) -> Series:
    """The series of a process by its new snapshot, none of them lower than before."""
    for labels, value in before.items():
        new = now.get(labels)
        if new is None:
            now[labels] = value
        elif isinstance(new, list):
            now[labels] = [max(a, b) for a, b in zip(cast("list[float]", value), new, strict=True)]
        else:
            now[labels] = max(cast("float", value), new)
    return now


# -- reading what has travelled --------------------------------------------------------------


def read_wire(wire: object, families: Mapping[str, Family]) -> tuple[Snapshot, list[str]]:
    """Reads a snapshot that has travelled as JSON. Returns what of it fits the table, and a
    sentence for each part that does not."""
    if not isinstance(wire, Mapping):
        return {}, ["it is no snapshot"]
    snapshot: Snapshot = {}
    faults: list[str] = []
    for name, pairs in cast("Mapping[Any, object]", wire).items():
        family = families.get(name) if isinstance(name, str) else None
        if family is None:
            faults.append(f"there is no family {str(name)[:80]!r} in this version")
            continue
        series: Series = {}
        if not isinstance(pairs, list | tuple) or len(cast("list[object]", pairs)) > MOST_SERIES:
            faults.append(f"{name} has no list of series, or too long a one")
            continue
        found = cast("list[object]", pairs)
        for pair in _pairs(found, family):
            series[pair[0]] = pair[1]
        if len(series) < len(found):
            faults.append(f"{name} has series that do not fit it")
        if series:
            snapshot[name] = series
    return snapshot, faults


def _pairs(found: list[object], family: Family) -> Iterator[tuple[Labels, Value]]:
    for pair in found:
        if not isinstance(pair, list | tuple) or len(cast("list[object]", pair)) != 2:
            continue
        labels, value = cast("tuple[object, object]", pair)
        names, read = _labels(labels, family), _value(value, family)
        if names is not None and read is not None:
            yield names, read


def _labels(labels: object, family: Family) -> Labels | None:
    """Label values, if they are as many as the family has; else None."""
    if not isinstance(labels, list | tuple):
        return None
    values = tuple(cast("Iterable[object]", labels))
    if len(values) != len(family.labels) or not all(isinstance(one, str) for one in values):
        return None
    return cast("Labels", values)


def _value(value: object, family: Family) -> Value | None:
    """A value that fits the family; None if it does not."""
    if family.kind != "histogram":
        return _number(value, below_zero=family.kind == "gauge")
    if not isinstance(value, list | tuple):
        return None
    numbers = [_number(one) for one in cast("list[object]", value)]
    if len(numbers) != len(family.buckets) + 2 or None in numbers:
        return None
    return cast("list[float]", numbers)


def _number(value: object, *, below_zero: bool = False) -> float | None:
    if type(value) not in (int, float):
        return None
    number = cast("float", value)
    try:
        fits = math.isfinite(number) and (number >= 0 or below_zero)
    except OverflowError:  # a whole number that no float holds
        return None
    if not fits:
        return None
    return number if below_zero else exact(number)
