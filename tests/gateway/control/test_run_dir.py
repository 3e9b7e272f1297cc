"""Real directories, real locks."""

import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from propylon.gateway.control.pid_file import PidFile, PidFileError
from propylon.gateway.control.run_dir import (
    LOCK,
    RunDirError,
    control_sockets,
    open_run_dir,
    own_run_dirs,
)
from propylon.gateway.control.server import bind
from propylon.gateway.directories import remove_socket
from propylon.gateway.pool.worker_listener import bind as bind_pool_socket

NOBODYS_PID = 2**22 + 1
"""Above Linux's largest pid."""


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "propylon"


def test_one_of_our_own_is_named_by_our_pid_and_goes(runtime: Path) -> None:
    run_dir = open_run_dir(None, ["web", "admin"], 1)
    path = Path(run_dir.path)
    assert path == runtime / str(os.getpid())
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    assert stat.S_IMODE((path / "web").stat().st_mode) == 0o750
    assert (path / "admin").is_dir()
    assert (path / LOCK).read_text() == f"{os.getpid()}\n"
    run_dir.close()
    assert list(runtime.iterdir()) == []


def test_the_same_pid_in_another_container(runtime: Path) -> None:
    first = open_run_dir(None, ["a"], 1)
    second = open_run_dir(None, ["a"], 1)
    assert Path(second.path).name == f"{os.getpid()}-2"
    first.close()
    second.close()


def test_what_a_killed_instance_left_is_removed_and_a_live_one_stays(runtime: Path) -> None:
    stale = runtime / "4000000"
    (stale / "default").mkdir(parents=True)
    (stale / LOCK).write_text("4000000\n")
    not_ours = runtime / "notes"
    not_ours.mkdir()
    live = open_run_dir(None, ["a"], 1)
    assert not stale.exists()
    other = open_run_dir(None, ["a"], 1)
    assert Path(live.path).exists()
    assert not_ours.exists()
    live.close()
    other.close()


def test_without_a_runtime_directory_it_is_below_tmp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run_dir = open_run_dir(None, ["a"], 1)
    base = tmp_path / f"propylon-{os.getuid()}"
    assert Path(run_dir.path).parent == base
    assert stat.S_IMODE(base.stat().st_mode) == 0o700
    run_dir.close()


def test_a_base_directory_that_is_a_link_is_somebody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    base = tmp_path / f"propylon-{os.getuid()}"
    base.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunDirError, match="belongs to another user; use --run-dir"):
        open_run_dir(None, ["a"], 1)


def test_a_given_one_is_made_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "run" / "app"
    open_run_dir(str(path), ["a"], 1).close()
    assert (path / "a").is_dir()
    open_run_dir(str(path), ["a"], 1).close()  # and can be used again


STRANGER = 20_003
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """What nobody may touch."""
    path = tmp_path / "precious"
    path.mkdir()
    (path / "file").write_text("precious\n")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path / "docker.sock"))
    return path


def is_untouched(precious: Path) -> bool:
    return (precious / "file").read_text() == "precious\n" and (precious / "docker.sock").exists()


@only_root
@pytest.mark.parametrize("mode", [0o1777, 0o777])
def test_one_that_a_stranger_has_made_first(tmp_path: Path, precious: Path, mode: int) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(mode)
    path = tmp_path / "tmp" / "app"
    path.mkdir()
    (path / LOCK).symlink_to(precious / "file")
    (path / "a").symlink_to(precious)
    os.chown(path, STRANGER, STRANGER)
    for shared in (False, True):
        for with_gateway in (False, True):
            with pytest.raises(RunDirError, match=r"/tmp/app belongs to user .*20003, who could"):
                open_run_dir(str(path), ["a"], 1, with_gateway=with_gateway, shared=shared)
    with pytest.raises(RunDirError, match=r"is below app, which belongs to user .*20003"):
        open_run_dir(str(path / "mine"), ["a"], 1)
    assert is_untouched(precious)
    assert not (path / "mine").exists()


