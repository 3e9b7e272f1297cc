"""What becomes of a request whose worker dies, or does not answer: real processes, killed."""

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ..cases import some_slow
from .server import DEADLINE, Propylon, wait_for

APP = """
import asyncio, os, time
from pathlib import Path
from urllib.parse import parse_qsl

async def app(scope, receive, send):
    assert scope["type"] == "http"
    knobs = dict(parse_qsl(scope["query_string"].decode()))
    log = Path(os.environ["CALLS"])
    with log.open("a") as lines:
        lines.write(f"{scope['method']} {scope['path']} {os.getpid()}\\n")
    if scope["path"] == "/block":
        time.sleep(60)
    count, more = 0, True
    first = Path(knobs["first"]) if "first" in knobs else None
    if first is not None and not first.exists():
        while count < int(knobs["take"]):
            count += len((await receive())["body"])
        first.write_text(str(count))
        await asyncio.sleep(60)
    while more:
        event = await receive()
        count += len(event["body"])
        more = event["more_body"]
    if scope["path"] == "/exit":
        os._exit(7)
    body = f"{count} {os.getpid()}".encode()
    head = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
"""


class Case:
    """A server whose app writes down each call."""

    def __init__(self, propylon: Propylon, folder: Path) -> None:
        self.propylon = propylon
        self.folder = folder

    @property
    def calls(self) -> list[str]:
        """ "POST /x", once for each time that the app was called."""
        file = self.folder / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line.rpartition(" ")[0] for line in lines]

    def pid_of(self, call: str) -> int:
        """Of the worker that has the call."""

        def look() -> str | None:
            file = self.folder / "calls"
            text = file.read_text() if file.exists() else ""
            found = re.search(rf"^{call} (\d+)$", text, re.M)
            return found and found[1]

        return int(wait_for(look, f"the call {call}") or "0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "noting.py").write_text(APP)
    return tmp_path


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[Case]:
    env = {"CALLS": str(folder / "calls")}
    with Propylon("noting:app", *flags, env=env, cwd=folder) as propylon:
        yield Case(propylon, folder)


@pytest.mark.parametrize("size", some_slow(1, [60_000, 10, 200_000, 2_000_000]))
def test_a_post_that_never_reached_the_app_is_answered_by_another(folder: Path, size: int) -> None:
    """The worker's loop is blocked when the POST comes, and it dies like that."""
    with serving(folder) as case, case.propylon.client() as client, ThreadPoolExecutor() as threads:
        blocked = threads.submit(client.post, "/block")
        pid = case.pid_of("POST /block")
        post = threads.submit(client.post, "/post", content=bytes(size))
        wait_until_at_rest(case.propylon)
        os.kill(pid, signal.SIGKILL)
        second = case.pid_of("POST /post")
        assert post.result(DEADLINE).text == f"{size} {second}"
        assert case.calls.count("POST /post") == 1
        assert blocked.result(DEADLINE).status_code == 502
        assert case.calls.count("POST /block") == 1


def wait_until_at_rest(propylon: Propylon) -> None:
    """Until the gateway has handed on all that the worker's credit allows: then it does nothing."""
    (gateway,) = propylon.pids("gateway")
    before = -1

    def rests() -> bool:
        nonlocal before
        fields = Path(f"/proc/{gateway}/stat").read_text().rpartition(")")[2].split()
        before, ticks = sum(map(int, fields[11:13])), before
        time.sleep(0.15)
        return before == ticks

    wait_for(rests, "the gateway to rest")


@pytest.mark.parametrize(
    ("method", "size", "take", "status"),
    some_slow(
        1,
        [
            ("PUT", 150_000, 70_000, 200),
            ("PUT", 1_000, 1_000, 200),
            ("PUT", 262_144, 131_000, 200),
            ("PUT", 400_000, 300_000, 502),
            ("POST", 1_000, 1_000, 502),
            ("POST", 150_000, 70_000, 502),
        ],
    ),
)
def test_a_call_that_had_begun(
    folder: Path, method: str, size: int, take: int, status: int
) -> None:
    """Once more if that means the same, and if all that was sent is still there."""
    began = folder / "began"
    with serving(folder, "-w", "2") as case:
        path = f"/x?first={began}&take={take}"
        with case.propylon.client() as client, ThreadPoolExecutor() as threads:
            asked = threads.submit(client.request, method, path, content=bytes(size))
            wait_for(began.exists, "the app's turn")
            os.kill(case.pid_of(f"{method} /x"), signal.SIGKILL)
            answer = asked.result(DEADLINE)
        assert answer.status_code == status
        assert case.calls.count(f"{method} /x") == (2 if status == 200 else 1)
        if status == 200:
            assert answer.text.split()[0] == str(size)


def test_a_slow_upload_goes_on_to_another_worker(folder: Path) -> None:
    """Half of it has come when the worker dies; the client sends the rest and sees nothing."""
    with serving(folder, "-w", "2") as case:
        path = f"/x?first={folder}/began&take=40000"
        with closing(socket.create_connection(case.propylon.address, DEADLINE)) as sock:
            head = f"PUT {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 80000\r\n\r\n"
            sock.sendall(head.encode() + bytes(40_000))
            wait_for((folder / "began").exists, "the app's turn")
            os.kill(case.pid_of("PUT /x"), signal.SIGKILL)
            wait_for(lambda: case.calls.count("PUT /x") == 2, "another worker's turn")
            for _ in range(4):
                sock.sendall(bytes(10_000))
            answer = sock.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        assert b"\r\n\r\n80000 " in answer


def test_100_continue_is_said_once(folder: Path) -> None:
    with serving(folder, "-w", "2") as case:
        path = f"/x?first={folder}/began&take=100000"
        with closing(socket.create_connection(case.propylon.address, DEADLINE)) as sock:
            head = f"PUT {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 120000\r\n"
            sock.sendall(head.encode() + b"Expect: 100-continue\r\n\r\n")
            assert sock.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            sock.sendall(bytes(100_000))
            wait_for((folder / "began").exists, "the app's turn")
            os.kill(case.pid_of("PUT /x"), signal.SIGKILL)
            wait_for(lambda: case.calls.count("PUT /x") == 2, "another worker's turn")
            sock.sendall(bytes(20_000))
            answer = sock.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        assert b"\r\n\r\n120000 " in answer


def test_two_workers_die_of_it_and_no_third(folder: Path) -> None:
    with serving(folder, "-w", "3") as case, case.propylon.client() as client:
        assert client.get("/exit").status_code == 502
        assert case.calls == ["GET /exit"] * 2
        case.propylon.stderr.find(r"GET /exit was answered with 502: worker \d \(pid \d+\) ")
        assert client.get("/").status_code == 200


# -- workers that do not answer ------------------------------------------------------------------


@pytest.mark.slow
def test_a_worker_that_stands_still_costs_nobody_anything(folder: Path) -> None:
    """SIGSTOP, under load: after the second in which that is noticed, all go to the other; and when
    it goes on, it takes part again."""
    with serving(folder, "-w", "2") as case, case.propylon.client() as client:
        stopped, other = case.propylon.pids("worker")
        os.kill(stopped, signal.SIGSTOP)
        try:
            case.propylon.stderr.find(
                rf"\(pid {stopped}\) is late: it has not answered for 1\.\d s"
            )
            pids = {int(client.get("/").text.split()[1]) for _ in range(50)}
            assert pids == {other}
        finally:
            os.kill(stopped, signal.SIGCONT)
        case.propylon.stderr.find(rf"\(pid {stopped}\) is punctual again")
        pids = {int(client.get("/").text.split()[1]) for _ in range(10)}
        assert pids == {stopped, other}
        log = case.propylon.stderr.text
        assert len(re.findall(r"is late", log)) <= 2, "once per transition"


def test_a_worker_whose_loop_is_blocked_gets_no_more(folder: Path) -> None:
    with (
        serving(folder, "-w", "2") as case,
        case.propylon.client() as client,
        ThreadPoolExecutor() as threads,
    ):
        blocked = threads.submit(client.post, "/block")
        pid = case.pid_of("POST /block")
        case.propylon.stderr.find(rf"\(pid {pid}\) is late")
        pids = {int(client.get("/").text.split()[1]) for _ in range(20)}
        assert pid not in pids
        os.kill(pid, signal.SIGKILL)
        assert blocked.result(DEADLINE).status_code == 502


@pytest.mark.slow
def test_the_only_worker_is_used_though_it_is_late(folder: Path) -> None:
    with (
        serving(folder) as case,
        case.propylon.client() as client,
        ThreadPoolExecutor() as threads,
    ):
        (pid,) = case.propylon.pids("worker")
        os.kill(pid, signal.SIGSTOP)
        try:
            case.propylon.stderr.find(r"is late")
            asked = threads.submit(client.post, "/x", content=b"body")
            wait_until_at_rest(case.propylon)
            assert not asked.done()
        finally:
            os.kill(pid, signal.SIGCONT)
        assert asked.result(DEADLINE).text == f"4 {pid}"


@pytest.mark.slow
def test_a_gateway_that_stood_still_blames_nobody(folder: Path) -> None:
    """Gateway and workers stop for three seconds, as a machine that is suspended."""
    with serving(folder, "-w", "2") as case, case.propylon.client() as client:
        pids = case.propylon.pids("gateway") + case.propylon.pids("worker")
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            assert client.get("/").status_code == 200
            time.sleep(0.05)
        assert "is late" not in case.propylon.stderr.text
