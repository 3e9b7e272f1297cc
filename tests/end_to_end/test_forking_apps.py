"""Apps that fork: a child that lives on holds up nobody when its worker dies, or is replaced.

Most children are born by os.fork, as those of multiprocessing are, and have let go of the links. A
library of C's may fork behind Python's back; what the gateway is told by the supervisor, or what
it hears from the worker itself, has to be enough then.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from .server import DEADLINE, Propylon, command, environment, wait_for

APP = """
import asyncio, ctypes, os, pathlib, signal

def by_python():
    return os.fork()

def behind_its_back():
    return ctypes.PyDLL(None).fork()

def link(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""

def fork(how):
    child = how()
    if not child:
        os.closerange(0, 3)  # the test reads those to their end, and what of them is ours
        if how is behind_its_back:
            for fd in map(int, os.listdir("/proc/self/fd")):
                if "pipe:" in link(fd):
                    os.close(fd)
        while True:
            signal.pause()
    with open("children", "a") as file:
        file.write(f"{child}\\n")
    return child

TASKS = {
    "/python": lambda: fork(by_python), "/c": lambda: fork(behind_its_back), "/pid": os.getpid
}

async def app(scope, receive, send):
    assert scope["type"] == "http"
    if scope["path"] == "/hang":
        pathlib.Path("hangs").touch()
        await asyncio.sleep(60)
    body = str(TASKS[scope["path"]]()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})

def application(environ, start_response):
    import time
    if environ["PATH_INFO"] == "/hang":
        pathlib.Path("hangs").touch()
        time.sleep(60)
    body = str(TASKS[environ["PATH_INFO"]]()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "forking.py").write_text(APP)
    yield tmp_path
    kill_children(tmp_path)


def kill_children(project: Path) -> int:
    """How many of them there were, to this moment."""
    killed = 0
    for pid in (project / "children").read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
            killed += 1
    (project / "children").write_text("")
    return killed


@pytest.mark.parametrize("how", ["python", pytest.param("c", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "options",
    [
        ("forking:app",),
        pytest.param(("forking:application",), marks=pytest.mark.slow),
        pytest.param(("forking:app", "--preload"), marks=pytest.mark.slow),
        pytest.param(("forking:app", "--gateways", "2"), marks=pytest.mark.slow),
    ],
    ids=["asgi", "wsgi", "preload", "two gateways"],
)
def test_a_worker_that_is_killed_while_its_child_lives(
    project: Path, options: tuple[str, ...], how: str
) -> None:
    """Its POST gets 502 and what comes next another worker, long before any time-out."""
    with Propylon(*options, cwd=project) as propylon, propylon.client() as client:
        worker = int(client.get("/pid").text)
        client.get(f"/{how}")
        with ThreadPoolExecutor() as pool:
            lost: Future[httpx.Response] = pool.submit(client.post, "/hang")
            wait_for((project / "hangs").exists, "the call of the app")
            os.kill(worker, signal.SIGKILL)
            assert int(client.get("/pid").text) != worker
            assert lost.result(DEADLINE).status_code == 502
        assert kill_children(project) == 1, "it lived all the while"
        assert propylon.stop() == 0


@pytest.mark.slow
def test_no_descriptor_is_left_of_a_worker_whose_child_lives(project: Path) -> None:
    """The worker says BYE, and the gateway does not wait for the end of file."""
    options = ("forking:app", "--reload-observe", "0")
    with Propylon(*options, cwd=project) as propylon, propylon.client() as client:
        (gateway,) = propylon.pids("gateway")

        def descriptors() -> int:
            return len(os.listdir(f"/proc/{gateway}/fd"))

        client.get("/pid")
        before = descriptors()
        for _ in range(3):
            client.get("/c")
            reload = command("reload", "--pid", str(propylon.process.pid))
            subprocess.run(reload, check=True, capture_output=True, env=environment(), cwd="/")
            wait_for(lambda: descriptors() <= before, "the end of the old link")
        # The last one's worker may still be leaving: a child of ours would be left, at a stop.
        assert kill_children(project) == 3
