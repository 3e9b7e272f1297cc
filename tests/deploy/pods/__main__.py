"""Replaces containers and pods under load, and prints what was counted for each kind; or compares
the speed of two containers with that of the same programs without containers."""

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ...compare.command_line import chosen
from ..images import LoadImages, load_images
from . import machine, speed
from .replacements import KINDS, Counts, play


def row(counts: Counts) -> str:
    tally = counts.tally
    closed = tally.notes["websocket: closed with 1012"]
    cut = sum(n for (client, _), n in tally.failures.items() if client == "websocket")
    allowed = ", ".join(f"{n} {what}: {why}" for (what, why), n in sorted(tally.allowed.items()))
    return (
        f"| {counts.kind} | {counts.says} | {counts.seconds:.1f} | {counts.answers} |"
        f" {tally.total} | {closed} | {cut} | {allowed or '-'} | {tally.longest:.2f} |"
    )


HEAD = """\
| kind | what is replaced | seconds | answers | failed | WebSockets told 1012 | WebSockets cut | \
allowed | longest wait, s |
|---|---|---|---|---|---|---|---|---|"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.deploy.pods", description=__doc__)
    parser.add_argument("--kinds", default="all", help="of " + ", ".join(KINDS))
    parser.add_argument("--details", action="store_true", help="print notes and exit codes")
    parser.add_argument("--logs", action="store_true", help="print what the containers wrote")
    parser.add_argument("--speed", action="store_true", help="compare speed, on a quiet machine")
    parser.add_argument("--rounds", type=int, default=9, help="of --speed")
    parser.add_argument("--seconds", type=int, default=3, help="of each side's load in a round")
    options = parser.parse_args()
    kinds = chosen(options.kinds, KINDS, parser)
    if why := machine.missing() or (options.speed and speed.missing()):
        parser.error(why)
    with tempfile.TemporaryDirectory(prefix="pods-") as path:
        images = load_images()
        podman = machine.Podman(Path(path), images.pause)
        try:
            if options.speed:
                measure(podman, images, Path(path), options)
                return 0
            return int(replace(podman, images, Path(path), kinds, options) > 0)
        finally:
            podman.remove_all()


def measure(
    podman: machine.Podman, images: LoadImages, path: Path, options: argparse.Namespace
) -> None:
    print(speed.HEAD, flush=True)
    for app in speed.APPS:
        folder = path / app
        folder.mkdir()
        found = speed.compare(
            app, podman, images, folder, rounds=options.rounds, seconds=options.seconds
        )
        print(found.row, flush=True)


def replace(
    podman: machine.Podman,
    images: LoadImages,
    path: Path,
    kinds: Sequence[str],
    options: argparse.Namespace,
) -> int:
    """How many exchanges failed."""
    failed = 0
    print(HEAD, flush=True)
    for number, kind in enumerate(kinds):
        folder = path / str(number)
        folder.mkdir()
        counts = asyncio.run(play(kind, podman, images, folder))
        print(row(counts), flush=True)
        failed += counts.tally.total
        if counts.failures:
            print(counts.failures)
        if options.details:
            print(dict(counts.tally.notes), counts.exits, dict(counts.tally.answers))
        if options.logs:
            print(counts.logs)
    return failed


raise SystemExit(main())
