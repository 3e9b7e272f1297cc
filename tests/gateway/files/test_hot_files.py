"""An answer that is kept is never an old one, and what is kept is bounded."""

import os
import time
from pathlib import Path

import pytest
from propylon.gateway.files import hot_files
from propylon.gateway.files.disk_file import DiskFile
from propylon.gateway.files.hot_files import HotFile, HotFiles, stamp_of
from propylon.gateway.files.validators import Validators


@pytest.fixture(autouse=True)
def settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot_files, "SETTLED", -1_000_000_000)
    monkeypatch.setattr(hot_files, "NOTED_EVERY", -1.0)


def answer_of(path: Path, body: bytes | None = None, until: float = 1e9) -> HotFile:
    file = DiskFile(os.open(path, os.O_RDONLY), str(path))
    state = Validators(b'"a"', 0)
    kept = None if body is not None else file
    return HotFile([], (), state, kept, body, (stamp_of(file),), until)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_it_is_found_while_its_file_is_as_it_was(tmp_path: Path) -> None:
    path, hot = write(tmp_path / "a", "one"), HotFiles()
    answer = answer_of(path, b"one")
    assert hot.find("a", 0.0) is None
    hot.keep("a", answer, 0.0)
    assert hot.find("a", 1.0) is answer
    assert hot.find("b", 1.0) is None


@pytest.mark.parametrize("how", ["overwritten", "replaced", "deleted", "touched", "old times"])
def test_every_change_is_noticed(tmp_path: Path, how: str) -> None:
    path, hot = write(tmp_path / "a", "one"), HotFiles()
    hot.keep("a", answer_of(path, b"one"), 0.0)
    before = path.stat()
    while time.time_ns() - before.st_ctime_ns < 20_000_000:
        pass  # a tick of the kernel's clock
    if how == "overwritten":
        write(path, "two")
    elif how == "replaced":
        write(tmp_path / "new", "two").replace(path)
    elif how == "deleted":
        path.unlink()
    elif how == "touched":
        os.utime(path)
    else:
        write(path, "two")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hot.find("a", 0.0) is None


def test_a_link_that_turns_is_noticed(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "a", name)
    link, hot = tmp_path / "current", HotFiles()
    link.symlink_to("old")
    hot.keep("a", answer_of(link / "a", b"old"), 0.0)
    assert hot.find("a", 0.0) is not None
    link.unlink()
    link.symlink_to("new")
    assert hot.find("a", 0.0) is None


def test_what_was_changed_just_now_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hot_files, "SETTLED", 3_000_000_000)
    path, hot = write(tmp_path / "a", "one"), HotFiles()
    hot.keep("a", answer_of(path, b"one"), 0.0)
    assert hot.find("a", 0.0) is None


def test_it_is_made_anew_after_its_time_and_forgotten_when_nobody_asks(tmp_path: Path) -> None:
    path, hot = write(tmp_path / "a", "one"), HotFiles()
    before = set(os.listdir("/proc/self/fd"))
    hot.keep("a", answer_of(path, until=5.0), 0.0)
    assert hot.find("a", 4.9) is not None
    hot.sweep(14.8)
    assert hot.find("a", 4.9) is not None
    hot.sweep(14.9)
    assert hot.find("a", 4.9) is None
    hot.keep("a", answer_of(path, until=5.0), 0.0)
    assert hot.find("a", 5.0) is None
    assert not set(os.listdir("/proc/self/fd")) - before


def test_bodies_and_open_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hot_files, "BYTES_KEPT", 10)
    monkeypatch.setattr(hot_files, "KEPT_OPEN", 2)
    path, hot = write(tmp_path / "a", "one"), HotFiles()
    for key in range(4):
        hot.keep(key, answer_of(path, b"1234"), 0.0)
        hot.find(0, 0.0)
    assert [hot.find(key, 0.0) is not None for key in range(4)] == [True, False, False, True]
    for key in "abc":
        hot.keep(key, answer_of(path), 0.0)
    assert [hot.find(key, 0.0) is not None for key in "abc"] == [False, True, True]
    answer = hot.find("c", 0.0)
    assert answer is not None
    hot.keep_body(answer, b"12345678")
    assert answer.file is None
    hot.keep("d", answer_of(path), 0.0)
    assert [hot.find(key, 0.0) is not None for key in (0, 3, "b", "c", "d")] == [
        False, False, True, True, True,
    ]  # fmt: skip
