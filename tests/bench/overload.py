"""What happens when more comes than the workers can do, beside nginx with the usual servers.

    python -m tests.bench.overload mixed    80 % of capacity, 5 % of the requests take 1 s: how long
                                            do the short ones wait?
    python -m tests.bench.overload three    3x capacity: goodput, memory, waits of the served ones
    python -m tests.bench.overload pools    one pool has 3x its capacity: does the other notice?
    python -m tests.bench.overload rules    3x capacity and clients with little patience: the order
                                            of arrival, and the newest first
    python -m tests.bench.overload auto     FastAPI that computes and waits, at 3x: fixed limits and
                                            the one that the worker seeks

Each can run alone, prints its table as Markdown, and says what is to be reached. On a quiet machine
`--seconds 60` is right; with ten seconds the 99th percentiles are guesses. The clients are one
process (`crowd`), and it says so if that was short of CPU. Capacity is that of the threads: all
contestants have as many.
"""

import argparse
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from ..compare.ground import Commands
from ..compare.processes import Absent, adopt_orphans, end_all
from ..compare.proxies import nginx
from ..compare.server import DidNotStart
from .closed_loop import Requests
from .contestants import THREADS, behind, gunicorn, propylon, uvicorn
from .crowd import Heard, crowd
from .machine import machine
from .servers import APPS, Ground, Server, running

WORKERS = 4
SHORT, LONG, SHARE_OF_LONG = 5, 1_000, 0.05
"""Milliseconds, and the part of the requests that take long."""
MEAN = SHARE_OF_LONG * LONG / 1e3 + (1 - SHARE_OF_LONG) * SHORT / 1e3
ALIKE = 50
"""Milliseconds of a request where all are alike."""
BUSY = 0.8
"""Share of a core above which the clients are what makes answers late."""


def gthread(workers: int) -> Commands:
    return nginx(lambda ground: [[*gunicorn("gthread")(ground, "socket"), "-w", str(workers)]])


FLASK: dict[str, Commands] = {
    "Propylon": propylon("-w", str(WORKERS)),
    "nginx → gunicorn gthread": gthread(WORKERS),
}
FASTAPI: dict[str, Commands] = {
    "Propylon": propylon("--limit-concurrency", "1"),
    "nginx → uvicorn": nginx(behind(uvicorn)),
}


