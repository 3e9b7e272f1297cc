"""What a worker says of the app's metrics, checked and made ready for a merge. Pure.

A worker runs the app's code, so it may say anything. What is not understood as a whole is refused
with `FrameError`; a family that is wrong in itself is left out, and the others count.

Most answers have the same series as the one before, and the workers of a pool mostly have the same
series as each other. So the description of the series is read once (`AppShape`), and after that an
answer is a list of numbers. A shape knows which of the numbers are summed over processes, and how.

Histograms travel as they are shown: each bucket holds what lower ones do too. Such buckets cannot
be added up if two processes have different bounds, as during a reload that changes them: the sum
would fall from one bucket to the next. So the buckets are taken apart first, and each counts what
no lower one does.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, Final, NamedTuple, cast

from ...protocol.app_metrics import MOST_SAMPLES, SUFFIXES, FrameError, read_json

LONGEST_NAME: Final = 200
LONGEST_LABEL: Final = 1_024
MOST_LABELS: Final = 32
LONGEST_HELP: Final = 1_024
LARGEST_COUNT: Final = 1e300
"""Of this a number of workers can be added up."""
OWN_LABELS: Final = ("pool", "worker")
"""Labels that are added to the app's series. The app's own of such a name gets another."""
OWN_PREFIX: Final = "propylon_"
REASONS: Final = ("failed", "too_many", "wrong", "own_name", "other_type")
"""Why families of the app are left out: the collector has raised or the worker sends nonsense;
there are too many samples; it is not valid; the name is one of ours; another process, which was
first, has a family of that name and of another type."""
SUMMED: Final = frozenset({"counter", "histogram", "summary"})
"""Kinds that are summed over processes, those that have ended included."""
MODES: Final[Mapping[str, str]] = {
    "sum": "sum", "livesum": "sum", "max": "max", "livemax": "max", "min": "min", "livemin": "min",
    "mostrecent": "mostrecent", "livemostrecent": "mostrecent",
}  # fmt: skip
"""A gauge's mode in `prometheus_client` -> how several processes' values become one. Any other mode
means one series for each worker."""

_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

Labels = tuple[tuple[str, str], ...]


class SeriesKey(NamedTuple):
    """What makes one series of a pool: equal in each process that has it."""

    family: str
    kind: str
    sample: str
    """The sample's whole name: x_total, x_bucket."""
    labels: Labels


@dataclass(slots=True)
class FamilyShape:
    """A family of a worker, and where in an answer its values are."""

    name: str
    kind: str
    help: str
    mode: str
    """How a gauge's values become one: sum, max, min, mostrecent; "" means one for each worker."""
    first: int
    """The place of its first value in the answer."""
    series: list[SeriesKey]

    @property
    def claims(self) -> Iterator[str]:
        """The names that no other family's samples may have."""
        yield self.name
        yield from (self.name + suffix for suffix in SUFFIXES[self.kind] if suffix)


class _Wrong(Exception):
    """A family is left out, for the reason that is given."""


class AppShape:
    """Which series a worker has."""

    __slots__ = (
        "__weakref__", "_after", "counted", "families", "keys", "left_out", "size", "witness",
    )  # fmt: skip

    def __init__(self, payload: bytes) -> None:
        """Reads FAMILIES. Raises FrameError."""
        said = read_json(payload)
        if not isinstance(said, list):
            raise FrameError("FAMILIES that are no list")
        self.families: list[FamilyShape] = []
        self.left_out: dict[str, list[str]] = {}
        """Reason -> the names of families."""
        self.size = 0
        """How many values an answer has."""
        self.keys: list[SeriesKey] = []
        """The series that are summed."""
        self.counted: list[int] = []
        """The place of each of them in an answer."""
        self.witness: list[int] = []
        """For each of them, the index in `keys` of the series that tells whether its process has
        begun to count anew. A sum of observations may fall because observations may be negative;
        their number may not."""
        self._after: list[tuple[int, int]] = []
        """Indices in `keys` of a bucket and the next lower one, highest first."""
        names: set[str] = set()
        for item in cast("list[object]", said):
            count = _samples_in(item)
            try:
                family = _family(cast("list[Any]", item), self.size)
                if not names.isdisjoint(family.claims):
                    raise _Wrong("wrong")
                buckets = _buckets(family) if family.kind == "histogram" else {}
                names.update(family.claims)
                self.families.append(family)
                if family.kind in SUMMED:
                    self._add_summed(family, buckets)
            except _Wrong as reason:
                name = repr(cast("list[object]", item)[0])
                self.left_out.setdefault(str(reason), []).append(name[:LONGEST_NAME])
            self.size += count
        if self.size > MOST_SAMPLES:
            raise FrameError(f"{self.size} samples")

    def _add_summed(
        self, family: FamilyShape, buckets: Mapping[Labels, Sequence[tuple[float, int]]]
    ) -> None:
        base = len(self.keys)
        counts = {
            key.labels: base + number
            for number, key in enumerate(family.series)
            if key.sample.endswith("_count") and family.kind != "counter"
        }
        for number, key in enumerate(family.series):
            without = _without_bound(key.labels) if key.sample.endswith("_bucket") else key.labels
            self.witness.append(counts.get(without, base + number))
            self.counted.append(family.first + number)
        self.keys += family.series
        for bounds in buckets.values():
            numbers = [base + number for _, number in bounds]
            self._after += zip(numbers[:0:-1], numbers[-2::-1], strict=True)

    def counters(self, values: Sequence[float]) -> list[float]:
        """The values that are summed, buckets taken apart. What cannot be summed, such as NaN,
        counts as 0."""
        counters = [values[place] for place in self.counted]
        if (
            not isfinite(sum(map(abs, counters)))
            or max(map(abs, counters), default=0) > LARGEST_COUNT
        ):
            counters = [value if abs(value) <= LARGEST_COUNT else 0.0 for value in counters]
        for bucket, lower in self._after:
            counters[bucket] -= counters[lower]
        return counters


