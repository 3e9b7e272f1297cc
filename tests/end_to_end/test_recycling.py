"""Workers that have done enough go one at a time, each when its replacement serves."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .operating import Traffic, deploy, traffic, watch
from .server import Propylon, start_time, wait_for

FLAGS = ("changing:app", "-w", "2", "--no-access-log")


def generations(clients: Traffic, count: int) -> Callable[[dict[str, Any]], bool]:
    """Whether so many workers have ended; asserts on the way that two serve at every moment, and
    that never two are being replaced."""

    def look(report: dict[str, Any]) -> bool:
        states = [worker["state"] for worker in report["pools"][0]["workers"]]
        assert states.count("ready") >= 2, report
        assert states.count("ready") + states.count("starting") <= 3, report
        return len(report["ended"]) >= count

    return look


@pytest.mark.slow
def test_by_requests(tmp_path: Path) -> None:
    deploy(tmp_path, "old")
    limits = ("--max-requests", "60", "--max-requests-jitter", "10")
    with Propylon(*FLAGS, *limits, cwd=tmp_path) as server, traffic(server, pause=0.002) as clients:
        report = watch(server, generations(clients, 4), "four that have served enough")
        assert all("served " in ended["how"] for ended in report["ended"])
        assert all(ended["how"].startswith("exited with code 0") for ended in report["ended"])
        assert len(clients.pids) >= 4
        server.stderr.find(r"worker 1 .*is replaced: served \d+ requests")


@pytest.mark.slow
def test_one_that_has_done_enough_while_it_is_a_canary(tmp_path: Path) -> None:
    """It says so once, before it holds a place."""
    deploy(tmp_path, "old")
    limits = ("--max-requests", "100", "--reload-observe", "1")
    with Propylon(*FLAGS, *limits, cwd=tmp_path) as server, traffic(server, pause=0.002):
        deploy(tmp_path, "new")
        watch(server, lambda report: report["generation"] == 1, "a first look")
        server.process.send_signal(signal.SIGHUP)
        report = watch(server, lambda r: r["reload"] and r["reload"]["state"] == "observing", "it")
        (canary,) = [w["pid"] for w in report["pools"][0]["workers"] if w["generation"] == 2]
        server.stderr.find("Reloaded: generation 2 serves")
        wait_for(lambda: start_time(canary) is None, "the end of the canary")
        server.stderr.find(rf"\(pid {canary}\) of pool default is replaced: served \d+ requests")


@pytest.mark.slow
def test_by_age(tmp_path: Path) -> None:
    deploy(tmp_path, "old")
    flags = (*FLAGS, "--workers-lifetime", "1")
    with Propylon(*flags, cwd=tmp_path) as server, traffic(server) as clients:
        report = watch(server, generations(clients, 2), "two that have lived enough")
        assert all("lived 1 s" in ended["how"] for ended in report["ended"])


@pytest.mark.slow
def test_by_memory(tmp_path: Path) -> None:
    """Those that leak go, those that don't stay."""
    leak = "app.__dict__.setdefault('leak', []).append(bytes(2_000_000) and b'x' * 2_000_000)"
    deploy(tmp_path, "old", in_call=leak)
    flags = (*FLAGS, "--workers-max-rss", "150M")
    with Propylon(*flags, cwd=tmp_path) as server, traffic(server, pause=0.05) as clients:
        report = watch(server, generations(clients, 2), "two that have grown too large")
        assert all("MB of memory, allowed are 150 MB" in e["how"] for e in report["ended"])
