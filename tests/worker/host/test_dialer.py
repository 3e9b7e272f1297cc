"""Who may be a worker's gateway."""

import os
import socket
import time
from pathlib import Path

import pytest
from propylon.protocol.hello import Greeting
from propylon.worker.host.dialer import connect

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
