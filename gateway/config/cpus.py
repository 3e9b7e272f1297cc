"""How many CPUs this process may use: what `-w auto` means.

A machine's count of CPUs says little in a container. The kernel's own limits do: the CPUs that the
process may run on (sched_getaffinity(2)), and the CPU time that its control group is given, as a
quota in each period (cgroups(7); Docker's `--cpus`, Kubernetes' `limits.cpu`, systemd's CPUQuota=).
A group is bound by the groups above it, too.
"""

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path, PurePosixPath
from typing import Final

V1_FOLDERS: Final = ("cpu", "cpu,cpuacct", "cpuacct,cpu")
"""Where version 1's controller is mounted, below /sys/fs/cgroup."""


def usable_cpus() -> int:
    """How many CPUs this process may use, at least 1."""
    return least(len(os.sched_getaffinity(0)), Path("/"))


def least(affinity: int, root: Path) -> int:
    """The smallest of `affinity` and the quotas below `root`, which holds proc and sys. A part of a
    CPU counts as a whole one."""
    return max(1, min([affinity, *(ceil(cpus) for cpus in quotas(root))]))


def quotas(root: Path) -> Iterator[float]:
    """CPUs that each group lets its processes use, from this process's own group upwards; a group
    without a limit is passed over."""
    mounted = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0" and not controllers:
            for group in _upwards(mounted, path):
                quota, _, period = _read(group / "cpu.max").partition(" ")
                yield from _quota(quota, period)
        elif "cpu" in controllers.split(","):
            for folder in V1_FOLDERS:
                for group in _upwards(mounted / folder, path):
                    quota = _read(group / "cpu.cfs_quota_us")
                    yield from _quota(quota, _read(group / "cpu.cfs_period_us"))


def _upwards(mounted: Path, path: str) -> Iterator[Path]:
    """The folders of a control group and of those above it. In a container the topmost that can be
    seen is the container's own group; its path outside does not exist inside."""
    names = [name for name in PurePosixPath(path).parts if name not in ("/", "..")]
    for count in range(len(names), -1, -1):
        yield mounted.joinpath(*names[:count])


def _quota(quota: str, period: str) -> Iterator[float]:
    """Yields how many CPUs a quota allows: microseconds of CPU time in each period of so many
    microseconds. `max` and -1 mean no limit."""
    try:
        time, every = int(quota), int(period)
    except ValueError:
        return
    if time > 0 and every > 0:
        yield time / every


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "surrogateescape").strip()
    except (OSError, ValueError):
        return ""
