"""Floods: one client asks for as much as it can, two ask politely. How much longer do they wait?

    python -m tests.bench.floods [KIND ...] [--server NAME] [--rounds N] [--seconds S]
                                 [--markdown FILE]

Each flood (`flood_clients.py`) and each server has rounds, of three parts: without the flood; with
the same flood elsewhere, of a process that reads all and does nothing (`sink.py`); and with the
flood of the server. One polite client asks a hundred times a second on a connection that it keeps
("kept"), the other twenty times, each over a new one ("new"). What they wait counts from the moment
at which they were to ask. The times of all rounds make one median and one 99th percentile.

Whoever floods has a processor core meanwhile, and the machine has two. So others wait for longer
beside any busy process, also one that has nothing to do with their server: that is what
"elsewhere" shows, and the row "a busy core", beside a process that only counts. "moved" is by how
much of itself the time beside the flood is longer than with the flood elsewhere, which is the
server's doing; in brackets, than without. It is the median of the rounds' differences, which a
machine that does something else now and then does not change. Product defaults; nginx stands in
front of uvicorn. "counted as" is what Propylon's own metrics have more than before.
"""

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from ..compare.light_client import PIECE, Wrong, complete, connect, request
from ..end_to_end.other_proxies import free_port
from .contestants import CONTESTANTS, propylon
from .flood_clients import FLOODS
from .machine import machine
from .servers import Server, running

