"""Volumes for tests, which only root can mount."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


class TmpfsVolume:
    """A small volume of its own, at `path`."""

    def __init__(self, path: Path, options: str = "size=256k") -> None:
        self.path = path
        self._options = options

    def __enter__(self) -> "TmpfsVolume":
        self.path.mkdir(exist_ok=True)
        _mount("-t", "tmpfs", "-o", self._options, "tmpfs", str(self.path))
        return self

    def __exit__(self, *_: object) -> None:
        # Lazily: a process of a test that has failed may still have a file open there.
        subprocess.run(["umount", "--lazy", self.path], check=True)

    def fill(self) -> None:
        """Leaves no room for another byte."""
        with (self.path / "rubbish").open("ab", buffering=0) as rubbish:
            try:
                while True:
                    rubbish.write(bytes(4_096))
            except OSError:
                pass

    def make_room(self) -> None:
        (self.path / "rubbish").unlink()


@contextmanager
def read_only(path: Path, at: Path) -> Iterator[Path]:
    """The directory `path` once more, where nothing can be written."""
    at.mkdir()
    _mount("--bind", str(path), str(at))
    try:
        _mount("-o", "remount,bind,ro", str(at))
        yield at
    finally:
        subprocess.run(["umount", "--lazy", at], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


@cache
def _can_mount() -> bool:
    if os.geteuid() != 0:
        return False
    with TemporaryDirectory() as folder:
        try:
            with TmpfsVolume(Path(folder)):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


needs_volumes = pytest.mark.skipif(
    not _can_mount(),
    reason="needs root who may mount volumes: run pytest with sudo, or docker run --privileged",
)
