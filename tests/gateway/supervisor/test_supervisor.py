"""The supervisor with real gateway and worker processes."""

import os
import re
import shutil
import signal
import socket
from pathlib import Path

import pytest
import trio

from ...cases import some_slow
from ..running import get, gone, propylon

APP = """
import asyncio, os, pathlib

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                pathlib.Path("shut-down").touch()
                return
    if scope["path"] == "/slow":
        pathlib.Path("slow-began").touch()
        await asyncio.sleep(0.5)
    if scope["path"] == "/forever":
        pathlib.Path("forever-began").touch()
        await asyncio.sleep(3600)
    body = f"version 1 by {os.getpid()}".encode()
    head = {"type": "http.response.start", "status": 200, "headers": []}
    await send(head)
    await send({"type": "http.response.body", "body": body})
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "main.py").write_text(APP)
    return tmp_path


async def exists(path: Path) -> None:
    """Returns when the app has left its mark."""
    mark = trio.Path(path)
    with trio.fail_after(20):
        while not await mark.exists():  # noqa: ASYNC110  another process makes it
            await trio.sleep(0.01)


def serve(project: Path, *more: str | Path):  # type: ignore[no-untyped-def]
    return propylon("serve", "main:app", "--port=0", "--no-access-log", *more, cwd=project)


async def test_serves_and_stops_with_what_is_under_way_finished(project: Path) -> None:
    async with serve(project, "-w2") as running:
        port = await running.port()
        assert re.search(r"main:app, asgi on (uvloop|asyncio)\n", running.log)
        assert f"(2 workers, 1 gateway, pid {running.pid})" in running.log
        assert sorted(running.children()) == ["gateway 1", "worker 1", "worker 2"]
        answers: list[str] = []

        async def ask() -> None:
            answers.append(await get(port, "/slow"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await exists(project / "slow-began")
            running.signal(signal.SIGTERM)
        assert answers[0].startswith("HTTP/1.1 200")
        assert "version 1" in answers[0]
        assert await running.ended() == 0
        await running.said("Stopping on SIGTERM")
        await running.said("Stopped")
        assert list(running.temporary.glob("propylon-*/*")) == []  # the run directory
    assert (project / "shut-down").exists()


async def test_a_killed_worker_is_replaced(project: Path) -> None:
    async with serve(project) as running:
        port = await running.port()
        killed = running.children()["worker 1"]
        os.kill(killed, signal.SIGKILL)
        await running.said(
            rf"worker 1 \(pid {killed}\) of pool default was killed by SIGKILL after "
            r"[0-9.]+ s \(out of memory\?\); starting another\n"
        )
        assert "version 1" in await get(port)  # it waits in the queue for the new one
        assert running.children()["worker 1"] != killed


async def test_a_killed_gateway_is_replaced_on_the_same_socket(project: Path) -> None:
    async with serve(project) as running:
        port = await running.port()
        os.kill(running.children()["gateway 1"], signal.SIGKILL)
        assert "version 1" in await get(port)  # it waits in the kernel's queue
        await running.said(r"gateway 1 \(pid \d+\) was killed by SIGKILL")


async def test_a_run_directory_that_somebody_has_removed_ends_nothing(project: Path) -> None:
    async with serve(project, "--run-dir=run") as running:
        port = await running.port()
        shutil.rmtree(project / "run")
        os.kill(running.children()["gateway 1"], signal.SIGKILL)
        await running.said(r"gateway 1 \(pid \d+\) was killed by SIGKILL .*; starting another")
        assert "version 1" in await get(port)  # the next gateway has made it anew


@pytest.mark.slow
async def test_one_fewer_while_a_preloaded_app_still_loads(project: Path) -> None:
    """Who does not wait for it any more does not end the import for who still does."""
    loads = "import pathlib, time; pathlib.Path('loads').touch(); time.sleep(1)"
    (project / "main.py").write_text(f"{loads}\n{APP}")
    async with serve(project, "-w2", "--preload") as running:
        await exists(project / "loads")
        running.signal(signal.SIGTTOU)
        await running.said("Pool default: 1 worker wanted, 2 before")
        assert "version 1" in await get(await running.port())


async def test_several_gateways_have_a_socket_each(project: Path) -> None:
    async with serve(project, "--gateways=2") as running:
        port = await running.port()
        assert sorted(running.children()) == ["gateway 1", "gateway 2", "worker 1"]
        for pid in (running.children()["gateway 1"], running.children()["gateway 2"]):
            listening = await trio.to_thread.run_sync(listening_sockets, pid, port)
            assert len(listening) == 1
        for _ in range(8):  # over both, as the kernel spreads them
            assert "version 1" in await get(port)


def listening_sockets(pid: int, port: int) -> set[str]:
    """Inodes of the process's sockets that listen on the port."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {f[9] for f in lines if f[3] == "0A" and f[1].endswith(f":{port:04X}")}
    held = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()}
    return {inode for inode in inodes if f"socket:[{inode}]" in held}


