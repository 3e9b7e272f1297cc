"""What signals mean to the supervisor, and what clients see of a stop, with real processes."""

# ruff: noqa: ASYNC240  small files on a local disk

import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
from propylon.gateway.listen.address import UnixAddress
from propylon.gateway.listen.sockets import open_listeners

from ...cases import some_slow
from ..running import PATIENCE, get, propylon
from .test_supervisor import exists

APP = """
import asyncio, os, pathlib

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["path"] == "/until":
        pathlib.Path("began").touch()
        while not pathlib.Path("go").exists():
            await asyncio.sleep(0.01)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"by %d" % os.getpid()})
"""
REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.fixture(autouse=True)
def no_nohup() -> Iterator[None]:
    """Whoever runs the tests may have had SIGHUP ignored, and children inherit that."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(APP)
    return tmp_path


def serve(project: Path, *more: str):  # type: ignore[no-untyped-def]
    return propylon("serve", "main:app", "--no-access-log", *more, cwd=project)


async def refused(connect) -> None:  # type: ignore[no-untyped-def]
    """Returns when nobody listens any more; what was connected before says nothing."""
    with trio.fail_after(PATIENCE):
        while True:
            try:
                stream = await connect()
            except OSError:
                return
            await stream.aclose()
            await trio.sleep(0.01)


@pytest.mark.parametrize("where", ["tcp", "unix"])
@pytest.mark.parametrize("gateways", some_slow(1, [1, 2]))
async def test_while_it_stops_new_clients_are_refused(
    project: Path, where: str, gateways: int
) -> None:
    path = str(project / "a.sock")
    bind = "--port=0" if where == "tcp" else f"--uds={path}"
    async with serve(project, bind, f"--gateways={gateways}") as running:
        port = await running.port() if where == "tcp" else 0
        await running.said("Serving on")

        async def connect() -> trio.SocketStream:
            if where == "tcp":
                return await trio.open_tcp_stream("127.0.0.1", port)
            return await trio.open_unix_socket(path)

        async with await connect() as stream:
            await stream.send_all(b"GET /until HTTP/1.1\r\nHost: test\r\n\r\n")
            await exists(project / "began")
            running.signal(signal.SIGTERM)
            await refused(connect)
            (project / "go").touch()
            answer = b"".join([part async for part in stream])
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert await running.ended() == 0


@pytest.mark.slow
async def test_who_was_in_the_kernels_queue_is_answered(project: Path) -> None:
    async with serve(project, "--port=0") as running, AsyncExitStack() as stack:
        port = await running.port()
        gateway = running.children()["gateway 1"]
        os.kill(gateway, signal.SIGSTOP)
        clients: list[trio.SocketStream] = []
        for _ in range(30):
            client = await trio.open_tcp_stream("127.0.0.1", port)
            clients.append(await stack.enter_async_context(client))
            await client.send_all(REQUEST)
        running.signal(signal.SIGTERM)
        await running.said("Stopping on SIGTERM")
        await pending(gateway, signal.SIGTERM)
        os.kill(gateway, signal.SIGCONT)
        for client in clients:
            with trio.fail_after(PATIENCE):
                answer = b"".join([part async for part in client])
            assert answer.startswith(b"HTTP/1.1 200 ")
        assert await running.ended() == 0


async def pending(pid: int, number: signal.Signals) -> None:
    """Returns when a stopped process has the signal waiting."""
    with trio.fail_after(PATIENCE):
        while True:
            status = Path(f"/proc/{pid}/status").read_text()
            waiting = re.findall(r"^(?:SigPnd|ShdPnd):\s*([0-9a-f]+)", status, re.MULTILINE)
            if any(int(mask, 16) >> (number - 1) & 1 for mask in waiting):
                return
            await trio.sleep(0.01)


async def test_hup_replaces_the_workers_and_cuts_nobody(project: Path) -> None:
    async with serve(project, "--port=0") as running:
        port = await running.port()
        first = running.children()["worker 1"]
        answers: list[str] = []

        async def ask() -> None:
            answers.append(await get(port, "/until"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await exists(project / "began")
            running.signal(signal.SIGHUP)
            await running.said("Reloading on SIGHUP")
            await running.said("Reloaded: generation 2 serves")
            second = await get(port)
            assert f"by {first}" not in second
            (project / "go").touch()
        assert f"by {first}" in answers[0]
    assert await running.ended() == 0


async def test_hup_without_workers(project: Path) -> None:
    gateway = propylon("gateway", "--run-dir=run", "--port=0", cwd=project)
    async with gateway as running:
        await running.port()
        children = running.children()
        os.kill(children["gateway 1"], signal.SIGHUP)  # as a terminal that hangs up
        running.signal(signal.SIGHUP)
        await running.said("SIGHUP: there are no workers here: this is a gateway alone")
        assert running.children() == children
    assert await running.ended() == 0


@pytest.mark.slow
async def test_workers_that_are_asked_to_end_are_replaced_at_once(project: Path) -> None:
    async with serve(project, "--port=0") as running:
        port = await running.port()
        for time in range(1, 6):
            os.kill(running.children()["worker 1"], signal.SIGTERM)
            line = await running.said(r".* worker 1 \(pid .*; starting another(.*)", times=time)
            assert re.search(r" info +worker 1 .* exited with code 0 after ", line[0])
            assert line[1] == "", "without a delay"
            assert "by " in await get(port)
    assert " error " not in running.log


@pytest.mark.slow
async def test_nohup_is_respected(project: Path) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    async with serve(project, "--port=0") as running:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        port = await running.port()
        running.signal(signal.SIGHUP)
        assert "by " in await get(port)
    assert await running.ended() == 0
    assert "SIGHUP" not in running.log


def test_the_port_is_free_again(project: Path) -> None:
    """Closed twice, a listener leaves alone what another has bound meanwhile."""
    path = str(project / "a.sock")
    first = open_listeners([UnixAddress(path)], 1, 1)
    first.close()
    second = open_listeners([UnixAddress(path)], 1, 1)
    first.close()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
    second.close()