@only_root
def test_a_group_in_common_counts_only_where_it_is_meant_to_share(tmp_path: Path) -> None:
    """Many systems have a group of all users: it makes nobody's directory ours."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    path = tmp_path / "tmp" / "app"
    path.mkdir()
    os.chown(path, STRANGER, os.getegid())
    with pytest.raises(RunDirError, match=r"is below app, which belongs to user .*20003"):
        open_run_dir(str(path / "mine"), ["a"], 1)
    assert not (path / "mine").exists()
    open_run_dir(str(path / "ours"), ["a"], 1, shared=True).close()


@only_root
def test_a_stranger_s_link_on_the_way(tmp_path: Path, precious: Path) -> None:
    (tmp_path / "link").symlink_to(precious)
    os.chown(tmp_path / "link", STRANGER, STRANGER, follow_symlinks=False)
    for path in ("link", "link/run"):
        with pytest.raises(RunDirError, match=r"by a symbolic link of user .*20003"):
            open_run_dir(str(tmp_path / path), ["a"], 1)
    assert sorted(one.name for one in precious.iterdir()) == ["docker.sock", "file"]


def test_links_of_our_own_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "relative").symlink_to("real")
    (tmp_path / "absolute").symlink_to(tmp_path / "relative" / ".." / "real")
    path = tmp_path / "absolute" / "run"
    open_run_dir(str(path), ["a"], 1).close()
    assert (tmp_path / "real" / "run" / "a").is_dir()
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(RunDirError, match="Too many levels of symbolic links"):
        open_run_dir(str(tmp_path / "round" / "run"), ["a"], 1)


@pytest.mark.parametrize("kind", ["symbolic link", "hard link", "FIFO"])
def test_a_lock_that_is_something_else(tmp_path: Path, precious: Path, kind: str) -> None:
    path = tmp_path / "run"
    path.mkdir()
    match kind:
        case "symbolic link":
            (path / LOCK).symlink_to(precious / "file")
        case "hard link":
            (path / LOCK).hardlink_to(precious / "file")
        case _:
            os.mkfifo(path / LOCK)
    with pytest.raises(RunDirError, match=r"^gateway\.lock in the run directory .*; remove it, or"):
        open_run_dir(str(path), ["a"], 1)
    assert is_untouched(precious)


def test_a_pool_s_directory_that_is_a_link(tmp_path: Path, precious: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    (path / "a").symlink_to(precious)
    with pytest.raises(RunDirError, match="/run/a is a symbolic link, where a directory should be"):
        open_run_dir(str(path), ["a"], 1)
    assert is_untouched(precious)
    with pytest.raises(OSError, match="a is a symbolic link"):
        bind_pool_socket(str(path / "a" / "1.sock"))
    remove_socket(str(path / "a" / "docker.sock"))
    assert is_untouched(precious)


@only_root
def test_a_pool_s_directory_of_a_stranger(tmp_path: Path) -> None:
    """In a volume whose group everything in it gets, whoever makes it."""
    path = tmp_path / "run"
    path.mkdir()
    path.chmod(0o2777)
    (path / "a").mkdir()
    os.chown(path / "a", STRANGER, STRANGER)
    with pytest.raises(RunDirError, match="/run/a belongs to user"):
        open_run_dir(str(path), ["a"], 1)
    with pytest.raises(OSError, match="belongs to user"):
        bind_pool_socket(str(path / "a" / "1.sock"))
    assert list((path / "a").iterdir()) == []


def test_a_pool_s_directory_that_everybody_may_write_to_is_closed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(0o777)
    open_run_dir(str(tmp_path), ["a"], 1).close()
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o770


def test_only_dead_sockets_are_removed_from_it(tmp_path: Path, precious: Path) -> None:
    (tmp_path / "a").mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "a" / "1.sock"))
    (tmp_path / "a" / "notes.sock").write_text("")
    (tmp_path / "a" / "2.sock").symlink_to(precious / "docker.sock")
    open_run_dir(str(tmp_path), ["a"], 1).close()
    assert {one.name for one in (tmp_path / "a").iterdir()} == {"notes.sock", "2.sock"}
    assert is_untouched(precious)


@pytest.mark.parametrize("umask", [0, 0o077])
def test_its_permissions_don_t_depend_on_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        open_run_dir(str(tmp_path / "own"), ["a"], 1).close()
        open_run_dir(str(tmp_path / "shared"), ["a"], 1, shared=True).close()
        open_run_dir(str(tmp_path / "worker"), ["a"], 1, with_gateway=False).close()
        bind_pool_socket(str(tmp_path / "own" / "a" / "1.sock")).close()
    finally:
        os.umask(before)
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in NAMES}
    assert modes == NAMES
    assert not (tmp_path / "worker" / "a").exists()  # the gateway's to make


NAMES = {
    "own": 0o750,
    "own/a": 0o750,
    "own/a/1.sock": 0o660,
    "shared": 0o2770,
    "shared/a": 0o2770,
    "worker": 0o2770,
}


def test_a_read_only_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then memory is what can be written to."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    monkeypatch.setattr("tempfile.tempdir", "/proc/none")
    monkeypatch.setattr("propylon.gateway.control.run_dir.FALLBACK", str(tmp_path))
    run_dir = open_run_dir(None, ["a"], 1)
    assert Path(run_dir.path).parent == tmp_path / f"propylon-{os.getuid()}"
    assert own_run_dirs() == [run_dir.path]
    run_dir.close()
    monkeypatch.setattr("propylon.gateway.control.run_dir.FALLBACK", "/proc/nor-there")
    with pytest.raises(RunDirError) as caught:
        open_run_dir(None, ["a"], 1)
    sentence = str(caught.value)
    assert sentence.startswith("no run directory can be made; name a writable directory with --run")
    assert "/proc/none/propylon-" in sentence
    assert "/proc/nor-there/propylon-" in sentence


def test_two_gateways_do_not_share_one(tmp_path: Path) -> None:
    first = open_run_dir(str(tmp_path), ["a"], 1)
    with pytest.raises(RunDirError) as caught:
        open_run_dir(str(tmp_path), ["a"], 1)
    assert str(caught.value) == (
        f"run directory {tmp_path} is in use by another gateway (pid {os.getpid()}); "
        "each needs its own --run-dir"
    )
    open_run_dir(str(tmp_path), ["b"], 1, with_gateway=False).close()  # workers do
    first.close()


def test_one_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunDirError) as caught:
        open_run_dir(str(tmp_path / "file" / "run"), ["a"], 1)
    assert str(caught.value) == (
        f"run directory {tmp_path}/file/run cannot be used: Not a directory; "
        "name another with --run-dir"
    )


FULL = """
import ctypes, os, sys
from propylon.gateway.control.run_dir import RunDirError, open_run_dir
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x20000):  # CLONE_NEWNS
    sys.exit("unshare")
