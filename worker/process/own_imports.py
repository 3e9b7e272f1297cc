"""What this process needs itself is imported from where it is installed, and never from the app.

The app's directory comes first on sys.path, and there may be a `queue.py` or an `ssl.py` in it. A
server that has imported everything before it looks at the app is not disturbed by those; a worker
imports the host that the app turns out to need, and asyncio or trio with it, only then. Importing
all hosts first would cost a WSGI worker the memory of asyncio. So the names are reserved: whoever
asks for one of them, at whatever time, gets what he would have got before.

An app's own module of another standard name (`calendar` is reserved, `code` is not) is the app's.
"""

import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Final

OF_THE_HOSTS: Final = frozenset({
    "asyncio", "base64", "binascii", "bz2", "concurrent", "contextvars", "locale", "lzma",
    "multiprocessing", "pickle", "queue", "shutil", "ssl", "subprocess", "tempfile", "uvloop",
    "zlib",
})  # fmt: skip
"""Imported by a host, or by what it imports, perhaps not before it is used."""
OF_TRIO: Final = frozenset({
    "attr", "attrs", "ctypes", "hashlib", "hmac", "idna", "outcome", "platform", "sniffio",
    "sortedcontainers", "trio", "unicodedata",
})  # fmt: skip
OF_OTHER_SERVERS: Final = frozenset({
    "calendar", "configparser", "email", "http", "platform", "quopri", "shlex", "socketserver",
    "uuid",
})  # fmt: skip
"""Those that frameworks get of the standard library wherever else an app is served, since uvicorn
has imported them before."""


class _ReservedFinder(MetaPathFinder):
    def __init__(self, names: frozenset[str], path: Iterable[str]) -> None:
        self._names = names
        self._path = [*path]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or fullname not in self._names:
            return None
        return PathFinder.find_spec(fullname, self._path, target)


def reserve(*, trio: bool) -> None:
    """To be called before the app's directory goes on sys.path."""
    names = OF_THE_HOSTS | OF_OTHER_SERVERS
    if trio:
        names |= OF_TRIO
    sys.meta_path.insert(0, _ReservedFinder(names, sys.path))
