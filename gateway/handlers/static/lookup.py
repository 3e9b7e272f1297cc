"""Looks for the file that a request names: itself, an index, a compressed form, or a page for what
is missing.

It is all that a request asks of the file system, in one piece, so that it can be done at once if
everything is at hand, and else in a thread from the beginning. It knows nothing of the exchange,
which belongs to the loop. What takes long for another reason, as the page with a folder's entries
does, is done here too, and only in a thread.
"""

import os
import stat
from collections.abc import Callable
from typing import Literal, NamedTuple

from ....protocol.messages import Pairs
from ...files.disk_file import DiskFile
from ...files.folder import Folder, WouldWaitError
from ...files.wanted_path import can_be_meant
from ...settings import StaticSettings
from .listing import ENTRIES_LISTED, Entry, Listed, Listing, ordered, rendered
from .media_types import can_be_compressed, media_type


class Opener(NamedTuple):
    """How files are opened."""

    file: Callable[[bytes], DiskFile | None]
    may_wait: bool


class Asked(NamedTuple):
    """What a request asks for."""

    wanted: bytes | None
    """The path below the folder; None if nothing can be meant."""
    path: bytes
    """The request's, as it came."""
    headers: Pairs
    navigates: bool
    """Whether it is for a page, and not for something that a page has named."""
    siblings: list[tuple[str, bytes]]
    """The codings that the client takes, and what such files' names end with."""


class FoundFile(NamedTuple):
    name: bytes
    """Its path below the folder, without the ending of a coding."""
    file: DiskFile
    coding: str
    status: int
    depends_on: tuple[DiskFile, ...]
    """The files whose state decides that it is this one; none for a page that is sent for what is
    missing, since that may come."""


Found = FoundFile | Listing | Literal["redirect"]
"""A file; the list of what a folder has; or the folder is there, and has to be named with a
slash."""


class Lookup:
    def __init__(self, settings: StaticSettings, folder: Folder, is_last: bool) -> None:
        """`is_last` says whether nobody else is asked for what is missing."""
        self._settings = settings
        self._folder = folder
        self._is_last = is_last

    def at_once(self, asked: Asked) -> Found | None:
        """What is there; None if nothing is. Raises WouldWaitError, PermissionError and other
        errors of `Folder.open`."""
        return self._look(asked, Opener(self._folder.open_at_once, may_wait=False))

    def slowly(self, asked: Asked) -> Found | None:
        """The same, and waits for it: for a thread."""
        return self._look(asked, Opener(self._folder.open, may_wait=True))

    def _look(self, asked: Asked, opener: Opener) -> Found | None:
        found = self._wanted(asked, opener)
        if found is not None or not self._is_last:
            return found
        settings = self._settings
        if settings.fallback and asked.navigates:
            page = self._named(settings.fallback.encode(), asked, opener)
            found = None if page is None else page._replace(depends_on=())
        if found is None and settings.not_found:
            found = self._named(settings.not_found.encode(), asked, opener, 404)
        return found

    def _wanted(self, asked: Asked, opener: Opener) -> Found | None:
        """What the request names."""
        wanted = asked.wanted
        file = None if wanted is None else opener.file(wanted)
        if wanted is None or file is None:
            return None
        if file.kind != "folder":
            if file.kind == "other" or wanted.endswith(b"/"):
                return None
            return self._in_a_form(wanted, file, asked, opener, 200)
        below = wanted if not wanted or wanted.endswith(b"/") else wanted + b"/"
        index = self._settings.index.encode()
        found = self._named(below + index, asked, opener) if index else None
        if found is None and not self._settings.listing:
            return None
        if not asked.path.endswith(b"/"):
            return "redirect"
        if found is not None:
            return found
        if not opener.may_wait:
            raise WouldWaitError  # to read it may take long, wherever it lies
        return rendered(self._listed(below, file, opener), asked.path, asked.headers)

    def _listed(self, below: bytes, folder: DiskFile, opener: Opener) -> Listed:
        """What the folder has of what would be sent."""
        entries: list[Entry] = []
        with os.scandir(folder.fd) as found:
            for each in found:
                if len(entries) == ENTRIES_LISTED:
                    return Listed(ordered(entries), False, bool(below))
                name = os.fsencode(each.name)
                if not can_be_meant(name):
                    continue
                if name.startswith(b".") and not self._settings.hidden:
                    continue
                entry = self._entry(each, below + name, opener)
                if entry is not None:
                    entries.append(entry)
        return Listed(ordered(entries), True, bool(below))

    def _entry(self, found: os.DirEntry[str], path: bytes, opener: Opener) -> Entry | None:
        """What is listed of a name; None if it would not be sent."""
        name = os.fsencode(found.name)
        try:
            if found.is_symlink():
                file = opener.file(path)
                if file is None or file.kind == "other":
                    return None
                return Entry(name, file.kind == "folder", file.size, file.mtime_ns // 10**9)
            about = found.stat(follow_symlinks=False)
        except OSError:
            return None  # it has gone meanwhile, or may not be read
        if not stat.S_ISREG(about.st_mode) and not stat.S_ISDIR(about.st_mode):
            return None
        return Entry(name, stat.S_ISDIR(about.st_mode), about.st_size, int(about.st_mtime))

    def _named(
        self, name: bytes, asked: Asked, opener: Opener, status: int = 200
    ) -> FoundFile | None:
        """A file that the settings name."""
        file = opener.file(name)
        if file is None or file.kind != "file":
            return None
        return self._in_a_form(name, file, asked, opener, status)

    def _in_a_form(
        self, name: bytes, file: DiskFile, asked: Asked, opener: Opener, status: int
    ) -> FoundFile:
        """The file, in the precompressed form that the client likes best if there is one that can
        be opened. One that is older than the file was forgotten when that was changed."""
        if asked.siblings and can_be_compressed(media_type(os.fsdecode(name))):
            for coding, ending in asked.siblings:
                try:
                    sibling = opener.file(name + ending)
                except OSError:
                    continue  # the file as it is can be sent
                if sibling is None or sibling.kind != "file":
                    continue
                if sibling.mtime_ns >= file.mtime_ns:
                    return FoundFile(name, sibling, coding, status, (file, sibling))
        return FoundFile(name, file, "", status, (file,))
