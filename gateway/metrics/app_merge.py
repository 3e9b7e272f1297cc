"""Merges what the workers of all pools say of their apps' metrics. Pure: it is told the time.

The problem. A counter that is shown must not go back, or Prometheus takes it for a restart and
counts everything again. But the processes that count come and go: a worker is recycled, is killed,
is replaced by a reload, and each new one begins at zero. So what a process had counted when it was
last heard stays in its pool's sum (`_kept`) after its end.

When has a process ended? Its connection says little: the supervisor's own upgrade ends all of them,
and each worker dials again. If its counts were kept at that moment, they would count twice. So a
worker that is away is still a worker, known by the random text that its process has chosen; its
last counts are in the sum as before. It is moved into `_kept` when its process is known to have
ended, or after AWAY_FOR, and it is only then forgotten.

An app may also reset a counter, or remove a series. Then its process goes on and its counter has
gone back; what it had counted before is kept in the same way. A series that is gone may come back
with its old value (a registry at its limit leaves families out), or begin anew; so its last value
is remembered with the worker (`_absent`) until that is known.

One trap is left: 0.1 + 0.7 + 0.3 and 0.1 + 0.3 + 0.7 differ in their last bit as floating-point
numbers, so a sum could fall when a count only moves from a worker into `_kept`. So what is kept is
exact, as a list of numbers that overlap in no bit (Shewchuk 1997, as `math.fsum` has it inside),
and all sums are made by `math.fsum`, which rounds once: what is never lower is never rounded lower.

Gauges are a different matter: they say how something is now, so only the workers that are there
count. What several values become is the app's choice. The registry of one process does not say when
a gauge was set; for `mostrecent` it counts when a new value was first seen.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, inf
from typing import Any, Final, cast

from ...protocol.app_metrics import Introduction
from .app_snapshot import SUMMED, AppShape, FamilyShape, SeriesKey, bound_of
from .app_worker import AppWorker
from .exposed import ExposedFamily, Sample, exposed
from .families import APP_METRICS_AGE, APP_METRICS_DROPPED
from .snapshot import Series

AWAY_FOR: Final = 60.0
"""Seconds after which a worker that is away has ended, if nobody has said so."""
MOST_WORKERS: Final = 1_024
"""Workers of a pool at most, those that are away included."""
MOST_HEARD: Final = 500_000
"""Samples of all workers of a pool at most."""
MOST_KEPT_SERIES: Final = 20_000
"""Series of a pool whose sums over ended processes are kept. Further ones are forgotten."""
MOST_SHOWN: Final = 50_000
"""Samples of a pool that are shown at most. A family that does not fit is left out."""
MOST_SAVED: Final = 200_000
"""Series that are handed over to newer code at most."""
ONE_SUPERVISOR: Final = 1 << 24
"""Two workers whose numbers as children are nearer than that have the same supervisor: it counts
upwards from a random number of 52 bits."""


@dataclass(slots=True)
class _Chosen:
    """What a pool's family of a name is: as the first process says that has it."""

    kind: str
    help: str
    mode: str = ""


