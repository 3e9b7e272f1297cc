"""What memory has of a file; where the file system can't tell, what was read just now."""

import errno
import os
from pathlib import Path

import pytest
from propylon.gateway.files import disk_file
from propylon.gateway.files.disk_file import DiskFile
from propylon.gateway.files.file_system import Store
from propylon.gateway.files.page_cache import is_in_memory, read_from_memory

CONTENT = os.urandom(600_000)


@pytest.fixture
def file(tmp_path: Path) -> DiskFile:
    (tmp_path / "it").write_bytes(CONTENT)
    return DiskFile(os.open(tmp_path / "it", os.O_RDONLY), "it")


def can_not_tell(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    def refuses(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "preadv", refuses)
    monkeypatch.setattr(disk_file, "store_of", lambda _: store)


def test_what_was_written_just_now(file: DiskFile, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        os.preadv(file.fd, [bytearray(1)], 0, os.RWF_NOWAIT)
    except OSError:
        pytest.skip("its file system can't tell")
    assert is_in_memory(file, 0, len(CONTENT))
    assert is_in_memory(file, 599_999, 1)
    assert not is_in_memory(file, 1, len(CONTENT)), "the file ends before"
    assert read_from_memory(file, 5, 10) == CONTENT[5:15]
    assert read_from_memory(file, 600_000, 10) == b""


def test_what_was_there_a_moment_ago_is_not_looked_for_again(
    file: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    probes: list[int] = []

    def probe(_fd: int, _into: object, offset: int, _flags: int) -> int:
        probes.append(offset)
        return 1

    monkeypatch.setattr(os, "preadv", probe)
    monkeypatch.setattr(disk_file, "IN_MEMORY_FOR", 1_000.0)
    assert is_in_memory(file, 100, 200)
    assert is_in_memory(file, 300, 131_073)
    assert probes == [100, 299, 300, 131_372]
    assert is_in_memory(file, 100, 131_273)
    assert len(probes) == 4
    assert is_in_memory(file, 99, 10)
    assert is_in_memory(file, 131_372, 2)
    assert len(probes) == 8
    monkeypatch.setattr(disk_file, "IN_MEMORY_FOR", 0.0)
    assert is_in_memory(file, 131_372, 2)
    assert len(probes) == 10


def test_where_nothing_is_known_a_thread_has_to_read(
    file: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    can_not_tell(monkeypatch, "disk")
    assert not is_in_memory(file, 0, 1)
    assert read_from_memory(file, 0, 1) is None


def test_what_was_read_just_now_is_in_memory_for_a_moment(
    file: DiskFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    can_not_tell(monkeypatch, "disk")
    assert file.read_slowly(100, 200) == CONTENT[100:300]
    assert file.read_slowly(300, 200) == CONTENT[300:500]
    assert is_in_memory(file, 100, 400)
    assert read_from_memory(file, 490, 10) == CONTENT[490:500]
    assert not is_in_memory(file, 99, 10)
    assert not is_in_memory(file, 491, 10)
    monkeypatch.setattr(disk_file, "READ_FOR", 0.0)
    assert not is_in_memory(file, 100, 400)


@pytest.mark.parametrize("store", ["memory", "remote"])
def test_a_file_system_in_memory_and_a_remote_one(
    file: DiskFile, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    can_not_tell(monkeypatch, store)
    assert file.read_slowly(0, 10) == CONTENT[:10]
    assert is_in_memory(file, 300_000, 10) == (store == "memory")
    assert is_in_memory(file, 0, 10) == (store == "memory")
