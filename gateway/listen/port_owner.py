"""Who holds a TCP port, from /proc: a taken port is half explained by its owner's name."""

import os
from collections.abc import Iterator
from typing import Final

LISTEN: Final = "0A"
"""TCP_LISTEN in /proc/net/tcp (include/net/tcp_states.h)."""


def owner_of_port(port: int) -> str:
    """ "nginx (pid 17)", or "" where it cannot be seen (another user's process, no /proc)."""
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
            continue  # it has ended meanwhile, or is another user's
    return ""
