"""Nothing outside of the folder is opened, by the kernel's rules or by ours."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from propylon.gateway.files import folder as module
from propylon.gateway.files.folder import (
    FLAGS,
    Folder,
    Symlinks,
    WouldWaitError,
    open_step_by_step,
)

Made = Callable[..., Folder]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "sub").mkdir(parents=True)
    (site / "a.txt").write_text("inside")
    (tmp_path / "secret").write_text("outside")
    (site / "inner").symlink_to("sub/../a.txt")
    (site / "sub/up").symlink_to("../a.txt")
    (site / "folder").symlink_to("sub")
    (site / "out").symlink_to("../secret")
    (site / "absolute").symlink_to(tmp_path / "secret")
    (site / "sub/far").symlink_to("../../secret")
    (site / "loop").symlink_to("loop")
    (site / "proc").symlink_to("/proc/self/root")
    os.mkfifo(site / "fifo")
    return site


@pytest.fixture(params=["kernel", "step by step"])
def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, site: Path) -> Made:
    """Makes folders that are resolved in one of the two ways."""
    by_kernel = request.param == "kernel"
    if by_kernel and not module.kernel_can(0):
        pytest.skip("needs openat2: Linux 5.6")
    monkeypatch.setattr(module, "kernel_can", lambda _: by_kernel)
    return lambda symlinks="inside": Folder(str(site), symlinks)


def content(folder: Folder, path: str) -> bytes | str | None:
    """The file's content, or what else is there."""
    found = folder.open(path.encode())
    seen = (
        None if found is None else found.kind if found.kind != "file" else found.read_slowly(0, 9)
    )
    try:
        again = folder.open_at_once(path.encode())
    except WouldWaitError:
        pass
    else:
        assert (again is None) == (found is None), "at once it is the same"
        assert again is None or again.kind != "file" or again.read_slowly(0, 9) == seen
    return seen


@pytest.mark.parametrize(
    ("path", "inside", "refuse", "follow"),
    [
        ("a.txt", b"inside", b"inside", b"inside"),
        ("", "folder", "folder", "folder"),
        ("sub/", "folder", "folder", "folder"),
        ("inner", b"inside", None, b"inside"),
        ("sub/up", b"inside", None, b"inside"),
        ("folder/up", b"inside", None, b"inside"),
        ("folder", "folder", None, "folder"),
        ("out", None, None, b"outside"),
        ("absolute", None, None, b"outside"),
        ("sub/far", None, None, b"outside"),
        ("../secret", None, None, b"outside"),
        ("sub/../../secret", None, None, b"outside"),
        ("proc/etc", None, None, "folder"),
        ("loop", None, None, None),
        ("fifo", "other", "other", "other"),
        ("missing", None, None, None),
        ("a.txt/x", None, None, None),
        ("x" * 300, None, None, None),
    ],
)
def test_where_paths_lead(
    made: Made, path: str, inside: object, refuse: object, follow: object
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    rules: dict[Symlinks, object] = {"inside": inside, "refuse": refuse, "follow": follow}
    found = {rule: content(made(rule), path) for rule in rules}
    assert found == rules
    assert len(os.listdir("/proc/self/fd")) <= before


def test_no_socket_is_opened(made: Made, site: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(site / "sock"))
        assert content(made(), "sock") is None


def test_the_folder_may_be_another_one_after_a_deployment(made: Made, site: Path) -> None:
    for version in ("one", "two"):
        (site / version).mkdir()
        (site / version / "a").write_text(version)
    current = site / "current"
    current.symlink_to("one")
    folder = made()
    folder.path = str(current)
    assert content(folder, "a") == b"one"
    (site / "next").symlink_to("two")
    (site / "next").rename(current)
    assert content(folder, "a") == b"two"


def test_a_folder_that_is_gone_is_an_error_of_another_kind(made: Made, site: Path) -> None:
    folder = made()
    site.rename(site.with_name("moved"))
    with pytest.raises(FileNotFoundError):
        folder.open(b"a.txt")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(made: Made, site: Path) -> None:
    (site / "a.txt").chmod(0)
    with pytest.raises(PermissionError):
        made().open(b"a.txt")


def test_step_by_step_ends_with_the_flags_of_the_kernel_s_way(site: Path) -> None:
    folder = os.open(site, os.O_PATH | os.O_DIRECTORY)
    try:
        fd = open_step_by_step(folder, b"sub/up", follows=True)
    finally:
        os.close(folder)
    try:
        assert os.get_inheritable(fd) is False
        assert FLAGS & os.O_NONBLOCK
    finally:
        os.close(fd)


def test_only_what_is_at_hand_is_opened_at_once(site: Path) -> None:
    folder = Folder(str(site))
    with pytest.raises(WouldWaitError):
        folder.open_at_once(b"")  # nobody has looked yet what it lies on
    folder.open(b"")
    folder.open(b"a.txt")
    found = folder.open_at_once(b"a.txt")
    assert found is not None
    assert found.kind == "file"


@pytest.mark.skipif(not module.kernel_can(0x20), reason="an older kernel can't tell")
def test_another_file_system_is_left_to_a_thread(site: Path) -> None:
    """Behind it may be a server."""
    folder = Folder("/")
    folder.open(b"proc/self/stat")
    with pytest.raises(WouldWaitError):
        folder.open_at_once(b"proc/self/stat")
    folder = Folder("/proc/self")  # which is as good as remote
    assert folder.open(b"stat") is not None
    with pytest.raises(WouldWaitError):
        folder.open_at_once(b"stat")


@pytest.mark.skipif(not module.kernel_can(0x20), reason="an older kernel can't tell")
@pytest.mark.parametrize("path", [b"../escape", b"loop", b"missing/x"])
def test_nothing_else_is_opened_at_once(site: Path, path: bytes) -> None:
    folder = Folder(str(site))
    folder.open(b"")
    try:
        assert folder.open_at_once(path) is None
    except WouldWaitError:
        assert folder.open(path) is None
