"""Workers that do not answer any more: seen, shown, replaced; and those that only take long."""

import os
import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest

from .operating import settled, status, traffic, watch
from .server import DEADLINE, Propylon, wait_for

NAMED = r"\bblocks_for_ever\b"
"""In the stacks. faulthandler writes a line in pieces, between which another process may write."""
FLAGS = ("-w", "2", "--no-access-log", "--heartbeat-timeout", "1.2")
BLOCK = b"POST /block HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
"""A GET would be tried again, and block another."""

ASGI = """
import asyncio, os, sniffio, time

def blocks_for_ever():
    while True:
        time.sleep(1000)

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    if scope["path"] == "/block":
        open("began", "w").write(str(os.getpid()))
        blocks_for_ever()
    if scope["path"] == "/wait":
        if sniffio.current_async_library() == "trio":
            import trio
            await trio.sleep(2.5)
        else:
            await asyncio.sleep(2.5)
    body = f"{scope['path']} {os.getpid()}".encode()
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})
"""
WSGI = """
import os, time

def blocks_for_ever():
    while True:
        time.sleep(1000)

def app(environ, start_response):
    if environ["PATH_INFO"] == "/block":
        open("began", "w").write(str(os.getpid()))
        blocks_for_ever()
    if environ["PATH_INFO"] == "/wait":
        time.sleep(2.5)
    start_response("200 OK", [])
    return [f"{environ['PATH_INFO']} {os.getpid()}".encode()]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "asgi.py").write_text(ASGI)
    (tmp_path / "wsgi.py").write_text(WSGI)
    return tmp_path


def replaced(server: Propylon, pid: int) -> None:
    def look(report: dict) -> bool:
        found = {w["pid"]: w["state"] for w in report["pools"][0]["workers"]}
        return pid not in found and list(found.values()) == ["ready"] * 2

    watch(server, look, f"the end of {pid}, and another in its place")


@pytest.mark.parametrize("loop", ["uvloop", pytest.param("trio", marks=pytest.mark.slow)])
def test_a_blocked_event_loop(folder: Path, loop: str) -> None:
    with Propylon("asgi:app", "--loop", loop, *FLAGS, cwd=folder) as server:
        with closing(socket.create_connection(server.address, DEADLINE)) as victim:
            victim.sendall(BLOCK)
            wait_for((folder / "began").exists, "the call")
            pid = int((folder / "began").read_text())
            with traffic(server):  # all that comes meanwhile is served by the other
                server.stderr.find(
                    rf"\(pid {pid}\).*it hangs, no sign of life for 1.2 s; its stack"
                )
                replaced(server, pid)
            assert b"HTTP/1.1 502" in victim.recv(4096)
        server.stderr.find(NAMED)
        (ended,) = [end for end in status(server)["ended"] if f"(pid {pid})" in end["what"]]
        assert "it hangs, no sign of life for 1.2 s" in ended["how"]


@pytest.mark.slow
def test_a_stopped_worker(folder: Path) -> None:
    with Propylon("asgi:app", *FLAGS, cwd=folder) as server:
        pid = min(settled(server, 2))
        os.kill(pid, signal.SIGSTOP)
        watch(
            server,
            lambda r: any(w["state"] == "hung" for w in r["pools"][0]["workers"]),
            "its state in the status",
        )
        replaced(server, pid)
        with traffic(server):
            pass


@pytest.mark.slow
def test_the_last_thread_is_stuck_when_its_client_has_gone(folder: Path) -> None:
    """Nobody waits for its call, and it has had the time that it would have had with a client."""
    flags = (*FLAGS, "--threads", "1", "--timeout-graceful-shutdown", "0.5")
    with Propylon("wsgi:app", *flags, "--request-timeout", "2", cwd=folder) as server:
        with closing(socket.create_connection(server.address, DEADLINE)) as victim:
            victim.sendall(BLOCK)
            wait_for((folder / "began").exists, "the call")
            pid = int((folder / "began").read_text())
        with traffic(server):
            server.stderr.find(rf"\(pid {pid}\).*a call is stuck in the app that nobody waits for")
            replaced(server, pid)
        server.stderr.find(NAMED)


@pytest.mark.parametrize("host", [("asgi:app",), ("asgi:app", "--loop", "trio"), ("wsgi:app",)])
@pytest.mark.slow
def test_what_only_takes_long_is_left_in_peace(folder: Path, host: tuple[str, ...]) -> None:
    with Propylon(*host, *FLAGS, cwd=folder) as server, server.client() as client:
        before = settled(server, 2)
        assert client.get("/wait").text.startswith("/wait ")
        assert settled(server, 2) == before
        assert "hangs" not in server.stderr.text
        assert "stuck" not in server.stderr.text
