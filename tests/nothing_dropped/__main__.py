"""Tries contestants in variants, prints the failures side by side, and writes them as JSON.

    python -m tests.nothing_dropped [--seconds 60] [--variants reload,import] [--contestants all]

A contestant that is not installed, or does not start, is shown as such. The exit code is 1 if
Propylon itself had a failure, or did not start.
"""

import argparse
import asyncio
from dataclasses import replace
from pathlib import Path

from ..compare.command_line import chosen
from ..compare.processes import adopt_orphans, end_all
from .contestants import CONTESTANTS
from .report import FIGURES, breakdown, read, table, versions, write
from .trial import run_trial
from .variants import VARIANTS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.nothing_dropped", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each trial (60)")
    parser.add_argument("--variants", default="all", help="of " + ", ".join(VARIANTS))
    parser.add_argument("--contestants", default="all", help="of " + ", ".join(CONTESTANTS))
    parser.add_argument("--json", type=Path, default=Path("nothing-dropped.json"))
    parser.add_argument("--logs", type=Path, help="folder for the servers' logs")
    parser.add_argument(
        "--strict", action="store_true", help="nothing is allowed: shows what the harness sees"
    )
    parser.add_argument(
        "--keep", action="store_true", help="add to what the JSON file has of other trials"
    )
    options = parser.parse_args()
    variants = chosen(options.variants, VARIANTS, parser)
    contestants = chosen(options.contestants, CONTESTANTS, parser)
    adopt_orphans()
    results = [
        result
        for result in (read(options.json) if options.keep else [])
        if result.variant not in variants or result.contestant not in contestants
    ]
    try:
        for variant in variants:
            for name in contestants:
                what = (
                    replace(VARIANTS[variant], allowed=()) if options.strict else VARIANTS[variant]
                )
                trial = run_trial(name, variant, what, options.seconds, options.logs)
                results.append(asyncio.run(trial))
                print(breakdown(results[-1]), flush=True)
                write(options.json, results, options.seconds)
    finally:
        end_all()
    for title in FIGURES:
        print(f"\n{table(results, title)}")
    print()
    names = [result.contestant for result in results]
    print(", ".join(f"{package} {number}" for package, number in versions(names).items()))
    ours = [result for result in results if result.contestant.startswith("propylon")]
    return int(any(result.total or result.state == "did not start" for result in ours))


raise SystemExit(main())
