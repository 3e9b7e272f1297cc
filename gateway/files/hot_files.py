"""Keeps what was found out about the files that are asked for again and again.

To answer with a file of 10 KB the kernel has to resolve its path, open, read and close it, twice if
there is a compressed form; and its type, tag and head have to be made. Nearly always all of it is
as it was a millisecond ago. So the answer is kept: the fields, and the body if it is small, else
the open file.

It must never be an old answer. nginx's open_file_cache looks at a file once a minute, and who
deploys a page sees the old one meanwhile. inotify(7) would tell, but not on overlayfs and network
file systems, and not of a link in the middle of the path that turns. So each request asks for the
state of what it names (stat(2), a microsecond): number, size, and both times. The time of change
(ctime) cannot be set by anybody, so a file that gets an old time with its new content is noticed
too. One thing escapes: a change within the same tick of the kernel's clock as the one before. So
what was changed just now is not kept (git's index has the same problem, and the same way out).

What is kept is bounded, in bytes and in open files, and forgotten soon when it is not asked for: a
file that was deleted keeps its place on the disk as long as somebody has it open.
"""

import os
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from time import time_ns
from typing import Final

from ...protocol.messages import Pairs
from .disk_file import DiskFile
from .validators import Validators

BYTES_KEPT: Final = 16 << 20
"""Bytes of bodies that a process keeps."""
ANSWERS_KEPT: Final = 1_024
KEPT_OPEN: Final = 64
"""Files that it keeps open."""
IDLE: Final = 10.0
"""Seconds after which an answer that nobody wants is forgotten."""
NOTED_EVERY: Final = 0.1
"""Seconds between two notes that an answer is used."""
SETTLED: Final = 3_000_000_000
"""Nanoseconds since the last change, after which the next one has another time on every file
system (FAT counts in steps of two seconds)."""


def stamp_of(file: DiskFile) -> tuple[str, int, int, int, int]:
    """The path by which a file was found, and the state that it was in."""
    return file.name, file.number, file.size, file.mtime_ns, file.ctime_ns


@dataclass(slots=True, eq=False)
class HotFile:
    """An answer with status 200."""

    fields: list[tuple[bytes, bytes]]
    """As `respond_with_file` wants them."""
    whole: Pairs
    """All fields of the answer with the whole file."""
    state: Validators
    file: DiskFile | None
    """None if there is a body."""
    body: bytes | None
    stamps: tuple[tuple[str, int, int, int, int], ...]
    """Of all files that it depends on."""
    until: float
    """When it has to be made anew in any case, in monotonic seconds: a better form of the file may
    have come."""
    used: float = 0.0

    def holds(self) -> bool:
        """Whether its files are in the state that they were in."""
        for path, number, size, mtime_ns, ctime_ns in self.stamps:
            try:
                now = os.stat(path)
            except OSError:
                return False
            if now.st_ctime_ns != ctime_ns or now.st_mtime_ns != mtime_ns:
                return False
            if now.st_ino != number or now.st_size != size:
                return False
        return True

    def take_body(self, body: bytes) -> None:
        """Keeps the body, and so not the file."""
        self.body, self.file = body, None

    def use(self, now: float) -> None:
        self.used = now


class HotFiles:
    def __init__(self) -> None:
        self._answers: OrderedDict[Hashable, HotFile] = OrderedDict()
        """The one that was used longest ago first."""
        self._bytes = 0
        self._open = 0

    def find(self, key: Hashable, now: float) -> HotFile | None:
        """The answer of this key, if it still holds. `now` is in monotonic seconds."""
        found = self._answers.get(key)
        if found is None:
            return None
        if now >= found.until or not found.holds():
            self._forget(key)
            return None
        if now - found.used > NOTED_EVERY:
            found.use(now)
            self._answers.move_to_end(key)
        return found

    def keep(self, key: Hashable, answer: HotFile, now: float) -> None:
        """Keeps an answer that was made just now, if it can tell when it holds no more."""
        settled = time_ns() - SETTLED
        if any(ctime_ns > settled for *_, ctime_ns in answer.stamps) or not answer.holds():
            return
        if key in self._answers:
            self._forget(key)
        answer.use(now)
        self._answers[key] = answer
        self._count(answer, 1)
        self._shrink()

    def keep_body(self, answer: HotFile, body: bytes) -> None:
        """Keeps the body of an answer that it has, instead of the open file."""
        self._count(answer, -1)
        answer.take_body(body)
        self._count(answer, 1)
        self._shrink()

    def sweep(self, now: float) -> None:
        """Forgets what nobody has asked for. It is to be called a few times a second."""
        while self._answers:
            key, oldest = next(iter(self._answers.items()))
            if now - oldest.used < IDLE:
                break
            self._forget(key)

    def _shrink(self) -> None:
        while (
            self._bytes > BYTES_KEPT or self._open > KEPT_OPEN or len(self._answers) > ANSWERS_KEPT
        ):
            self._forget(next(iter(self._answers)))

    def _forget(self, key: Hashable) -> None:
        self._count(self._answers.pop(key), -1)

    def _count(self, answer: HotFile, sign: int) -> None:
        if answer.body is not None:
            self._bytes += sign * len(answer.body)
        else:
            self._open += sign
