"""The verbs as they are typed, to instances that are processes of their own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from propylon.gateway.operate.client import EndOf, NoAnswer, ask
from propylon.gateway.operate.instances import Instance
from propylon.gateway.supervisor.commands import Reload, Result, Status
from propylon.gateway.supervisor.run_dir import control_sockets

from ..running import COMMAND, PATIENCE
from .instance import ABORTED

ROOT = Path(__file__).parents[3]


@dataclass
class Running:
    process: "subprocess.Popen[str]"
    run_dir: str

    @property
    def pid(self) -> int:
        return self.process.pid

    def ended(self) -> int:
        return self.process.wait(PATIENCE)


@dataclass
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if "PROPYLON" not in name}
    return kept | {"XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": str(tmp_path)}


Start = Callable[..., Running]


@pytest.fixture
def start(env: dict[str, str]) -> Iterator[Start]:
    """Starts an instance; what still runs at the end is killed."""
    running: list[Running] = []

    def start(*arguments: str | Path, **more: str) -> Running:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.gateway.operate.instance", *map(str, arguments)],
            cwd=ROOT,
            env=env | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        word, _, path = process.stdout.readline().strip().partition(" ")
        running.append(Running(process, path))
        assert word == "ready", process.communicate()[1]
        return running[-1]

    yield start
    for one in running:
        one.process.kill()
        one.process.communicate()


Type = Callable[..., Said]


@pytest.fixture
def propylon(env: dict[str, str], tmp_path: Path) -> Type:
    def type_it(*arguments: str | Path, **more: str) -> Said:
        ended = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=tmp_path,
            env=env | more,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        return Said(ended.returncode, ended.stdout, ended.stderr)

    return type_it


@pytest.fixture
def waiting(
    env: dict[str, str], tmp_path: Path
) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """A command whose end is not waited for."""
    typed: list[subprocess.Popen[str]] = []

    def type_it(*arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        typed.append(process)
        return process

    yield type_it
    for process in typed:
        process.kill()
        process.communicate()


# What the verbs do.


def test_status(start: Start, propylon: Type) -> None:
    instance = start()
    said = propylon("status")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("Serving on http://127.0.0.1:8000; 2 workers ready\nPropylon ")
    assert f", pid {instance.pid}, " in said.out
    report = json.loads(propylon("status", "--json").out)
    assert report["pid"] == instance.pid
    assert report["run_dir"] == instance.run_dir
    assert [worker["state"] for worker in report["pools"][0]["workers"]] == ["ready", "ready"]


def test_status_is_as_wide_as_the_terminal(start: Start, propylon: Type) -> None:
    start()
    assert "by SIGKILL (out\n" in propylon("status", COLUMNS="70").out
    assert "by SIGKILL (out of memory?)\n" in propylon("status", COLUMNS="100").out


def test_reload(start: Start, propylon: Type) -> None:
    start()
    said = propylon("reload")
    assert said == Said(0, "canary: worker 1 starts\nReloaded: generation 2\n", "")
    aborted = propylon("reload")
    assert (aborted.code, aborted.out) == (1, "canary: worker 1 starts\n")
    # What would move the cursor or change colours is shown instead.
    assert aborted.err == f"propylon: {ABORTED}\n".replace("\x1b", r"\x1b")
    said = propylon("reload", "--no-wait")
    assert said == Said(0, "Reload to generation 2 has begun\n", "")


@pytest.mark.parametrize(
    ("arguments", "heard"),
    [
        (["4"], "scale 4 relative=False pool=''"),
        (["+1"], "scale 1 relative=True pool=''"),
        (["-1"], "scale -1 relative=True pool=''"),
        (["-2", "--pool", "api"], "scale -2 relative=True pool='api'"),
        (["--pool=api", "--", "-2"], "scale -2 relative=True pool='api'"),
    ],
)
def test_scale(start: Start, propylon: Type, arguments: list[str], heard: str) -> None:
    start()
    assert propylon("scale", *arguments) == Said(0, f"{heard}\n", "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["scale"], "Missing argument 'N|+N|-N'."),
        (["scale", "many"], "found 'many'; expected a number of workers, as 4, +1 or -1"),
        (["scale", "٣"], "found '٣'; expected"),
        (["scale", "9999"], "found '9999'; expected"),
        (["scale", "0"], "a pool has at least one worker; to end them all, use stop"),
        (["scale", "+0"], "a pool has at least one worker"),
        (["scale", "-1", "-2"], "Got unexpected extra argument (-2)"),
        (["reload", "main:app"], "Got unexpected extra argument (main:app)"),
        (["stop", "--nwo"], "there is no option --nwo; did you mean --now?"),
        (["status", "--pid", "x"], "Invalid value for '--pid': 'x' is not a valid integer."),
        (["status", "-c", "x.toml"], "x.toml: cannot be read: No such file or directory"),
    ],
)
def test_usage_faults(propylon: Type, arguments: list[str], sentence: str) -> None:
    said = propylon(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"propylon: {sentence}")


def test_what_is_refused(start: Start, propylon: Type) -> None:
    start()
    refused = Said(1, "", "propylon: there is no configuration to go back to\n")
    assert propylon("rollback") == refused


def test_drain_returns_and_stop_waits(start: Start, propylon: Type, waiting) -> None:
    instance = start()
    stopping = waiting("stop")
    assert stopping.stdout.readline() == "1 request is under way\n"
    assert propylon("drain") == Said(0, "Draining: 2 requests are under way\n", "")
    assert instance.ended() == 0
    out, err = stopping.communicate(timeout=PATIENCE)
    assert (stopping.returncode, out, err) == (0, "Stopped\n", "")
    assert not os.path.exists(instance.run_dir)


def test_stop_now_while_another_stop_waits(start: Start, propylon: Type, waiting) -> None:
    instance = start()
    stopping = waiting("stop")
    assert stopping.stdout.readline() == "1 request is under way\n"
    assert instance.process.poll() is None
    assert propylon("stop", "--now") == Said(0, "1 request is under way\nStopped\n", "")
    assert instance.process.poll() == 0  # gone when the command returns
    stopping.communicate(timeout=PATIENCE)
    assert stopping.returncode == 0


def test_ctrl_c_leaves_the_reload_to_itself(start: Start, propylon: Type, waiting) -> None:
    start()
    propylon("reload")
    propylon("reload")
    reloading = waiting("reload")
    assert reloading.stdout.readline() == "canary: worker 1 starts\n"
    reloading.send_signal(signal.SIGINT)
    _, err = reloading.communicate(timeout=PATIENCE)
    sentence = "propylon: the reload goes on; `propylon status` tells how it ends"
    assert (reloading.returncode, err.strip()) == (130, sentence)
    assert propylon("status").code == 0


def test_an_instance_that_dies_before_it_has_answered(start: Start, propylon: Type) -> None:
    instance = start()
    said = propylon("upgrade")
    sentence = f"pid {instance.pid} ended before it had answered; its log says why"
    assert said == Said(1, "", f"propylon: {sentence}\n")
    none = propylon("stop")  # its socket is still there
    assert none.code == 1
    assert "no instance of Propylon of user " in none.err


# Which instance is meant.


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


AS_NOBODY = """
import os
from propylon.gateway.cli import main
os.setgroups([]); os.setgid(65534); os.setuid(65534)
main()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
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


