"""Opens files below a folder, and nothing outside of it.

A path that looks harmless may lead out: a segment of it is a symbolic link, or becomes one between
a check and the open. So nothing is checked beforehand. The folder is opened, and the rest of the
path is resolved by the kernel below that descriptor with openat2(2) and RESOLVE_BENEATH (Linux
5.6): `..`, links and whatever somebody moves meanwhile cannot lead out, and a link that tries is an
error. Where there is no openat2, or a sandbox refuses it, the path is walked by us, one segment at
a time, each opened below the one before without following links (O_NOFOLLOW); a link is read and
its own segments are walked in its place, and it may not lead above the folder either.

The folder itself is opened anew for every request. It may be a link that the next deployment turns
to another release; who held the old one would go on to send the old site.

An open may have to wait as a read may: for a disk that has the folder's blocks, or for the server
behind a network file system, which may not answer at all. RESOLVE_CACHED (Linux 5.12) opens what
the kernel knows the way to, and fails for the rest. It does not hold for what lies on another file
system, whose server is asked by the open itself. So `open_at_once` stays on the folder's file
system, and only where that is of this machine; everything else is left to `open`, in a thread.

Files are opened with O_NONBLOCK, so that a FIFO holds nobody up, and what is no regular file is
never sent.
"""

import ctypes
import errno
import os
from typing import Final, Literal

from .disk_file import DiskFile
from .file_system import store_of

Symlinks = Literal["inside", "refuse", "follow"]
"""What becomes of symbolic links below the folder: followed if they stay inside, refused, or
followed wherever they lead."""

FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_AT_FDCWD: Final = -100
LINKS_PASSED: Final = 40
"""Links that one path may pass, as in path_resolution(7)."""
MOST_TRIES: Final = 8
"""How often the kernel may find that somebody has moved a folder while it resolved a path."""

_OPENAT2: Final = 437
"""The number of the system call, which is the same on all architectures."""
_NO_XDEV: Final = 0x01
_BENEATH: Final = 0x08
_CACHED: Final = 0x20
_NO_MAGICLINKS: Final = 0x02
_NO_SYMLINKS: Final = 0x04
_NOT_THERE: Final = frozenset({
    errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.ENAMETOOLONG, errno.ENXIO,
    errno.ENODEV, errno.EAGAIN, errno.EINVAL,
})  # fmt: skip
"""Errors for which there is nothing that may be sent, whoever asks."""


class WouldWaitError(Exception):
    """What is to be opened is not at hand."""


