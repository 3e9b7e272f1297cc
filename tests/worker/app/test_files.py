"""Which file objects of an app are sent by their descriptor: those whose bytes it gives."""

import gzip
import io
import tempfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files import File
from propylon.worker.app.files import at_its_position

CONTENT = b"0123456789"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    return path


class Proxy:
    """It has all that its file has, and more."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


class NoDescriptor:
    def __init__(self, file: Any) -> None:
        self.file = file

    def read(self, size: int = -1) -> bytes:
        return self.file.read(size)[::-1]


class Decrypting(Proxy):
    def read(self, size: int = -1) -> bytes:
        return self.file.read(size)[::-1]


class Limited:
    """Without a `file` by which it would be known."""

    def __init__(self, file: Any) -> None:
        self._inner = file
        self.fileno, self.tell = file.fileno, file.tell

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(min(size, 3))


class Subclass(io.FileIO):
    def read(self, size: int | None = -1, /) -> bytes:
        return (super().read(size) or b"")[::-1]


def test_files_and_what_reads_as_they_do(path: Path) -> None:
    for wrap in (lambda file: file, Proxy, File, lambda file: File(Proxy(file))):
        for how in ({"mode": "rb"}, {"mode": "rb", "buffering": 0}, {"mode": "r+b"}):
            with path.open(**how) as file:
                assert file.read(3) == b"012"
                part = at_its_position(wrap(file))
                assert part is not None
                assert part[:3] == (file.fileno(), 3, 7)
                assert part.passable


def test_temporary_files(tmp_path: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=tmp_path) as file:
        file.write(CONTENT)  # it is not flushed
        file.seek(4)
        for wrapped in (file, File(file), Proxy(file)):
            part = at_its_position(wrapped)
            assert part is not None
            assert part[:3] == (file.fileno(), 4, 6)
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        file.write(CONTENT)
        part = at_its_position(file)
        assert part is not None
        assert part[:2] == (file.fileno(), 10)


@pytest.mark.parametrize("wrap", [NoDescriptor, Decrypting, Limited])
def test_what_reads_in_its_own_way_is_read_by_that(path: Path, wrap: Any) -> None:
    with path.open("rb") as file:
        assert at_its_position(wrap(file)) is None
        assert at_its_position(Proxy(wrap(file))) is None


def test_what_has_no_bytes_of_a_file(path: Path) -> None:
    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(CONTENT))
    with gzip.open(packed) as file:
        assert at_its_position(file) is None
        assert at_its_position(File(file)) is None
    with path.open() as text, Subclass(path) as own:
        assert at_its_position(text) is None
        assert at_its_position(own) is None
    assert at_its_position(io.BytesIO(CONTENT)) is None
    assert at_its_position(File(io.BytesIO(CONTENT))) is None
    closed = path.open("rb")
    closed.close()
    for nothing in (closed, File(closed), File(None), object(), iter(())):
        assert at_its_position(nothing) is None
