"""The control groups that this process is in: where the kernel keeps the limits of a container.

A container is a process with a control group (cgroups(7)). Version 1 has a tree of folders for each
controller, version 2 one tree for all, and a machine may have both, each with some controllers.
`/proc/self/cgroup` names this process's place in every tree. A group is bound by the groups above
it, too, as far as they can be seen: a container sees its own group as the topmost one.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final, Literal, NamedTuple

MACHINE: Final = Path("/")
"""The root that holds proc and sys. Tests have others."""
V1_FOLDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "cpu": ("cpu", "cpu,cpuacct", "cpuacct,cpu"),
    "memory": ("memory",),
}
"""Controller -> where version 1 mounts it, below /sys/fs/cgroup."""


class Group(NamedTuple):
    version: Literal[1, 2]
    folder: Path


def groups(controller: str, root: Path = MACHINE) -> Iterator[Group]:
    """The groups that may limit this process by a controller, its own first and each before the one
    above it. Folders that do not exist are among them."""
    mounted = root / "sys/fs/cgroup"
    for line in read_text(root / "proc/self/cgroup").splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0" and not controllers:
            for folder in _upwards(mounted, path):
                yield Group(2, folder)
        elif controller in controllers.split(","):
            for name in V1_FOLDERS[controller]:
                for folder in _upwards(mounted / name, path):
                    yield Group(1, folder)


def read_text(path: Path) -> str:
    """The text of one of the kernel's files; "" if it cannot be read."""
    try:
        return path.read_text("utf-8", "surrogateescape").strip()
    except (OSError, ValueError):
        return ""


def _upwards(mounted: Path, path: str) -> Iterator[Path]:
    """The folders of a control group and of those above it. In a container the topmost that can be
    seen is the container's own group; its path outside does not exist inside."""
    names = [name for name in PurePosixPath(path).parts if name not in ("/", "..")]
    for count in range(len(names), -1, -1):
        yield mounted.joinpath(*names[:count])
