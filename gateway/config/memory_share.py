"""How large each worker may grow, where the operator names a part of the container's limit.

The kernel kills without asking when the limit is reached, and a worker that is killed loses the
calls that it runs. One that is replaced in time loses none. So all workers together have to reach
the limits that we give them before they reach the kernel's: `--workers-max-rss 80%` divides 80 % of
the container's limit, less what Propylon's own processes need and what other pools were given in
bytes, by the workers that may be there at once. These are more than are wanted: a replacement
starts while the old one serves, one for each pool at a reload. With --preload each pool has one
more process that holds the app.

What the kernel counts is not the sum of the workers' resident memory: pages that forked workers
share are in each one's, and files that are cached are in nobody's. The first errs on the safe side,
and the second can be freed.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from .config import PoolConfig
from .faults import Fault

AUTO: Final = 90
"""The percentage that `auto` stands for. The rest is for growth between two looks at the memory, a
second apart, and for programs that the app starts."""
OWN: Final = 48 * 2**20
"""Bytes that a gateway process, or the supervisor, has. A gateway with thousands of connections has
more, and the operator a percentage."""
LEAST: Final = 32 * 2**20
"""Bytes of a worker with the smallest app, about."""


def share_memory(
    pools: Iterable[PoolConfig], own: int, limit: int | None, faults: list[Fault]
) -> list[PoolConfig]:
    """The pools with `workers_max_rss` in bytes. `own` counts the processes beside the workers;
    `limit` is the container's, or the machine's, in bytes; None if neither is known."""
    pools = list(pools)
    given = {pool.name: _bytes_given(pool) * _places(pool) for pool in pools}
    taken = own * OWN + sum(given.values())
    places = sum(_places(pool) for pool in pools if not given[pool.name])
    shared: list[PoolConfig] = []
    for pool in pools:
        found: int | str = pool.for_workers["workers_max_rss"]
        if isinstance(found, int):
            shared.append(pool)
            continue
        percent = AUTO if found == "auto" else int(found.rstrip("%"))
        size = 0
        if limit is None:
            problem = f"found {found!r}, but neither a container's nor a machine's limit is known"
            faults.append(Fault("--workers-max-rss", f"{problem}: say it in bytes, as in 512M"))
        else:
            size = max(limit * percent // 100 - taken, 0) // places
            if size < LEAST:
                faults.append(Fault("--workers-max-rss", _too_little(found, limit, size, places)))
        told: dict[str, Any] = {**pool.for_workers, "workers_max_rss": size}
        shared.append(replace(pool, for_workers=told))
    return shared


def without_workers(pools: Iterable[PoolConfig]) -> list[PoolConfig]:
    """The pools of a gateway that reads the same file as their workers. These are in another
    container: whether they fit there cannot be seen from here, and bounds nothing."""
    bound: dict[str, Any] = {"workers_max_rss": 0}
    return [replace(pool, for_workers={**pool.for_workers, **bound}) for pool in pools]


def notes_on_memory(pools: Iterable[PoolConfig], own: int, limit: int | None) -> list[str]:
    """Notes on what cannot fit into the container's limit; none without one."""
    pools = list(pools)
    if limit is None or not pools:
        return []
    workers = sum(pool.workers for pool in pools)
    sizes = [(pool.workers, int(pool.for_workers["workers_max_rss"])) for pool in pools]
    least = own * OWN + workers * LEAST
    if least > limit:
        return [
            f"{_count(workers)} and {own} processes of Propylon's need about {_megabytes(least)} "
            f"MB without any app, and the container's limit is {_megabytes(limit)} MB: start fewer "
            "(-w), or give it more"
        ]
    most = own * OWN + sum(count * (size or LEAST) for count, size in sizes)
    if any(size for _, size in sizes) and most > limit:
        return [
            f"--workers-max-rss lets {_count(workers)} and {own} processes of Propylon's have "
            f"{_megabytes(most)} MB together, and the container's limit is {_megabytes(limit)} MB: "
            "the kernel would kill before any is replaced; auto stays below it"
        ]
    return []


def _bytes_given(pool: PoolConfig) -> int:
    """What each worker of the pool may have, if the operator has said it in bytes; else 0."""
    found: int | str = pool.for_workers["workers_max_rss"]
    return found if isinstance(found, int) else 0


def _places(pool: PoolConfig) -> int:
    return pool.most_workers + 1 + pool.preload


def _too_little(found: str, limit: int, size: int, places: int) -> str:
    return (
        f"found {found!r}; of a limit of {_megabytes(limit)} MB that leaves {_megabytes(size)} MB "
        f"for each of {places} processes with an app (one more per pool than workers), and the "
        f"smallest has about {_megabytes(LEAST)} MB: start fewer (-w), or give it more"
    )


def _count(workers: int) -> str:
    return "1 worker" if workers == 1 else f"{workers} workers"


def _megabytes(size: int) -> str:
    return f"{size / 2**20:.0f}"
