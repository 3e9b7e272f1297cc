"""The ratios as a picture: a dot for each contestant and a bar from the least to the most."""

from pathlib import Path

from .contestants import title
from .report import OURS, ours
from .results import Ratio, Result

LINE, TOP = 0.22, 1.4
"""Inches."""


def write(path: Path, results: dict[str, Result]) -> None:
    """SVG. Raises ImportError without matplotlib."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams["svg.hashsalt"] = "propylon"
    lines: list[tuple[str, Ratio | None]] = []
    for result in results.values():
        if found := ratios(result):
            lines += [(result.title, None), *found]
    figure = Figure(figsize=(9, TOP + LINE * len(lines)))
    axes = figure.add_subplot()
    for place, (_, ratio) in enumerate(lines):
        if ratio is None:
            axes.axhline(place - 0.5, color="0.85", linewidth=0.8)
            continue
        colour = "tab:green" if ratio.median >= 1 else "tab:red"
        axes.plot([ratio.least, ratio.most], [place, place], color=colour, linewidth=1.5)
        axes.plot([ratio.median], [place], "o", color=colour, markersize=5)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(range(len(lines)), [name for name, _ in lines], fontsize=8)
    for label, (_, ratio) in zip(axes.get_yticklabels(), lines, strict=True):
        label.set_fontweight("normal" if ratio else "bold")
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_title("propylon by its peers: to the right it is better", fontsize=10)
    axes.grid(axis="x", which="both", color="0.92")
    figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None})


def ratios(result: Result) -> list[tuple[str, Ratio | None]]:
    """To its peers, not to itself. Above 1 is better, of latency and memory too."""
    found: list[tuple[str, Ratio | None]] = []
    for name in result.entries:
        ratio = result.ratio(ours(result, name), name)
        if name.startswith(OURS) or ratio is None or ratio.least <= 0:
            continue
        if result.figure != "rate":
            ratio = Ratio(1 / ratio.median, 1 / ratio.most, 1 / ratio.least)
        found.append((title(name), ratio))
    return found
