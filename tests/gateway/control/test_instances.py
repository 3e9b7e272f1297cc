"""Which of the running instances the verbs mean."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from propylon.gateway.control.client import NoAnswer, ask
from propylon.gateway.control.commands import Status
from propylon.gateway.control.instances import Instance
from propylon.gateway.control.run_dir import control_sockets

from ..running import COMMAND, PATIENCE
from .conftest import ROOT, Said, Start, Type


def test_nobody_there(propylon: Type, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    said = propylon("status")
    assert (said.code, said.out) == (1, "")
    assert re.fullmatch(
        r"propylon: no instance of Propylon of user \S+ was found; if it was given a --run-dir, "
        r"name that here too\n",
        said.err,
    )
    said = propylon("status", "--run-dir", "run")
    sentence = f"no instance of Propylon runs with the run directory {tmp_path}/run"
    assert said == Said(1, "", f"propylon: {sentence}\n")
    assert propylon("status", "--pid", "1").err.startswith(
        "propylon: no instance of Propylon with pid 1 "
    )
    assert sorted(tmp_path.rglob("*")) == before  # nothing is made by looking


def test_what_a_killed_one_left_is_passed_over_and_left_alone(start: Start, propylon: Type) -> None:
    killed = start()
    killed.process.kill()
    killed.process.wait()
    alive = start(XDG_RUNTIME_DIR="")  # a service has none, a login has one
    assert json.loads(propylon("status", "--json").out)["pid"] == alive.pid
    assert os.path.exists(f"{killed.run_dir}/control.sock")


def test_several(start: Start, propylon: Type) -> None:
    one, two = start(), start()
    said = propylon("stop")
    assert (said.code, said.out) == (2, "")
    head, *lines = said.err.splitlines()
    assert head == (
        "propylon: several instances of Propylon run; choose one with --pid or --run-dir:"
    )
    assert sorted(lines) == sorted(
        f"  {f'--pid {each.pid}':<14}  --run-dir {each.run_dir}  http://127.0.0.1:8000  main:app"
        for each in (one, two)
    )
    assert json.loads(propylon("status", "--json", "--pid", str(two.pid)).out)["pid"] == two.pid
    said = propylon("status", "--json", "--run-dir", one.run_dir)
    assert json.loads(said.out)["pid"] == one.pid


@pytest.mark.slow
def test_the_run_directory_is_found_as_the_instance_found_it(
    start: Start, propylon: Type, tmp_path: Path
) -> None:
    one, two, three = start(tmp_path / "a"), start(tmp_path / "b"), start(tmp_path / "c")
    start()

    def pid(*arguments: str | Path, **more: str) -> int:
        return json.loads(propylon("status", "--json", *arguments, **more).out)["pid"]

    # What else is wrong with the file keeps nobody from it.
    (tmp_path / "propylon.toml").write_text('run-dir = "a"\nwokers = 3\n')
    (tmp_path / "other.toml").write_text('run_dir = "b"\n')
    assert pid() == one.pid
    assert pid("-c", "other.toml") == two.pid
    assert pid(PROPYLON_CONFIG="other.toml") == two.pid
    assert pid("-c", "other.toml", PROPYLON_RUN_DIR="c") == three.pid
    assert pid("--run-dir", "a", PROPYLON_RUN_DIR="c") == one.pid


def test_a_broken_file(start: Start, propylon: Type, tmp_path: Path) -> None:
    instance = start()
    (tmp_path / "propylon.toml").write_text("run-dir = \n")
    said = propylon("status")
    assert said.code == 2
    fault, hint = said.err.splitlines()
    assert fault.startswith("propylon: propylon.toml: not TOML: ")
    assert hint == ("propylon: name the instance with --run-dir or --pid to do without this file")
    assert propylon("status", "--pid", str(instance.pid)).code == 0
    (tmp_path / "propylon.toml").write_text("run-dir = 3\n")
    said = propylon("status")
    assert said == Said(2, "", "propylon: propylon.toml: run-dir: found 3; expected a directory\n")


@pytest.mark.slow
def test_workers_that_share_a_run_directory(start: Start, propylon: Type, tmp_path: Path) -> None:
    killed = start(tmp_path / "run", "worker")
    killed.process.kill()
    killed.process.wait()
    gateway = start(tmp_path / "run")
    workers = start(tmp_path / "run", "worker")
    sockets = sorted(path.name for path in (tmp_path / "run").glob("control*"))
    assert len(sockets) == 2  # that of the killed one has been removed
    said = propylon("drain", "--run-dir", "run")
    assert (said.code, f"--pid {gateway.pid} " in said.err) == (2, True)
    assert propylon("stop", "--now", "--run-dir", "run", "--pid", str(workers.pid)).code == 0
    assert workers.ended() == 0
    assert json.loads(propylon("status", "--json", "--run-dir", "run").out)["pid"] == gateway.pid
    assert propylon("stop", "--now", "--run-dir", "run").code == 0
    assert list((tmp_path / "run").glob("control*")) == []


@pytest.mark.slow
def test_one_that_hangs(start: Start, propylon: Type) -> None:
    instance = start()
    instance.process.send_signal(signal.SIGSTOP)
    other = start()
    listed = propylon("status")  # and the others are to be seen
    assert listed.code == 2
    assert f"{instance.run_dir}  (does not say what it serves)" in listed.err
    assert f"{other.run_dir}  http://127.0.0.1:8000" in listed.err
    (place,) = control_sockets(instance.run_dir)
    with pytest.raises(NoAnswer) as caught:
        ask(Instance(instance.run_dir, place, instance.pid), Status(), timeout=0.1)
    assert str(caught.value) == f"pid {instance.pid} does not answer; is it stopped, or stuck?"


@pytest.mark.slow
def test_one_that_takes_no_connection_matters_to_no_other(
    start: Start, propylon: Type, tmp_path: Path
) -> None:
    stopped = start()
    (place,) = control_sockets(stopped.run_dir)
    stopped.process.send_signal(signal.SIGSTOP)
    with ExitStack() as waiting:
        try:
            while True:  # until its backlog is full
                sock = waiting.enter_context(socket.socket(socket.AF_UNIX))
                sock.setblocking(False)
                sock.connect(place)
        except BlockingIOError:
            pass
        sentence = f"the instance at {stopped.run_dir} does not answer; is it stopped?"
        assert propylon("status") == Said(1, "", f"propylon: {sentence}\n")
        other = start()
        asked = propylon("status", "--json", "--pid", str(other.pid))
        assert json.loads(asked.out)["pid"] == other.pid
        assert propylon("status", "--pid", "1").err == f"propylon: {sentence}\n"
        said = propylon("stop")  # it may be the stopped one that is meant
        assert said.code == 2
        assert f"{'':16}  --run-dir {stopped.run_dir}  (does not say what it serves)" in said.err
        assert f"  --pid {other.pid} " in said.err


AS_NOBODY = """
import os
from propylon.gateway.cli import main
os.setgroups([]); os.setgid(65534); os.setuid(65534)
main()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.slow
def test_another_users(start: Start, env: dict[str, str]) -> None:
    def as_nobody(*arguments: str) -> Said:
        ended = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, *arguments],
            cwd="/",
            env=env | {"TMPDIR": folder},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return Said(ended.returncode, ended.stdout, ended.stderr)

    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o755)
    run_dir = os.path.join(folder, "run")
    try:
        instance = start(run_dir)
        # Of root's, the directory may not be looked into; then the socket not be connected to.
        for path in (run_dir, f"{run_dir}/control.sock"):
            said = as_nobody("stop", "--run-dir", run_dir)
            sentence = f"permission denied: {path} is of user root; ask as that user, or as root"
            assert said == Said(1, "", f"propylon: {sentence}\n")
            os.chmod(run_dir, 0o755)
        os.chmod(f"{run_dir}/control.sock", 0o666)
        said = as_nobody("stop", "--run-dir", run_dir)
        sentence = "refused: you are uid 65534, and this is not yours"
        assert said == Said(1, "", f"propylon: {sentence}\n")
        assert as_nobody("stop").err.startswith("propylon: no instance of Propylon of user nobody ")
        assert instance.process.poll() is None
    finally:
        shutil.rmtree(folder)


CONTAINER = """
import json, os, subprocess, sys
run_dir, *command = sys.argv[1:]
workers = subprocess.Popen(
    [sys.executable, "-m", "tests.gateway.control.instance", run_dir, "worker"],
    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
)
workers.stdout.readline()
said = subprocess.run([*command, "status", "--json", "--run-dir", run_dir], capture_output=True)
workers.kill()
sys.stderr.buffer.write(said.stderr)
print(workers.pid, json.loads(said.stdout)["pid"])
"""
UNSHARE = ("unshare", "--pid", "--fork", "--kill-child")


def can_unshare() -> bool:
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not can_unshare(), reason="needs a pid namespace of its own")
def test_in_a_container_its_own_instance_is_meant(
    start: Start, env: dict[str, str], tmp_path: Path
) -> None:
    start(tmp_path / "run")  # the gateway, in another container
    said = subprocess.run(
        [*UNSHARE, sys.executable, "-c", CONTAINER, str(tmp_path / "run"), *COMMAND],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert said.stderr == ""
    pid, asked = said.stdout.split()
    assert asked == pid
