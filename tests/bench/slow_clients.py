"""Clients that are slow on purpose: slowhttptest's four attacks on Propylon and on nginx, while
somebody else asks twenty times a second, each time over a new connection.

    python -m tests.bench.slow_clients [--connections N] [--markdown FILE]

Product defaults on both sides. It takes about seven minutes, and mostly waits.
"""

import argparse
import csv
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..compare.processes import program
from .contestants import CONTESTANTS
from .machine import machine
from .servers import Server, running

SERVERS = ("propylon", "nginx-uvicorn")
ATTACKS = {
    "slow head": (30, ("-H", "-i", "5")),
    "slow body": (30, ("-B", "-i", "5", "-s", "8192", "-x", "10")),
    "ranges": (30, ("-R", "-a", "5", "-b", "2000")),
    "slow read": (75, ("-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "1")),
}
"""Name -> the seconds that it lasts, and slowhttptest's flags."""
LARGE = "/down/4000000"
"""A response that no kernel holds for a client that does not read."""
EVERY = 0.05
"""Seconds between two requests of the one who is not slow."""
PATIENCE = 3.0
CALM = 10.0
"""Seconds before the attack: two hundred requests, since a 99th percentile needs some."""
LOOK_AT_MEMORY_EVERY = 5.0
"""Seconds. A look takes some milliseconds from the one who asks."""


@dataclass
class Heard:
    """What the one who is not slow has seen."""

    seconds: list[float] = field(default_factory=list[float])
    """From the moment at which it wanted to ask, so that waiting to ask counts."""
    failed: int = 0

    def at(self, part: float) -> float:
        """A quantile, in milliseconds."""
        ordered = sorted(self.seconds)
        return 1e3 * ordered[int(part * (len(ordered) - 1))] if ordered else float("inf")


@dataclass
class Attack:
    """What became of one."""

    connected: int
    """Connections of the attacker's at once, at most."""
    held: float
    """Seconds from its beginning until the server had closed all of them; 0.0 if it had not when
    the time was over."""
    unavailable: int
    """Seconds in which slowhttptest's own probe was not answered."""
    calm: Heard
    during: Heard
    grown: int
    """Bytes of memory that the server's processes have more, at most."""


def ask(server: Server, heard: Heard, due: float) -> None:
    try:
        with socket.create_connection(server.ground.address, PATIENCE) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            answer = b""
            while data := client.recv(65_536):
                answer += data
    except OSError:
        answer = b""
    if answer.startswith(b"HTTP/1.1 200"):
        heard.seconds.append(time.monotonic() - due)
    else:
        heard.failed += 1


@contextmanager
def asking(server: Server, heard: Heard) -> Iterator[None]:
    """Asks meanwhile."""
    ending = threading.Event()

    def run() -> None:
        due = time.monotonic()
        while not ending.wait(max(0.0, due - time.monotonic())):
            ask(server, heard, due)
            due += EVERY

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def attack(server: Server, name: str, connections: int) -> Attack:
    """Attacks it, for as long as the attack lasts, or until the server has closed everything."""
    lasts, flags = ATTACKS[name]
    path = {"slow read": LARGE, "slow body": "/up"}.get(name, "/")
    calm, during = Heard(), Heard()
    with asking(server, calm):
        time.sleep(CALM)
    before = most = server.resident()
    with tempfile.TemporaryDirectory() as folder, asking(server, during):
        command = [program("slowhttptest"), *flags, "-c", str(connections), "-r", "400", "-g"]
        command += ["-l", str(lasts), "-p", "3", "-o", f"{folder}/found"]
        command += ["-u", server.url + path]
        began = time.monotonic()
        running_attack = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while running_attack.poll() is None:
            most = max(most, server.resident())
            with suppress(subprocess.TimeoutExpired):
                running_attack.wait(LOOK_AT_MEMORY_EVERY)
        took = time.monotonic() - began
        rows = list(csv.DictReader(Path(f"{folder}/found.csv").read_text().splitlines()))
    connected = [int(row["Connected"]) for row in rows]
    away = sum(row["Service Available"] == "0" for row in rows[1:])
    held = took if took < lasts - 2 else 0.0  # it ends when no connection is left
    return Attack(max(connected), held, away, calm, during, most - before)


HEAD = """# Slow clients

Written by `python -m tests.bench.slow_clients --markdown`, which says how it measures: slowhttptest
opens {connections} connections, 400 a second, in each of its four attacks, while somebody else asks
twenty times a second over new connections. Product defaults; nginx stands in front of uvicorn.
"closed" is when the server had closed all of the attacker's connections; "not": within 30 seconds,
for the slow read 75, it had not. Neither app serves ranges, so that attack ends by itself.

{machine}

| attack | server | connected | closed after | seconds without service | answered | failed | \
p50, p99 before (ms) | p50, p99 meanwhile (ms) | others' p99 moved | memory |
|---|---|---|---|---|---|---|---|---|---|---|
"""


def line(name: str, server: str, found: Attack) -> str:
    calm, during = found.calm, found.during
    closed = f"{found.held:.0f} s" if found.held else "not"
    cells = (
        name, server, found.connected, closed, found.unavailable, len(during.seconds),
        during.failed, f"{calm.at(0.5):.1f}, {calm.at(0.99):.1f}",
        f"{during.at(0.5):.1f}, {during.at(0.99):.1f}",
        f"{during.at(0.99) / calm.at(0.99) - 1:+.0%}", f"+{found.grown / 2**20:.0f} MiB",
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def _version_of_slowhttptest() -> str:
    said = subprocess.run([program("slowhttptest"), "-h"], capture_output=True, text=True)
    return (said.stdout + said.stderr).partition("version ")[2].split()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=2_000)
    parser.add_argument("--markdown", help="the file to write to")
    options = parser.parse_args()
    said = ", ".join(f"{name} {value}" for name, value in machine(set(SERVERS)).items())
    said += f", slowhttptest {_version_of_slowhttptest()}."
    text = HEAD.format(connections=options.connections, machine=said)
    print(text, end="", flush=True)
    for name in ATTACKS:
        for server in SERVERS:
            with running(CONTESTANTS[server].commands, "hello:app") as started:
                row = line(name, server, attack(started, name, options.connections))
            print(row, flush=True)
            text += row + "\n"
    if options.markdown:
        Path(options.markdown).write_text(text)


if __name__ == "__main__":
    main()