@dataclass
class Memory:
    """The resident bytes of a contestant, looked at once a second."""

    server: Server
    seen: list[int] = field(default_factory=list[int])

    @contextmanager
    def watched(self) -> Iterator[None]:
        over = threading.Event()

        def look() -> None:
            while not over.wait(1.0):
                self.seen.append(self.server.resident())

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.seen.append(self.server.resident())

    @property
    def growth(self) -> str:
        """From a quarter of the time to its end: the queue is full by then."""
        early, late = self.seen[len(self.seen) // 4], self.seen[-1]
        return f"{late / 2**20:.0f} MiB ({(late - early) / 2**20:+.0f})"


def mixed(at: random.Random) -> str:
    return f"/wait/{LONG if at.random() < SHARE_OF_LONG else SHORT}"


def alike(milliseconds: int) -> Callable[[random.Random], str]:
    return lambda _: f"/wait/{milliseconds}"


def table(titles: list[str], rows: list[list[str]]) -> str:
    lines = [titles, ["---", *["--:"] * (len(titles) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def each(contestants: dict[str, Commands], app: str) -> Iterator[tuple[str, Server]]:
    """One after the other, so that only one uses the machine."""
    for name, commands in contestants.items():
        try:
            with running(commands, app) as server:
                yield name, server
        except (Absent, DidNotStart) as error:
            print(f"{name}: {error}")


def milliseconds(found: dict[str, float]) -> list[str]:
    return [f"{found['p50']:.1f}", f"{found['p99']:.1f}"]


def note(heard: Heard) -> str:
    return f" (clients: {heard.busy:.0%} of a core)" if heard.busy > BUSY else ""


# -- the runs --------------------------------------------------------------------------------


def run_mixed(seconds: float) -> None:
    rate = 0.8 * WORKERS * THREADS / MEAN
    print(
        f"\nFlask, {WORKERS} x {THREADS} threads, {rate:.0f} requests/s: 80 % of what they can do\n"
    )
    rows: list[list[str]] = []
    p99: list[float] = []
    for name, server in each(FLASK, "slow_flask:wsgi"):
        crowd(server.ground, rate, 3.0, mixed)
        heard = crowd(server.ground, rate, seconds, mixed)
        short, long = (heard.milliseconds(f"/wait/{one}") for one in (SHORT, LONG))
        p99.append(short["p99"])
        others = len(heard.answers) - len(heard.served())
        rows.append([name + note(heard), *milliseconds(short), *milliseconds(long), str(others)])
    titles = ["ms", "short, p50", "p99", "long, p50", "p99", "not served"]
    print(table(titles, rows))
    if len(p99) == len(FLASK):
        print(f"\np99 of the short ones: {p99[1] / p99[0]:.1f} times lower (wanted: 3 times)")


def run_three(seconds: float) -> None:
    flask_peak, patience = WORKERS * THREADS / ALIKE * 1e3, 10.0
    apps = (
        ("slow_flask:wsgi", FLASK, ALIKE, f"Flask, {WORKERS} x {THREADS} threads, {ALIKE} ms each"),
        ("slow_fast:app", FASTAPI, 10, "FastAPI, one worker, 10 ms of CPU each"),
    )
    for app, contestants, need, about in apps:
        print(f"\n{about}, at three times the peak; clients leave after {patience:.0f} s\n")
        rows: list[list[str]] = []
        for name, server in each(contestants, app):
            peak = flask_peak
            if app.endswith(":app"):
                load = Requests(path=f"/wait/{need}", expected=b'"ok"', connections=4)
                peak = load.measure(server, min(4.0, seconds))["rate"]
            memory = Memory(server)
            with memory.watched():
                heard = crowd(server.ground, 3 * peak, seconds, alike(need), patience).during()
            count = len(heard.answers)
            rows.append([
                name + note(heard), f"{peak:.0f}", f"{heard.goodput() / peak:.0%}",
                *milliseconds(heard.milliseconds()), f"{heard.count(503) / count:.0%}",
                f"{heard.count(0) / count:.0%}",
                f"{(count - len(heard.served()) - heard.count(0, 503)) / count:.1%}", memory.growth,
            ])  # fmt: skip
        titles = [
            "", "peak/s", "goodput", "served: p50 ms", "p99 ms", "503", "left", "other",
            "memory (since a quarter)",
        ]  # fmt: skip
        print(table(titles, rows))
    print(
        "\nwanted: goodput of 90 %, flat memory, a p99 below queue-timeout (30 s) and service time"
    )


def two_pools(ground: Ground) -> list[list[str]]:
    pool = f'app = "slow_flask:wsgi"\napp_dir = "{APPS}"\nthreads = {THREADS}\n'
    path: Path = ground.folder / "propylon.toml"
    path.write_text(
        f'[[pools]]\nname = "busy"\n{pool}[[pools]]\nname = "calm"\n{pool}'
        '[[routes]]\nprefix = "/busy"\npool = "busy"\n[[routes]]\npool = "calm"\n'
    )
    return [[*propylon()(ground)[0][:-3], "-c", str(path)]]


def run_pools(seconds: float) -> None:
    busy = 3 * THREADS / ALIKE * 1e3
    calm = 0.5 * THREADS / SHORT * 1e3
    print(f"\nOne gateway, two pools of {THREADS} threads; the calm one has half of its capacity\n")
    rows: list[list[str]] = []
    p99: list[float] = []
    path = f"/wait/{SHORT}"
    for _, server in each({"Propylon": two_pools}, "slow_flask:wsgi"):
        crowd(server.ground, calm, 2.0, alike(SHORT))
        for title, more in (("alone", 0.0), ("beside a pool at 3x its capacity", busy)):

            def choose(at: random.Random, more: float = more) -> str:
                return f"/busy/wait/{ALIKE}" if at.random() < more / (calm + more) else path

            heard = crowd(server.ground, calm + more, seconds, choose)
            found = heard.milliseconds(path)
            p99.append(found["p99"])
            others = sum(one.path == path and one.status != 200 for one in heard.answers)
            rows.append([title + note(heard), *milliseconds(found), str(others)])
    print(table(["the calm pool, ms", "p50", "p99", "not served"], rows))
    if len(p99) == 2:
        print(f"\np99: {p99[1] / p99[0] - 1:+.0%} (wanted: at most +20 %)")


def run_rules(seconds: float) -> None:
    rate, patience = 3 * WORKERS * THREADS / ALIKE * 1e3, 2.0
    print(f"\nFlask, {ALIKE} ms each, at three times the capacity; clients leave after 2 s\n")
    contestants: dict[str, Commands] = {
        f"--queue-target {target}": propylon("-w", str(WORKERS), "--queue-target", target)
        for target in ("0", "0.5", "1")
    }
    rows: list[list[str]] = []
    for name, server in each(contestants, "slow_flask:wsgi"):
        heard = crowd(server.ground, rate, seconds, alike(ALIKE), patience).during()
        count = len(heard.answers)
        rows.append([
            name + note(heard), f"{heard.goodput() * 3 / rate:.0%}",
            *milliseconds(heard.milliseconds()), f"{heard.count(503) / count:.0%}",
            f"{heard.count(0) / count:.0%}",
        ])  # fmt: skip
    print(table(["", "goodput", "served: p50 ms", "p99 ms", "503", "left"], rows))


def run_auto(seconds: float) -> None:
    """What the loop does at most is the CPU time of the half that computes."""
    compute, sleep, patience = 10, 200, 2.0
    peak = 1e3 / (0.5 * compute)
    print(
        f"\nFastAPI, one worker: half of the requests compute for {compute} ms, half wait for "
        f"{sleep} ms; 3 times {peak:.0f}/s, which the CPU allows; clients leave after 2 s\n"
    )

    def choose(at: random.Random) -> str:
        return f"/wait/{compute}" if at.random() < 0.5 else f"/sleep/{sleep}"

    contestants: dict[str, Commands] = {
        f"--limit-concurrency {limit}": propylon("--limit-concurrency", limit)
        for limit in ("0", "4", "25", "200", "auto")
    }
    rows: list[list[str]] = []
    for name, server in each(contestants, "slow_fast:app"):
        crowd(server.ground, 3 * peak, 10.0, choose, patience)  # it seeks
        heard = crowd(server.ground, 3 * peak, seconds, choose, patience).during()
        count = len(heard.answers)
        rows.append([
            name + note(heard), f"{heard.goodput():.0f}", f"{heard.goodput() / peak:.0%}",
            *milliseconds(heard.milliseconds(f"/wait/{compute}")),
            *milliseconds(heard.milliseconds(f"/sleep/{sleep}")),
            f"{heard.count(503) / count:.0%}", f"{heard.count(0) / count:.0%}",
        ])  # fmt: skip
    titles = [
        "", "served/s", "goodput", "computing: p50 ms", "p99", "waiting: p50 ms", "p99", "503",
        "left",
    ]  # fmt: skip
    print(table(titles, rows))


RUNS: dict[str, Callable[[float], None]] = {
    "mixed": run_mixed,
    "three": run_three,
    "pools": run_pools,
    "rules": run_rules,
    "auto": run_auto,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.overload",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", choices=RUNS)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each load (20)")
    options = parser.parse_args()
    adopt_orphans()
    began = monotonic()
    try:
        RUNS[options.run](options.seconds)
    finally:
        end_all()
    about = ", ".join(f"{name} {value}" for name, value in machine(set()).items())
    print(f"\n{about}; {monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
