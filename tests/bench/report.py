"""Results as text for a terminal, with every figure, and as a page for the docs, ratios only."""

from pathlib import Path

from .contestants import title
from .results import Entry, Result
from .targets import TARGETS

OURS = "propylon"
BUSY = 0.9
"""Share of a core above which the open loop's client is what makes requests late."""
SCALES = {"bytes/connection": (1024, "KiB/connection")}
"""Divisor and name of a unit as it is printed."""


def text(result: Result) -> str:
    """Of one row. A ratio is ours by theirs."""
    scale, unit = SCALES.get(result.unit, (1, result.unit))
    lines = [
        f"\n{result.row}: {result.title}",
        f"  {'':32} {unit:>14}  {'p50':>7} {'p99':>7} {'p99.9':>7} ms  "
        f"{'CPU s/1000':>10} {'RSS MiB':>7}   propylon by it",
    ]
    for name, entry in result.entries.items():
        lines.append(f"  {title(name):32} " + (figures(entry, result.figure, scale)))
        mine = ours(result, name)
        if not entry.fault and name != mine and (ratio := result.ratio(mine, name)):
            lines[-1] += f"   {ratio}"
        if entry.cpu and not entry.fault:
            parts = [f"{role} {used * 1000:.0f}" for role, used in entry.cpu_per_1000.items()]
            lines.append(f"  {'':34}CPU ms/1000: {', '.join(parts)}")
        if (entry.median("client") or 0.0) > BUSY:
            lines.append(f"  {'':34}the client was short of CPU: no figure to go by")
    for target in TARGETS:
        if target.row == result.row:
            says = target.says(result)
            lines.append(f"  target: {title(target.ours)} by {title(target.against)} {says}")
    return "\n".join(lines)


def ours(result: Result, name: str = "") -> str:
    """Whom that entry is compared with: propylon under the same load, or the row's first."""
    load = name.removeprefix(result.entries[name].contestant) if name else ""
    others = result.entries.keys() - {name}
    first = OURS if OURS in result.entries else next(iter(result.entries), OURS)
    return OURS + load if load and OURS + load in others else first


def figures(entry: Entry, figure: str, scale: int) -> str:
    if entry.fault:
        return f"FAILED, {short(entry.fault)}"
    values = [entry.median(name) for name in ("p50", "p99", "p99.9")]
    latencies = " ".join(f"{'' if value is None else f'{value:.2f}':>7}" for value in values)
    main = (entry.median(figure) or 0.0) / scale
    resident = (entry.median("resident") or 0.0) / 1024 / 1024
    cpu = entry.median("cpu")
    return (
        f"{main:14,.{0 if main > 100 else 2}f}  {latencies}     "
        f"{'' if cpu is None else f'{cpu:.3f}':>10} {resident:7.0f}"
    )


def short(fault: str) -> str:
    return fault.strip().splitlines()[0][:120]


def targets(results: dict[str, Result]) -> str:
    lines = ["\ntargets"]
    for one in TARGETS:
        says = one.says(results.get(one.row))
        lines.append(f"  {one.row:14} {title(one.ours)} by {title(one.against)}, {says}")
    return "\n".join(lines)


# -- the page --------------------------------------------------------------------------------

INTRODUCTION = """# Beside its peers

Written by `python -m tests.bench --markdown`; `python -m tests.bench` says how it measures. Every
number is Propylon's figure divided by the other's in the same round: the median of the rounds, and
in brackets the least and the most. Above 1 Propylon is faster in the column "does", and below 1 it
waits less, needs less CPU and has less memory in the others. Product defaults, access log off, one
worker process unless it says more.
"""


def page(machine: dict[str, str], results: dict[str, Result], plot: Path | None) -> str:
    about = ", ".join(f"{name} {value}" for name, value in machine.items() if name != "cores")
    parts = [INTRODUCTION, f"{machine.get('cores', '?')} cores; {about}.\n"]
    if plot is not None:
        parts.append(f"![ratios by row]({plot.name})\n")
    parts += ["## Targets\n", targets_table(results), "## Rows\n"]
    parts += [row_table(result) for result in results.values()]
    return "\n".join(parts)


def targets_table(results: dict[str, Result]) -> str:
    lines = ["| row | | against | |", "|---|---|---|---|"]
    for one in TARGETS:
        result = results.get(one.row)
        name = result.title if result else one.row
        says = one.says(result)
        lines.append(f"| {name} | {title(one.ours)} | {title(one.against)} | {says} |")
    return "\n".join(lines) + "\n"


COLUMNS = {"p99": "p99", "cpu": "CPU", "resident": "RSS"}


def row_table(result: Result) -> str:
    main = {"rate": "does", "p99": "p99", "memory": "memory"}[result.figure]
    more = {name: word for name, word in COLUMNS.items() if name != result.figure}
    lines = [
        f"### {result.title}\n",
        f"| propylon by | {main} | {' | '.join(more.values())} |",
        "|---|---|" + "---|" * len(more),
    ]
    for name, entry in result.entries.items():
        mine = ours(result, name)
        if name == mine:
            if entry.fault:
                lines.append(f"| itself | failed: {short(entry.fault)} |")
            continue
        ratio = result.ratio(mine, name)
        cells = [str(ratio) if ratio else f"failed: {short(entry.fault)}" if entry.fault else "-"]
        for figure in more:
            other = result.ratio(mine, name, figure)
            cells.append(f"{other.median:.2f}" if other else "-")
        lines.append(f"| {title(name)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
