"""What systemd hears, at a real datagram socket."""

import secrets
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from propylon.gateway.supervisor.systemd_notify import Notifier

ME = 17


@pytest.fixture(params=["path", "abstract"])
def heard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """The socket, and NOTIFY_SOCKET for it."""
    where = str(tmp_path / "notify")
    name = where
    if request.param == "abstract":
        token = secrets.token_hex(8)
        where, name = f"@{token}", f"\0{token}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(name)
        sock.settimeout(5)
        yield sock, where


def test_what_is_said(heard: tuple[socket.socket, str]) -> None:
    sock, where = heard
    notifier = Notifier({"NOTIFY_SOCKET": where}, ME)
    notifier.ready("Serving on\nX=1")
    assert sock.recv(4096) == b"READY=1\nSTATUS=Serving on X=1"
    notifier.status("busy")
    assert sock.recv(4096) == b"STATUS=busy"
    notifier.alive()
    assert sock.recv(4096) == b"WATCHDOG=1"
    notifier.reloading()
    assert sock.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    notifier.reloaded("new")
    assert sock.recv(4096) == b"READY=1\nSTATUS=new"
    notifier.stopping("bye")
    assert sock.recv(4096) == b"STOPPING=1\nSTATUS=bye"
    notifier.close()
    notifier.alive()
    sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        sock.recv(4096)


def test_nobody_is_there(tmp_path: Path) -> None:
    for where in ("", "vsock:2:1", "relative", str(tmp_path / "gone")):
        notifier = Notifier({"NOTIFY_SOCKET": where}, ME)
        notifier.ready("x")
        notifier.close()


def test_a_full_socket_does_not_block(heard: tuple[socket.socket, str]) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": heard[1]}, ME)
    for _ in range(2_000):  # net.unix.max_dgram_qlen is 512 at most by default
        notifier.alive()
    notifier.close()


def test_readiness_waits_for_room(heard: tuple[socket.socket, str]) -> None:
    sock, where = heard
    notifier = Notifier({"NOTIFY_SOCKET": where}, ME)
    for _ in range(2_000):
        notifier.alive()
    messages: list[bytes] = []

    def read() -> None:
        while not messages or not messages[-1].startswith(b"READY=1"):
            messages.append(sock.recv(4096))

    reader = threading.Thread(target=read)
    reader.start()
    notifier.ready("x")
    reader.join(5)
    assert messages[-1] == b"READY=1\nSTATUS=x"
    assert len(messages) < 2_000  # signs of life that found no room were dropped
    notifier.close()


@pytest.mark.parametrize(
    ("usec", "pid", "every"),
    [
        ("3000000", "", 1.5),
        ("3000000", "17", 1.5),
        ("3000000", "16", None),
        ("0", "", None),
        ("", "", None),
        ("x", "", None),
        ("-1", "", None),
    ],
)
def test_watchdog(tmp_path: Path, usec: str, pid: str, every: float | None) -> None:
    environ = {"NOTIFY_SOCKET": str(tmp_path), "WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}
    notifier = Notifier(environ, ME)
    assert notifier.watchdog_every == every
    notifier.close()
