"""Files that frameworks answer with by their own means, sent by the gateway to real clients."""

import os
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from .server import Propylon, wait_for

SIZE = 20_000_003


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "big").write_bytes(os.urandom(SIZE))
    return folder


def serving(app: str, folder: Path, *more: str) -> Propylon:
    return Propylon(app, *more, env={"FILES_FOLDER": str(folder)})


def bytes_read(pid: int) -> int:
    """Bytes that a process has read and written by system calls (proc(5))."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    found = dict(line.split(": ") for line in lines)
    return int(found["rchar"]) + int(found["wchar"])


def worker_of(propylon: Propylon) -> int:
    (worker,) = propylon.pids("worker")
    return worker


@pytest.mark.slow
@pytest.mark.parametrize(
    ("app", "by_gateway"),
    [
        ("files_asgi:starlette", True),
        ("files_asgi:raw", True),
        ("files_asgi:quart", False),
        ("files_asgi:litestar", False),
        ("files_wsgi:flask", True),
        ("files_wsgi:application", True),
    ],
)
def test_a_framework_s_own_file_response(folder: Path, app: str, by_gateway: bool) -> None:
    """Frameworks that know none of the ways send their bytes as ever."""
    content = (folder / "big").read_bytes()
    with serving(app, folder) as propylon, httpx.Client(base_url=propylon.url) as client:
        assert client.get("/big").content == content
        worker = worker_of(propylon)
        before = bytes_read(worker)
        assert client.get("/big").content == content
        assert (bytes_read(worker) - before < 1_000_000) is by_gateway
        part = client.get("/big", headers={"range": "bytes=5-14"})
        if app == "files_asgi:litestar":
            return  # it has neither ranges nor HEAD, and sends the bytes itself
        assert (part.status_code, part.content) == (206, content[5:15])
        head = client.head("/big")
        assert (head.headers["content-length"], head.content) == (str(SIZE), b"")


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_the_events_on_every_loop(folder: Path, loop: str) -> None:
    content = (folder / "big").read_bytes()
    with (
        serving("files_asgi:raw", folder, "--loop", loop, "--gateways", "2") as propylon,
        httpx.Client(base_url=propylon.url) as client,
    ):
        assert client.get("/big?zero-copy").content == content[100:]
        mixed = client.get("/big?mixed").content
        assert mixed == b"head " + content[:10] + b" between " + content[10:]


@pytest.mark.slow
def test_two_files_of_one_turn_beside_a_websocket(folder: Path) -> None:
    """The call that has ended is told first, with the later file."""
    for name in ("first", "second"):
        (folder / name).write_text(name)
    with (
        serving("files_asgi:raw", folder) as propylon,
        ThreadPoolExecutor(1) as threads,
        connect(propylon.url.replace("http", "ws")) as websocket,
    ):
        first = threads.submit(httpx.get, f"{propylon.url}/first?together")
        assert httpx.get(f"{propylon.url}/second?together").text == "second"
        assert first.result().text == "first"
        websocket.send("still here")
        assert websocket.recv() == "still here"


@pytest.mark.slow
def test_a_download_outlives_its_worker_and_a_reload(folder: Path) -> None:
    """The file is the gateway's as soon as it was passed; background tasks run meanwhile."""
    content = (folder / "big").read_bytes()
    with (
        serving("files_asgi:starlette", folder) as propylon,
        httpx.Client(base_url=propylon.url, timeout=30) as client,
        client.stream("GET", "/big") as response,
    ):
        wait_for((folder / "done").exists, "the background task has run")
        os.kill(worker_of(propylon), signal.SIGKILL)
        assert b"".join(response.iter_bytes()) == content


@pytest.mark.slow
def test_ten_thousand_downloads_that_are_given_up_leave_nothing_open(folder: Path) -> None:
    with serving("files_asgi:raw", folder) as propylon:
        (gateway,) = propylon.pids("gateway")
        pids = [gateway, worker_of(propylon)]
        address = httpx.URL(propylon.url)

        def opened() -> list[int]:
            return [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids]

        httpx.get(f"{propylon.url}/big")
        before = opened()

        def give_up() -> None:
            with socket.create_connection((address.host, address.port)) as sock:
                sock.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
                assert sock.recv(1_000).startswith(b"HTTP/1.1 200")

        for _ in range(10_000):
            give_up()
        wait_for(lambda: all(now <= was + 2 for now, was in zip(opened(), before, strict=True)),
                 f"{before} descriptors, as before, and not {opened()}")  # fmt: skip


@pytest.mark.slow
def test_x_accel_redirect_of_django_with_curl(folder: Path, tmp_path: Path) -> None:
    content = (folder / "big").read_bytes()
    arguments = ("--internal-files", f"/protected={folder}")
    with serving("files_wsgi:application", folder, *arguments) as propylon:
        target = tmp_path / "got"
        url = f"{propylon.url}/accel/big"
        for resumed in ("0-999999", "1000000-"):
            with target.open("ab") as file:
                subprocess.run(["curl", "-sfr", resumed, url], stdout=file, check=True)
        assert target.read_bytes() == content
        answer = httpx.get(url)
        assert answer.cookies["seen"] == "yes"
        assert "x-accel-redirect" not in answer.headers
        assert httpx.get(f"{propylon.url}/accel/..%2Fapp").status_code == 404
        assert httpx.get(f"{propylon.url}/protected/big").status_code == 404
