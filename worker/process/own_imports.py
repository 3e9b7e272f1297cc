"""Reserves names of modules that the worker itself needs, so that they are never imported from the
app's directory.

The app's directory comes first on sys.path, and it may hold a `queue.py` or an `ssl.py`. A server
that has imported everything before it looks at the app does not notice. A worker imports the host
that the app needs, and asyncio or trio with it, only after it has loaded the app: to import all
hosts first would cost a WSGI worker the memory of asyncio. So their names are reserved. Every
import of one of them, at any time, finds the module that it would have found before.

A module of the app with another name of the standard library is the app's: `calendar` is reserved,
`code` is not.
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
"""Modules that a host imports, directly or not, and perhaps only when it is used."""
OF_TRIO: Final = frozenset({
    "attr", "attrs", "ctypes", "hashlib", "hmac", "idna", "outcome", "platform", "sniffio",
    "sortedcontainers", "trio", "unicodedata",
})  # fmt: skip
OF_OTHER_SERVERS: Final = frozenset({
    "argparse", "calendar", "configparser", "email", "gettext", "http", "platform", "quopri",
    "shlex", "socketserver", "uuid",
})  # fmt: skip
"""Modules that uvicorn has imported before the app. So a framework served by it always finds those
of the standard library, and finds them here as well."""


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
    """Reserves the names, those of trio only if it is needed. To be called before the app's
    directory is put on sys.path."""
    names = OF_THE_HOSTS | OF_OTHER_SERVERS
    if trio:
        names |= OF_TRIO
    sys.meta_path.insert(0, _ReservedFinder(names, sys.path))
