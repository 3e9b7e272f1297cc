"""Alternates the contestants row by row and prints medians and ratios.

    python -m tests.bench [--rows hello,fastapi] [--against NAME] [--rounds 5] [--seconds 3]

Every contestant of a row is up at the same time and only one has load, each in turn, round after
round: what disturbs the machine for a while disturbs all, and the ratio of medians stays.
"""

import argparse
import os
import platform
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from .contestants import CONTESTANTS, Absent, Ground, running
from .load import Wrong, echoes, requests

NGINX = "nginx → uvicorn"


@dataclass(frozen=True)
class Row:
    app: str
    path: str
    unit: str
    measure: Callable[[str, float], float]
    """(URL, seconds) to a rate."""
    contestants: tuple[str, ...] = ("propylon", NGINX, "uvicorn")
    tls: bool = False


ROWS = {
    "hello": Row("hello:app", "/", "requests/s", requests, ("propylon", "propylon, h11", NGINX)),
    "fastapi": Row("fast:app", "/items/5?q=x", "requests/s", requests),
    "new-connections": Row(
        "hello:app", "/", "requests/s", lambda url, s: requests(url, s, "-H", "Connection: close")
    ),
    "websocket-128": Row(
        "hello:app", "/", "echoes/s", lambda url, s: echoes(url, s, 128),
        ("propylon", NGINX, "hypercorn"),
    ),
    "websocket-16k": Row(
        "hello:app", "/", "echoes/s", lambda url, s: echoes(url, s, 16_384),
        ("propylon", NGINX, "hypercorn"),
    ),
    "tls": Row("hello:app", "/", "requests/s", requests, tls=True),
    "tls-handshakes": Row(
        "hello:app", "/", "handshakes/s",
        lambda url, s: requests(url, s, "-H", "Connection: close"), tls=True,
    ),
}  # fmt: skip


def run(name: str, row: Row, rounds: int, seconds: float) -> None:
    rates: dict[str, list[float]] = {}
    faults: dict[str, str] = {}
    with ExitStack() as stack:
        urls: dict[str, str] = {}
        for contestant in row.contestants:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder.chmod(0o755)  # nginx's workers are another user
            ground = Ground(row.app, free_port(), row.tls, folder)
            try:
                stack.enter_context(running(CONTESTANTS[contestant], ground, row.path))
            except (Absent, RuntimeError) as error:
                faults[contestant] = str(error)
                continue
            urls[contestant] = ground.url + row.path
            rates[contestant] = []
        for round_ in range(rounds + 1):
            for contestant, url in urls.items():
                if contestant in faults:
                    continue
                try:
                    rate = row.measure(url, seconds if round_ else 1.0)
                except Wrong as error:
                    faults[contestant] = str(error)
                    continue
                if round_:  # the first is for warming up
                    rates[contestant].append(rate)
    report(name, row, rates, faults)


def report(name: str, row: Row, rates: dict[str, list[float]], faults: dict[str, str]) -> None:
    print(f"\n{name} ({row.unit})")
    ours = rates.get("propylon") or []
    for contestant in row.contestants:
        if contestant in faults:
            print(f"  {contestant:18} FAILED: {faults[contestant].strip().splitlines()[-1]}")
            continue
        theirs = rates[contestant]
        line = f"  {contestant:18} {median(theirs):10.0f}"
        if contestant != "propylon" and len(ours) == len(theirs):
            pairs = sorted(a / b for a, b in zip(ours, theirs, strict=True))
            ratio = median(ours) / median(theirs)
            line += f"   propylon is {ratio:.2f} times ({pairs[0]:.2f} to {pairs[-1]:.2f})"
        print(line, flush=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rows", default=",".join(ROWS), help="of " + ", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    print(
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}; one worker process each, 64 connections, "
        f"{options.rounds} rounds of {options.seconds:g} s"
    )
    for name in options.rows.split(","):
        if name not in ROWS:
            parser.error(f"there is no row {name}")
        run(name, ROWS[name], options.rounds, options.seconds)


main()
