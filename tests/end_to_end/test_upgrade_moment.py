"""What comes in the very moment in which newer code takes over; and the two halves apart."""

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from propylon.gateway.control.client import Ended
from propylon.gateway.control.client import ask as ask_socket
from propylon.gateway.control.commands import Reload, Scale, Status, Stop, Upgrade
from propylon.gateway.control.instances import Instance

from .operating import deploy, log_count, settled, status, watch
from .server import DEADLINE, Output, Propylon, command, descendants, environment, wait_for

FLAGS = ("changing:app", "--reload-observe", "0.1", "--no-access-log")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Propylon]:
    deploy(tmp_path, "old")
    with Propylon(*FLAGS, cwd=tmp_path) as server:
        yield server


def instance_of(server: Propylon) -> Instance:
    run_dir = status(server)["run_dir"]
    return Instance(run_dir, f"{run_dir}/control.sock", server.process.pid)


def begin_upgrade(server: Propylon) -> None:
    """Returns a moment before the exec."""
    before = log_count(server, "Upgrading: ")
    server.process.send_signal(signal.SIGUSR2)
    end = time.monotonic() + DEADLINE
    while log_count(server, "Upgrading: ") == before:
        assert time.monotonic() < end, "it does not upgrade"


@pytest.mark.parametrize("delay", [pytest.param(0.0, marks=pytest.mark.slow),
                                   pytest.param(0.002, marks=pytest.mark.slow),
                                   pytest.param(0.008, marks=pytest.mark.slow),
                                   pytest.param(0.012, marks=pytest.mark.slow),
                                   pytest.param(0.1, marks=pytest.mark.slow)])  # fmt: skip
def test_a_signal_is_not_lost(server: Propylon, delay: float) -> None:
    for number, wanted in ((signal.SIGTTIN, 2), (signal.SIGTTOU, 1)):
        before = status(server)["generation"]
        begin_upgrade(server)
        time.sleep(delay)
        server.process.send_signal(number)
        watch(server, lambda r, g=before: r["generation"] > g, "the new gateway")
        settled(server, wanted)


@pytest.mark.slow
def test_a_stop_is_not_overrun(server: Propylon) -> None:
    begin_upgrade(server)
    assert server.stop() == 0


@pytest.mark.slow
def test_a_reload_is_not_overrun(server: Propylon, tmp_path: Path) -> None:
    """It comes into effect, whoever comes first, and whether or not there is an upgrade."""
    deploy(tmp_path, "new")
    begin_upgrade(server)
    server.process.send_signal(signal.SIGHUP)
    with server.client() as client:
        wait_for(lambda: client.get("/").text.startswith("new "), "the new code")


@pytest.mark.parametrize("wish", [Stop(), Reload(wait=False)], ids=["stop", "reload"])
@pytest.mark.slow
def test_what_is_asked_before_the_exec_goes_first(
    server: Propylon, tmp_path: Path, wish: Stop | Reload
) -> None:
    """Somebody who is slow to ask keeps the exec waiting for a moment."""
    instance = instance_of(server)
    deploy(tmp_path, "new", in_startup="await asyncio.sleep(1.5)")
    with closing(socket.socket(socket.AF_UNIX)) as slow:
        slow.connect(instance.socket)
        assert ask_socket(instance, Upgrade()).ok
        if isinstance(wish, Stop):
            with pytest.raises(Ended):  # a stop's answer is the instance's end
                ask_socket(instance, wish)
            assert server.process.wait(DEADLINE) == 0
        else:
            assert ask_socket(instance, wish).ok
            server.stderr.find(r"Reloaded: generation [23] serves")
            with server.client() as client:
                wait_for(lambda: client.get("/").text.startswith("new "), "the new code")


