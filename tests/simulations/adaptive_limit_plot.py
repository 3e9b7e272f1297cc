"""Draws docs/adaptive-limit.svg, the limit of `--limit-concurrency auto` over time, and prints the
table of docs/OVERLOAD.md. The picture needs matplotlib."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .limited_worker import LimitedWorker, Scenario, Second, Step

PICTURE = Path(__file__).parents[2] / "docs/adaptive-limit.svg"
SECONDS = 240
SETTLED = 30
"""Seconds that the table leaves out."""
FIXED = (4, 25, 200)


def mean(rng: random.Random, seconds: float) -> float:
    return rng.expovariate(1 / seconds)


def computes(at: float, rng: random.Random) -> list[Step]:
    return [("computes", mean(rng, 0.01))]


def waits(at: float, rng: random.Random) -> list[Step]:
    return [("computes", 0.002), ("waits", mean(rng, 0.2)), ("computes", 0.002)]


def asks_behind(at: float, rng: random.Random) -> list[Step]:
    return [("computes", 0.0005), ("behind", mean(rng, 0.1)), ("computes", 0.0005)]


def both(at: float, rng: random.Random) -> list[Step]:
    return computes(at, rng) if rng.random() < 0.5 else [("waits", 0.2), ("computes", 0.0005)]


def becomes_slower(at: float, rng: random.Random) -> list[Step]:
    return [("computes", 0.0003), ("waits", 0.005 if at < 60 else 0.3)]


def blocks(at: float, rng: random.Random) -> list[Step]:
    return [("computes", 0.2 if rng.random() < 0.05 else 0.001), ("waits", 0.05)]


def falls_and_rises(at: float) -> int:
    return 5 if 80 <= at < 160 else 20


RUNS: tuple[tuple[str, Scenario], ...] = (
    ("Calls compute for 10 ms, 3 times what the CPU can do",
     Scenario(rate=lambda _: 300, steps=computes)),
    ("Calls wait for 200 ms and compute for 4 ms, 2 times the CPU",
     Scenario(rate=lambda _: 500, steps=waits)),
    ("Half compute for 10 ms, half wait for 200 ms, 2 times the CPU",
     Scenario(rate=lambda _: 400, steps=both)),
    ("A database of 20 connections and 100 ms each; of 5 from 80 s to 160 s",
     Scenario(rate=lambda _: 400, steps=asks_behind, behind=falls_and_rises)),
    ("A database of 5 connections and 100 ms each, and 4 gateways",
     Scenario(rate=lambda _: 100, steps=asks_behind, behind=lambda _: 5, gateways=4)),
    ("Other endpoints: calls of 5 ms, and of 300 ms from 60 s on",
     Scenario(rate=lambda at: 100 if at < 60 else 300, steps=becomes_slower)),
    ("One call in 20 blocks the loop for 200 ms, 1.5 times the CPU",
     Scenario(rate=lambda _: 140, steps=blocks)),
)  # fmt: skip


def draw(path: Path) -> None:
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"] = "propylon"
    figure = Figure(figsize=(9, 2.4 * len(RUNS)))
    for axes, (title, scenario) in zip(figure.subplots(len(RUNS)), RUNS, strict=True):
        _draw_run(axes, LimitedWorker(scenario).run(SECONDS), title)
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})


def _draw_run(axes: Any, seconds: Sequence[Second], title: str) -> None:
    at = [one.at for one in seconds]
    axes.step(at, [one.limit for one in seconds], color="tab:blue", label="limit", where="post")
    axes.set_ylim(0)
    axes.set_ylabel("calls")
    axes.set_title(title, fontsize=10, loc="left")
    beside = axes.twinx()
    beside.plot(
        at, [one.done for one in seconds], color="0.6", linewidth=1, label="served a second"
    )
    beside.set_ylim(0)
    lines, names = axes.get_legend_handles_labels()
    more, their_names = beside.get_legend_handles_labels()
    axes.legend(lines + more, names + their_names, fontsize=7, loc="lower right")


def table() -> str:
    """For each run, and each limit: calls served a second, and the median of their milliseconds in
    the worker. A number is for each gateway."""
    limits = (*map(str, FIXED), "none", "auto")
    rows = [f"| | {' | '.join(limits)} |", f"|---{'|--:' * len(limits)}|"]
    for title, scenario in RUNS:
        cells = [_cell(scenario, limit) for limit in limits]
        rows.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(scenario: Scenario, limit: str) -> str:
    fixed = {"auto": 0, "none": 10_000}.get(limit) if not limit.isdecimal() else int(limit)
    seconds = LimitedWorker(replace(scenario, fixed=fixed or 0)).run(SECONDS)[SETTLED:]
    took = sorted(each for one in seconds for each in one.took)
    rate = sum(one.done for one in seconds) / len(seconds)
    return f"{rate:.0f}/s, {took[len(took) // 2] * 1e3:.0f} ms"


if __name__ == "__main__":
    actions: tuple[Callable[[], None], ...] = (lambda: draw(PICTURE), lambda: print(table()))
    for act in actions:
        act()
