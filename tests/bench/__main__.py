"""Alternates contestants row by row; prints medians, ratios and targets, and writes them as JSON.

    python -m tests.bench [--rows hello,fastapi] [--contestants propylon,nginx-uvicorn] [--rounds 5]

A contestant that is not installed, fails to start, answers wrongly or drops requests is shown as
such. Every response is checked: in the first load its status and body, byte by byte; in the timed
ones its status and length (WebSocket messages and events byte by byte there too). Latencies of the
open-loop rows count from when a request was due.
"""

import argparse
from pathlib import Path

from ..compare.command_line import chosen
from ..compare.processes import adopt_orphans, end_all
from . import plot, report, results
from .contestants import CONTESTANTS
from .machine import machine
from .rounds import Effort, run
from .rows import ROWS, entrants
from .targets import TARGETS

HERE = Path(__file__).parent


def arguments() -> tuple[argparse.Namespace, argparse.ArgumentParser]:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--rows", default="all", help="of " + ", ".join(ROWS) + '; "" only shows what --json has'
    )
    parser.add_argument(
        "--contestants", default="", help="instead of each row's own, of " + ", ".join(CONTESTANTS)
    )
    parser.add_argument(
        "--targets", action="store_true", help="the rows and contestants that targets are about"
    )
    parser.add_argument("--rounds", type=int, default=5, help="(5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load (3)")
    parser.add_argument("--json", type=Path, default=Path("bench.json"))
    parser.add_argument(
        "--keep", action="store_true", help="add to what the JSON file has of other rows"
    )
    parser.add_argument(
        "--markdown", nargs="?", type=Path, const=HERE / "RESULTS.md", help="(RESULTS.md here)"
    )
    parser.add_argument("--plot", nargs="?", type=Path, const=HERE / "results.svg")
    return parser.parse_args(), parser


def about_targets(row: str) -> list[str]:
    """The contestants that the row's targets name; an entry's name may have its load behind it."""
    named = {
        name.split(" ")[0] for one in TARGETS if one.row == row for name in (one.ours, one.against)
    }
    return [name for name in CONTESTANTS if name in named]


def main() -> None:
    options, parser = arguments()
    rows = chosen(options.rows, list(ROWS), parser)
    contestants = chosen(options.contestants, list(CONTESTANTS), parser)
    if options.targets:
        rows = [row for row in rows if about_targets(row)]
    effort = Effort(options.rounds, options.seconds)
    adopt_orphans()
    about, found = results.read(options.json) if options.keep or not rows else ({}, {})
    try:
        for name in rows:
            row = ROWS[name]
            names = entrants(row, about_targets(name) if options.targets else contestants)
            if not names:
                continue
            found[name] = run(name, row, names, effort)
            print(report.text(found[name]), flush=True)
            about |= machine(set(names))
            results.write(options.json, about, found)
    finally:
        end_all()
    found = {name: found[name] for name in ROWS if name in found}
    print(report.targets(found))
    print("\n" + ", ".join(f"{name} {value}" for name, value in about.items()))
    if options.plot:
        plot.write(options.plot, found)
    if options.markdown:
        options.markdown.write_text(report.page(about, found, options.plot))


if __name__ == "__main__":
    main()