class PoolMetrics:
    """The apps' metrics of one pool."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.left_out: dict[str, int] = {}
        """Reason -> how many families were left out, over all answers."""
        self.faults: dict[str, str] = {}
        """Reason -> what was left out last, for the log."""
        self._workers: dict[str, AppWorker] = {}
        """By the text that a process has chosen, in the order of their coming."""
        self._size = 0
        """Samples of all workers."""
        self._kept: dict[SeriesKey, list[float]] = {}
        """What processes had counted that have ended, and what was counted anew."""
        self._help: dict[tuple[str, str], str] = {}
        """Name and kind of summed families -> their help."""

    # -- workers come and go -----------------------------------------------------------------

    def join(self, who: Introduction, now: float) -> AppWorker | None:
        """A worker has introduced itself, perhaps again. Returns None if there are too many."""
        worker = self._workers.get(who.process)
        if worker is None:
            if len(self._workers) >= MOST_WORKERS:
                return None
            worker = self._workers[who.process] = AppWorker(who, self._group(who), now)
        return worker

    def take(
        self,
        worker: AppWorker,
        shape: AppShape,
        values: list[float],
        left_out: Mapping[str, int],
        now: float,
    ) -> None:
        """Takes a worker's answer; `left_out` is what it says itself."""
        if self._workers.get(worker.who.process) is not worker:
            return  # it was said to have ended
        if shape is not worker.shape:
            size = shape.size - (worker.shape.size if worker.shape is not None else 0)
            if self._size + size > MOST_HEARD:
                self._leave_out("too_many", f"all of worker {worker.who.worker}")
                return
            self._size += size
            for family in shape.families:
                if family.kind in SUMMED and len(self._help) < MOST_KEPT_SERIES:
                    self._help[family.name, family.kind] = family.help
        self._keep(worker.take(shape, values, now).items())
        for reason, count in left_out.items():
            self._leave_out(reason, f"by worker {worker.who.worker}, as its log says", count)
        for reason, names in shape.left_out.items():
            self._leave_out(reason, ", ".join(names[:3]), len(names))

    def ended(self, worker: AppWorker) -> None:
        """A worker's process has ended: what it has counted is kept, and it is forgotten."""
        if self._workers.get(worker.who.process) is worker:
            del self._workers[worker.who.process]
            self._size -= worker.shape.size if worker.shape is not None else 0
            self._keep(worker.counted())

    def children(self, child: int) -> list[AppWorker]:
        """The workers that are this child of the supervisor."""
        return [worker for worker in self._workers.values() if worker.who.id == child]

    def expire(self, now: float, knows: Callable[[int], bool]) -> None:
        """Forgets workers that have been away for long. `knows`: whether a number is that of a
        child whose end we shall be told of."""
        for worker in list(self._workers.values()):
            if worker.away and now >= worker.since + AWAY_FOR and not knows(worker.who.id):
                self.ended(worker)

    def _group(self, who: Introduction) -> int:
        taken: set[int] = set()
        for other in self._workers.values():
            if who.id and other.who.id and abs(who.id - other.who.id) < ONE_SUPERVISOR:
                return other.group
            taken.add(other.group)
        return next(number for number in range(len(taken) + 1) if number not in taken)

    def _keep(self, sums: Iterable[tuple[SeriesKey, float]]) -> None:
        kept = self._kept
        for key, value in sums:
            if key in kept:
                _add_exactly(kept[key], value)
            elif len(kept) < MOST_KEPT_SERIES:
                kept[key] = [value]
            elif value:
                self._leave_out("too_many", f"what ended workers had counted of {key.family}")

    def _leave_out(self, reason: str, what: str, count: int = 1) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + count
        self.faults[reason] = what

    # -- what is shown -----------------------------------------------------------------------

    def show(self, shown: dict[str, ExposedFamily], claims: dict[str, tuple[str, str]]) -> None:
        """Adds the pool's series to the families. `claims`: a name that samples have -> the name
        and the kind of the family that it belongs to."""
        chosen = self._choose(claims)
        found: dict[str, list[Sample]] = {}
        self._sum(chosen, found)
        self._now(chosen, found)
        room = MOST_SHOWN
        for name, samples in found.items():
            if len(samples) > room:
                self._leave_out("too_many", name)
                continue
            room -= len(samples)
            one = chosen[name]
            family = shown.setdefault(name, ExposedFamily(name, one.kind, one.help))
            family.samples.extend(samples)

    def _choose(self, claims: dict[str, tuple[str, str]]) -> dict[str, _Chosen]:
        chosen: dict[str, _Chosen] = {}
        live = {id(worker.shape): worker.shape for worker in self._live()}
        refused: set[tuple[str, str]] = set()
        for shape in live.values():
            assert shape is not None
            for family in shape.families:
                one = chosen.get(family.name)
                if one is None and _claim(family.name, family.kind, family.claims, claims):
                    chosen[family.name] = _Chosen(family.kind, family.help, family.mode)
                elif one is None or one.kind != family.kind:
                    refused.add((family.name, family.kind))
        for (name, kind), text in self._help.items():
            if name not in chosen and _claim(name, kind, _claims(name, kind), claims):
                chosen[name] = _Chosen(kind, text)
        for name, kind in refused:
            self._leave_out("other_type", f"{name}, a {kind}")
        return chosen

    def _sum(self, chosen: Mapping[str, _Chosen], found: dict[str, list[Sample]]) -> None:
        addends = {key: list(parts) for key, parts in self._kept.items()}
        alike: dict[int, list[AppWorker]] = {}
        for worker in self._workers.values():
            if worker.shape is not None:
                alike.setdefault(id(worker.shape), []).append(worker)
            for key, value in worker.absent():
                addends.setdefault(key, []).append(value)
        for workers in alike.values():
            shape = workers[0].shape
            assert shape is not None
            columns = zip(*[worker.counters for worker in workers], strict=True)
            for key, column in zip(shape.keys, columns, strict=True):
                addends.setdefault(key, []).extend(column)
        series: dict[str, list[tuple[SeriesKey, float]]] = {}
        for key, values in addends.items():
            one = chosen.get(key.family)
            if one is not None and one.kind == key.kind:
                series.setdefault(key.family, []).append((key, fsum(values)))
        for name, items in series.items():
            histogram = chosen[name].kind == "histogram"
            found[name] = [
                Sample(key.sample, {**dict(key.labels), "pool": self.name}, value)
                for key, value in (_cumulated(items) if histogram else items)
            ]

    def _now(self, chosen: Mapping[str, _Chosen], found: dict[str, list[Sample]]) -> None:
        """Adds what is true of the workers that are there, and is no sum over all time."""
        numbered = self.numbered()
        merged: dict[str, dict[SeriesKey, tuple[float, float]]] = {}
        for worker in self._live():
            assert worker.shape is not None
            number = numbered.get(worker.who.process)
            for family in worker.shape.families:
                one = chosen.get(family.name)
                if one is None or one.kind != family.kind or one.kind in SUMMED:
                    continue
                values = worker.values[family.first : family.first + len(family.series)]
                if one.mode:
                    together = merged.setdefault(family.name, {})
                    _merge(worker, family.series, values, one.mode, together)
                elif number is not None:
                    own = {"pool": self.name, "worker": number}
                    found.setdefault(family.name, []).extend(
                        Sample(key.sample, {**dict(key.labels), **own}, value)
                        for key, value in zip(family.series, values, strict=True)
                    )
        for name, together in merged.items():
            found[name] = [
                Sample(key.sample, {**dict(key.labels), "pool": self.name}, value)
                for key, (value, _) in together.items()
            ]

    def _live(self) -> list[AppWorker]:
        return [w for w in self._workers.values() if not w.away and w.shape is not None]

    def numbered(self) -> dict[str, str]:
        """Process -> the worker's name in a label, for the workers that are there. During a reload
        two processes have the same number; the younger has the name, and the other has none.
        Workers of a second supervisor, which counts from 1 as well, have `.2` behind it."""
        youngest: dict[tuple[int, int], AppWorker] = {}
        for worker in self._workers.values():
            if not worker.away:
                who = worker.who
                other = youngest.get((worker.group, who.worker))
                if other is None or who.id >= other.who.id:
                    youngest[worker.group, who.worker] = worker
        return {
            worker.who.process: f"{number}.{group + 1}" if group else str(number)
            for (group, number), worker in youngest.items()
        }

    def ages(self, now: float) -> Iterator[tuple[str, float]]:
        """Yields the name of each worker with metrics, and the age of its last answer in seconds.
        One that has not answered has had none since it came."""
        for process, name in self.numbered().items():
            worker = self._workers[process]
            if worker.shape is None or worker.shape.families:
                at = worker.since if worker.answered_at is None else worker.answered_at
                yield name, max(0.0, now - at)

    # -- the supervisor's own code is replaced -----------------------------------------------

    def save(self, room: int) -> dict[str, Any]:
        """Returns what newer code needs, as JSON has it, with at most so many series. What workers
        will say again comes last."""
        left = _Room(room)
        workers = sorted(self._workers.values(), key=lambda worker: not worker.away)
        return {
            "kept": left.flat(self._kept.items()),
            "help": [[*key, text] for key, text in self._help.items()],
            "left_out": self.left_out,
            "workers": [
                {
                    "process": worker.who.process,
                    "worker": worker.who.worker,
                    "id": worker.who.id,
                    "pid": worker.who.pid,
                    "generation": worker.who.generation,
                    "group": worker.group,
                    "counted": left.flat((key, [value]) for key, value in worker.counted()),
                }
                for worker in workers
            ],
            "size": room - left.room,
        }

    def restore(self, saved: Mapping[str, Any], now: float) -> None:
        """Takes over what `save` has returned, perhaps in other code. Raises TypeError, ValueError,
        KeyError, AttributeError or IndexError if it is something else."""
        self._kept = dict(_unflat(saved["kept"]))
        self._help = {(name, kind): text for name, kind, text in saved["help"]}
        self.left_out = dict(saved["left_out"])
        for told in saved["workers"]:
            who = Introduction(
                pool=self.name,
                worker=told["worker"],
                id=told["id"],
                pid=told["pid"],
                generation=told["generation"],
                process=told["process"],
            )
            worker = AppWorker(who, told["group"], now)
            worker.remember({key: fsum(parts) for key, parts in _unflat(told["counted"])})
            self._workers[who.process] = worker