async def test_a_second_signal_means_now(project: Path) -> None:
    async with serve(project) as running, trio.open_nursery() as nursery:
        port = await running.port()
        children = running.children().values()

        async def ask() -> None:
            await get(port, "/forever")

        nursery.start_soon(ask)
        await exists(project / "forever-began")
        running.signal(signal.SIGINT)
        await running.said("Stopping on SIGINT")
        running.signal(signal.SIGINT)
        await running.said("Stopping at once")
        started = trio.current_time()
        assert await running.ended() == 0
        assert trio.current_time() - started < 5
        for pid in children:
            await gone(pid)


async def test_what_outlasts_the_graceful_time_is_cut(project: Path) -> None:
    graceful = "--timeout-graceful-shutdown=0.3"
    async with serve(project, graceful) as running, trio.open_nursery() as nursery:
        port = await running.port()
        nursery.start_soon(get, port, "/forever")
        await exists(project / "forever-began")
        running.signal(signal.SIGTERM)
        assert await running.ended() == 0


async def test_children_end_with_a_killed_supervisor(project: Path) -> None:
    async with serve(project, "-w2") as running:
        await running.port()
        children = running.children()
        assert len(children) == 3
        running.signal(signal.SIGKILL)
        for pid in children.values():
            await gone(pid)


@pytest.mark.parametrize(
    ("module", "sentence"),
    some_slow(
        2,
        [
            ("", "module main has no attribute 'app'"),
            ("import not_there_at_all", "imports 'not_there_at_all', which is not installed"),
            ("raise SystemExit('bye')", "module main raised SystemExit: bye"),
            ("import os; os._exit(7)", "exited with code 7 before it was ready"),
            ("async def app(scope, receive, send): raise ValueError('no db')", "ValueError: no db"),
        ],
    ),
)
async def test_an_app_that_cannot_boot(project: Path, module: str, sentence: str) -> None:
    (project / "main.py").write_text(module)
    async with serve(project, "-w2", "--lifespan=on") as running:
        assert await running.ended() == 3
        await running.said(r"\(end of log\)")
    assert sentence in running.log
    assert len(re.findall(r"^[-0-9]+ [:0-9]+ error ", running.log, re.MULTILINE)) == 1
    assert "gateway/supervisor" not in running.log  # a traceback is the app's, never ours


async def test_an_app_that_hangs_at_import(project: Path) -> None:
    (project / "main.py").write_text("import time; time.sleep(3600)")
    async with serve(project, "--startup-timeout=0.5") as running:
        assert await running.ended() == 3
        await running.said(r"was not ready within 0.5 s \(--startup-timeout\)")


async def test_reload(project: Path) -> None:
    async with serve(project, "--reload") as running:
        port = await running.port()
        assert "version 1" in await get(port)

        (project / "main.py").write_text(APP.replace("version 1", "version 22"))
        await running.said("main.py changed, reloading")
        await running.said("Reloaded: generation 2 serves")
        assert "version 22" in await get(port)

        (project / "main.py").write_text("import not_there_at_all")
        await running.said("'not_there_at_all'.*; not reloaded, the old serve on")
        assert "version 22" in await get(port)

        (project / "main.py").write_text(APP.replace("version 1", "version 333"))
        await running.said("Reloaded: generation 4 serves")
        assert "version 333" in await get(port)


