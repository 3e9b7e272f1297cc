"""What is wrong around an instance: a line in the log, `status` and /readyz, and that it heals."""

import json
import subprocess
from pathlib import Path

import httpx
import pytest
from propylon.protocol.supervision.problems import REMEDIES

from .server import APPS, DEADLINE, command, environment
from .test_drain import NO_PROXY
from .test_sidecar import Part


def status_of(run_dir: Path, *flags: str) -> str:
    """What `propylon status` says, of the only instance there."""
    asked = subprocess.run(
        command("status", "--run-dir", str(run_dir), *flags),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env=environment(),
        cwd=APPS,
    )
    return asked.stdout or asked.stderr


def test_workers_that_came_first_say_so_once_and_go_on_when_the_gateway_comes(
    tmp_path: Path,
) -> None:
    shared = ["--run-dir", str(tmp_path / "run")]
    flags = ["-w", "2", "--admin-bind", "127.0.0.1:0", *shared]
    with Part("worker", "asgi_raw:app", *flags) as worker:
        admin = worker.stderr.find(r"(http://127\.0\.0\.1:\d+)", worker.process)[1]
        worker.stderr.find(r"waiting for a gateway at \S+/default; start the gateway's container")
        text = httpx.get(f"{admin}/readyz?verbose", timeout=DEADLINE, **NO_PROXY).text
        assert f"warn: waiting for a gateway at {tmp_path}/run/default; start" in text
        (one,) = json.loads(status_of(tmp_path / "run", "--json"))["problems"]
        assert one["kind"] == "no gateway"
        assert "PROBLEM for" in status_of(tmp_path / "run")
        with Part("gateway", *shared, "-b", "127.0.0.1:0") as gateway:
            worker.stderr.find("No longer: waiting for a gateway", worker.process)
            text = httpx.get(f"{admin}/readyz?verbose", timeout=DEADLINE, **NO_PROXY).text
            assert "warn:" not in text
            url = gateway.stderr.find(r"Serving on (http://[^\s,]+)", gateway.process)[1]
            assert httpx.get(url, timeout=DEADLINE, **NO_PROXY).text == "hello"
            gateway.terminate()
            worker.terminate()
            assert gateway.ended() == 0
            assert worker.ended() == 0
        assert worker.stderr.text.count("waiting for a gateway") == 2


@pytest.mark.slow
def test_a_pool_without_workers_says_so_until_one_is_there(tmp_path: Path) -> None:
    shared = ["--run-dir", str(tmp_path / "run")]
    with Part("gateway", *shared, "-b", "127.0.0.1:0", "--admin-bind", "127.0.0.1:0") as gateway:
        admin = gateway.stderr.find(r"(http://127\.0\.0\.1:\d+)", gateway.process)[1]
        sentence = rf"pool default has no worker that is ready: none is connected at {tmp_path}/run"
        gateway.stderr.find(sentence, gateway.process)
        text = httpx.get(f"{admin}/readyz?verbose", timeout=DEADLINE, **NO_PROXY).text
        assert "[-]pool default: no worker is ready\n" in text
        assert "warn: pool default has no worker that is ready: none is connected" in text
        assert "PROBLEM for" in status_of(tmp_path / "run")
        with Part("worker", "asgi_raw:app", *shared) as worker:
            gateway.stderr.find("No longer: pool default has no worker", gateway.process)
            worker.terminate()
            assert worker.ended() == 0
        gateway.terminate()
        assert gateway.ended() == 0
        assert gateway.stderr.text.count(f"default; {REMEDIES['no worker']}\n") == 1
