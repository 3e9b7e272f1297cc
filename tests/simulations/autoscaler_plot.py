"""Draws docs/autoscaler.svg: load, workers and waiting over time. It needs matplotlib."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from .autoscaled_pools import MEGABYTE, Scenario, SimulatedPool, Threads

PICTURE = Path(__file__).parents[2] / "docs/autoscaler.svg"
EVERY = 3
"""Seconds for which there is one point."""
STEP = Scenario(rate=lambda t: 200 if 60 <= t < 240 else 20, most_rate=200)
RUNS = (
    ("A step, the app starts in 2 s", STEP, 700),
    ("The same step, the app starts in 20 s", replace(STEP, start_time=20.0), 700),
    (
        "A burst of 10 s every 2 min",
        Scenario(rate=lambda t: 200 if t % 120 < 10 and t > 30 else 20, most_rate=200),
        1_200,
    ),
    (
        "A slow wave",
        Scenario(rate=lambda t: 120 - 100 * math.cos(t * math.tau / 900), most_rate=220),
        1_800,
    ),
    (
        "A leak of 0.5 MB/s in each worker, a limit of 1200 MB, no recycling",
        Scenario(
            rate=lambda _: 60, most_rate=60, leak=MEGABYTE // 2, memory_limit=1_200 * MEGABYTE
        ),
        1_200,
    ),
)  # fmt: skip


def draw(path: Path) -> None:
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"] = "propylon"
    figure = Figure(figsize=(9, 2.6 * len(RUNS)))
    for axes, (title, scenario, until) in zip(figure.subplots(len(RUNS)), RUNS, strict=True):
        _draw_run(axes, Threads(scenario).run(until), title)
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})


def _draw_run(axes: Any, pool: SimulatedPool, title: str) -> None:
    one = pool.scenario
    moments = pool.moments[::EVERY]
    at = [moment.at for moment in moments]
    needed = [moment.rate * one.service / one.threads for moment in moments]
    axes.fill_between(at, needed, color="0.85", label="work, in workers")
    axes.step(at, [moment.ready for moment in moments], color="tab:blue", label="ready")
    axes.step(at, [moment.workers for moment in moments], ":", color="black", label="wanted")
    axes.set_ylim(0, one.settings.most + 1)
    axes.set_ylabel("workers")
    axes.set_title(title, fontsize=10, loc="left")
    beside = axes.twinx()
    waits = [
        max(moment.wait for moment in pool.moments[first : first + EVERY])
        for first in range(0, len(pool.moments), EVERY)
    ]
    beside.plot(at, waits, color="tab:red", linewidth=1, label="longest wait")
    beside.set_ylim(0, max(1.0, *waits) * 1.1)
    beside.set_ylabel("seconds")
    lines, names = axes.get_legend_handles_labels()
    more, their_names = beside.get_legend_handles_labels()
    axes.legend(lines + more, names + their_names, fontsize=7, loc="upper right")


if __name__ == "__main__":
    draw(PICTURE)