class _Room:
    """Counts the series that are saved."""

    def __init__(self, room: int) -> None:
        self.room = room

    def flat(self, sums: Iterable[tuple[SeriesKey, list[float]]]) -> list[list[Any]]:
        rows = [
            [key.family, key.kind, key.sample, [list(pair) for pair in key.labels], parts]
            for key, parts in sums
        ]
        rows = rows[: self.room]
        self.room -= len(rows)
        return rows


def _unflat(rows: Iterable[Sequence[Any]]) -> Iterator[tuple[SeriesKey, list[float]]]:
    for family, kind, sample, labels, parts in rows:
        pairs = tuple((str(name), str(text)) for name, text in labels)
        yield SeriesKey(family, kind, sample, pairs), [float(part) for part in parts]


def _add_exactly(parts: list[float], value: float) -> None:
    """Adds a number to a sum that is kept as numbers which overlap in no bit."""
    count = 0
    for part in parts:
        large, small = (value, part) if abs(value) >= abs(part) else (part, value)
        value = large + small
        rest = small - (value - large)
        if rest:
            parts[count] = rest
            count += 1
    parts[count:] = [value]


def _claims(name: str, kind: str) -> Iterable[str]:
    return FamilyShape(name, kind, "", "", 0, []).claims


def _claim(name: str, kind: str, names: Iterable[str], claims: dict[str, tuple[str, str]]) -> bool:
    """Whether the names of a family's samples are free, or its own. They are its own then."""
    wanted = list(names)
    if any(claims.get(one, (name, kind)) != (name, kind) for one in wanted):
        return False
    claims.update(dict.fromkeys(wanted, (name, kind)))
    return True


