"""The verbs as they are typed, to instances that are processes of their own."""

import json
import os
import signal
import threading
import time

import pytest
from propylon.gateway.control.client import EndOf, ask
from propylon.gateway.control.commands import Reload, Result
from propylon.gateway.control.instances import Instance
from propylon.gateway.control.run_dir import control_sockets

from ...cases import some_slow
from ..running import PATIENCE
from .conftest import Said, Start, Type
from .instance import ABORTED


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
    some_slow(
        3,
        [
            (["4"], "scale 4 relative=False pool=''"),
            (["auto"], "scale 0 relative=False pool='' auto"),
            (["+1"], "scale 1 relative=True pool=''"),
            (["-1"], "scale -1 relative=True pool=''"),
            (["-2", "--pool", "api"], "scale -2 relative=True pool='api'"),
            (["--pool=api", "--", "-2"], "scale -2 relative=True pool='api'"),
        ],
    ),
)
def test_scale(start: Start, propylon: Type, arguments: list[str], heard: str) -> None:
    start()
    assert propylon("scale", *arguments) == Said(0, f"{heard}\n", "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    some_slow(
        4,
        [
            (["scale"], "Missing argument 'N|+N|-N|auto'."),
            (
                ["scale", "many"],
                "found 'many'; expected a number of workers, as 4, +1 or -1, or auto",
            ),
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
    ),
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
