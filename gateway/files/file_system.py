"""What a file system is like to wait for.

The loop may open and read what is at hand and nothing else. How to find out what is at hand depends
on the file system. Some of this machine's can say what is in memory (ext4, XFS, btrfs); some cannot
but are no slower than a disk (overlayfs, on which a container's image lies), or are memory
themselves (tmpfs). Behind the others is a server or a program (NFS, CIFS, FUSE, 9p): each call may
take as long as these like, also one that only asks how old a file is, or what its file system is.
What statx(2) is told not to ask a server for, the kernel knows: the device. So what was found out
of a device by a thread tells of the next file on it.
"""

import ctypes
import struct
from time import monotonic
from typing import Final, Literal

Store = Literal["memory", "disk", "remote"]

_STATFS_SIZE: Final = 256
"""Bytes; more than struct statfs has on any architecture."""
_MEMORY: Final = frozenset({0x01021994, 0x858458F6})
"""tmpfs and ramfs (statfs(2))."""
_DISK: Final = frozenset({
    0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x2FC12FC1, 0xCA451A4E,
    0x794C7630, 0x73717368, 0xE0F5E1E2, 0x9660, 0x15013346, 0x4D44, 0x2011BAB0,
})  # fmt: skip
"""ext2 to ext4, XFS, btrfs, F2FS, ZFS, bcachefs; overlayfs, SquashFS, EROFS, ISO 9660, UDF, FAT,
exFAT."""

_libc = ctypes.CDLL(None, use_errno=True)


def store_of(fd: int) -> Store:
    """Where the file system of an open file has its data. It may wait for a server. What nobody
    has heard of is as good as remote."""
    buffer = ctypes.create_string_buffer(_STATFS_SIZE)
    if _libc.fstatfs(ctypes.c_int(fd), buffer) != 0:
        return "remote"
    kind = ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF
    if kind in _MEMORY:
        return "memory"
    return "disk" if kind in _DISK else "remote"


KNOWN_FOR: Final = 60.0
"""Seconds for which a device is taken to be what it was. The number of one that is unmounted is
given to another."""
MOST_DEVICES: Final = 1_000
"""Devices that are known at a time; nobody has as many."""
_STATX_SIZE: Final = 256
_DEVICE_AT: Final = 136
"""Bytes of struct statx in front of the device's two numbers."""
_EMPTY_PATH: Final = 0x1000
_DONT_SYNC: Final = 0x4000
_TYPE: Final = 1
"""The mask: nothing that is not known anyway."""
Device = tuple[int, int]


class KnownStores:
    """Where files are, by their devices, as far as it was found out lately."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[Device, tuple[Store, float]] = {}

    def is_here(self, fd: int) -> bool:
        """Whether an open file lies on this machine for certain, so that its state may be asked for
        on the loop. It never waits."""
        device = _device_of(fd)
        if device is None:
            return False
        store, until = self._found.get(device, ("remote", 0.0))
        return store != "remote" and monotonic() < until

    def learn(self, fd: int) -> None:
        """Finds out where a file is. It may wait for a server: for a thread."""
        device = _device_of(fd)
        if device is not None:
            if len(self._found) >= MOST_DEVICES:
                self._found.clear()
            self._found[device] = (store_of(fd), monotonic() + KNOWN_FOR)


def _device_of(fd: int) -> Device | None:
    """The device that an open file lies on; None if the system can't tell without waiting."""
    if not hasattr(_libc, "statx"):  # a C library of before 2018
        return None
    buffer = ctypes.create_string_buffer(_STATX_SIZE)
    flags = _EMPTY_PATH | _DONT_SYNC
    if _libc.statx(ctypes.c_int(fd), b"", ctypes.c_int(flags), ctypes.c_uint(_TYPE), buffer) != 0:
        return None
    major, minor = struct.unpack_from("II", buffer, _DEVICE_AT)
    return major, minor
