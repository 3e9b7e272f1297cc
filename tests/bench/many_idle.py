"""Ten thousand clients that are connected and ask nothing: what each costs, beside bare uvicorn's.

    python -m tests.bench.many_idle [--connections N] [--rounds N]

`idle` measures the same with a thousand, for every contestant and at each run of the whole bench.
Here the number is one at which a server is as large as its connections make it: what is allocated
once, and in large pieces, is nothing beside them. Each process needs a descriptor for each
connection, so the limit of open files is raised to the hard one, which children inherit.
"""

import argparse
import resource
from statistics import median

from .contestants import CONTESTANTS
from .idle import Idle
from .machine import machine
from .servers import running

SERVERS = ("propylon", "uvicorn")
SPARE = 500
"""Descriptors that are for something else."""


def bytes_each(server: str, connections: int) -> float:
    """Bytes of resident memory, of all processes, for each connection."""
    load = Idle(connections)
    with running(CONTESTANTS[server].commands, "hello:app") as started:
        return float(load.measure(started, 0.0)["memory"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    connections: int = min(options.connections, hard - SPARE)
    print(", ".join(f"{name} {value}" for name, value in machine(set(SERVERS)).items()))
    found: dict[str, float] = {}
    for server in SERVERS:
        each = [bytes_each(server, connections) for _ in range(options.rounds)]
        found[server] = median(each)
        print(f"{server}: {found[server]:.0f} bytes for each of {connections} connections")
    print(f"propylon by uvicorn: {found['propylon'] / found['uvicorn']:.2f}")


if __name__ == "__main__":
    main()
