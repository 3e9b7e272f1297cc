"""`propylon status` as a probe: its exit code, and what a gateway alone knows of its workers."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .server import DEADLINE, command, environment, wait_for
from .test_sidecar import Part


def asked(run_dir: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command("status", "--run-dir", str(run_dir), *more),
        capture_output=True,
        text=True,
        env=environment(),
        timeout=DEADLINE,
    )


def report(run_dir: Path, part: Part) -> dict[str, Any]:
    said = asked(run_dir, "--json", "--pid", str(part.process.pid))
    data: dict[str, Any] = json.loads(said.stdout)
    assert said.returncode == (0 if data["ready"] else 1), said
    return data


@pytest.mark.slow
def test_a_gateway_alone_is_ready_when_a_worker_is_linked(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with Part("gateway", "-b", "127.0.0.1:0", "--run-dir", str(run_dir)) as gateway:
        gateway.stderr.find("Serving on", gateway.process)
        said = asked(run_dir)
        assert said.returncode == 1
        assert "NOT serving on " in said.stdout
        assert "; no worker is linked" in said.stdout
        assert report(run_dir, gateway)["linked"] == []
        flags = ("--run-dir", str(run_dir), "--lifespan", "off")
        with Part("worker", "asgi_raw:app", *flags) as worker:
            (one,) = wait_for(lambda: report(run_dir, gateway)["linked"], "the worker")
            wait_for(lambda: report(run_dir, gateway)["ready"], "it is ready")
            assert (one["pool"], one["worker"], one["generation"]) == ("default", "1", 1)
            assert one["gateways"] == [1]
            own = report(run_dir, worker)
            assert (own["ready"], own["pools"][0]["workers"][0]["pid"]) == (True, one["pid"])
            assert (
                "; 1 worker from elsewhere"
                in asked(run_dir, "--pid", str(gateway.process.pid)).stdout
            )
            worker.process.send_signal(signal.SIGTERM)
            assert worker.ended() == 0
        wait_for(lambda: not report(run_dir, gateway)["ready"], "it is ready no more")
        gateway.terminate()
        gateway.ended()
    assert asked(run_dir).returncode == 1
