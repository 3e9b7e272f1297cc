"""Replaces one pod of each shape under load, and prints what happened when.

python -m tests.deploy.pod [--shape SHAPE] [--lag SECONDS] [--delay SECONDS] [--markdown]
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from .rollout import replace_pod
from .shapes import SHAPES, Manifest


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.deploy.pod", description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, help="one of them; else all")
    parser.add_argument("--lag", type=float, default=2.0, help="of the endpoints, in seconds (2)")
    parser.add_argument("--delay", type=float, default=3.0, help="--drain-delay, in seconds (3)")
    parser.add_argument("--graceful", type=float, default=10.0, help="graceful timeout (10)")
    parser.add_argument("--cast", default="all", help="which clients: short, all, endless, WSGI")
    parser.add_argument("--app", default="apps.asgi:app", help="apps.asgi:app or apps.wsgi:app")
    parser.add_argument("--markdown", action="store_true", help="as tables")
    parser.add_argument("--logs", action="store_true", help="with what the containers logged")
    options = parser.parse_args()
    failed = 0
    for shape in [options.shape] if options.shape else SHAPES:
        manifest = Manifest(
            shape=shape, delay=options.delay, graceful=options.graceful, app=options.app
        )
        with tempfile.TemporaryDirectory(prefix="pod-") as folder:
            run = replace_pod(Path(folder), manifest, lag=options.lag, cast=options.cast)
            outcome = asyncio.run(run)
        timeline = outcome.pod.timeline
        head = f"{shape}: lag {options.lag:g} s, --drain-delay {options.delay:g}"
        print(f"### {head}\n" if options.markdown else f"--- {head}")
        print(timeline.markdown() if options.markdown else timeline)
        total = sum(outcome.failures.values())
        notes = outcome.scene.tally.notes
        print(
            f"\n{outcome.answers} exchanges, {total} failures, grace period "
            f"{manifest.grace_period:g} s, {notes['websocket: closed with 1012']} WebSockets "
            f"closed with 1012.\n"
        )
        if total or options.logs:
            print(outcome, file=sys.stderr)
        failed |= total
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
