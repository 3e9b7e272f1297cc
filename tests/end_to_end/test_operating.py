"""scale, stop, drain, the control socket, and what is to be seen of crashes, with the real CLI."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .operating import (
    CHANGING,
    Traffic,
    ask,
    begin,
    deploy,
    done,
    finish,
    settled,
    status,
    traffic,
    watch,
)
from .server import DEADLINE, Propylon, command, environment, start_time, wait_for

FLAGS = (*CHANGING, "0.1")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Propylon]:
    deploy(tmp_path, "old")
    with Propylon(*FLAGS, cwd=tmp_path) as server:
        yield server


@pytest.fixture
def clients(server: Propylon) -> Iterator[Traffic]:
    with traffic(server) as clients:
        yield clients


# -- scale ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_scale(server: Propylon, clients: Traffic, tmp_path: Path) -> None:
    first = settled(server, 2)
    assert done(server, "scale", "3") == "Pool default: 3 workers wanted, 2 before\n"
    grown = settled(server, 3)
    assert first.keys() < grown.keys()
    assert "1 before" not in done(server, "scale", "-1")
    settled(server, 2)
    done(server, "scale", "+2")
    settled(server, 4)
    said = ask(server, "scale", "-4")
    assert said.code == 1
    assert "needs at least one worker" in said.error
    assert ask(server, "scale", "0").code == 2
    assert ask(server, "scale", "many").code == 2
    said = ask(server, "scale", "3", "--pool", "nosuch")
    assert said.code == 1
    assert "there is no pool nosuch; there is default" in said.error

    deploy(tmp_path, "new")
    done(server, "reload")
    settled(server, 4, "what was scaled survives a reload")


@pytest.mark.slow
def test_scale_by_signal(server: Propylon, clients: Traffic) -> None:
    settled(server, 2)
    server.process.send_signal(signal.SIGTTIN)
    settled(server, 3)
    server.process.send_signal(signal.SIGTTOU)
    settled(server, 2)
    server.process.send_signal(signal.SIGTTOU)
    settled(server, 1)
    server.process.send_signal(signal.SIGTTOU)
    server.stderr.find("SIGTTOU: pool default has 1, and needs at least one worker")


@pytest.mark.slow
def test_scale_of_several_pools(tmp_path: Path) -> None:
    deploy(tmp_path, "old")
    (tmp_path / "propylon.toml").write_text(
        '[[pools]]\nname = "a"\napp = "changing:app"\n[[pools]]\nname = "b"\napp = "changing:app"\n'
        '[[routes]]\nprefix = "/b"\npool = "b"\n[[routes]]\npool = "a"\n'
    )
    with Propylon(cwd=tmp_path) as server:
        said = ask(server, "scale", "2")
        assert said.code == 1
        assert "there are several pools, say which: a, b" in said.error
        done(server, "scale", "+1", "--pool", "b")
        settled(server, 3)
        assert [pool["wanted"] for pool in status(server)["pools"]] == [1, 2]


@pytest.mark.slow
def test_scale_while_a_reload_is_under_way(
    server: Propylon, clients: Traffic, tmp_path: Path
) -> None:
    wait = "while not os.path.exists('gate'): await asyncio.sleep(0.01)"
    settled(server, 2)
    deploy(tmp_path, "new", in_startup=wait)
    reloading = begin(server, "reload")
    watch(server, lambda report: report["reload"], "the reload")
    done(server, "scale", "3")
    (tmp_path / "gate").touch()
    assert finish(reloading).code == 0
    assert set(settled(server, 3).values()) == {2}
    clients.version("new")


# -- crashes -------------------------------------------------------------------------------------


def test_a_crash_is_made_good_at_once_and_told(server: Propylon) -> None:
    """The time that it takes is that of a start."""
    began = time.monotonic()
    done(server, "scale", "3")
    start = wait_for(lambda: len(settled(server, 3)) and time.monotonic() - began, "a third")
    with traffic(server, keeping=0, new=1):
        victim = next(iter(settled(server, 3)))
    began = time.monotonic()
    os.kill(victim, signal.SIGKILL)

    def replaced(report: dict) -> bool:
        ready = {w["pid"] for w in report["pools"][0]["workers"] if w["state"] == "ready"}
        return len(ready) == 3 and victim not in ready

    report = watch(server, replaced, "the replacement")
    assert time.monotonic() - began < start + 1.0
    (ended,) = report["ended"]
    assert ended["what"] == f"worker 1 (pid {victim}) of pool default"
    assert ended["how"] == "was killed by SIGKILL (out of memory?)"
    shown = done(server, "status")
    assert f"worker 1 (pid {victim}) of pool default was killed by SIGKILL" in shown


def test_a_killed_gateway_comes_back_to_the_same_workers(server: Propylon) -> None:
    address, before = server.address, settled(server, 2)
    (gateway,) = server.pids("gateway")
    os.kill(gateway, signal.SIGKILL)
    with traffic(server):  # who connects now waits in the kernel's queue
        assert settled(server, 2) == before
    assert server.address == address
    watch(server, lambda r: [g["state"] for g in r["gateways"]] == ["ready"], "the new gateway")
    assert status(server)["ended"][0]["what"] == f"gateway 1 (pid {gateway})"


# -- stop ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_stop_waits_for_the_end(server: Propylon) -> None:
    assert done(server, "stop").splitlines()[-1] == "Stopped"
    assert server.process.poll() == 0


@pytest.mark.slow
def test_drain_returns_at_once_and_what_runs_is_finished(tmp_path: Path) -> None:
    (tmp_path / "calls.py").write_text(
        "import asyncio, os\n"
        "async def call():\n"
        "    open('began', 'w').close()\n"
        "    while not os.path.exists('gate'): await asyncio.sleep(0.01)\n"
    )
    deploy(tmp_path, "old", at_import="from calls import call", in_call="await call()")
    with Propylon(*FLAGS, cwd=tmp_path) as server:
        with asking(server) as answer:
            wait_for((tmp_path / "began").exists, "the call")
            assert done(server, "drain").startswith("Draining")
            assert status(server)["phase"] == "stopping"
            said = ask(server, "reload")
            assert said.code == 1
            assert said.error == "propylon: Propylon is stopping\n"
            (tmp_path / "gate").touch()
        assert answer[0].startswith("old ")
        assert server.process.wait(DEADLINE) == 0


@contextmanager
def asking(server: Propylon) -> Iterator[list[str]]:
    """One request, from beside; its answer, at the end."""
    answer: list[str] = []

    def one() -> None:
        with server.client() as client:
            answer.append(client.get("/").text)

    thread = threading.Thread(target=one)
    thread.start()
    try:
        yield answer
    finally:
        thread.join()


@pytest.mark.slow
def test_stop_now_cuts_what_runs(tmp_path: Path) -> None:
    call = "open('began', 'w').close(); await asyncio.sleep(3600)"
    deploy(tmp_path, "old", in_call=call)
    with Propylon(*FLAGS, cwd=tmp_path) as server:
        with socket.create_connection(server.address) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            wait_for((tmp_path / "began").exists, "the call")
            stopping = begin(server, "stop")
            server.stderr.find("Stopping on `propylon stop`")
            waits = (
                r"Stopping waits for 1 request of pool default \(worker \d\), for \d+ s at most; "
            )
            server.stderr.find(f"{waits}`propylon stop --now` or a second signal")
            began = time.monotonic()
            done(server, "stop", "--now")
            said = finish(stopping)
            assert said.code == 0
            assert re.search(waits, said.out)
            assert time.monotonic() - began < 5
        assert server.process.wait(DEADLINE) == 0


def test_nobody_there() -> None:
    said = subprocess.run(
        command("status", "--pid", str(os.getpid())), capture_output=True, text=True, check=False,
        env=environment(),
    )  # fmt: skip
    assert said.returncode == 1
    assert said.stderr.startswith(f"propylon: no instance of Propylon with pid {os.getpid()} ")


# -- the control socket --------------------------------------------------------------------------


def control_socket(server: Propylon) -> str:
    return f"{status(server)['run_dir']}/control.sock"


def test_the_control_socket_is_its_owners(server: Propylon) -> None:
    path = control_socket(server)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


SOMEBODY = """
import os, socket, sys
os.setresuid(65534, 65534, 65534)
sock = socket.socket(socket.AF_UNIX)
try:
    sock.connect(sys.argv[1])
    print(sock.makefile().read())
except PermissionError:
    print("no permission")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_is_refused(tmp_path: Path) -> None:
    """Even one whom the file's mode lets in."""

    def as_somebody(path: Path) -> str:
        told = subprocess.run(
            [sys.executable, "-c", SOMEBODY, str(path)],
            capture_output=True, text=True, check=True, cwd="/",
        )  # fmt: skip
        return told.stdout

    deploy(tmp_path, "old")
    with tempfile.TemporaryDirectory(prefix="p") as run_dir:
        os.chmod(run_dir, 0o755)
        with Propylon(*FLAGS, "--run-dir", run_dir, cwd=tmp_path) as server:
            path = Path(run_dir) / "control.sock"
            assert as_somebody(path) == "no permission\n"
            path.chmod(0o666)
            answer = json.loads(as_somebody(path))
            assert not answer["ok"]
            assert answer["message"].startswith("refused: you are uid 65534")
            server.stderr.find("The control socket refused another user .uid 65534")


@pytest.mark.slow
def test_who_is_stuck_on_the_control_socket_holds_nobody_up(
    server: Propylon, tmp_path: Path
) -> None:
    path = control_socket(server)
    stuck = [socket.socket(socket.AF_UNIX) for _ in range(5)]
    try:
        for number, sock in enumerate(stuck):
            sock.connect(path)
            if number % 2:
                sock.sendall(b'{"command": "relo')  # and nothing more
        deploy(tmp_path, "new")
        stuck[0].sendall(b'{"command": "reload"}\n')  # never reads
        server.stderr.find("generation 2 serves")
        done(server, "reload")
        began = time.monotonic()
        done(server, "stop")
        assert time.monotonic() - began < 4
    finally:
        for sock in stuck:
            sock.close()


# -- a dead supervisor ---------------------------------------------------------------------------


@pytest.mark.slow
def test_no_orphan_keeps_the_port(tmp_path: Path) -> None:
    """What is under way is finished, and then nobody is left; the next one can have the port."""
    deploy(tmp_path, "old", in_call="open('began', 'w').close(); await asyncio.sleep(0.7)")
    server = Propylon(*FLAGS, cwd=tmp_path)
    with server:
        children = server.pids("gateway") + server.pids("worker")
        assert len(children) == 3
        with asking(server) as answer:
            wait_for((tmp_path / "began").exists, "the call")
            server.process.kill()
            server.process.wait()
        assert answer[0].startswith("old ")
        began = time.monotonic()
        wait_for(lambda: not any(map(start_time, children)), "the end of its children")
        assert time.monotonic() - began < 5
        host, port = server.address
        deploy(tmp_path, "next")
        flags = (*FLAGS, "-b", f"{host}:{port}")
        with Propylon(*flags, cwd=tmp_path) as follower, follower.client() as client:
            assert client.get("/").text.startswith("next ")
        server.stop = lambda number=0: 0  # pyright: ignore: it has ended already
