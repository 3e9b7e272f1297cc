"""Who may be a worker's gateway."""

import os
import socket
from pathlib import Path

import pytest
from propylon.worker.host.dialer import connect

from ..gateway_peer import Listener, WorkerProcess, running

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
        assert worker.errors.count(f"error   no link to {path}: it is of another user") == 1


def test_nobody_listens(run_dir: Path) -> None:
    listener = Listener(run_dir)
    listener.sock.close()
    with pytest.raises(ConnectionRefusedError):
        connect(str(listener.path))
    worker = WorkerProcess("asgi_apps:app", run_dir)
    assert worker.report()["event"] == "ready"
    worker.close()
