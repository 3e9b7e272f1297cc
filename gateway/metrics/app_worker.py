"""One process of an app: what it has said last of its metrics. Pure: it is told the time.

`app_merge` has the page on what becomes of its counts when it resets them, removes a series, or
ends.
"""

from collections.abc import Iterable, Iterator, Mapping
from operator import lt
from typing import Final

from ...protocol.app_metrics import Introduction
from .app_snapshot import AppShape, SeriesKey

MOST_ABSENT: Final = 10_000
"""Series at most whose last values are remembered although the app has removed them. What further
ones had counted is kept, and counts twice if they come back."""

Sums = dict[SeriesKey, float]


class AppWorker:
    """One process of an app: what it has said last."""

    def __init__(self, who: Introduction, group: int, now: float) -> None:
        self.who = who
        self.group = group
        """Which of the supervisors of its pool's workers has started it, counted from 0."""
        self.since = now
        """When it came, or came back, or went away; monotonic seconds."""
        self.answered_at: float | None = None
        self.away = True
        self._visit = 0
        self.shape: AppShape | None = None
        self.values: list[float] = []
        self.left_out: Mapping[str, int] = {}
        self._counters: list[float] = []
        self._absent: Sums = {}
        """What it has counted of series that its last answer did not have."""
        self._set_at: dict[SeriesKey, tuple[float, float]] = {}
        """Gauges of the mode `mostrecent`: the value, and when it was first seen."""

    def came(self, now: float) -> int:
        """It has connected. Returns the number of its visit, for `went`."""
        self.since, self.away = now, False
        self._visit += 1
        return self._visit

    def went(self, visit: int, now: float) -> None:
        """A connection has ended. A worker that has connected again meanwhile is still there."""
        if visit == self._visit:
            self.since, self.away = now, True

    def remember(self, sums: Sums) -> None:
        """Takes over what older code knew of it."""
        self._absent = sums

    def take(self, shape: AppShape, values: list[float], now: float) -> Sums:
        """Takes an answer. Returns what it had counted of series that it counts anew."""
        counters = shape.counters(values)
        if shape is not self.shape:
            lost = self._compare(shape, counters)
        elif any(map(lt, counters, self._counters)):
            lost = {
                key: before
                for key, before, witness in zip(
                    shape.keys, self._counters, shape.witness, strict=True
                )
                if counters[witness] < self._counters[witness]
            }
        else:
            lost = {}
        self.shape, self.values, self._counters = shape, values, counters
        self.answered_at = now
        self._look_at_gauges(now)
        return lost

    def _compare(self, shape: AppShape, counters: list[float]) -> Sums:
        had = dict(self.counted())
        lost = {
            key: had[key]
            for key, witness in zip(shape.keys, shape.witness, strict=True)
            if key in had and counters[witness] < had.get(shape.keys[witness], 0.0)
        }
        for key in shape.keys:
            had.pop(key, None)
        while len(had) > MOST_ABSENT:
            key, value = had.popitem()
            lost[key] = value
        self._absent = had
        return lost

    def counted(self) -> Iterator[tuple[SeriesKey, float]]:
        """Yields all series that it has counted, with their last values."""
        if self.shape is not None:
            yield from zip(self.shape.keys, self._counters, strict=True)
        yield from self._absent.items()

    def absent(self) -> Iterable[tuple[SeriesKey, float]]:
        return self._absent.items()

    @property
    def counters(self) -> list[float]:
        """The counters of its last answer, in the order of the shape's keys."""
        return self._counters

    def set_at(self, key: SeriesKey) -> float:
        return self._set_at.get(key, (0.0, 0.0))[1]

    def _look_at_gauges(self, now: float) -> None:
        assert self.shape is not None
        seen: dict[SeriesKey, tuple[float, float]] = {}
        for family in self.shape.families:
            if family.mode != "mostrecent":
                continue
            for place, key in enumerate(family.series, family.first):
                value = self.values[place]
                # One that was never set has 0, and a new process has not set it just now.
                before = self._set_at.get(key, (0.0, 0.0))
                same = value == before[0] or value != value
                seen[key] = before if same else (value, now)
        self._set_at = seen