def read_answer(payload: bytes, shape: AppShape) -> tuple[int, list[float], dict[str, int]]:
    """Reads ANSWER: its number, the values, and why how many families were left out. Raises
    FrameError."""
    said = read_json(payload)
    parts = cast("list[object]", said) if isinstance(said, list) else []
    if len(parts) != 3:
        raise FrameError("an ANSWER that has not three parts")
    number, values, left_out = parts
    if type(number) is not int or not isinstance(values, list) or not isinstance(left_out, dict):
        raise FrameError("an ANSWER of wrong types")
    numbers = cast("list[object]", values)
    if len(numbers) != shape.size or not {float, int}.issuperset(map(type, numbers)):
        raise FrameError("an ANSWER with other values than FAMILIES said")
    try:
        floats = [float(cast("float", value)) for value in numbers]
    except OverflowError:
        raise FrameError("an ANSWER with a number that is too large") from None
    said_of = cast("dict[str, object]", left_out)
    counts = {reason: said_of.get(reason) for reason in REASONS[:3]}
    return number, floats, {
        reason: min(count, MOST_SAMPLES)
        for reason, count in counts.items()
        if type(count) is int and count > 0
    }  # fmt: skip


def _samples_in(item: object) -> int:
    """How many values of the answer belong to a family. Raises FrameError if that cannot be said,
    because then the places of all later ones are unknown."""
    parts = cast("list[object]", item) if isinstance(item, list) else []
    if len(parts) != 5 or not isinstance(parts[4], list):
        raise FrameError("FAMILIES with something that is no family")
    return len(cast("list[object]", parts[4]))


def _family(parts: list[Any], first: int) -> FamilyShape:
    name, kind, text, mode, samples = parts
    if not all(isinstance(one, str) for one in (name, kind, text, mode)):
        raise _Wrong("wrong")
    if not _NAME.fullmatch(name) or len(name) > LONGEST_NAME or kind not in SUFFIXES:
        raise _Wrong("wrong")
    if name.startswith(OWN_PREFIX):
        raise _Wrong("own_name")
    keys = [_series(name, kind, sample) for sample in samples]
    if len(set(keys)) != len(keys):
        raise _Wrong("wrong")
    merged = MODES.get(mode, "") if kind == "gauge" else "max" if kind == "info" else ""
    return FamilyShape(name, kind, _encodable(text[:LONGEST_HELP]), merged, first, keys)


def _series(name: str, kind: str, sample: object) -> SeriesKey:
    parts = cast("list[object]", sample) if isinstance(sample, list) else []
    if len(parts) % 2 != 1 or len(parts) > 2 * MOST_LABELS + 1:
        raise _Wrong("wrong")
    if not all(isinstance(part, str) and len(part) <= LONGEST_LABEL for part in parts):
        raise _Wrong("wrong")
    texts = cast("list[str]", parts)
    labels = dict(zip(texts[1::2], texts[2::2], strict=True))
    if texts[0] not in SUFFIXES[kind] or 2 * len(labels) + 1 != len(texts):
        raise _Wrong("wrong")
    for label in labels:
        if not _LABEL.fullmatch(label) or label.startswith("__"):
            raise _Wrong("wrong")
    for own in OWN_LABELS:
        if own in labels:
            labels = _renamed(labels, own)
    items = tuple((label, _encodable(value)) for label, value in labels.items())
    return SeriesKey(name, kind, name + texts[0], items)


def _renamed(labels: dict[str, str], own: str) -> dict[str, str]:
    """Puts `exported_` before a label that we add ourselves, as Prometheus does."""
    other = f"exported_{own}"
    while other in labels:
        other = f"exported_{other}"
    return {other if label == own else label: value for label, value in labels.items()}


def _encodable(text: str) -> str:
    """The text without half surrogates, which have no UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _without_bound(labels: Labels) -> Labels:
    return tuple(pair for pair in labels if pair[0] != "le")


def bound_of(labels: Labels) -> float | None:
    """The upper bound of a bucket; None if it has none that is a number."""
    for label, value in labels:
        if label == "le":
            try:
                return float(value)
            except ValueError:
                return None
    return None


def _buckets(family: FamilyShape) -> dict[Labels, list[tuple[float, int]]]:
    """The buckets of each histogram of a family: bound and place in `series`, lowest first."""
    found: dict[Labels, list[tuple[float, int]]] = {}
    for number, key in enumerate(family.series):
        if key.sample.endswith("_bucket"):
            bound = bound_of(key.labels)
            if bound is None or bound != bound:
                raise _Wrong("wrong")
            found.setdefault(_without_bound(key.labels), []).append((bound, number))
    for buckets in found.values():
        buckets.sort()
        bounds = [bound for bound, _ in buckets]
        if bounds[-1] != inf or len(set(bounds)) != len(bounds):
            raise _Wrong("wrong")
    return found
