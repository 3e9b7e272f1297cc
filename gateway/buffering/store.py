"""What a gateway process may keep of bodies, in memory and on disk, and where the files are.

A body that is kept for a slow client, or for a busy worker, is somebody else's memory. So there are
bounds: for each body in memory (`BufferSettings.body`), and for all bodies of the process together,
in memory and on disk. Whoever finds the memory used up writes to disk; whoever finds the disk full
is told so (`NoRoom`) and decides what that means: a request is refused, a response is slowed.

A file has no name (open(2), O_TMPFILE; where the file system lacks that, it is made and unlinked at
once), so it is gone with the process at the latest, however that ends. It holds a descriptor, so
their number is bounded too: half of the process's limit, because each belongs to a client that has
one as well (`listen.connections_bound` counts clients with two). No client has two files at once: a
response gets none while the file of its request is open, and is slowed meanwhile.

Reads and writes go through the page cache, in pieces of 64 KiB at most, and in the gateway's loop.
Such a piece takes some ten microseconds, which is less than to hand it to a thread and back
(`tests/bench/disk_pieces.py` measures it). nginx does the same without `aio threads`. The loop is
held up only if the system makes writers wait because too much is unwritten, or if what was written
long ago has left the cache; the bound on disk keeps both far away.
"""

import errno
import os
import resource
import tempfile
from collections.abc import Callable
from logging import getLogger
from time import monotonic
from typing import Final

from ...protocol.supervision.problems import Recurring
from ..settings import BufferSettings
from .body_file import BodyFile, NoRoom

log = getLogger("propylon.gateway")

QUIET: Final = 60.0
"""Seconds between two lines of the log about a disk that takes no more."""
UNUSABLE: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR})
"""Errors of a folder that never takes a file of ours. After any other, such as a full disk, the
next is not tried: it may be in memory, and would be used from then on."""
NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
LEAST_FILES: Final = 16
RESPONSES_SHARE: Final = 2
"""Responses get one part in so many of the disk's bound. They can be slowed when that is used up,
and a request that finds no room has to be refused."""


class BufferStore:
    """The account of one gateway process."""

    def __init__(
        self,
        settings: BufferSettings,
        run_dir: str = "",
        later: Callable[[Callable[[], None]], None] = lambda call: call(),
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`run_dir` is tried last if no folder is set. `later` calls its argument at the end of
        this turn."""
        self.settings = settings
        self.later = later
        self.memory = 0
        """Bytes of bodies in memory."""
        self.disk = 0
        """Bytes of files."""
        self.files = 0
        self.refusals = 0
        """How often the disk had no room."""
        self._folders = _folders(settings.directory, run_dir)
        self._most_files = max(LEAST_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._clock = clock
        self.full = Recurring("full volume", "bodies in temporary files", QUIET)
        """The problem that there is no room on disk."""
        self._said_at = -QUIET

    def allow_files(self, most: int) -> None:
        """Allows so many files at once."""
        self._most_files = most

    # -- memory ------------------------------------------------------------------------------

    def take_memory(self, count: int) -> bool:
        """Takes memory for `count` bytes; returns False, with nothing taken, if all is used."""
        if self.memory + count > self.settings.memory:
            return False
        self.memory += count
        return True

    def force_memory(self, count: int) -> None:
        """Takes memory for bytes that are there already and have no other place."""
        self.memory += count

    def give_memory(self, count: int) -> None:
        self.memory -= count

    # -- disk --------------------------------------------------------------------------------

    def new_file(self) -> BodyFile:
        """Makes a file. Raises NoRoom."""
        if self.files >= self._most_files:
            raise self._no_room("the process may open no more files (ulimit -n)", "temp-dir")
        fault = ""
        for number, folder in enumerate(self._folders):
            try:
                fd = _nameless_file(folder)
            except OSError as error:
                if error.errno not in UNUSABLE:
                    raise self._failed(folder, error) from error
                fault = fault or f"{folder}: {error.strerror}"
                continue
            if number:  # next time at once
                self._folders.insert(0, self._folders.pop(number))
            self.files += 1
            return BodyFile(fd, self)
        raise self._no_room(fault, "temp-dir")

    def take_disk(self, count: int, *, of_response: bool) -> None:
        """Takes room on disk for `count` bytes. Raises NoRoom if all is used."""
        most = self.settings.disk // (RESPONSES_SHARE if of_response else 1)
        if self.disk + count > most:
            if of_response:  # it is slowed, which is no fault
                raise NoRoom("buffer-disk")
            raise self._no_room(
                f"they take {self.disk} bytes, which is all they may",
                "buffer-disk",
                "raise --buffer-disk if the volume of --temp-dir has room",
            )
        self.disk += count

    def disk_failed(self, count: int, error: OSError) -> NoRoom:
        """Gives back room that could not be used, and returns what is to be raised."""
        self.disk -= count
        return self._failed(self._folders[0], error)

    def _failed(self, folder: str, error: OSError) -> NoRoom:
        remedy = "free space there, or name a directory with more room (--temp-dir)"
        remedy = remedy if error.errno in NO_SPACE else ""
        return self._no_room(f"{folder}: {error.strerror}", "temp-dir", remedy)

    def give_disk(self, count: int) -> None:
        self.disk -= count

    def closed(self) -> None:
        """A file is closed."""
        self.files -= 1

    def _no_room(self, why: str, option: str, remedy: str = "") -> NoRoom:
        """Notes a problem if there is a remedy, which the supervisor logs; else it is logged."""
        self.refusals += 1
        now = self._clock()
        if remedy:
            self.full.met(f"no more bodies can be kept in temporary files: {why}", now, remedy)
        elif now - self._said_at >= QUIET:
            self._said_at = now
            log.error("no more bodies can be kept in temporary files: %s (--%s)", why, option)
        return NoRoom(option)


def _folders(directory: str, run_dir: str) -> list[str]:
    """Where files may be, the best first. /var/tmp is meant for large files, and /tmp is often in
    memory; in a container with a read-only root neither may be there, but the run directory is."""
    if directory:
        return [directory]
    named = [os.environ.get("TMPDIR", ""), "/var/tmp", "/tmp", run_dir]
    return [folder for folder in dict.fromkeys(named) if folder]


def _nameless_file(folder: str) -> int:
    """Opens a file without a name. Raises OSError."""
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        if not os.path.isdir(folder):
            raise
        fd, path = tempfile.mkstemp(prefix="propylon-body-", dir=folder)
    try:
        os.unlink(path)
    except OSError:
        os.close(fd)
        raise
    return fd
