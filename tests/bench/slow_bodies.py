"""What slow clients cost a WSGI pool that serves others meanwhile.

    python -m tests.bench.slow_bodies [--seconds N] [--rounds N] [--markdown FILE]

200 clients upload 10 MB and 200 download as much, each at 20 kB a second, while wrk asks for a view
that takes 20 ms. An app server whose threads read from clients has none left for the others; behind
nginx, and in Propylon, bodies are kept. Each round measures the throughput without them and with
them, on the same server. The clients are a process of their own, on the same cores.
"""

import argparse
import multiprocessing
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median

from ..compare.processes import adopt_orphans, end_all
from .closed_loop import Requests
from .contestants import THREADS
from .machine import machine
from .overload import FLASK, WORKERS, each, table
from .servers import Ground, Server

CLIENTS = 200
SIZE = 10_000_000
RATE = 20_000
"""Bytes a second of each client."""
TICK = 0.25
MILLISECONDS = 20
BEGINNING = 60.0
"""Seconds that the clients may take to begin: the app hands over two gigabytes meanwhile."""
SETTLE = 3.0
WANTED = 0.95
HEAD = """# Slow bodies

Written by `python -m tests.bench.slow_bodies --markdown`, which says how it measures: Flask with
{workers} x {threads} threads and a view of {milliseconds} ms, asked by wrk, alone and beside
{clients} uploads and {clients} downloads of 10 MB at 20 kB a second each. "CPU" and "memory" are
what the server's processes take more of; kept bodies are in temporary files. Wanted: {wanted:.0%}
of the throughput.

"""


@dataclass
class SlowClient:
    sock: socket.socket
    uploads: bool
    moved: int = 0
    """Bytes of body that it has sent, or received with the head."""
    lost: bool = False

    def move(self, count: int) -> None:
        try:
            if self.uploads:
                self.moved += self.sock.send(bytes(min(count, SIZE - self.moved)))
            else:
                got = self.sock.recv(count)
                self.moved += len(got)
                self.lost = not got
        except BlockingIOError:
            pass
        except OSError:
            self.lost = True


def begin(address: tuple[str, int], *, uploads: bool) -> SlowClient:
    sock = socket.socket()
    # Else the kernel would take megabytes for it.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
    sock.connect(address)
    what = f"POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: {SIZE}\r\n\r\n"
    sock.sendall((what if uploads else f"GET /down/{SIZE} HTTP/1.1\r\nHost: h\r\n\r\n").encode())
    sock.setblocking(False)
    return SlowClient(sock, uploads)


def crawl(address: tuple[str, int], begun: Event, over: Event) -> None:
    """All slow clients, until it is over."""
    clients = [begin(address, uploads=n % 2 == 0) for n in range(2 * CLIENTS)]
    due = time.monotonic()
    while not over.wait(max(0.0, due - time.monotonic())):
        due += TICK
        for client in clients:
            client.move(int(RATE * TICK))
        if all(client.moved for client in clients):
            begun.set()
    lost = sum(client.lost for client in clients)
    if lost:
        print(f"{lost} slow clients were lost", flush=True)
    for client in clients:
        client.sock.close()


@contextmanager
def slow_clients(ground: Ground) -> Iterator[bool]:
    """They crawl meanwhile. Gives whether all have begun in time."""
    context = multiprocessing.get_context("spawn")
    begun, over = context.Event(), context.Event()
    process = context.Process(target=crawl, args=(ground.address, begun, over), daemon=True)
    process.start()
    try:
        found = begun.wait(BEGINNING)
        time.sleep(SETTLE)
        yield found
    finally:
        over.set()
        process.join(BEGINNING)


@dataclass
class Found:
    alone: list[float] = field(default_factory=list[float])
    """Requests a second."""
    beside: list[float] = field(default_factory=list[float])
    grown: list[int] = field(default_factory=list[int])
    """Bytes of resident memory."""
    cpu: list[float] = field(default_factory=list[float])
    """Seconds of CPU time a second that all processes use more."""
    begun: bool = True

    def round(self, server: Server, seconds: float) -> None:
        load = Requests(
            path=f"/wait/{MILLISECONDS}", expected=b"ok", connections=2 * WORKERS * THREADS
        )
        rate, cpu = measured(load, server, seconds)
        self.alone.append(rate)
        before = server.resident()
        with slow_clients(server.ground) as begun:
            self.begun &= begun
            beside, more = measured(load, server, seconds)
            self.beside.append(beside)
            self.cpu.append(more - cpu)
            self.grown.append(server.resident() - before)
        time.sleep(SETTLE)

    def row(self, name: str) -> list[str]:
        parts = [a / b for a, b in zip(self.beside, self.alone, strict=True)]
        note = "" if self.begun else " (not all slow clients were served)"
        return [
            name + note, f"{median(self.alone):.0f}", f"{median(self.beside):.0f}",
            f"{median(parts):.1%}", f"{median(self.cpu):+.2f}",
            f"{median(self.grown) / 2**20:+.0f} MiB",
        ]  # fmt: skip


def measured(load: Requests, server: Server, seconds: float) -> tuple[float, float]:
    """Requests a second, and seconds of CPU time a second."""
    load.warm_up(server, 1.0)
    before, began = sum(server.cpu().values()), time.monotonic()
    rate = float(load.measure(server, seconds)["rate"])
    return rate, (sum(server.cpu().values()) - before) / (time.monotonic() - began)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.slow_bodies",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load (10)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", help="the file to write to")
    options = parser.parse_args()
    adopt_orphans()
    rows: list[list[str]] = []
    try:
        for name, server in each(FLASK, "slow_flask:wsgi"):
            found = Found()
            for _ in range(options.rounds):
                found.round(server, options.seconds)
            rows.append(found.row(name))
    finally:
        end_all()
    titles = ["", "alone/s", "beside them/s", "left", "CPU, cores", "memory"]
    text = HEAD.format(
        workers=WORKERS,
        threads=THREADS,
        milliseconds=MILLISECONDS,
        clients=CLIENTS,
        wanted=WANTED,
    )
    text += f"{table(titles, rows)}\n\n"
    text += ", ".join(f"{name} {value}" for name, value in machine(set()).items()) + "\n"
    print(text, end="")
    if options.markdown:
        Path(options.markdown).write_text(text)


if __name__ == "__main__":
    main()
