"""Finds the process that listens on a TCP port, in /proc. Its name half explains a taken port."""

import os
from collections.abc import Iterator
from typing import Final

LISTEN: Final = "0A"
"""The state TCP_LISTEN in /proc/net/tcp (include/net/tcp_states.h)."""


def owner_of_port(port: int) -> str:
    """The process as "nginx (pid 17)"; "" if it cannot be seen: another user's, or no /proc."""
    try:
        inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
        return _process_with(inodes) if inodes else ""
    except OSError:
        return ""


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not os.path.exists(table):
            continue
        with open(table) as lines:
            next(lines, None)
            for line in lines:
                fields = line.split()
                if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]


def _process_with(inodes: set[str]) -> str:
    for pid in sorted((name for name in os.listdir("/proc") if name.isdecimal()), key=int):
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{fd}") in inodes:
                    with open(f"/proc/{pid}/comm") as comm:
                        return f"{comm.read().strip()} (pid {pid})"
        except OSError:
            continue  # the process has ended meanwhile, or belongs to another user
    return ""