def test_stop_waits_for_one_whose_pid_is_not_to_be_seen(start: Start, propylon: Type) -> None:
    """As that of another container."""
    instance = start()
    (place,) = control_sockets(instance.run_dir)
    end = EndOf(Instance(instance.run_dir, place, 0))
    asked = threading.Thread(target=propylon, args=("stop", "--now"))
    asked.start()
    end.wait()
    assert not os.path.exists(place)
    asked.join()


def test_a_reload_may_take_longer_than_an_answer(start: Start, propylon: Type) -> None:
    instance = start()
    propylon("reload")
    propylon("reload")
    (place,) = control_sockets(instance.run_dir)
    told = threading.Event()

    def drain_late() -> None:
        told.wait(PATIENCE)
        time.sleep(0.3)  # longer than the time-out
        propylon("drain")

    draining = threading.Thread(target=drain_late)
    draining.start()
    there = Instance(instance.run_dir, place, instance.pid)
    answer = ask(there, Reload(), lambda text: told.set(), timeout=0.2)
    assert answer == Result(True, "Reloaded: generation 2")
    draining.join()


CONTAINER = """
import json, os, subprocess, sys
run_dir, *command = sys.argv[1:]
workers = subprocess.Popen(
    [sys.executable, "-m", "tests.gateway.operate.instance", run_dir, "worker"],
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
