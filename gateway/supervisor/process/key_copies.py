"""Copies of private keys and certificates, for gateways that may not read the files (--user).

The supervisor is root and reads them. Each file has a copy in memory (memfd_create(2)), which has
no name, and which gateway processes inherit. A renewed file is written into the same copy, where
gateways, which look for changes of their files anyway, find it. A file that has gone or cannot be
read any more leaves its copy as it is, which only the supervisor can know: a problem.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import trio

from ....protocol.supervision.messages import Problem
from ....protocol.supervision.problems import problem
from ...settings import CertificateFiles, TlsSettings

LOOK_AT_KEYS_EVERY: Final = 2.0
"""Seconds. A file has changed when two looks find the same: it has been written to its end."""
LARGEST: Final = 4 * 1024 * 1024

Look = tuple[int, ...] | None


class KeyCopies:
    def __init__(self) -> None:
        self._copies: dict[str, int] = {}
        """Path of a file -> descriptor of its copy."""
        self._copied: dict[str, Look] = {}
        self._seen: dict[str, Look] = {}
        self._used: frozenset[str] = frozenset()
        """The files of the settings that were asked for last."""
        self._unread: dict[str, str] = {}
        """Path of a file that could not be copied again -> why."""

    def settings(self, tls: TlsSettings) -> tuple[TlsSettings, list[int]]:
        """Returns the settings with the paths of the copies, and the descriptors to inherit. Raises
        OSError."""
        paths = {tls.ca_certs, *(path for each in tls.certificates for path in _files(each))}
        self._used = frozenset(paths - {""})
        fds = {path: self._copy(path) for path in sorted(self._used)}
        copies = {path: f"/proc/self/fd/{fd}" for path, fd in fds.items()}
        return replace(tls, copies=copies), list(fds.values())

    async def watch(self) -> None:
        """For ever."""
        while True:
            await trio.sleep(LOOK_AT_KEYS_EVERY)
            self.look()

    def look(self) -> None:
        """Copies the files that have changed and are at rest."""
        for path, fd in self._copies.items():
            look = _look(path)
            at_rest, self._seen[path] = look == self._seen.get(path), look
            if not at_rest:
                continue
            if look is None or look != self._copied[path]:
                try:
                    _write(fd, _read(path))
                except OSError as error:
                    self._unread[path] = error.strerror or str(error)
                    continue
                self._copied[path] = look
            self._unread.pop(path, None)

    def problems(self) -> Iterator[Problem]:
        """Yields the problems of this moment."""
        for path, why in self._unread.items():
            if path in self._used:
                yield problem("certificate", path, f"{path}: cannot be read: {why}")

    def _copy(self, path: str) -> int:
        if path not in self._copies:
            look = _look(path)
            data = _read(path)
            fd = os.memfd_create("propylon-certificate", os.MFD_CLOEXEC)
            _write(fd, data)
            self._copies[path], self._copied[path], self._seen[path] = fd, look, look
        return self._copies[path]


def _files(files: CertificateFiles) -> tuple[str, str]:
    return files.certfile, files.keyfile


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(LARGEST)


def _write(fd: int, data: bytes) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(fd, data[written:], written)
    os.ftruncate(fd, len(data))


def _look(path: str) -> Look:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
