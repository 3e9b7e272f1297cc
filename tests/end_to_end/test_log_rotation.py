"""`propylon reopen`, by hand and by the real logrotate: no line is lost or written twice."""

import gzip
import os
import re
import shutil
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from .server import DEADLINE, Propylon, command, environment, wait_for

ROTATION = Path(__file__).parents[2] / "deploy" / "logrotate" / "propylon"
LOGROTATE = shutil.which("logrotate", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
APP = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"].startswith("/raises"):
        raise RuntimeError
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""


def reopen(cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command("reopen", "--run-dir", str(cwd / "run")),
        capture_output=True, text=True, check=False, env=environment(), timeout=60,
    )  # fmt: skip


@contextmanager
def serving(cwd: Path, *options: str) -> Iterator[Propylon]:
    """An instance with two processes of each kind, whose logs are files in `cwd`/log."""
    (cwd / "main.py").write_text(APP)
    (cwd / "log").mkdir()
    propylon = Propylon.__new__(Propylon)
    propylon.process = subprocess.Popen(
        command(
            "serve", "main:app", "-b", "127.0.0.1:0", "--run-dir", str(cwd / "run"),
            "--workers=2", "--gateways=2", "--lifespan=off", *options,
            f"--access-logfile={cwd}/log/access.log", f"--error-logfile={cwd}/log/error.log",
        ),
        cwd=cwd, env=environment(),
    )  # fmt: skip
    try:
        log = cwd / "log" / "error.log"

        def serves() -> re.Match[str] | None:
            return re.search(r"Serving on (\S+)", log.read_text()) if log.exists() else None

        propylon.url = wait_for(serves, "it serves")[1]
        yield propylon
    finally:
        propylon.process.terminate()
        assert propylon.process.wait(DEADLINE) == 0


def held(pid: int) -> set[str]:
    """The files of a process."""
    return {os.path.realpath(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}


def test_every_process_opens_its_logs_again(tmp_path: Path) -> None:
    logs = tmp_path / "log"
    access, errors = str(logs / "access.log"), str(logs / "error.log")
    with serving(tmp_path, "--preload", "--log-format=json") as propylon:
        gateways, workers = propylon.pids("gateway"), propylon.pids("worker")
        assert (len(gateways), len(workers)) == (2, 3), "two workers and their zygote"
        with propylon.client() as client:
            client.get("/first")
            for name in (access, errors):
                os.rename(name, f"{name}.1")
            client.get("/second")
            done = reopen(tmp_path)
            assert (done.returncode, done.stdout) == (0, "Logs were opened again\n"), done.stderr
            assert len(re.findall("first|second", Path(f"{access}.1").read_text())) == 2
            for pid in (propylon.process.pid, *gateways, *workers):
                files = {name for name in held(pid) if name.startswith(str(logs))}
                assert files == ({access, errors} if pid in gateways else {errors})
            client.get("/raises")
            wait_for(lambda: "/raises" in Path(access).read_text(), "a line")
            assert "the app raised RuntimeError" in Path(errors).read_text()

            os.rename(access, f"{access}.2")
            os.mkdir(access)
            done = reopen(tmp_path)
            assert done.returncode == 1
            assert re.search(
                r"^propylon: Not all logs were opened again: gateway \d \(pid \d+\): "
                r"access-logfile \S+ cannot be written: Is a directory; gateway \d",
                done.stderr,
            )


@pytest.mark.slow
def test_a_process_that_hangs_is_named(tmp_path: Path) -> None:
    with serving(tmp_path, "--heartbeat-timeout=60") as propylon:
        pid = propylon.pids("worker")[0]
        os.kill(pid, signal.SIGSTOP)
        try:
            done = reopen(tmp_path)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert done.returncode == 1
        assert re.search(
            rf"worker \d \(pid {pid}\) of pool default: no answer in 10 s", done.stderr
        )
        assert reopen(tmp_path).returncode == 0


@pytest.mark.skipif(LOGROTATE is None, reason="needs logrotate: apt-get install logrotate")
@pytest.mark.slow
def test_logrotate_under_load(tmp_path: Path) -> None:
    rotation = tmp_path / "rotation"
    text = ROTATION.read_text()
    text = text.replace("/var/log/propylon", str(tmp_path / "log"))
    text = text.replace("/run/propylon", str(tmp_path / "run"))
    text = text.replace("propylon reopen", f"{command()[0]} reopen")
    rotation.write_text(text)
    rotation.chmod(0o644)  # logrotate ignores a file that others may write
    asked: list[int] = [0, 0]
    enough = threading.Event()

    def load(url: str, number: int) -> None:
        with httpx.Client(base_url=url, trust_env=False) as client:
            while not enough.is_set():
                client.get(f"/raises/{number}-{asked[number]}-")
                asked[number] += 1

    with serving(tmp_path) as propylon:
        threads = [threading.Thread(target=load, args=(propylon.url, n)) for n in range(2)]
        for thread in threads:
            thread.start()
        try:
            for turn in range(1, 4):
                wait_for(lambda: (tmp_path / "log" / "access.log").stat().st_size, "lines")
                subprocess.run(
                    [str(LOGROTATE), "-f", "-s", tmp_path / "state", rotation], check=True,
                    env=environment(), timeout=60,
                )  # fmt: skip
                assert (tmp_path / "log" / f"access.log.{turn}.gz").exists()
        finally:
            enough.set()
            for thread in threads:
                thread.join()
    wanted = {f"/raises/{n}-{count}-": 1 for n in range(2) for count in range(asked[n])}
    for name, line in (("access.log", r'"GET (\S+) HTTP'), ("error.log", r" GET (\S+): the app")):
        files = [tmp_path / "log" / name, *(tmp_path / "log").glob(f"{name}.*.gz")]
        assert len(files) == 4
        data = [one.read_bytes() for one in files]
        text = b"\n".join(gzip.decompress(it) if it[:1] == b"\x1f" else it for it in data).decode()
        assert Counter(re.findall(line, text)) == wanted
