"""Real directories, real locks."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from propylon.gateway.supervisor.control import bind
from propylon.gateway.supervisor.pid_file import PidFile, PidFileError
from propylon.gateway.supervisor.run_dir import (
    LOCK,
    RunDirError,
    control_sockets,
    open_run_dir,
    own_run_dirs,
)

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


UNPRIVILEGED = """
import os, sys
from propylon.gateway.supervisor.run_dir import RunDirError, open_run_dir
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


def test_pid_file_that_is_somebody_elses_by_now_stays(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    pid_file = PidFile(str(path))
    path.write_text("1\n")
    pid_file.close()
    assert path.exists()


def test_pid_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(PidFileError, match="cannot be written: No such file or directory"):
        PidFile(str(tmp_path / "gone" / "pid"))
