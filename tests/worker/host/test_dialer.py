"""Who may be a worker's gateway."""

import itertools
import os
import socket
import time
from pathlib import Path

import pytest
from propylon.protocol.hello import Greeting
from propylon.worker.host.dialer import FIRST_DELAY, LONGEST_DELAY, DialPlan, connect

from ..gateway_peer import TIMEOUT, Listener, WorkerProcess, running

NOBODY = 65_534


def foreign(run_dir: Path, user: int, group: int) -> tuple[Path, socket.socket]:
    """A socket on which somebody else listens, as the kernel tells it: who called listen()."""
    (run_dir / "default").mkdir(exist_ok=True)
    path = run_dir / "default" / f"{user}-{group}.sock"
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    if (child := os.fork()) == 0:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
        sock.listen()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    return path, sock


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_a_gateway_of_another_user_is_not_linked_to(run_dir: Path) -> None:
    path, sock = foreign(run_dir, NOBODY, NOBODY)
    with sock, pytest.raises(PermissionError, match="of another user, uid 65534"):
        connect(str(path))
    path, sock = foreign(run_dir, NOBODY, os.getegid())
    with sock:
        connect(str(path)).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_it_is_said_once_and_others_are_linked_to(run_dir: Path) -> None:
    path, sock = foreign(run_dir, NOBODY, NOBODY)
    with sock, running("asgi_apps:app", run_dir) as (worker, peer):
        sock.settimeout(5)
        for _ in range(3):  # it tries again
            taken, _ = sock.accept()
            assert taken.recv(1) == b"", "and says nothing"
            taken.close()
        assert peer.get("/hello").body == b"hello"
        (denied,) = worker.reports("problems")["problems"]
        assert denied["subject"] == str(path)
        assert denied["what"].startswith(f"no link to {path}: it is of another user, uid 65534")
        assert "error   no link" not in worker.errors, "its supervisor says it once for all workers"


def test_a_gateway_of_another_version_is_reported_and_not_logged_at_each_attempt(
    run_dir: Path,
) -> None:
    listener = Listener(run_dir)
    worker = WorkerProcess("asgi_apps:app", run_dir)
    try:
        for _ in range(3):
            peer = listener.accept(
                ready=False, greeting=Greeting(who={}, version_low=7, version_high=8)
            )
            with peer.sock:
                while peer.sock.recv(4_096):
                    pass
        (differs,) = worker.reports("problems")["problems"]
        assert "speaks versions 7 to 8 of the link protocol, and this worker" in differs["what"]
        assert differs["remedy"].startswith("update the image of the worker")
        assert "error" not in worker.errors
    finally:
        worker.close()
        listener.close()


def test_a_worker_by_itself_logs_its_problems_once(run_dir: Path) -> None:
    worker = WorkerProcess("asgi_apps:app", run_dir, channel=False)
    try:
        deadline = time.monotonic() + TIMEOUT
        while "waiting for a gateway" not in worker.errors:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        listener = Listener(run_dir)
        listener.accept().sock.close()
        listener.close()
        assert worker.errors.count("waiting for a gateway") == 1
    finally:
        worker.close()


def test_nobody_listens(run_dir: Path) -> None:
    listener = Listener(run_dir)
    listener.sock.close()
    with pytest.raises(ConnectionRefusedError):
        connect(str(listener.path))
    worker = WorkerProcess("asgi_apps:app", run_dir)
    assert worker.report()["event"] == "ready"
    worker.close()


def test_delays_after_a_failure_double_and_differ_by_chance(tmp_path: Path) -> None:
    (tmp_path / "1.sock").touch()
    path = str(tmp_path / "1.sock")
    for chance, first in ((0.0, 0.5), (0.5, 1.0), (1.0, 1.5)):
        plan = DialPlan(tmp_path, lambda chance=chance: chance)
        now, waited = 100.0, []
        for _ in range(6):
            assert plan.due(now, ()) == [path]
            plan.ended(path, now)
            step = FIRST_DELAY / 100
            began = now
            while not plan.due(now, ()):
                now += step
            waited.append(now - began)
        expected = [first * min(FIRST_DELAY * 2**count, LONGEST_DELAY) for count in range(6)]
        assert waited == pytest.approx(expected, abs=FIRST_DELAY / 50)


def test_those_that_failed_together_come_again_apart(tmp_path: Path) -> None:
    (tmp_path / "1.sock").touch()
    path = str(tmp_path / "1.sock")
    plans = [DialPlan(tmp_path) for _ in range(200)]
    for plan in plans:
        plan.ended(path, 0.0)
    due = [sum(bool(plan.due(at / 100, ())) for plan in plans) for at in range(5, 17)]
    arrivals = [after - before for before, after in itertools.pairwise(due)]
    assert due[0] == 0
    assert due[-1] == 200
    assert max(arrivals) < 60, "they spread over a tenth of a second"


def test_a_new_gateway_is_dialed_at_once(tmp_path: Path) -> None:
    (tmp_path / "1.sock").touch()
    plan = DialPlan(tmp_path)
    plan.ended(str(tmp_path / "1.sock"), 0.0)
    (tmp_path / "2.sock").touch()
    assert plan.due(0.0, ()) == [str(tmp_path / "2.sock")]
