"""What is in memory of a file, so that the loop may read or send it without waiting for a disk.

`preadv2` with RWF_NOWAIT (Linux 4.14) reads what is in memory and fails for the rest. To copy a
large file only to see whether it could be sent without a copy costs as much as to send the copy; so
it is asked for samples, which cost next to nothing. The kernel brings files in by pieces of 128 KiB
and more, and takes them out from the end that was used longest ago, so one byte of each such piece
tells; should a hole be missed, the kernel waits for one read. And what was there a moment ago is
not looked for again: a large file that many ask for is looked at ten times a second.

tmpfs and overlayfs do not know RWF_NOWAIT. What is on tmpfs is in memory. Of overlayfs, where every
container's image lies, we remember what a thread has read just now (`DiskFile.was_read`): it will
be in memory for a moment. mincore(2) and cachestat(2) are no help: they tell only the owner of a
file, and of overlayfs nothing.
"""

import errno
import os
from typing import Final

from .disk_file import DiskFile

PROBE_EVERY: Final = 131_072
"""Bytes between two samples."""
_NO_NOWAIT: Final = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
"""Errors of file systems that can't tell what is in memory."""
_ONE_BYTE: Final = [bytearray(1)]


def read_from_memory(file: DiskFile, offset: int, size: int) -> bytes | None:
    """What memory has of a file, at most `size` bytes; b"" at its end; None if a disk would have
    to be waited for. Raises OSError."""
    buffer = bytearray(size)
    try:
        count = os.preadv(file.fd, [buffer], offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno not in _NO_NOWAIT:
            raise
        return os.pread(file.fd, size, offset) if file.was_read(offset, size) else None
    del buffer[count:]
    return bytes(buffer)


def is_in_memory(file: DiskFile, offset: int, count: int) -> bool:
    """Whether memory has these bytes of a file, as far as samples tell; not if the file ends before
    them. Raises OSError."""
    if file.was_seen(offset, count):
        return True
    at, last = offset, offset + count - 1
    try:
        while os.preadv(file.fd, _ONE_BYTE, at, os.RWF_NOWAIT):
            if at == last:
                file.note_seen(offset, count)
                return True
            at = min(at + PROBE_EVERY, last)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_NOWAIT:
            raise
        return file.was_read(offset, count)
    return False
