"""What was measured, and what follows from it: medians, and ratios of one round's figures."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from .load import Sample


@dataclass(frozen=True)
class Ratio:
    """Of rounds: what disturbs the machine for a while disturbs both sides of one."""

    median: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"


@dataclass
class Entry:
    """A contestant under one load of a row."""

    contestant: str
    samples: list[Sample] = field(default_factory=list)
    fault: str = ""
    cpu: dict[str, float] = field(default_factory=dict)
    """Seconds in all rounds by kind of process."""

    def values(self, figure: str) -> list[float]:
        return [sample[figure] for sample in self.samples if figure in sample]

    def median(self, figure: str) -> float | None:
        return median(self.values(figure)) if self.values(figure) else None

    @property
    def cpu_per_1000(self) -> dict[str, float]:
        """Seconds, by kind of process."""
        count = sum(self.values("count"))
        return {role: seconds / count * 1000 for role, seconds in self.cpu.items() if count}


@dataclass
class Result:
    """Of a row."""

    row: str
    title: str
    figure: str
    unit: str
    entries: dict[str, Entry] = field(default_factory=dict)
    """By name: the contestant's, and the load's where there are several."""

    def fault(self, name: str) -> str:
        return self.entries[name].fault if name in self.entries else "not asked for"

    def ratio(self, ours: str, theirs: str, figure: str = "") -> Ratio | None:
        """None if one of them has no figure."""
        if ours not in self.entries or theirs not in self.entries:
            return None
        mine, other = self.entries[ours], self.entries[theirs]
        figure = figure or self.figure
        pairs = list(zip(mine.values(figure), other.values(figure), strict=False))
        if mine.fault or other.fault or not pairs or not all(theirs for _, theirs in pairs):
            return None
        ratios = [a / b for a, b in pairs]
        return Ratio(median(ratios), min(ratios), max(ratios))


def write(path: Path, machine: dict[str, str], results: dict[str, Result]) -> None:
    rows = {name: asdict(result) for name, result in results.items()}
    path.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


def read(path: Path) -> tuple[dict[str, str], dict[str, Result]]:
    """Nothing where there is no file."""
    if not path.exists():
        return {}, {}
    found = json.loads(path.read_text())
    return found["machine"], {result.row: result for result in results_of(found["rows"])}


def results_of(rows: dict[str, dict]) -> Iterator[Result]:
    for fields in rows.values():
        entries = {name: Entry(**entry) for name, entry in fields.pop("entries").items()}
        yield Result(**fields, entries=entries)
