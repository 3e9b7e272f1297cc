"""The table of failures side by side, and what stands behind each figure."""

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from ..compare.versions import version_of
from .contestants import CONTESTANTS
from .trial import Result
from .variants import VARIANTS

WORDS = {"ran": "", "n/a": "n/a", "absent": "absent", "did not start": "no start"}


Figure = Callable[[Result], str]
FIGURES: dict[str, Figure] = {
    "failures": lambda result: str(result.total),
    "longest wait of a short request, s": lambda result: f"{result.longest:.2f}",
    "longest time without any answer, s": lambda result: f"{result.outage:.2f}",
}


def cell(result: Result | None, figure: Figure) -> str:
    if result is None:
        return ""
    return WORDS[result.state] or figure(result)


def table(results: Sequence[Result], title: str) -> str:
    """Variants down, contestants across, one of FIGURES in each cell."""
    present = {result.contestant for result in results}, {result.variant for result in results}
    contestants = [name for name in CONTESTANTS if name in present[0]]
    variants = [name for name in VARIANTS if name in present[1]]
    by_place = {(result.variant, result.contestant): result for result in results}
    rows = [[title, *contestants]]
    for variant in variants:
        cells = [cell(by_place.get((variant, name)), FIGURES[title]) for name in contestants]
        rows.append([VARIANTS[variant].says, *cells])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def breakdown(result: Result) -> str:
    """Everything about one trial, in lines."""
    head = f"{result.contestant}, {VARIANTS[result.variant].says}: "
    if result.state != "ran":
        return f"{head}{result.state} {result.why}".rstrip()
    answers = sum(result.answers.values())
    lines = [f"{head}{result.total} failures, {answers} answers, {result.seconds:.0f} s"]
    lines.append(
        f"    longest wait of a short request: {result.longest:.3f} s,"
        f" longest time without any answer: {result.outage:.3f} s"
    )
    for client, causes in result.failures.items():
        told = ", ".join(f"{what} {count}" for what, count in causes.items())
        lines.append(f"    FAILED  {client}: {told}")
    lines += [f"    allowed {what}, {why}: {count}" for what, why, count in result.allowed]
    lines += [f"    note    {what}: {count}" for what, count in result.notes.items() if count]
    answered = ", ".join(f"{client} {count}" for client, count in sorted(result.answers.items()))
    lines.append(f"    answers {answered}")
    for seen in result.seen[:12]:
        detail = str(seen["detail"]).strip().splitlines() or [""]
        lines.append(f"    {seen['at']:7.3f} s {seen['client']}: {seen['what']}: {detail[0][:150]}")
    return "\n".join(lines)


def versions(names: Sequence[str]) -> dict[str, str]:
    packages = dict.fromkeys(one for name in names for one in CONTESTANTS[name].packages)
    return {package: version_of(package) for package in packages}


def read(path: Path) -> list[Result]:
    """What `write` wrote."""
    if not path.exists():
        return []
    trials = json.loads(path.read_text("utf-8"))["trials"]
    return [Result(**{name: trial[name] for name in trial if name != "total"}) for trial in trials]


def write(path: Path, results: Sequence[Result], seconds: float) -> None:
    """All of it as JSON."""
    content = {
        "seconds": seconds,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions([result.contestant for result in results]),
        "trials": [{**asdict(result), "total": result.total} for result in results],
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
