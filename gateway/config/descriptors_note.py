"""What the limit of open files is enough for, said where it is less than one would think."""

from collections.abc import Iterator
from typing import Final

from ..listen.connections_bound import connections_bound
from ..settings import ServeSettings

ENOUGH: Final = 1_000
"""Connections of a gateway process that nobody has to be told about: 1,024 files, the kernel's own
default, are nearly so many."""


def notes_on_descriptors(serve: ServeSettings, descriptors: int) -> Iterator[str]:
    """Notes on a limit of so many open files (RLIMIT_NOFILE); none if it is enough."""
    bound = connections_bound(serve, descriptors)
    if bound.by != "descriptors" or (bound.most >= ENOUGH and not serve.limit_connections):
        return
    wanted = f", less than --limit-connections {serve.limit_connections}"
    yield (
        f"{descriptors} open files are allowed (RLIMIT_NOFILE), which is enough for {bound.most} "
        f"client connections of each gateway process{wanted if serve.limit_connections else ''}: "
        "beyond them idle ones are closed, and the next wait; ulimit -n, systemd's LimitNOFILE= "
        "or a container's --ulimit nofile= raises it"
    )
