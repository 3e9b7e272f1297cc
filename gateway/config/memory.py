"""What the kernel lets this process have of memory, and how often it has killed for it.

A container's limit is its control group's: memory.max of version 2, and memory.high, above which
the group's processes are slowed down until hardly anything moves; memory.limit_in_bytes of version
1. The least of all groups counts, from this process's own upwards. Version 1 also says the least
limit of groups that cannot be seen from a container (hierarchical_memory_limit in memory.stat).

Where the limit is reached and nothing can be freed, the kernel kills a process of the group with
SIGKILL, and counts it: `oom_kill` in memory.events of version 2, in memory.oom_control of version 1
(since Linux 4.13). It counts before it sends the signal, so whoever sees the end of the process
sees the count as well.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from .cgroup import MACHINE, groups, read_text

NO_LIMIT: Final = 2**60
"""Bytes. Version 1 writes "no limit" as the largest number of pages that it can count."""
_FILES: Final = ("inactive_file", "active_file")
"""The lines of memory.stat with files' pages: those that nobody has touched lately, and others."""


def memory_limit(root: Path = MACHINE) -> int | None:
    """Bytes that all processes of this process's control group may have together; None if only the
    machine limits them."""
    return min((size for size in _limits(root) if 0 < size < NO_LIMIT), default=None)


def memory_of_machine(root: Path = MACHINE) -> int | None:
    """Bytes of the machine's memory. lxcfs shows a container's limit in its place."""
    found = re.search(r"^MemTotal:\s*(\d+) kB", read_text(root / "proc/meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


class MemoryUse(NamedTuple):
    used: int
    """Bytes that cannot be had without ending something."""
    limit: int


def memory_use(root: Path = MACHINE) -> MemoryUse | None:
    """How much of the limit is in use that is nearest to its end, of the control groups' limits and
    the machine; None if nothing is known.

    A group's use is what Kubernetes calls its working set: all that it has (memory.current) less
    the files' pages that nobody has touched lately (inactive_file), which the kernel drops first.
    Of the machine it is what MemAvailable leaves (proc(5)).
    """
    return max(_uses(root), key=lambda use: use.used / use.limit, default=None)


def memory_use_without_files(root: Path = MACHINE) -> MemoryUse | None:
    """The same without any pages of files, also those that were touched of late (active_file). Who
    sends files keeps them in use and has a group that is always full, or rests at memory.high; but
    the kernel takes them before it kills anybody. What is in a tmpfs stays counted."""
    return max(_uses(root, _FILES), key=lambda use: use.used / use.limit, default=None)


def oom_kills(root: Path = MACHINE) -> int | None:
    """How many processes of this process's control group the kernel has killed for memory; None if
    it does not say so."""
    for version, folder in groups("memory", root):
        text = read_text(folder / ("memory.events" if version == 2 else "memory.oom_control"))
        if (count := _value(text, "oom_kill")) is not None:
            return count
    return None


def _limits(root: Path) -> Iterator[int]:
    for version, folder in groups("memory", root):
        if version == 2:
            texts = [read_text(folder / name) for name in ("memory.max", "memory.high")]
        else:
            texts = [read_text(folder / "memory.limit_in_bytes")]
            above = _value(read_text(folder / "memory.stat"), "hierarchical_memory_limit")
            if above is not None:
                yield above
        yield from (int(text) for text in texts if text.isdecimal())


def _uses(root: Path, droppable: Sequence[str] = _FILES[:1]) -> Iterator[MemoryUse]:
    """`droppable`: the lines of memory.stat that do not count."""
    for version, folder in groups("memory", root):
        if version == 2:
            limits = [read_text(folder / name) for name in ("memory.max", "memory.high")]
            used, prefix = read_text(folder / "memory.current"), ""
        else:
            limits = [read_text(folder / "memory.limit_in_bytes")]
            used, prefix = read_text(folder / "memory.usage_in_bytes"), "total_"
        sizes = [int(text) for text in limits if text.isdecimal() and 0 < int(text) < NO_LIMIT]
        if sizes and used.isdecimal():
            stat = read_text(folder / "memory.stat")
            dropped = sum(_value(stat, prefix + name) or 0 for name in droppable)
            yield MemoryUse(max(int(used) - dropped, 0), min(sizes))
    text = read_text(root / "proc/meminfo")
    total = re.search(r"^MemTotal:\s*(\d+) kB", text, re.MULTILINE)
    free = re.search(r"^MemAvailable:\s*(\d+) kB", text, re.MULTILINE)
    if total and free and int(total[1]):
        yield MemoryUse((int(total[1]) - int(free[1])) * 1024, int(total[1]) * 1024)


def _value(text: str, name: str) -> int | None:
    """The number behind a name in one of the kernel's files of `name number` lines."""
    found = re.search(rf"^{name} (\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else None
