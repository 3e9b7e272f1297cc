"""How many CPUs this process may use: what `-w auto` means.

A machine's count of CPUs says little in a container. The kernel's own limits do: the CPUs that the
process may run on (sched_getaffinity(2)), and the CPU time that its control group is given, as a
quota in each period (cgroups(7); Docker's `--cpus`, Kubernetes' `limits.cpu`, systemd's CPUQuota=).

A part of a CPU counts as a whole one, as for the JVM and for Go since 1.25 (which never goes below
2). A worker that waits for a database leaves its CPU to others, so with one worker too few the
quota could not be used up. Whoever asks whether the CPUs are busy has to know the part, though: of
1.5 CPUs, 1.5 are all.
"""

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path

from .cgroup import MACHINE, groups, read_text


def usable_cpus() -> int:
    """How many CPUs this process may use, at least 1."""
    return least(len(os.sched_getaffinity(0)), MACHINE)


def cpu_limit() -> float:
    """How much CPU time this process may use, in seconds by seconds; not rounded."""
    return smallest(len(os.sched_getaffinity(0)), MACHINE)


def workers_of(value: int | str, cpus: int) -> tuple[int, int]:
    """The least and the most workers that --workers means, as `values.read_workers` returns it.
    Where `auto` is less than the other number, both are the least."""
    first, _, last = str(value).partition("..")
    low = cpus if first == "auto" else int(first)
    high = low if not last else cpus if last == "auto" else int(last)
    return (min(low, high), high) if first == "auto" else (low, max(low, high))


def least(affinity: int, root: Path) -> int:
    """The smallest of `affinity` and the quotas below `root`, which holds proc and sys. A part of a
    CPU counts as a whole one."""
    return max(1, ceil(smallest(affinity, root)))


def smallest(affinity: int, root: Path) -> float:
    """The same, with a part of a CPU as it is."""
    return min([affinity, *quotas(root)])


def quotas(root: Path) -> Iterator[float]:
    """CPUs that each group lets its processes use, from this process's own group upwards; a group
    without a limit is passed over."""
    for version, folder in groups("cpu", root):
        if version == 2:
            quota, _, period = read_text(folder / "cpu.max").partition(" ")
        else:
            quota = read_text(folder / "cpu.cfs_quota_us")
            period = read_text(folder / "cpu.cfs_period_us")
        yield from _quota(quota, period)


def _quota(quota: str, period: str) -> Iterator[float]:
    """Yields how many CPUs a quota allows: microseconds of CPU time in each period of so many
    microseconds. `max` and -1 mean no limit."""
    try:
        time, every = int(quota), int(period)
    except ValueError:
        return
    if time > 0 and every > 0:
        yield time / every
