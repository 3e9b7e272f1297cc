"""Replaces containers and pods under load, and prints what was counted for each kind."""

import argparse
import asyncio
import tempfile
from pathlib import Path

from ...compare.command_line import chosen
from ..images import load_images
from . import machine
from .replacements import KINDS, Counts, play


def row(counts: Counts) -> str:
    tally = counts.tally
    closed = tally.notes["websocket: closed with 1012"]
    cut = sum(n for (client, _), n in tally.failures.items() if client == "websocket")
    allowed = ", ".join(f"{n} {what}" for (what, _), n in sorted(tally.allowed.items())) or "-"
    return (
        f"| {counts.kind} | {counts.says} | {counts.seconds:.1f} | {counts.answers} |"
        f" {tally.total} | {cut} | {closed} | {allowed} | {tally.longest:.2f} |"
    )


HEAD = """\
| kind | what is replaced | seconds | answers | failed | WebSockets cut | told 1012 | allowed | \
longest wait, s |
|---|---|---|---|---|---|---|---|---|"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.deploy.pods", description=__doc__)
    parser.add_argument("--kinds", default="all", help="of " + ", ".join(KINDS))
    parser.add_argument("--logs", action="store_true", help="print what the containers wrote")
    options = parser.parse_args()
    kinds = chosen(options.kinds, KINDS, parser)
    if why := machine.missing():
        parser.error(why)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="pods-") as path:
        images = load_images()
        podman = machine.Podman(Path(path), images.pause)
        try:
            print(HEAD, flush=True)
            for number, kind in enumerate(kinds):
                folder = Path(path) / str(number)
                folder.mkdir()
                counts = asyncio.run(play(kind, podman, images, folder))
                print(row(counts), flush=True)
                failed += counts.tally.total
                if counts.failures:
                    print(counts.failures)
                print(dict(counts.tally.notes), counts.exits, dict(counts.tally.answers))
                if options.logs:
                    print(counts.logs)
        finally:
            podman.remove_all()
    return int(failed > 0)


raise SystemExit(main())
