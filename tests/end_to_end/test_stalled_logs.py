"""Readers of standard output and standard error that have stalled: nobody waits for them."""

import fcntl
import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from .server import DEADLINE, command, command_line, descendants, environment, wait_for

ASGI = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    headers = [(b"x", b"\\x01")] if scope["path"] == "/refused" else []
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})
    if scope["path"] == "/raises":
        raise RuntimeError("x" * 500)
"""
WSGI = """
def app(environ, start_response):
    headers = [("x", "\\x01")] if environ["PATH_INFO"] == "/refused" else []
    start_response("200 OK", headers)
    yield b"ok"
    if environ["PATH_INFO"] == "/raises":
        raise RuntimeError("x" * 500)
"""
HOSTS = {
    "asyncio": ("asgi:app", "--loop", "asyncio"),
    "uvloop": ("asgi:app", "--loop", "uvloop"),
    "trio": ("asgi:app", "--loop", "trio"),
    "threads": ("wsgi:app", "--threads", "2"),
}
SLOW = pytest.mark.slow


@contextmanager
def stalled(
    cwd: Path, *arguments: str, both: bool, quiet: bool = False
) -> Iterator[tuple[subprocess.Popen[bytes], str, int]]:
    """One that serves, with a pipe of one page for its log that nobody empties, and the same for
    its output if `both`; its address, and the pipe's reading end."""
    (cwd / "asgi.py").write_text(ASGI)
    (cwd / "wsgi.py").write_text(WSGI)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, select.PIPE_BUF)
    process = subprocess.Popen(
        command(
            "serve", *arguments, "-b", f"127.0.0.1:{port}", "--run-dir", str(cwd / "run"),
            "--lifespan=off", "--timeout-graceful-shutdown=5",
        ),
        cwd=cwd, env=environment(), stderr=write, stdout=write if both else subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(url), "an answer")
        yield process, url, read
    finally:
        for pid in descendants(process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.kill()
        process.wait()
        os.close(read)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def workers(process: subprocess.Popen[bytes]) -> set[int]:
    return {p for p in descendants(process.pid) if "propylon.worker" in command_line(p)}


@pytest.mark.parametrize(
    ("host", "both"),
    [
        ("uvloop", True),
        pytest.param("threads", False, marks=SLOW),
        pytest.param("asyncio", False, marks=SLOW),
        pytest.param("trio", True, marks=SLOW),
        pytest.param("threads", True, marks=SLOW),
    ],
)
@pytest.mark.slow
def test_all_is_served_a_dead_worker_is_replaced_and_a_stop_ends_it(
    tmp_path: Path, host: str, both: bool
) -> None:
    with stalled(tmp_path, *HOSTS[host], both=both) as (process, url, _):
        with httpx.Client(base_url=url, timeout=DEADLINE, trust_env=False) as client:
            for number in range(60):  # each logs more than a fiftieth of a page, at the least
                assert client.get(f"/{number}").status_code == 200
                assert client.get("/refused").status_code == 500
                with suppress(httpx.RemoteProtocolError):  # a WSGI app's fails before its end
                    client.get("/raises")
            assert client.get("/").text == "ok"
        before = workers(process)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: workers(process) - before, "another worker")
        wait_for(lambda: answers(url), "an answer of the other worker")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0


@SLOW
def test_what_was_kept_is_written_once_it_is_read(tmp_path: Path) -> None:
    """And the pipe, which others share, blocks as before."""
    with stalled(tmp_path, *HOSTS["asyncio"], both=True) as (process, url, read):
        for _ in range(30):
            httpx.get(f"{url}/refused?{300 * 'x'}", trust_env=False)
            httpx.get(f"{url}/raises", trust_env=False)
        assert os.get_blocking(read)
        text = b""
        while text.count(b"/refused?") < 30 or text.count(b"RuntimeError: x") < 30:
            assert select.select([read], [], [], DEADLINE)[0], text.decode()
            text += os.read(read, 65_536)
        description = Path(f"/proc/{process.pid}/fdinfo/2").read_text()
        flags = next(line.split()[1] for line in description.splitlines() if "flags" in line)
        assert not int(flags, 8) & os.O_NONBLOCK
        process.send_signal(signal.SIGTERM)
        os.set_blocking(read, False)
        assert process.wait(DEADLINE) == 0


@SLOW
def test_stacks_are_not_waited_for(tmp_path: Path) -> None:
    with stalled(tmp_path, *HOSTS["asyncio"], both=False) as (process, url, _):
        for _ in range(40):
            httpx.get(f"{url}/refused?{300 * 'x'}", trust_env=False)
        for pid in descendants(process.pid):
            os.kill(pid, signal.SIGQUIT)
            os.kill(pid, signal.SIGQUIT)
        assert answers(url)