KEPT_EVERY, NEW_EVERY = 0.01, 0.05
"""Seconds between two requests of the polite clients."""
SETTLE = 1.0
"""Seconds that a flood has before it is measured, and a server after it."""
PATIENCE = 20.0
"""Seconds."""
SERVERS = ("propylon", "nginx-uvicorn")
FAMILIES = {
    "propylon_requests_total": "",
    "propylon_connections_accepted_total": "accepted",
    "propylon_connections_evicted_total": "evicted:",
    "propylon_connections_refused_total": "refused:",
    "propylon_accept_pauses_total": "paused:",
}
"""Families that count what became of a flood, and what the table calls them."""
SAMPLE = re.compile(rf"^({'|'.join(FAMILIES)})(?:\{{(.*)\}})? (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(?:end|reason)="(\w+)"')


@dataclass
class Times:
    """What a polite client has waited, in milliseconds."""

    rounds: list[list[float]] = field(default_factory=list[list[float]])
    failed: int = 0

    def at(self, part: float) -> float:
        """A quantile of all rounds."""
        return quantile([one for times in self.rounds for one in times], part)


def quantile(times: list[float], part: float) -> float:
    ordered = sorted(times)
    return ordered[int(part * (len(ordered) - 1))] if ordered else float("inf")


@dataclass
class Heard:
    """Both of them."""

    kept: Times = field(default_factory=Times)
    new: Times = field(default_factory=Times)


@dataclass
class Found:
    """What became of one flood on one server."""

    quiet: Heard = field(default_factory=Heard)
    elsewhere: Heard = field(default_factory=Heard)
    """What they hear while the sink is flooded."""
    beside: Heard = field(default_factory=Heard)
    done: list[float] = field(default_factory=list[float])
    """How often a second the flood did what it does, of each round."""
    counted: Counter[str] = field(default_factory=Counter[str])


def moved(quiet: Times, beside: Times, part: float) -> float:
    """By how much of itself a quantile moved, in the median round."""
    pairs = zip(quiet.rounds, beside.rounds, strict=True)
    return statistics.median(quantile(b, part) / quantile(a, part) - 1 for a, b in pairs)


def ask_politely(server: Server, seconds: float, heard: "Heard") -> None:
    """Has both polite clients ask at the same time."""
    clients = [
        threading.Thread(target=_ask_on_time, args=(server, seconds, every, keep, times))
        for every, keep, times in ((KEPT_EVERY, True, heard.kept), (NEW_EVERY, False, heard.new))
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()


def _ask_on_time(server: Server, seconds: float, every: float, keep: bool, times: Times) -> None:
    ground = server.ground
    text = request(ground.bind, "/")
    sock, waited = None, list[float]()
    due = time.monotonic()
    over = due + seconds
    while (now := time.monotonic()) < over:
        if now < due:
            time.sleep(due - now)
        try:
            if sock is None:
                sock = connect(ground)
            _ask(sock, text)
        except (OSError, Wrong):
            times.failed += 1
        else:
            waited.append(1e3 * (time.monotonic() - due))
            due += every
            if keep:
                continue
        if sock is not None:
            sock.close()
            sock = None
    if sock is not None:
        sock.close()
    times.rounds.append(waited)


def _ask(sock: socket.socket, text: bytes) -> None:
    """Raises OSError or Wrong if it is not answered with 200."""
    sock.sendall(text)
    response = b""
    while not complete(response):
        data = sock.recv(PIECE)
        if not data:
            raise Wrong("the connection ended")
        response += data
    if not response.startswith(b"HTTP/1.1 200"):
        raise Wrong(response[:200].decode("latin-1"))


@contextmanager
def _process(module: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", f"{__package__}.{module}", *arguments]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def pin(pid: int, core: int) -> None:
    """Has all threads of a process run on one core."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {core})


@contextmanager
def flooded(port: int, kind: str, done: list[float]) -> Iterator[None]:
    """Has a flood go on meanwhile. Adds how often a second it has done what it does."""
    began = time.monotonic()
    with _process("flood_clients", kind, str(port)) as client:
        time.sleep(SETTLE)
        yield
        said, _ = client.communicate(b".", timeout=PATIENCE)
        done.append(int(said) / (time.monotonic() - began))


@contextmanager
def sink(*words: str, core: int | None = None) -> Iterator[int]:
    """Its port. `core`: the one that it runs on."""
    with _process("sink", *words) as process:
        assert process.stdout is not None
        if core is not None:
            pin(process.pid, core)
        yield int(process.stdout.readline())


def counted(admin: int) -> Counter[str]:
    """What Propylon has counted so far: requests by their end, connections by what became of
    them."""
    with urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=PATIENCE) as response:
        text = response.read().decode()
    found = Counter[str]()
    for name, labels, value in SAMPLE.findall(text):
        label = LABEL.search(labels)
        word = label[1] if label else ""
        if word != "ok":
            found[f"{FAMILIES[name]} {word}".strip()] += int(float(value))
    return found


def measure(name: str, kind: str, rounds: int, seconds: float) -> Found:
    found = Found()
    admin = free_port()
    ours = name == "propylon"
    commands = CONTESTANTS[name].commands
    if ours:
        commands = propylon("--admin-bind", f"127.0.0.1:{admin}")
    with running(commands, "hello:app") as server:
        ask_politely(server, SETTLE, Heard())
        before = counted(admin) if ours else Counter[str]()
        for _ in range(rounds):
            ask_politely(server, seconds, found.quiet)
            with sink() as other, flooded(other, kind, []):
                ask_politely(server, seconds, found.elsewhere)
            time.sleep(SETTLE)
            with flooded(server.ground.port, kind, found.done):
                ask_politely(server, seconds, found.beside)
            time.sleep(SETTLE)
        if ours:
            found.counted = counted(admin) - before
    return found


HEAD = """# Floods

Written by `python -m tests.bench.floods --markdown`, which says how it measures: one client floods,
polite ones ask, on a connection that is kept and over new ones. {rounds} rounds of
{seconds:g} s without the flood, with the same flood of another process that does nothing with it
("elsewhere"), and with it, in turn. "moved" is against elsewhere, and in brackets against without.
The floods' clients take a core at most.

{machine}

| flood | server | a second | client | p50 without, elsewhere, beside (ms) \
| p99 without, elsewhere, beside (ms) | p50 moved | p99 moved | failed | counted as |
|---|---|---|---|---|---|---|---|---|---|
"""


def clients_cells(quiet: Times, elsewhere: Times, beside: Times) -> list[str]:
    """Cells of a table about one polite client: both quantiles and how each moved, and how often it
    failed."""
    three = (quiet, elsewhere, beside)
    return [
        *(", ".join(f"{times.at(part):.1f}" for times in three) for part in (0.5, 0.99)),
        *(
            f"{moved(elsewhere, beside, part):+.0%} ({moved(quiet, beside, part):+.0%})"
            for part in (0.5, 0.99)
        ),
        str(beside.failed),
    ]


def lines(kind: str, name: str, found: Found) -> Iterator[str]:
    says = ", ".join(f"{word} {number}" for word, number in found.counted.most_common())
    for client in ("kept", "new"):
        three: tuple[Times, Times, Times] = tuple(
            getattr(heard, client) for heard in (found.quiet, found.elsewhere, found.beside)
        )
        done = f"{statistics.mean(found.done):,.0f}"
        cells = (kind, name, done, client, *clients_cells(*three), says or "-")
        yield f"| {' | '.join(cells)} |\n"
        kind = name = says = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(FLOODS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--server", action="append", choices=SERVERS, help="may be repeated")
    parser.add_argument("--markdown", help="the file to write to")
    options = parser.parse_args()
    servers = options.server or SERVERS
    said = ", ".join(f"{name} {value}" for name, value in machine(set(servers)).items())
    text = HEAD.format(rounds=options.rounds, seconds=options.seconds, machine=said + ".")
    print(text, end="", flush=True)
    for kind in options.kinds or FLOODS:
        for name in servers:
            found = measure(name, kind, options.rounds, options.seconds)
            for row in lines(kind, name, found):
                print(row, end="", flush=True)
                text += row
    if options.markdown:
        Path(options.markdown).write_text(text)


if __name__ == "__main__":
    main()
