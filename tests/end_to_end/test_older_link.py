"""The link between today's code and that of an earlier commit, in both directions, as processes.

While images are upgraded one after the other, a gateway of one release serves with workers of the
release before, or the other way round (SPEC.md 3.1). Recorded bytes would show that old messages
are still read; that a conversation still works, only two real ends show. The earlier code comes
from the repository's own history: the newest release tag before this commit, and as long as there
is none, EARLIER. A shallow clone has no history, and skips.
"""

import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from .many_workers import ManyWorkers
from .server import DEADLINE, Output, Propylon, command, environment, wait_for

ROOT = Path(__file__).parents[2]
EARLIER = "98bff98e57a5246deb06e37e8cbae7bc670570a1"
"""The last commit of the day before any feature of the link had a name but `names-as-written`."""
APP = """
import asyncio, os

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        for what in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{what}.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({**event, "type": "websocket.send"})
        return
    if scope["path"] == "/file":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if "http.response.pathsend" in scope["extensions"]:
            await send({"type": "http.response.pathsend", "path": __file__})
        else:
            with open(__file__, "rb") as file:
                await send({"type": "http.response.body", "body": file.read()})
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"X-Case", b"a")]})
    if scope["path"] == "/offers":
        offers = {"http.response.early_hint", "http.response.trailers"}
        body = repr(sorted(offers & set(scope.get("extensions") or ()))).encode()
    if scope["path"] == "/streamed":
        for _ in range(20):
            await send({"type": "http.response.body", "body": b"x" * 50_000, "more_body": True})
            await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": body or b"%d" % os.getpid()})
"""


def earlier_commit() -> str:
    """The commit to run with, or a skip."""
    for arguments in (
        ("describe", "--tags", "--abbrev=0", "--match=v*", "HEAD^"),
        ("rev-parse", "--verify", "--quiet", f"{EARLIER}^{{commit}}"),
    ):
        said = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if said.returncode == 0:
            return said.stdout.strip()
    pytest.skip("the earlier commit is not in this clone's history")


@pytest.fixture(scope="session")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to import the earlier code from: `propylon` as setuptools would install it."""
    packed = subprocess.run(
        ["git", "archive", earlier_commit(), "package", "gateway", "worker", "protocol"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(fileobj=BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    (folder / "package").rename(folder / "propylon")
    for room in ("gateway", "worker", "protocol"):
        (folder / room).rename(folder / "propylon" / room)
    return folder


@contextmanager
def workers(run_dir: Path, cwd: Path, code: Path | None = None) -> Iterator[Output]:
    """`propylon worker` with two workers, of the earlier code if it is given."""
    env = environment(**({"PYTHONPATH": str(code)} if code else {}))
    arguments = ("worker", "main:app", "-w", "2", "--run-dir", str(run_dir))
    process = subprocess.Popen(
        command(*arguments), cwd=cwd, env=env, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = Output(process.stderr)
    try:
        said.find("Working for the gateways", process)
        yield said
    finally:
        process.terminate()
        process.wait(30)
        said.finish()


@contextmanager
def gateway(run_dir: Path, cwd: Path, code: Path | None = None) -> Iterator[Propylon]:
    env = {"PYTHONPATH": str(code)} if code else {}
    flags = () if code else ("--early-hints", "all")
    server = Propylon("--run-dir", str(run_dir), *flags, cwd=cwd, env=env)
    server._arguments[0] = "gateway"
    with server:
        yield server


def serves(url: str) -> None:
    """All that travels on a link: heads, bodies in pieces and at once, messages, and credit."""
    with httpx.Client(base_url=url, timeout=20) as client:
        wait_for(lambda: client.get("/").status_code == 200, "a worker is linked")
        assert client.get("/").text.isdigit()
        large = os.urandom(400_000)
        answer = client.post("/", content=large)
        assert answer.content == large
        assert answer.headers["x-case"] == "a"
        assert client.post("/", content=iter([large[:9], large[9:]])).content == large
        assert len(client.get("/streamed").content) > 1_000_000
        assert client.get("/file").text == APP
        # What only one end of a link can do is not offered.
        assert client.get("/offers", headers={"te": "trailers"}).text == "[]"
    with connect(url.replace("http", "ws", 1), proxy=None, max_size=None) as websocket:
        # More than a window, of the many and of the large.
        messages = [*[b"", "x"] * 4_000, large, "é" * 200_000]
        sender = threading.Thread(target=lambda: [websocket.send(one) for one in messages])
        sender.start()
        assert [websocket.recv(DEADLINE) for _ in messages] == messages
        sender.join(DEADLINE)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(APP)
    return tmp_path


def is_of(path: Path, process: str) -> bool:
    """Whether a process with this pid has imported its code from a folder."""
    return str(path) in Path(f"/proc/{process}/environ").read_bytes().decode(errors="replace")


@pytest.mark.slow
def test_earlier_workers_serve_today_s_gateway(project: Path, earlier: Path) -> None:
    run_dir = project / "run"
    with gateway(run_dir, project) as server, workers(run_dir, project, earlier) as said:
        serves(server.url)
        assert is_of(earlier, httpx.get(server.url).text)
        with workers(run_dir, project):  # the app's image is replaced: both serve for a while
            pids = wait_for(lambda: _seen(server.url, 4), "all four are asked")
            assert sum(is_of(earlier, pid) for pid in pids) == 2
        serves(server.url)
        assert "broke the protocol" not in server.stderr.text + said.text


@pytest.mark.slow
def test_today_s_workers_serve_an_earlier_gateway(project: Path, earlier: Path) -> None:
    run_dir = project / "run"
    with gateway(run_dir, project, earlier) as server, workers(run_dir, project) as said:
        assert is_of(earlier, str(server.process.pid))
        serves(server.url)
        assert not is_of(earlier, httpx.get(server.url).text)
        with workers(run_dir, project, earlier):
            wait_for(lambda: _seen(server.url, 4), "all four are asked")
        serves(server.url)
        assert "broke the protocol" not in server.stderr.text + said.text


@pytest.mark.slow
def test_today_s_dialer_at_an_earlier_gateway(project: Path, earlier: Path) -> None:
    """Whose listener has a short backlog: who is refused comes again."""
    run_dir = project / "run"
    with (
        gateway(run_dir, project, earlier) as server,
        ManyWorkers(run_dir / "default", 150, together=True) as many,
    ):
        wait_for(lambda: many.linked == 150, "all links")
        assert httpx.get(server.url).status_code == 200


def _seen(url: str, count: int) -> set[str]:
    """The pids that answer a few requests, if there are so many of them; else nothing."""
    with httpx.Client(base_url=url) as client:
        pids = {client.get("/").text for _ in range(20)}
    return pids if len(pids) == count else set()