def _merge(
    worker: AppWorker,
    series: Iterable[SeriesKey],
    values: Iterable[float],
    mode: str,
    together: dict[SeriesKey, tuple[float, float]],
) -> None:
    """Merges a worker's gauges into those of others: series -> value, and when it was set."""
    for key, value in zip(series, values, strict=True):
        at = worker.set_at(key) if mode == "mostrecent" else 0.0
        before = together.get(key)
        if before is None:
            together[key] = value, at
        elif mode == "sum":
            together[key] = before[0] + value, at
        elif mode == "mostrecent":
            together[key] = max(before, (value, at), key=lambda one: one[1])
        elif before[0] != before[0] or (value > before[0] if mode == "max" else value < before[0]):
            together[key] = value, at


def _cumulated(
    items: Iterable[tuple[SeriesKey, float]],
) -> Iterator[tuple[SeriesKey, float]]:
    """Yields the samples of a histogram family as they are shown: each bucket holds the lower ones,
    and the number of observations is that of the last."""
    buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, SeriesKey, float]]] = {}
    others: list[tuple[SeriesKey, float]] = []
    for key, value in items:
        if key.sample.endswith("_bucket"):
            bound = bound_of(key.labels)
            without = tuple(pair for pair in key.labels if pair[0] != "le")
            buckets.setdefault(without, []).append((inf if bound is None else bound, key, value))
        else:
            others.append((key, value))
    counts: dict[tuple[tuple[str, str], ...], float] = {}
    for labels, found in buckets.items():
        total = 0.0
        for _, key, value in sorted(found, key=lambda one: one[0]):
            total += value
            yield key, total
        counts[labels] = total
    for key, value in others:
        count = counts.get(key.labels) if key.sample.endswith("_count") else None
        yield key, value if count is None else count


