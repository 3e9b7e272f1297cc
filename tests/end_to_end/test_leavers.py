"""Clients that leave in the middle: soon nothing of it runs, its slot is free and a stop is quick.
But what is no stream runs to its end: it may be half done."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from websockets.sync.client import connect

from .operating import status
from .server import Propylon, wait_for

SOON = 15.0
"""Seconds after a reader has left in which all of it has ended. Most take a few milliseconds."""
STREAMS = {
    # factory: the streams, each with what it says at its end
    "starlette": {
        f"/{kind}/{name}": [name, f"behind {name}"]
        for kind in ("plain", "fastapi", "sse", "middleware")
        for name in ("silent", "busy")
    }
    | {"/plain/file": ["file"], "/middleware/file": ["file"]},
    "litestar": {
        "/silent": ["silent", "behind silent"],
        "/busy": ["busy", "behind busy"],
        "/sse/silent": ["silent", "behind silent"],
    },
    "quart": {"/silent": ["silent"], "/busy": ["busy"], "/file": ["file"]},
    "django": {"/silent": ["silent"], "/busy": ["busy"], "/file": ["file"]},
    "raw": {"/file": ["file"]},
    "wsgi": {"/busy": ["busy"]},
}
EVERYWHERE = [
    ("starlette", "uvloop"),
    pytest.param("starlette", "asyncio", marks=pytest.mark.slow),
    pytest.param("starlette", "trio", marks=pytest.mark.slow),
    pytest.param("litestar", "uvloop", marks=pytest.mark.slow),
    pytest.param("quart", "uvloop", marks=pytest.mark.slow),
    pytest.param("django", "uvloop", marks=pytest.mark.slow),
    pytest.param("raw", "uvloop", marks=pytest.mark.slow),
    pytest.param("raw", "trio", marks=pytest.mark.slow),
    ("wsgi", "auto"),
]


def serving(folder: Path, factory: str, loop: str, *flags: str) -> Propylon:
    if factory == "litestar":
        pytest.importorskip("litestar")
    interface = "wsgi" if factory == "wsgi" else "asgi"
    arguments = (f"leavers:{factory}", "--factory", "--interface", interface, "--loop", loop)
    return Propylon(*arguments, "--no-access-log", *flags, env={"LEAVERS_DIR": str(folder)})


def begin(server: Propylon, path: str, method: str = "GET", rest: bytes = b"") -> socket.socket:
    client = socket.create_connection(server.address, 10)
    head = f"{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(rest) and 1000}\r\n\r\n"
    client.sendall(head.encode() + rest)
    return client


def leave(server: Propylon, path: str) -> None:
    """Asks, reads the begin of the response and goes."""
    with begin(server, path) as client:
        data = b""
        while b"\r\n\r\n" not in data or not data.partition(b"\r\n\r\n")[2]:
            piece = client.recv(1000)
            assert piece, data
            data += piece


def seen(server: Propylon) -> list[str]:
    with server.client() as client:
        return json.loads(client.get("/seen").content)


def holds(server: Propylon, slots: int) -> bool:
    """Whether so many calls run in its worker from now on, or within SOON; it reports once a
    second, and only a report that is newer than this question counts."""

    def report() -> tuple[int, int]:
        ((worker,),) = (pool["workers"] for pool in status(server)["pools"])
        return worker["requests"], worker["calls"]

    known, _ = report()
    seen(server)
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        requests, calls = report()
        if requests > known and calls == slots:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(("factory", "loop"), EVERYWHERE)
def test_streams_end_with_their_readers(tmp_path: Path, factory: str, loop: str) -> None:
    with serving(tmp_path, factory, loop) as server:
        for path, says in STREAMS[factory].items():
            before = len(seen(server))
            leave(server, path)
            # A busy generator is at its `yield` when its response is cancelled in `send`. Nobody
            # closes it but the event loop, once it is garbage, so what runs behind the response may
            # be first.
            order: Callable[[list[str]], list[str]] = sorted if path.endswith("busy") else list
            wait_for(
                lambda: order(seen(server)[before:]) == order(says),  # noqa: B023
                f"{path}: {says}",
                SOON,
            )
        assert list(tmp_path.iterdir()) == []
        assert holds(server, 0)
        for path in STREAMS[factory]:
            leave(server, path)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < SOON  # of 30
        assert "Traceback" not in server.stderr.text
        assert "cancelled" not in server.stderr.text


JOBS = {
    "starlette": ["/plain/job", "/middleware/job"],
    "litestar": ["/job"],
    "raw": ["/job"],
    "wsgi": ["/job"],
}


@pytest.mark.parametrize(
    "factory",
    [
        "starlette",
        pytest.param("wsgi", marks=pytest.mark.slow),
        pytest.param("litestar", marks=pytest.mark.slow),
        pytest.param("raw", marks=pytest.mark.slow),
    ],
)
def test_a_handler_runs_to_its_end_without_its_client(tmp_path: Path, factory: str) -> None:
    """Quart and Django cancel theirs themselves."""
    with serving(tmp_path, factory, "auto") as server:
        for path in JOBS[factory]:
            begun = seen(server).count("job: begun")
            with begin(server, path, "POST"):
                wait_for(lambda: seen(server).count("job: begun") > begun, "begin")  # noqa: B023
        jobs = len(JOBS[factory])
        with server.client() as client:
            client.get("/go")
        wait_for(lambda: seen(server).count("job: done") == jobs, "the end of the job")
        assert "job: cut" not in seen(server)
        assert holds(server, 0)
    assert "Traceback" not in server.stderr.text


@pytest.mark.slow
@pytest.mark.parametrize("end", ["request-timeout", "stop"])
def test_a_handler_without_its_client_ends_at_a_deadline(tmp_path: Path, end: str) -> None:
    """The same that would have ended it with its client still there."""
    flags = ("--request-timeout", "1") if end == "request-timeout" else ("--graceful-timeout", "1")
    with serving(tmp_path, "raw", "auto", *flags) as server:
        with begin(server, "/job", "POST"):
            wait_for(lambda: "job: begun" in seen(server), "begin")
        if end == "request-timeout":
            wait_for(lambda: "job: cut" in seen(server), "its end")
            assert holds(server, 0)
        assert server.stop() == 0
        assert "POST /job is cancelled" in server.stderr.text or end == "stop"
        assert "a call is cancelled: it outlived" in server.stderr.text or end != "stop"


@pytest.mark.slow
def test_an_upload_whose_client_leaves_costs_no_traceback(tmp_path: Path) -> None:
    """The framework raises an error of its own then, and its handlers hear of it."""
    with serving(tmp_path, "starlette", "auto") as server:
        for path in ("/plain/upload", "/middleware/upload"):
            before = len(seen(server))
            with begin(server, path, "POST", b"part"):
                wait_for(lambda: seen(server)[before:] == ["upload: begun"], path)  # noqa: B023
            wait_for(lambda: "upload" in seen(server)[before:], f"end of {path}")  # noqa: B023
        assert holds(server, 0)
    assert "the app raised" not in server.stderr.text


@pytest.mark.parametrize("factory", ["starlette", pytest.param("litestar", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_websocket_s_leaver_costs_no_traceback(tmp_path: Path, factory: str) -> None:
    """Whether it says goodbye or not, and whatever the handler waits for."""
    with serving(tmp_path, factory, "auto") as server:
        url = server.url.replace("http", "ws")
        for path in ("/ws/listens", "/ws/tells"):
            for says_goodbye in (True, False):
                before = seen(server)
                with connect(url + path) as client:
                    client.send("hello")
                    assert client.recv()
                    if not says_goodbye:
                        client.socket.shutdown(socket.SHUT_RDWR)
                wait_for(lambda: len(seen(server)) > len(before), "its end")  # noqa: B023
        assert holds(server, 0)
    assert "Traceback" not in server.stderr.text
    assert "the app raised" not in server.stderr.text


@pytest.mark.slow
def test_an_endless_sender_that_never_listens_ends_too(tmp_path: Path) -> None:
    with serving(tmp_path, "raw", "auto") as server:
        leave(server, "/busy")
        assert holds(server, 1)
        words = "GET /busy is cancelled: its client has left"
        wait_for(lambda: words in server.stderr.text, words, 40)
        assert holds(server, 0)


@pytest.mark.slow
def test_a_stop_waits_for_no_endless_sender(tmp_path: Path) -> None:
    with serving(tmp_path, "raw", "auto") as server:
        leave(server, "/busy")
        assert holds(server, 1)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < SOON


def test_head_is_logged_with_no_bytes(tmp_path: Path) -> None:
    """Whatever the app gives as a body: none of it is sent."""
    arguments = ("leavers:raw", "--factory", "--access-logfile", "-")
    with Propylon(*arguments, env={"LEAVERS_DIR": str(tmp_path)}) as server:
        with server.client() as client:
            assert client.head("/seen").content == b""
            assert client.get("/seen").content == b"[]"
        server.stdout.find(r'"HEAD /seen HTTP/1.1" 200 (0|-) ')
        server.stdout.find(r'"GET /seen HTTP/1.1" 200 2 ')
