"""How many client connections one gateway process has room for, and what bounds it. Pure.

Each connection takes a file descriptor and some memory, and the kernel gives a process only so many
of both. A server that finds out when `accept` fails has no descriptor left for anything else: a
worker's link, a log, a certificate's file. So the number is known beforehand, and a part of the
descriptors is kept for what is not a client.

A client that is sent a file takes another descriptor, and so does one whose body is kept in a
temporary file. A client that was let in must not fail for want of it. So where files are used each
connection is counted with two, and what is not for connections is for their files: no exchange has
more than one open for longer than a turn, and no connection of HTTP/1.1 more than one exchange.
"""

from dataclasses import dataclass
from typing import Final, Literal

from ..settings import ServeSettings

OWN_DESCRIPTORS: Final = 40
"""Descriptors of a process that are not for clients: sockets that it listens on, logs, the poller,
links of two generations of 8 workers."""
OWN_PART: Final = 16
"""One of so many descriptors is not for clients either, where that is more."""
MOST_OWN_DESCRIPTORS: Final = 2_048
LEAST_CONNECTIONS: Final = 16
"""Connections that there may be in any case."""
BYTES_A_CONNECTION: Final = 32_768
"""Memory that a connection is counted with, for the default: TLS, and what is under way."""

Bound = Literal["connections", "descriptors", "memory", "pressure"]
"""What bounds the number: --limit-connections, the limit of open files, or the memory; pressure:
that memory is short at this moment."""


@dataclass(frozen=True, slots=True)
class ConnectionsBound:
    most: int
    """Client connections of one gateway process at once."""
    by: Bound
    files: int = 0
    """Descriptors beside them that files of their bodies may have."""


def connections_bound(
    settings: ServeSettings, descriptors: int, *, with_files: bool = False
) -> ConnectionsBound:
    """The bound of a process that may have so many descriptors open (RLIMIT_NOFILE). `with_files`:
    whether each client may have a file as well."""
    kept = min(max(OWN_DESCRIPTORS, descriptors // OWN_PART), MOST_OWN_DESCRIPTORS)
    most = max((descriptors - kept) // (1 + with_files), LEAST_CONNECTIONS)
    bounds: list[tuple[int, Bound]] = [(most, "descriptors")]
    if settings.limit_connections:
        bounds.append((settings.limit_connections, "connections"))
    elif settings.connections_in_memory:
        bounds.append((settings.connections_in_memory, "memory"))
    most, by = min(bounds, key=lambda one: one[0])
    return ConnectionsBound(most, by, max(descriptors - kept - most, LEAST_CONNECTIONS))


def in_memory(size: int | None, gateways: int) -> int:
    """Connections of each gateway process that fit into half of the memory, given in bytes; 0 if
    that is not known."""
    return (
        0 if size is None else max(size // 2 // gateways // BYTES_A_CONNECTION, LEAST_CONNECTIONS)
    )