class AppMerge:
    """The apps' metrics of all pools."""

    def __init__(self) -> None:
        self._pools: dict[str, PoolMetrics] = {}

    def pool(self, name: str) -> PoolMetrics:
        return self._pools.setdefault(name, PoolMetrics(name))

    def children(self, child: int) -> list[tuple[PoolMetrics, AppWorker]]:
        """The workers that are this child of the supervisor."""
        return [(pool, one) for pool in self._pools.values() for one in pool.children(child)]

    def drop(self, pool: str) -> None:
        """The pool is no more."""
        self._pools.pop(pool, None)

    def expire(self, now: float, knows: Callable[[int], bool]) -> None:
        for pool in self._pools.values():
            pool.expire(now, knows)

    def families(self, now: float) -> list[ExposedFamily]:
        """All families of the apps, and two of ours about them."""
        shown: dict[str, ExposedFamily] = {}
        claims: dict[str, tuple[str, str]] = {}
        for pool in self._pools.values():
            pool.show(shown, claims)
        ages: Series = {}
        dropped: Series = {}
        for pool in self._pools.values():
            ages.update({(pool.name, worker): age for worker, age in pool.ages(now)})
            dropped.update({(pool.name, why): count for why, count in pool.left_out.items()})
        ours = {APP_METRICS_AGE.name: ages, APP_METRICS_DROPPED.name: dropped}
        about = exposed(ours, (APP_METRICS_AGE, APP_METRICS_DROPPED))
        return [*sorted(shown.values(), key=lambda family: family.name), *about]

    def faults(self) -> Iterator[tuple[str, str, str]]:
        """Yields pool, reason and what was left out, since the last call."""
        for pool in self._pools.values():
            yield from ((pool.name, reason, what) for reason, what in pool.faults.items())
            pool.faults.clear()

    def save(self) -> dict[str, Any]:
        """Returns what newer code needs, as JSON has it."""
        room, saved = MOST_SAVED, dict[str, Any]()
        for name, pool in self._pools.items():
            saved[name] = pool.save(room)
            room -= saved[name]["size"]
        return saved

    def restore(self, saved: Any, now: float) -> None:
        """Takes over what `save` has returned. What is not understood is left out."""
        pools = cast("dict[str, Any]", saved) if isinstance(saved, dict) else {}
        for name, told in pools.items():
            pool = PoolMetrics(name)
            try:
                pool.restore(told, now)
            except (TypeError, ValueError, LookupError, AttributeError):
                continue
            self._pools[name] = pool