class Folder:
    def __init__(self, path: str, symlinks: Symlinks = "inside") -> None:
        self.path = path
        self._symlinks: Symlinks = symlinks
        self._kernel = kernel_can(_BENEATH) and symlinks != "follow"
        self._can_tell = kernel_can(_CACHED)
        """Whether the kernel can open only what is at hand."""
        self._local = -1
        """The device that the folder lies on, if it is one of this machine; -1: it is not, or
        nobody has looked yet."""

    def open(self, wanted: bytes) -> DiskFile | None:
        """Opens what lies at a path below the folder: segments with one slash between, none of them
        `..`; "" for the folder itself. None if nothing is there that may be opened. Raises
        PermissionError, and OSError for what is no fault of the path (too many open files, an I/O
        error, no such folder). It may wait."""
        folder = os.open(self.path, _FOLDER)
        try:
            # The server of a file system that is not ours would have to be asked each time.
            is_local = store_of(folder) != "remote"
            self._local = os.fstat(folder).st_dev if is_local else -1
            fd = self._open(folder, wanted.removesuffix(b"/") or b".")
        except OSError as error:
            if error.errno in _NOT_THERE:
                return None
            raise
        finally:
            os.close(folder)
        return DiskFile(fd, self._named(wanted))

    def open_at_once(self, wanted: bytes) -> DiskFile | None:
        """Opens as `open` does, if nothing has to be waited for. Raises WouldWaitError if something
        has."""
        if self._local < 0:
            raise WouldWaitError
        if not self._can_tell:
            return self.open(wanted)  # an older kernel: a local disk is seldom slow
        try:
            folder = _openat2(_AT_FDCWD, os.fsencode(self.path), _CACHED, _FOLDER)
            try:
                if os.fstat(folder).st_dev != self._local:
                    raise WouldWaitError
                rules = _CACHED | _NO_XDEV
                if self._symlinks != "follow":
                    rules |= _BENEATH | _NO_MAGICLINKS
                if self._symlinks == "refuse":
                    rules |= _NO_SYMLINKS
                fd = _openat2(folder, wanted.removesuffix(b"/") or b".", rules)
            finally:
                os.close(folder)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EXDEV):
                raise WouldWaitError from None
            if error.errno in _NOT_THERE:
                return None
            raise
        return DiskFile(fd, self._named(wanted))

    def is_near(self, file: DiskFile) -> bool:
        """Whether a file lies on the folder's file system, and that is of this machine."""
        return file.device == self._local

    def _named(self, wanted: bytes) -> str:
        return os.path.join(self.path, os.fsdecode(wanted))

    def _open(self, folder: int, path: bytes) -> int:
        if self._symlinks == "follow":
            return os.open(path, FLAGS, dir_fd=folder)
        if self._kernel:
            rules = _BENEATH | _NO_MAGICLINKS
            rules |= _NO_SYMLINKS * (self._symlinks == "refuse")
            for _ in range(MOST_TRIES):
                try:
                    return _openat2(folder, path, rules)
                except BlockingIOError:
                    pass
            return _openat2(folder, path, rules)
        return open_step_by_step(folder, path, follows=self._symlinks == "inside")


# -- by the kernel ---------------------------------------------------------------------------------


class _OpenHow(ctypes.Structure):
    """struct open_how of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)
_NUMBER: Final = ctypes.c_long(_OPENAT2)
_SIZE_OF_HOW: Final = ctypes.c_size_t(ctypes.sizeof(_OpenHow))


def _openat2(folder: int, path: bytes, resolve: int, flags: int = FLAGS) -> int:
    fd: int = _libc.syscall(
        _NUMBER, folder, path, ctypes.byref(_OpenHow(flags, 0, resolve)), _SIZE_OF_HOW
    )
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), os.fsdecode(path))
    return fd


def kernel_can(resolve: int) -> bool:
    """Whether openat2 is there and knows this: not before Linux 5.6 or 5.12, and not in every
    sandbox."""
    folder = os.open("/", _FOLDER)
    try:
        os.close(_openat2(folder, b".", resolve))
    except OSError as error:
        return error.errno not in (errno.ENOSYS, errno.EPERM, errno.EINVAL)
    finally:
        os.close(folder)
    return True


# -- step by step ----------------------------------------------------------------------------------


def open_step_by_step(folder: int, path: bytes, *, follows: bool) -> int:
    """As openat2 with RESOLVE_BENEATH does it. `follows` says whether links are followed. Raises
    OSError: EXDEV for what leads out, ELOOP for a link that is not followed."""
    above: list[int] = []
    """The folders between the first one and the last, which we have opened."""
    steps = path.split(b"/")[::-1]
    links = 0
    try:
        while True:
            step = steps.pop()
            here = above[-1] if above else folder
            if step == b"..":
                if not above:
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                os.close(above.pop())
            elif step not in (b"", b"."):
                target = _link(here, step)
                if target is not None:
                    links += 1
                    if not follows or links > LINKS_PASSED:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                    if target.startswith(b"/"):
                        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                    steps += target.split(b"/")[::-1]
                    continue
                if not steps:
                    return os.open(step, FLAGS | os.O_NOFOLLOW, dir_fd=here)
                flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                above.append(os.open(step, flags, dir_fd=here))
            if not steps:  # it ends with a dot or a slash
                return os.open(b".", FLAGS | os.O_DIRECTORY, dir_fd=above[-1] if above else folder)
    finally:
        for fd in above:
            os.close(fd)


def _link(folder: int, name: bytes) -> bytes | None:
    """Where a link leads; None if it is none, or nothing is there."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise
