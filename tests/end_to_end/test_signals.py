"""Signals that operators and their tools send: to the supervisor, and to all that is in its process
group. What they mean is gunicorn's and nginx's."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .server import (
    APPS,
    DEADLINE,
    Output,
    Propylon,
    command,
    command_line,
    descendants,
    environment,
    wait_for,
)

HARMLESS = ("USR1", "WINCH", "URG", "ALRM", "PIPE", "CONT", "CHLD")
"""Documented by one of them or sent by a terminal or a kernel, and ending nothing."""


@contextmanager
def in_a_group_of_its_own(*arguments: str, cwd: Path = APPS) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command("serve", "asgi_raw:app", "-b", "127.0.0.1:0", *arguments),
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=cwd,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(DEADLINE) == 0


def test_what_means_nothing_ends_nothing() -> None:
    with in_a_group_of_its_own() as process:
        assert process.stderr is not None
        output = Output(process.stderr)
        output.find("Propylon ", process)
        process.send_signal(signal.SIGUSR1)  # perhaps before anybody hears it
        url = output.find(r"Serving on (\S+)", process)[1]
        family = Propylon.__new__(Propylon)
        family.process = process
        before = {*family.pids("worker"), *family.pids("gateway")}
        for name in HARMLESS:
            os.killpg(process.pid, signal.Signals[f"SIG{name}"])
        family.url = url
        with family.client() as client:
            assert [client.get("/").text for _ in range(20)] == ["hello"] * 20
        assert {*family.pids("worker"), *family.pids("gateway")} == before
        output.find("Opening the logs again")


@contextmanager
def starting(app: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """In a process group of its own, and not waited for; a test that fails leaves nothing of it."""
    process = subprocess.Popen(
        command("serve", app, "-b", "127.0.0.1:0"),
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=cwd,
        start_new_session=True,
    )
    try:
        yield process
    except BaseException:
        process.kill()
        process.communicate()
        raise


def test_a_ctrl_c_while_a_child_is_started_is_heard() -> None:
    """At the very moment at which there is a child, and its program has not been loaded yet."""
    with starting("asgi_raw:app", APPS) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        end = time.monotonic() + DEADLINE
        assert process.stderr is not None
        process.stderr.readline()  # it listens; what imports have started has ended
        while not children.read_text():
            assert time.monotonic() < end, "no child was started"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, said
    assert "Stopping on SIGINT" in said


def test_a_stop_of_the_whole_group_while_it_starts(tmp_path: Path) -> None:
    """As systemd sends it: children that are not ready end by it, and that is no fault."""
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(60)\n")
    with starting("slow:app", tmp_path) as process:

        def there_is_a_worker() -> bool:
            return any("propylon.worker" in command_line(pid) for pid in descendants(process.pid))

        wait_for(there_is_a_worker, "a worker")
        for pid in descendants(process.pid):  # it may come to us last
            if "propylon.worker" in command_line(pid):
                os.kill(pid, signal.SIGTERM)
        os.killpg(process.pid, signal.SIGTERM)
        _, said = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, said
    assert " error " not in said
    assert "Stopping on SIGTERM" in said


def test_what_is_for_the_supervisor_ends_no_other() -> None:
    """HUP, USR2, TTIN and TTOU: TTIN's default would stop the others, and they would hold what they
    have. The supervisor does what it does about them."""
    with in_a_group_of_its_own("--reload-observe", "0") as process:
        assert process.stderr is not None
        output = Output(process.stderr)
        url = output.find(r"Serving on (\S+)", process)[1]
        server = Propylon.__new__(Propylon)
        server.process, server.url = process, url
        with server.client() as client:
            for name, says in (
                ("TTIN", "2 workers wanted"),
                ("TTOU", "1 worker wanted"),
                ("HUP", "Reloaded: generation 2"),
            ):
                os.killpg(process.pid, signal.Signals[f"SIG{name}"])
                output.find(says)
                assert client.get("/").text == "hello"


def test_quit_is_a_stop_that_finishes_what_is_under_way() -> None:
    with Propylon("asgi_raw:app") as propylon:
        assert propylon.stop(signal.SIGQUIT) == 0
        assert "Stopping on SIGQUIT" in propylon.stderr.text


@pytest.mark.parametrize(
    "number",
    [signal.SIGUSR1, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)],
    ids=["USR1", "HUP"],
)
def test_a_log_that_was_moved_away_is_begun_anew(tmp_path: Path, number: int) -> None:
    log = tmp_path / "access.log"
    options = ("--access-logfile", str(log), "--reload-observe", "0")
    with Propylon("asgi_raw:app", *options) as propylon, propylon.client() as client:
        client.get("/first")
        wait_for(lambda: "/first" in log.read_text(), "a line")
        log.rename(tmp_path / "access.log.1")
        propylon.process.send_signal(number)
        wait_for(log.exists, "a log of the same name")
        client.get("/second")
        wait_for(lambda: "/second" in log.read_text(), "a line")
        assert "/second" not in (tmp_path / "access.log.1").read_text()


def permitted() -> bool:
    done = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, check=False
    )
    return done.returncode == 0


LEAVES = """
import os, time

async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/leave" and os.fork() == 0:
        for _ in range(5):  # each is left to PID 1
            if os.fork() == 0:
                os._exit(0)
        os._exit(0)
    states = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with open(f"/proc/{name}/stat") as file:
            states.append(file.read().rpartition(")")[2].split()[:2])
    strangers = [state for state, parent in states if parent == "1" and state == "Z"]
    body = f"{len(strangers)} of {os.getppid()}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


def test_as_pid_1_it_leaves_no_zombies(tmp_path: Path) -> None:
    if not permitted():
        pytest.skip("this user may not make a namespace of processes")
    (tmp_path / "leaves.py").write_text(LEAVES)
    serve = command("serve", "leaves:app", "-b", "127.0.0.1:0", "--run-dir", str(tmp_path / "r"))
    process = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--mount-proc", *serve],
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=tmp_path,
    )
    assert process.stderr is not None
    output = Output(process.stderr)
    try:
        server = Propylon.__new__(Propylon)
        server.process = process
        server.url = output.find(r"Serving on (\S+)", process)[1]
        with server.client() as client:
            for _ in range(5):
                client.get("/leave")
            wait_for(lambda: client.get("/").text == "0 of 1", "all of them are waited for")
    finally:
        subprocess.run(command("stop", "--run-dir", str(tmp_path / "r")), check=True, cwd="/")
        assert process.wait(DEADLINE) == 0


def test_a_stop_that_is_asked_for_until_it_is_over_ends_well() -> None:
    """As by an orchestrator that is impatient: the last of its signals meets an interpreter that is
    going away, and would end it by that signal."""
    with in_a_group_of_its_own() as process:
        assert process.stderr is not None
        output = Output(process.stderr)
        output.find(r"Serving on (\S+)", process)
        end = time.monotonic() + DEADLINE
        while process.poll() is None and time.monotonic() < end:
            process.terminate()
            time.sleep(0.001)
        assert process.returncode == 0
        said = output.finish()
        assert said.count("Stopping on SIGTERM") == 1
        assert said.count("Stopping at once") == 1