if libc.mount(b"none", b"/", None, 0x44000, None):  # MS_REC | MS_PRIVATE
    sys.exit("private")
if libc.mount(b"tmpfs", sys.argv[1].encode(), b"tmpfs", 0, b"size=16k,nr_inodes=9"):
    sys.exit("tmpfs")
os.mkdir(f"{sys.argv[1]}/run")
with open(f"{sys.argv[1]}/fill", "wb", 0) as file:
    try:
        while file.write(bytes(4096)):
            pass
    except OSError:
        pass
for path in ("run", "run/fresh"):
    if path == "run/fresh":
        for number in range(9):
            try:
                os.mkdir(f"{sys.argv[1]}/{number}")
            except OSError:
                break
    try:
        open_run_dir(f"{sys.argv[1]}/{path}", ["a"], 1)
    except RunDirError as error:
        print(error)
os.remove(f"{sys.argv[1]}/fill")
os.rmdir(f"{sys.argv[1]}/0")
open_run_dir(f"{sys.argv[1]}/run", ["a"], 1)
print("healed")
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small volume")
def test_one_on_a_full_volume_says_to_make_room(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True
    )
    if said.stderr.strip() in ("unshare", "private", "tmpfs"):
        pytest.skip("this container may not mount")
    assert said.stderr == ""
    room = "free space on its volume, or enlarge it (Kubernetes: sizeLimit of the emptyDir)"
    full = f"cannot be used: No space left on device; {room}"
    assert said.stdout.splitlines() == [
        f"{LOCK} in the run directory {tmp_path}/run {full}",
        f"run directory {tmp_path}/run/fresh {full}",
        "healed",
    ]


