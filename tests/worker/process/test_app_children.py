"""Processes that the app forks: they hold nothing of the worker's, and signals mean to them what
they mean to anybody."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest
from propylon.worker.process.orphan_guard import EXIT_OUTLIVED, end_at_once

from ..gateway_peer import TIMEOUT, WorkerProcess, running, scope

ASYNCIO, UVLOOP = ("forks:app", "--loop", "asyncio"), ("forks:app", "--loop", "uvloop")
TRIO, THREADS = ("forks:app", "--loop", "trio"), ("forks:application",)
NAMES = ["asyncio", "uvloop", "trio", "threads"]
EVERY_HOST = pytest.mark.parametrize("host", [ASYNCIO, UVLOOP, TRIO, THREADS], ids=NAMES)
HOSTS = pytest.mark.parametrize(
    "host", [ASYNCIO, UVLOOP, pytest.param(TRIO, marks=pytest.mark.slow), THREADS], ids=NAMES
)
Host = tuple[str, ...]


def read_to_the_end(sock: socket.socket) -> None:
    sock.settimeout(TIMEOUT)
    while sock.recv(65_536):
        pass


@HOSTS
def test_a_forked_child_holds_neither_the_link_nor_the_channel(run_dir: Path, host: Host) -> None:
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        child = int(peer.get("/fork").body)
        try:
            worker.process.kill()
            worker.process.wait()
            read_to_the_end(peer.sock)
            read_to_the_end(worker.channel)
            os.kill(child, 0)  # it lives all the while
        finally:
            os.kill(child, signal.SIGKILL)


@HOSTS
def test_a_forked_child_ends_when_told_and_the_worker_does_not(run_dir: Path, host: Host) -> None:
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        assert peer.get("/terminated").body == b"-15"
        assert int(peer.get("/pid").body) == worker.process.pid


def state_of(process: int) -> str:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def has_ended(process: int) -> None:
    """Waits until an app's child has ended. No app waits for its children, so it is a zombie."""
    deadline = time.monotonic() + TIMEOUT
    while state_of(process) != "Z":
        assert time.monotonic() < deadline, f"process {process} is still {state_of(process)}"
        time.sleep(0.01)


@pytest.mark.parametrize("path", ["/comes_back", "/exits"])
@EVERY_HOST
def test_a_forked_child_that_comes_back_ends(run_dir: Path, host: Host, path: str) -> None:
    """On a loop it would serve as a second worker of the same name, or hear what its parent has to
    hear; of a WSGI worker it would be left for good, with all of its memory."""
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        for _ in range(3):
            child = int(peer.get(path).body)
            for _ in range(10):  # at once: whoever polls with the worker hears in its place
                assert int(peer.get("/pid").body) == worker.process.pid
            has_ended(child)


def test_children_end_that_were_forked_while_threads_wanted_the_lock(run_dir: Path) -> None:
    """One of them may have had it in its hands just then, and does not exist in the child."""
    with running("forks:application", run_dir, "--threads=8") as (worker, peer):
        forks = [peer.open(scope(path=b"/exits")) for _ in range(40)]
        others = [peer.open(scope(path=b"/pid")) for _ in range(200)]
        peer.flush()
        peer.until(lambda: all(call.ended for call in (*forks, *others)))
        assert {int(call.body) for call in others} == {worker.process.pid}
        for call in forks:
            has_ended(int(call.body))


def test_signals_that_are_the_supervisors_end_no_worker(run_dir: Path) -> None:
    """`kill -USR1 -PGID`, as some log rotations do it. What stops a process (TTIN) would be worse:
    it holds its calls."""
    with running("forks:application", run_dir) as (worker, peer):
        for name in ("USR1", "USR2", "TTIN", "TTOU", "HUP", "INT", "WINCH", "URG", "PIPE"):
            worker.process.send_signal(signal.Signals[f"SIG{name}"])
            assert int(peer.get("/pid").body) == worker.process.pid


def hanging(tmp_path: Path) -> WorkerProcess:
    """One whose app's import does not come back, and has begun."""
    mark = tmp_path / "imports"
    (tmp_path / "hangs.py").write_text(
        f"open({str(mark)!r}, 'w').close()\nimport time\ntime.sleep(60)\n"
    )
    os.mkfifo(mark)
    worker = WorkerProcess("hangs:app", tmp_path, "--app-dir", str(tmp_path))
    mark.open().close()
    return worker


def test_a_worker_whose_app_hangs_at_its_import_does_not_outlive_its_supervisor(
    tmp_path: Path,
) -> None:
    worker = hanging(tmp_path)
    worker.channel.close()
    assert worker.wait() == -signal.SIGIO
    worker.close()


def test_a_worker_whose_app_hangs_at_its_import_ends_at_once_when_told(tmp_path: Path) -> None:
    worker = hanging(tmp_path)
    worker.channel.send(b"now\n")
    assert worker.wait() == -signal.SIGIO
    worker.close()


def test_a_supervisor_that_is_gone_before_it_was_watched() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    if (child := os.fork()) == 0:
        with end_at_once(theirs.fileno()):
            os._exit(0)
    theirs.close()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == EXIT_OUTLIVED
