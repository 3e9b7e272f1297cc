"""Whether memory is short at this moment, and for whose sake.

How many connections fit into the memory is bounded beforehand (`listen.connections_bound`), by what
one takes as a rule. Some take more: a response that nobody reads, an upload that no worker takes, a
WebSocket's message of 16 MiB. And the memory is not the gateway's alone: beside it workers grow,
and where a container's memory ends the kernel kills. So two things are looked at once a second.

- What all connections of this process hold together (`limit-buffered-bytes`). To add that up takes
  a microsecond for each, so it is only done when the process is as large as the limit. Bodies that
  are kept do not count: they have a bound of their own (`buffer-memory`), and beyond it they go to
  disk, so they are no sign of a shortage. With little memory and several gateway processes they
  would be one by themselves.
- How full the control group is, or the machine, without files' pages: a gateway that sends static
  files has as many as fit, and the kernel drops them when it needs the memory.

A shortage begins at its limit and is over well below it, or it would come and go with every look.
What is done about it is `capacity`'s: idle connections are closed, and accepting pauses.
"""

import ctypes
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

MEMORY_LOOK_EVERY: Final = 1.0
"""Seconds between two looks."""
GROUP_FULL: Final = 0.95
"""The part of the group's memory at which it is short."""
GROUP_RECOVERED: Final = 0.93
"""The part below which that is over. A container whose processes fill it to nine tenths is a usual
one: it was given what it needs."""
RECOVERED_AT: Final = 0.9
"""The part of `limit-buffered-bytes` below which that shortage is over."""


class Holding(Protocol):
    @property
    def held(self) -> int: ...


class Use(Protocol):
    """How much memory of a limit is in use, both in bytes."""

    @property
    def used(self) -> int: ...
    @property
    def limit(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Shortage:
    by: Literal["buffers", "group"]
    """What is at its limit: what clients' buffers hold, or all that the container may have."""
    what: str
    """The same as the beginning of a sentence."""


class MemoryWatch:
    def __init__(
        self,
        limit: int,
        *,
        resident: Callable[[], int],
        group: Callable[[], Use | None],
    ) -> None:
        """`limit`: bytes that connections may hold together; 0: no limit. `resident`: bytes of this
        process; `group`: how full the container or the machine is."""
        self._limit = limit
        self._resident = resident
        self._group = group
        self._short: Literal["", "buffers", "group"] = ""

    def look(self, connections: Iterable[Holding]) -> Shortage | None:
        """Returns what is short; None if nothing is."""
        found = self._look_at_buffers(connections) or self._look_at_group()
        self._short = found.by if found is not None else ""
        return found

    def give_back(self) -> None:
        """Gives the kernel what was freed."""
        give_memory_back()

    def _look_at_buffers(self, connections: Iterable[Holding]) -> Shortage | None:
        most = self._limit * (RECOVERED_AT if self._short == "buffers" else 1)
        if not most or self._resident() < most:
            return None
        held = sum(each.held for each in connections)
        if held < most:
            return None
        return Shortage(
            "buffers",
            f"a gateway process holds {megabytes(held)} MB for its clients, and may hold "
            f"{megabytes(self._limit)} MB (--limit-buffered-bytes)",
        )

    def _look_at_group(self) -> Shortage | None:
        use = self._group()
        if use is None or use.used < use.limit * (
            GROUP_RECOVERED if self._short == "group" else GROUP_FULL
        ):
            return None
        return Shortage(
            "group",
            f"{megabytes(use.used)} of {megabytes(use.limit)} MB of memory are in use",
        )


def megabytes(size: int) -> str:
    return f"{size / 2**20:.0f}"


def give_memory_back() -> None:
    """Has the C library give freed memory back to the kernel, where it can (malloc_trim(3))."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        pass  # musl does it by itself
