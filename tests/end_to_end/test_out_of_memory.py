"""A worker that the kernel kills for memory is named as such, and replaced."""

import os
import signal
from pathlib import Path

import httpx
import pytest

from . import control_groups
from .operating import deploy, traffic, watch
from .server import Propylon

MB = 2**20
EATS = "scope['path'] == '/eat' and app.__dict__.setdefault('eaten', b'x' * 400_000_000)"


@pytest.mark.slow
def test_a_worker_that_eats_too_much(tmp_path: Path) -> None:
    if why := control_groups.why_no("memory"):
        pytest.skip(why)
    deploy(tmp_path, "one", in_call=EATS)
    flags = ("changing:app", "-w", "1", "--no-access-log", "--admin-bind", f"unix:{tmp_path}/a")
    with (
        control_groups.group("memory", 256 * MB) as within,
        Propylon(*flags, cwd=tmp_path, within=within) as server,
        server.client() as client,
    ):
        server.stderr.find("Serving on")
        assert client.post("/eat").status_code == 502
        how = r"was killed by the kernel for memory \(OOM\)"
        server.stderr.find(rf"worker 1 \(pid \d+\) .* {how} after .*\(the limit is 256 MB.*another")
        report = watch(server, lambda report: len(report["ended"]) == 1, "the end")
        assert "(OOM) (the limit is 256 MB" in report["ended"][0]["how"]
        assert report["memory_limit"] == 256 * MB
        watch(server, lambda report: report["ready"], "a new worker")

        # Somebody else's SIGKILL is not the kernel's.
        (worker,) = server.pids("worker")
        os.kill(worker, signal.SIGKILL)
        server.stderr.find(r"was killed by SIGKILL after")
        report = watch(server, lambda r: r["ready"] and len(r["ended"]) == 2, "the second end")
        text = _metrics(tmp_path)
        assert 'propylon_worker_restarts_total{pool="default",reason="oom"} 1' in text
        assert 'propylon_worker_restarts_total{pool="default",reason="killed"} 1' in text


def _metrics(folder: Path) -> str:
    with httpx.Client(transport=httpx.HTTPTransport(uds=f"{folder}/a")) as admin:
        return admin.get("http://admin/metrics").text


@pytest.mark.slow
def test_a_worker_that_grows_is_replaced_before_the_kernel_kills_it(tmp_path: Path) -> None:
    if why := control_groups.why_no("memory"):
        pytest.skip(why)
    leak = "app.__dict__.setdefault('leak', []).append(b'x' * 300_000 + os.urandom(1))"
    deploy(tmp_path, "one", in_call=leak)
    flags = ("changing:app", "-w", "1", "--no-access-log", "--workers-max-rss", "auto")
    with (
        control_groups.group("memory", 384 * MB) as within,
        Propylon(*flags, cwd=tmp_path, within=within) as server,
        traffic(server, pause=0.05) as clients,
    ):
        report = watch(server, lambda report: report["ended"], "one that has grown")
        assert all("MB of memory, allowed are 125 MB" in e["how"] for e in report["ended"])
        assert len(clients.pids) >= 2
        (pool,) = report["pools"]
        assert f"{pool['max_rss'] / MB:.0f}" == "125"
        assert "OOM" not in server.stderr.text