async def test_reload_waits_for_an_app_that_cannot_boot_yet(project: Path) -> None:
    (project / "main.py").write_text("import not_there_at_all")
    async with serve(project, "--reload") as running:
        await running.said("'not_there_at_all'.*; waiting for a file to change")
        (project / "main.py").write_text(APP)
        assert "version 1" in await get(await running.port())


@pytest.mark.slow
async def test_reload_patterns(project: Path) -> None:
    (project / "skipped").mkdir()
    watched = ("--reload", "--reload-include=*.toml", "--reload-exclude=skipped")
    async with serve(project, *watched, "--reload-exclude=no_*.py") as running:
        await running.port()
        (project / "skipped" / "a.py").touch()
        (project / "no_a.py").touch()
        (project / "a.txt").touch()
        (project / "a.toml").touch()
        await running.said("Reloaded")
    assert re.findall(r"(\S+) changed", running.log) == ["a.toml"]


async def test_files_of_the_instance(project: Path) -> None:
    more = ("--pid=run.pid", "--umask=077", "--run-dir=run")
    async with propylon("serve", "main:app", "--uds=a.sock", *more, cwd=project) as running:
        await running.said(rf"Serving on unix:{project}/a.sock \(")
        assert (project / "run.pid").read_text() == f"{running.pid}\n"
        assert (project / "run" / "default" / "1.sock").is_socket()
        assert (project / "a.sock").stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(project / "a.sock"))
    assert await running.ended() == 0
    assert not (project / "a.sock").exists()
    assert not (project / "run.pid").exists()


async def test_an_inherited_socket(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        arguments = ("serve", "main:app", f"--fd={given.fileno()}")
        async with propylon(*arguments, cwd=project, pass_fds=[given.fileno()]) as running:
            await running.said(rf"Serving on http://127.0.0.1:\d+ \(fd://{given.fileno()}\) \(")
            assert "version 1" in await get(given.getsockname()[1])


async def test_gateway_and_workers_apart(project: Path) -> None:
    gateway = propylon("gateway", "--run-dir=run", "--port=0", cwd=project)
    workers = propylon("worker", "main:app", "-w2", "--run-dir=run", cwd=project)
    async with gateway as front:
        port = await front.port()
        assert f"workers are awaited at {project}/run" in front.log
        async with workers as back:
            await back.said(rf"Working for the gateways at {project}/run \(2 workers, pid")
            assert "version 1" in await get(port)
            assert sorted(back.children()) == ["worker 1", "worker 2"]
        assert await back.ended() == 0
        assert sorted(front.children()) == ["gateway 1"]


async def test_two_pools(project: Path) -> None:
    (project / "wsgi.py").write_text(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [b'wsgi ' + environ['SCRIPT_NAME'].encode()]\n"
    )
    (project / "propylon.toml").write_text(
        '[[pools]]\nname = "web"\napp = "main:app"\n'
        '[[pools]]\nname = "old"\napp = "wsgi:app"\nworkers = 2\n'
        '[[routes]]\npool = "web"\n[[routes]]\nprefix = "/old"\npool = "old"\n'
    )
    async with propylon("serve", "--port=0", cwd=project) as running:
        port = await running.port()
        await running.said("Pool web: main:app, asgi on ")
        await running.said("Pool old: wsgi:app, wsgi")
        assert "(3 workers, 1 gateway" in running.log
        assert "version 1" in await get(port)
        assert "wsgi /old" in await get(port, "/old/x")


async def test_a_taken_port(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with propylon("serve", "main:app", f"--port={port}", cwd=project) as running:
            assert await running.ended() == 1
            await running.said(
                rf"error   cannot listen on 127.0.0.1:{port}: .* \(pid {os.getpid()}\) "
                "listens there already\n"
            )
    assert running.log.count("\n") == 3  # that line and the end of the log


async def test_ctrl_c_reaches_the_children_and_means_nothing_to_them(project: Path) -> None:
    async with serve(project) as running:
        port = await running.port()
        children = running.children()
        for pid in children.values():
            os.kill(pid, signal.SIGINT)
        assert "version 1" in await get(port)
        assert running.children() == children