UNPRIVILEGED = """
import os, sys
from propylon.gateway.control.run_dir import RunDirError, open_run_dir
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    open_run_dir(sys.argv[1], ["a"], 1)
except RunDirError as error:
    print(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_one_that_cannot_be_written() -> None:
    with tempfile.TemporaryDirectory() as folder:  # tmp_path lies below a folder of mode 0700
        os.chmod(folder, 0o755)
        said = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, f"{folder}/run"], capture_output=True, text=True
        )
    assert said.stderr == ""
    assert said.stdout == (
        f"run directory {folder}/run cannot be used: Permission denied; "
        "name another with --run-dir\n"
    )


def test_one_whose_sockets_would_have_too_long_a_path(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 90)
    with pytest.raises(RunDirError) as caught:
        open_run_dir(str(path), ["a", "longer"], 12)
    assert str(caught.value).startswith(
        f"the pool socket {path}/longer/12.999.sock would have a path"
    )
    assert not path.exists()


def test_a_control_socket_with_too_long_a_path(tmp_path: Path) -> None:
    path = tmp_path / ("x" * (92 - len(str(tmp_path))))
    with pytest.raises(RunDirError, match=r"the control socket .*/control-1234.sock would"):
        open_run_dir(str(path), ["a"], 1, with_gateway=False)
    assert not path.exists()


def test_the_control_sockets_of_those_who_share_one(tmp_path: Path) -> None:
    gateway = open_run_dir(str(tmp_path), ["a"], 1)
    first = open_run_dir(str(tmp_path), ["a"], 1, with_gateway=False)
    assert gateway.control_socket == str(tmp_path / "control.sock")
    with bind(gateway.control_socket), bind(first.control_socket) as listener:
        second = open_run_dir(str(tmp_path), ["a"], 1, with_gateway=False)
        with bind(second.control_socket):
            assert first.control_socket != second.control_socket
            found = control_sockets(str(tmp_path))
            assert found[0] == gateway.control_socket
            assert set(found[1:]) == {first.control_socket, second.control_socket}
        listener.close()  # killed, as the second is by now
        (tmp_path / "control-notes.sock").touch()
        open_run_dir(str(tmp_path), ["a"], 1, with_gateway=False).close()
        assert control_sockets(str(tmp_path)) == [gateway.control_socket]
        assert (tmp_path / "control-notes.sock").exists()
    gateway.close()


def test_looking_for_run_directories_changes_nothing(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert own_run_dirs() == []
    assert list(tmp_path.iterdir()) == []
    stale = runtime / "4000000"
    stale.mkdir(parents=True)
    (stale / LOCK).write_text("4000000\n")
    first = open_run_dir(None, ["a"], 1)  # removes the stale one
    stale.mkdir()
    (stale / LOCK).write_text("4000000\n")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    second = open_run_dir(None, ["a"], 1)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    everything = sorted(tmp_path.rglob("*"))
    assert sorted(own_run_dirs()) == sorted([first.path, second.path, str(stale)])
    assert sorted(tmp_path.rglob("*")) == everything
    assert (stale / LOCK).read_text() == "4000000\n"
    first.close()
    second.close()


def test_pid_file(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text(f"{NOBODYS_PID}\n")
    pid_file = PidFile(str(path))
    assert path.read_text() == f"{os.getpid()}\n"
    pid_file.close()
    assert list(tmp_path.iterdir()) == []


def test_pid_file_of_a_running_process(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text(f"{os.getppid()}\n")
    with pytest.raises(PidFileError) as caught:
        PidFile(str(path))
    assert str(caught.value) == (f"pid file {path} names process {os.getppid()}, which is running")
    assert path.read_text() == f"{os.getppid()}\n"


@pytest.mark.parametrize("content", ["", "x", "0", "-1", "9" * 30])
def test_pid_file_with_something_else_in_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pid"
    path.write_text(content)
    PidFile(str(path)).close()


def test_pid_file_that_is_no_pid_file(tmp_path: Path) -> None:
    """`-p app.py`, where an app was meant."""
    path = tmp_path / "app.py"
    path.write_text("def app(environ, start_response):\n    return []\n")
    os.mkfifo(tmp_path / "fifo")
    for name, why in (("app.py", "another file is there"), ("fifo", "what is there is no file")):
        with pytest.raises(PidFileError, match=why):
            PidFile(str(tmp_path / name))
    assert path.read_text().startswith("def app")


def test_pid_file_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("1\n")
    (tmp_path / "pid").symlink_to("precious")
    PidFile(str(tmp_path / "pid")).close()
    assert (tmp_path / "precious").read_text() == "1\n"
    assert [one.name for one in tmp_path.iterdir()] == ["precious"]


def test_pid_file_that_is_somebody_elses_by_now_stays(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    pid_file = PidFile(str(path))
    path.write_text("1\n")
    pid_file.close()
    assert path.exists()


def test_pid_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(PidFileError, match="cannot be written: No such file or directory"):
        PidFile(str(tmp_path / "gone" / "pid"))
