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
from typing import Literal, NamedTuple

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
        if quota := _quota_of(version, folder):
            yield quota


class CpuUse(NamedTuple):
    used: float
    """Seconds of CPU time up to now."""
    limit: float
    """CPUs that may be used."""


def cpu_uses(root: Path = MACHINE) -> dict[str, CpuUse]:
    """What all processes of a control group have used together, of each that has a limit, by its
    folder: those of this instance, what its apps have started, and whatever else runs in the
    container. A group that does not say so is left out."""
    found: dict[str, CpuUse] = {}
    for version, folder in groups("cpu", root):
        quota, used = _quota_of(version, folder), _used(version, folder)
        if quota and used is not None:
            found[str(folder)] = CpuUse(used, quota)
    return found


def _quota_of(version: Literal[1, 2], folder: Path) -> float | None:
    """How many CPUs a group may use; None for no limit, which is `max` in version 2 and -1 in
    version 1. A quota is in microseconds of CPU time in each period of so many microseconds."""
    if version == 2:
        quota, _, period = read_text(folder / "cpu.max").partition(" ")
    else:
        quota = read_text(folder / "cpu.cfs_quota_us")
        period = read_text(folder / "cpu.cfs_period_us")
    try:
        time, every = int(quota), int(period)
    except ValueError:
        return None
    return time / every if time > 0 and every > 0 else None


def _used(version: Literal[1, 2], folder: Path) -> float | None:
    """Seconds of CPU time: of microseconds in version 2, and of nanoseconds in version 1 where the
    controllers cpu and cpuacct are one, as systemd mounts them."""
    if version == 2:
        lines = dict(line.split(" ", 1) for line in _lines(folder / "cpu.stat"))
        text, unit = lines.get("usage_usec", ""), 1e-6
    else:
        text, unit = read_text(folder / "cpuacct.usage"), 1e-9
    return int(text) * unit if text.isdecimal() else None


def _lines(path: Path) -> list[str]:
    return [line for line in read_text(path).splitlines() if " " in line]
