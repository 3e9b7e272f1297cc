"""What the limit of open files is enough for, said where it is less than one would think."""

from collections.abc import Iterable, Iterator
from typing import Final, Literal

from ..listen.connections_bound import connections_bound
from ..settings import PoolSettings, RouteSettings, ServeSettings

ENOUGH: Final = 1_000
"""Connections of a gateway process that nobody has to be told about: 1,024 files, the kernel's own
default, are nearly so many."""


Files = Literal["none", "perhaps", "all"]
"""Whether clients may have a file beside their connection; perhaps: if a pool's app is WSGI."""


def files_of_clients(
    routes: Iterable[RouteSettings], pools: Iterable[PoolSettings], disk: int
) -> Files:
    """What is known of it before a worker has started. `disk`: bytes that temporary files may
    have."""
    pools = list(pools)
    if any(route.static for route in routes) or any(pool.internal_files for pool in pools):
        return "all"
    said = {word for pool in pools for word in (pool.buffer_requests, pool.buffer_responses)}
    if not disk or said <= {"off"}:
        return "none"
    return "all" if "on" in said else "perhaps"


def notes_on_descriptors(
    serve: ServeSettings, descriptors: int, files: Files = "none"
) -> Iterator[str]:
    """Notes on a limit of so many open files (RLIMIT_NOFILE); none if it is enough."""
    bound = connections_bound(serve, descriptors, with_files=files == "all")
    least = connections_bound(serve, descriptors, with_files=files != "none")
    if least.by != "descriptors" or (least.most >= ENOUGH and not serve.limit_connections):
        return
    halved = {
        "none": "",
        "perhaps": f", or {least.most} of a WSGI app, whose bodies may be kept in files",
        "all": ", each with a file",
    }[files]
    wanted = ""
    if serve.limit_connections:
        wanted = f", less than --limit-connections {serve.limit_connections}"
    yield (
        f"{descriptors} open files are allowed (RLIMIT_NOFILE), which is enough for {bound.most} "
        f"client connections of each gateway process{halved}{wanted}: beyond them idle ones are "
        "closed, and the next wait; ulimit -n, systemd's LimitNOFILE= or a container's --ulimit "
        "nofile= raises it"
    )