@pytest.mark.slow
def test_who_asks_meanwhile_is_answered(server: Propylon) -> None:
    instance = instance_of(server)
    answers, failed, ending = [0], list[str](), threading.Event()

    def asking() -> None:
        while not ending.wait(0.001):
            try:
                answers[0] += ask_socket(instance, Status()).ok
            except Exception as error:
                failed.append(repr(error))

    askers = [threading.Thread(target=asking) for _ in range(2)]
    for asker in askers:
        asker.start()
    try:
        begin_upgrade(server)
        assert ask_socket(instance, Scale(workers=2)).ok
        watch(server, lambda report: report["generation"] == 2, "the new gateway")
        assert ask_socket(instance, Reload()).ok
    finally:
        ending.set()
        for asker in askers:
            asker.join()
    assert answers[0] > 20
    assert not failed, failed[:3]
    settled(server, 2)


@pytest.mark.slow
def test_a_reload_behind_an_upgrade_brings_its_gateways_too(
    server: Propylon, tmp_path: Path
) -> None:
    deploy(tmp_path, "new")
    (before,) = server.pids("gateway")
    begin_upgrade(server)
    server.stderr.find("Took over from older code")
    server.process.send_signal(signal.SIGHUP)
    server.stderr.find("Reloaded: generation 3 serves")
    assert "generation 2 serves" not in server.stderr.text, "it was overtaken"
    with server.client() as client:
        assert client.get("/").text.startswith("new ")
    wait_for(lambda: before not in server.pids("gateway"), "the end of the old gateway")


# -- gateway and workers apart -------------------------------------------------------------------


@contextmanager
def part(*arguments: str, cwd: Path) -> Iterator[tuple[subprocess.Popen[str], Output]]:
    with subprocess.Popen(
        command(*arguments), stderr=subprocess.PIPE, text=True, env=environment(), cwd=cwd
    ) as process:
        assert process.stderr is not None
        output = Output(process.stderr)
        try:
            yield process, output
        finally:
            process.terminate()
            assert process.wait(DEADLINE) == 0
            output.finish()


def upgrade(process: subprocess.Popen[str], folder: Path) -> dict[int, str]:
    done = subprocess.run(
        command("upgrade", "--run-dir", "run", "--pid", str(process.pid)),
        capture_output=True, text=True, timeout=DEADLINE, check=False, env=environment(),
        cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done
    assert done.stdout.splitlines()[-1] == "Upgraded"
    return descendants(process.pid)


@pytest.mark.slow
def test_gateway_and_workers_apart(tmp_path: Path) -> None:
    deploy(tmp_path, "old")
    gateway = part("gateway", "--run-dir", "run", "-b", "127.0.0.1:0", cwd=tmp_path)
    worker = part("worker", "changing:app", "-w", "2", "--run-dir", "run", cwd=tmp_path)
    with gateway as (front, front_log), worker as (back, back_log):
        url = front_log.find(r"Serving on (http://[^\s,]+)")[1]
        back_log.find("Working for the gateways")
        failed, ending, count = list[str](), threading.Event(), [0]

        def asking() -> None:
            with httpx.Client(trust_env=False, timeout=DEADLINE) as client:
                while not ending.wait(0.002):
                    try:
                        assert client.get(url).text.startswith("old ")
                        count[0] += 1
                    except (AssertionError, httpx.HTTPError) as error:
                        failed.append(repr(error))

        asker = threading.Thread(target=asking)
        asker.start()
        try:
            wait_for(lambda: count[0] > 20, "answers")
            workers, gateways = descendants(back.pid), descendants(front.pid)
            assert upgrade(back, tmp_path) == workers
            back_log.find("Took over from older code, with 2 processes")
            after = upgrade(front, tmp_path)
            wait_for(lambda: not gateways.keys() & descendants(front.pid).keys(), "the old's end")
            assert after.keys() - gateways.keys()
            so_far = count[0]
            wait_for(lambda: count[0] > so_far + 20, "answers")
        finally:
            ending.set()
            asker.join()
        assert not failed, failed[:3]
        assert descendants(back.pid) == workers
        for process, log in ((back, back_log), (front, front_log)):
            process.terminate()
            assert process.wait(DEADLINE) == 0, log.text
