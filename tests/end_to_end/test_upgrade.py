"""`propylon upgrade` and SIGUSR2: the code of supervisor and gateways, under steady clients."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .operating import ask, begin, deploy, done, finish, settled, status, traffic, watch
from .server import Propylon, wait_for

FLAGS = ("changing:app", "-w", "2", "--reload-observe", "0.1", "--no-access-log")
BROKEN = """
import os, sys
if os.path.exists(os.environ["BROKEN"]) and "propylon.gateway.cli" in sys.orig_argv:
    raise SystemExit("this code is broken")
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Propylon]:
    deploy(tmp_path, "old")
    with Propylon(*FLAGS, cwd=tmp_path) as server:
        yield server


@contextmanager
def upgraded(server: Propylon) -> Iterator[None]:
    """In the block the code is replaced; the workers stay, the gateways do not."""
    workers, gateways = settled(server, 2), set(server.pids("gateway"))
    first = status(server)["generation"]
    with traffic(server) as clients:
        yield
        watch(server, lambda report: report["generation"] > first, "the new gateways")
        clients.more(50)
        wait_for(lambda: not gateways & set(server.pids("gateway")), "the end of the old gateways")
        clients.more()
    assert settled(server, 2) == workers
    assert len(server.pids("gateway")) == len(gateways)
    assert status(server)["pid"] == server.process.pid


@pytest.mark.slow
def test_upgrade(server: Propylon, tmp_path: Path) -> None:
    up = status(server)["uptime"]
    with upgraded(server):
        assert done(server, "upgrade").splitlines()[-1] == "Upgraded"
    server.stderr.find("Took over from older code, with 3 processes")
    with upgraded(server):  # and again
        done(server, "upgrade")
    assert status(server)["uptime"] > up

    with traffic(server) as clients:  # all else works as before
        done(server, "scale", "3")
        before = settled(server, 3)
        os.kill(min(before), signal.SIGKILL)
        watch(
            server,
            lambda r: (
                {w["pid"] for w in r["pools"][0]["workers"] if w["state"] == "ready"}
                - before.keys()
            ),
            "another worker",
        )
        settled(server, 3)
        deploy(tmp_path, "new")
        done(server, "reload")
        clients.version("new")
        settled(server, 3)
        server.process.send_signal(signal.SIGTTOU)
        settled(server, 2)
    done(server, "stop")
    assert server.process.wait() == 0


def open_files(server: Propylon) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


@pytest.mark.slow
def test_nothing_is_left_open(server: Propylon) -> None:
    done(server, "upgrade")
    before = open_files(server)
    for verb in ("upgrade", "reload", "upgrade"):
        done(server, verb)
        settled(server, 2)
    wait_for(lambda: open_files(server) <= before, f"as few files as the {before} before")


@pytest.mark.slow
def test_upgrade_by_signal(server: Propylon) -> None:
    with upgraded(server):
        server.process.send_signal(signal.SIGUSR2)


@pytest.mark.slow
def test_two_gateways(tmp_path: Path) -> None:
    deploy(tmp_path, "old")
    with Propylon(*FLAGS, "--gateways", "2", cwd=tmp_path) as server:
        with upgraded(server):
            done(server, "upgrade")
        assert len(server.pids("gateway")) == 2


@pytest.mark.slow
def test_what_was_scaled_stays(server: Propylon) -> None:
    done(server, "scale", "1")
    settled(server, 1)
    done(server, "scale", "2")
    done(server, "scale", "+1")
    settled(server, 3)
    done(server, "upgrade")
    settled(server, 3)
    assert status(server)["pools"][0]["wanted"] == 3


@pytest.mark.slow
def test_code_that_does_not_start_is_not_taken(tmp_path: Path) -> None:
    """A sitecustomize that ends what would be the new code."""
    deploy(tmp_path, "old")
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow" / "sitecustomize.py").write_text(BROKEN)
    env = {"PYTHONPATH": str(tmp_path / "shadow"), "BROKEN": str(tmp_path / "broken")}
    with Propylon(*FLAGS, cwd=tmp_path, env=env) as server:
        with traffic(server):
            workers, gateways = settled(server, 2), server.pids("gateway")
            (tmp_path / "broken").touch()
            said = ask(server, "upgrade")
            assert said.code == 1
            assert "not upgraded: the new code does not start (exit code 1)" in said.error
            assert "this code is broken" in said.error
            assert (settled(server, 2), server.pids("gateway")) == (workers, gateways)
            server.process.send_signal(signal.SIGUSR2)
            server.stderr.find("error   SIGUSR2: not upgraded: the new code does not start")
        (tmp_path / "broken").unlink()
        with upgraded(server):
            done(server, "upgrade")


def test_refused_while_a_reload_is_under_way(server: Propylon, tmp_path: Path) -> None:
    wait = "while not os.path.exists('gate'): await asyncio.sleep(0.01)"
    deploy(tmp_path, "new", in_startup=wait)
    reloading = begin(server, "reload")
    watch(server, lambda report: report["reload"], "the reload")
    said = ask(server, "upgrade")
    assert said.code == 1
    assert said.error == "propylon: not upgraded: a reload is under way\n"
    (tmp_path / "gate").touch()
    assert finish(reloading).code == 0


@pytest.mark.slow
def test_refused_with_another_configuration(tmp_path: Path) -> None:
    deploy(tmp_path, "old")
    (tmp_path / "propylon.toml").write_text("queue-size = 10\n")
    with Propylon(*FLAGS, cwd=tmp_path) as server:
        (tmp_path / "propylon.toml").write_text("queue-size = 11\n")
        said = ask(server, "upgrade")
        assert said.code == 1
        assert "the configuration has changed; reload first" in said.error
        (tmp_path / "propylon.toml").write_text("queue-size = ")
        assert "the configuration is wrong" in ask(server, "upgrade").error
        (tmp_path / "propylon.toml").write_text("queue-size = 11\n")
        done(server, "reload")
        with upgraded(server):
            done(server, "upgrade")


@pytest.mark.slow
def test_refused_with_preload(tmp_path: Path) -> None:
    deploy(tmp_path, "old")
    with Propylon(*FLAGS, "--preload", cwd=tmp_path) as server:
        said = ask(server, "upgrade")
        assert said.code == 1
        assert "--preload" in said.error
