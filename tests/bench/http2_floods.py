"""Floods of HTTP/2: one client attacks, two ask politely. What becomes of each, and what it costs.

    python -m tests.bench.http2_floods [KIND ...] [--rounds N] [--seconds S] [--markdown FILE]

Each attack (`http2_flood_clients.py`) has a server of its own and rounds of three parts, as in
`floods.py`: without it; with the same attack elsewhere, of a process that does nothing but end its
connections (`sink.py`), which shows what the machine does; and with it. "moved" is against
elsewhere, and in brackets against without. The polite clients are those of `floods.py`: one asks a
hundred times a second on a connection that it keeps, the other twenty times, each over a new one.
An attack whose connection is ended opens the next at once. Its process has the processor only while
nobody else wants it: an attacker has a machine of its own, and here it would take turns with the
polite clients, which then wait for milliseconds for a core and not for the server. For the same
reason the gateway process has a core of its own ("elsewhere", the sink has it too), and all others
have the rest: where the worker is put on the core of a gateway that has something to do, each
request waits for that as well, up to a slice of the kernel's scheduler. "memory" is the
most that the gateway process had, and how much more that is than before. "what happened" is what
Propylon's own metrics count: connections that were ended, by reason, and requests, by their end.

"requests" is no attack: a client that asks as fast as it can, and shows what a core of plain
requests does to the others on this machine.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from ..compare.processes import role
from ..end_to_end.other_proxies import free_port
from .contestants import propylon
from .floods import PATIENCE, SETTLE, Heard, Times, ask_politely, clients_cells, pin, sink
from .http2_flood_clients import ATTACKS
from .machine import machine
from .servers import Server, cpu_by_role, running

RUNNING = re.compile(r"^propylon_pool_running\{.*\} (\S+)$", re.MULTILINE)
SAMPLE = re.compile(r"^propylon_(http2_floods|requests)_total\{(.*)\} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(?:end|reason)="(\w+)"')


@dataclass
class Outcome:
    """What became of one attack."""

    quiet: Heard = field(default_factory=Heard)
    elsewhere: Heard = field(default_factory=Heard)
    """What they hear while the sink is attacked."""
    beside: Heard = field(default_factory=Heard)
    done: float = 0.0
    """How often a second the attack did what it does."""
    ended: float = 0.0
    """How many of its connections were ended in a second."""
    cpu: Counter[str] = field(default_factory=Counter[str])
    """Seconds of each kind of process."""
    seconds: float = 0.0
    """How long it went on."""
    before: int = 0
    """Bytes of the gateway process."""
    peak: int = 0
    counted: Counter[str] = field(default_factory=Counter[str])


def counted(admin: int) -> Counter[str]:
    """What Propylon has counted so far."""
    with urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=PATIENCE) as response:
        text = response.read().decode()
    found = Counter[str]()
    for name, labels, value in SAMPLE.findall(text):
        label = LABEL.search(labels)
        word = label[1] if label else ""
        if word != "ok":
            found[f"{name.removesuffix('s') if name != 'requests' else ''} {word}".strip()] += int(
                float(value)
            )
    return found


def wait_for_calls(admin: int) -> None:
    """Until the app has left all that an attack has asked it for."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=PATIENCE) as response:
            running = RUNNING.findall(response.read().decode())
        if not any(map(float, running)):
            break
        time.sleep(SETTLE)


def gateway(server: Server) -> int:
    (pid,) = (pid for pid in server.pids() if role(pid) == "gateway")
    return pid


def peak(pid: int) -> int:
    """Bytes: the most that it ever had in memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1_024 if found else 0


@contextmanager
def attacked(port: int, kind: str) -> Generator[list[int]]:
    """Has an attack go on meanwhile. How often it was done, and how many of its connections were
    ended, is in the list behind that."""
    command = [sys.executable, "-m", f"{__package__}.http2_flood_clients", kind, str(port)]
    told = list[int]()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as client:
        try:
            time.sleep(SETTLE)
            yield told
            said, _ = client.communicate(b".", timeout=PATIENCE)
            told += map(int, said.split())
        finally:
            client.kill()


def measure(kind: str, rounds: int, seconds: float, core: int | None = None) -> Outcome:
    """`core`: the one that the gateway process has to itself."""
    found, admin = Outcome(), free_port()
    commands = propylon("--admin-bind", f"127.0.0.1:{admin}", "--h2c", "prior-knowledge")
    with running(commands, "hello:app") as server:
        ask_politely(server, SETTLE, Heard())
        pid = gateway(server)
        if core is not None:
            pin(pid, core)
        found.before, before = peak(pid), counted(admin)
        for _ in range(rounds):
            ask_politely(server, seconds, found.quiet)
            words = [] if ATTACKS[kind].goes_on else ["ends"]
            with sink(*words, core=core) as other, attacked(other, kind):
                ask_politely(server, seconds, found.elsewhere)
            time.sleep(SETTLE)
            began, used = time.monotonic(), server.cpu()
            with attacked(server.ground.port, kind) as told:
                ask_politely(server, seconds, found.beside)
            found.done += told[0]
            found.ended += told[1]
            found.seconds += time.monotonic() - began
            found.cpu.update(cpu_by_role(used, server.cpu()))
            time.sleep(SETTLE)
            wait_for_calls(admin)
        found.peak = peak(pid)
        found.counted = counted(admin) - before
    return found


HEAD = """# Floods of HTTP/2

Written by `python -m tests.bench.http2_floods --markdown`, which says how it measures. {rounds}
rounds of {seconds:g} s without the attack, with the same attack of another process that does
nothing but end its connections ("elsewhere"), and with it, in turn. "moved" is against elsewhere,
and in brackets against without. The gateway process has a core of its own. The attacks' clients
take another one at most, and only while nobody else wants it.

{machine}

| attack | what it does | a second | ended a second | gateway CPU | worker CPU | memory (MB) | \
client | p50 without, elsewhere, beside (ms) | p99 without, elsewhere, beside (ms) | p50 moved \
| p99 moved | failed | what happened |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
"""


def rows(kind: str, found: Outcome) -> str:
    spent = found.seconds or 1.0
    begins = [
        kind, ATTACKS[kind].says, f"{found.done / spent:,.0f}", f"{found.ended / spent:,.1f}",
        *(f"{found.cpu[name] / spent:.0%}" for name in ("gateway", "worker")),
        f"{found.peak / 1e6:.0f} (+{(found.peak - found.before) / 1e6:.0f})",
    ]  # fmt: skip
    says = ", ".join(f"{word} {count}" for word, count in found.counted.most_common())
    text = ""
    for client in ("kept", "new"):
        three: tuple[Times, Times, Times] = tuple(
            getattr(heard, client) for heard in (found.quiet, found.elsewhere, found.beside)
        )
        cells = [*begins, client, *clients_cells(*three), says or "-"]
        text += f"| {' | '.join(cells)} |\n"
        begins, says = [""] * len(begins), ""
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(ATTACKS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--markdown", help="the file to write to")
    options = parser.parse_args()
    own, *others = sorted(os.sched_getaffinity(0))
    if others:
        os.sched_setaffinity(0, others)
    said = ", ".join(f"{name} {value}" for name, value in machine({"propylon"}).items())
    text = HEAD.format(rounds=options.rounds, seconds=options.seconds, machine=said + ".")
    print(text, end="", flush=True)
    for kind in options.kinds or ATTACKS:
        found = measure(kind, options.rounds, options.seconds, own if others else None)
        line = rows(kind, found)
        print(line, end="", flush=True)
        text += line
    if options.markdown:
        Path(options.markdown).write_text(text)


if __name__ == "__main__":
    main()
