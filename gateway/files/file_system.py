"""What a file system is like to wait for.

The loop may open and read what is at hand and nothing else. How to find out what is at hand depends
on the file system. Some of this machine's can say what is in memory (ext4, XFS, btrfs); some cannot
but are no slower than a disk (overlayfs, on which a container's image lies), or are memory
themselves (tmpfs). Behind the others is a server or a program (NFS, CIFS, FUSE, 9p): each call may
take as long as these like, also one that only asks how old a file is.
"""

import ctypes
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
