"""`--preload` with real processes: a zygote, the workers forked from it, and their ends."""

import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import trio
from propylon.gateway.supervisor.process.child import ChannelledProcess, Launch, spawn
from propylon.gateway.supervisor.process.zygote import (
    UNKNOWN_END,
    ForkedWorker,
    PreloadFailed,
    start_zygote,
)
from propylon.protocol.supervision.messages import (
    ExitNow,
    NotUnderstood,
    Report,
    Vitals,
    WorkerFailed,
    WorkerReady,
)

from ....worker.gateway_peer import GatewayPeer, Listener, settings_of

APPS = Path(__file__).parents[3] / "worker" / "apps"
TIMEOUT = 20.0
T = TypeVar("T")
KINDS = pytest.mark.parametrize(
    "app",
    [
        ("preloaded:asgi", "--loop=asyncio"),
        ("preloaded:asgi", "--loop=uvloop"),
        ("preloaded:asgi", "--loop=trio"),
        ("preloaded:wsgi",),
    ],
    ids=["asyncio", "uvloop", "trio", "threads"],
)


class Family:
    """A zygote and its workers, and what they said."""

    def __init__(
        self, run_dir: Path, nursery: trio.Nursery, app: Sequence[str], directory: Path
    ) -> None:
        self._run_dir = run_dir
        self._directory = directory
        self.nursery = nursery
        self._app = app
        self.processes: list[ChannelledProcess] = []
        self.said: dict[object, list[Report | NotUnderstood]] = {}
        self.codes: dict[object, int] = {}
        self._news = trio.Event()
        self.zygote = start_zygote(self.launch(zygote=True), nursery)
        self.tend("zygote", self.zygote)

    def settings(self, **more: object) -> dict[str, object]:
        app, *options = self._app
        options += [f"--app-dir={self._directory}", "--graceful-timeout=5"]
        return settings_of(app, self._run_dir, *options) | more

    def launch(self, **more: object) -> Launch:
        settings = json.dumps(self.settings(**more)).encode()
        return Launch(module="propylon.worker", settings=settings)

    async def fork(self, number: int) -> ForkedWorker:
        settings = self.settings(child_id=number, worker_id=number)
        worker = await self.zygote.fork(number, settings)
        self.tend(number, worker)
        return worker

    def tend(self, name: object, process: ChannelledProcess) -> None:
        self.processes.append(process)
        self.said[name] = []

        async def tend() -> None:
            def report(said: Report | NotUnderstood) -> None:
                self.said[name].append(said)
                self._change()

            self.codes[name] = await process.run(report)
            self._change()

        self.nursery.start_soon(tend)

    def _change(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def news(self) -> None:
        await self._news.wait()

    async def heard(self, name: object, kind: type[T]) -> T:
        while not (found := [said for said in self.said[name] if isinstance(said, kind)]):
            assert name not in self.codes, self.said[name]
            await self._news.wait()
        return found[-1]

    async def code(self, name: object) -> int:
        while name not in self.codes:
            await self._news.wait()
        return self.codes[name]


@asynccontextmanager
async def family(
    run_dir: Path, app: Sequence[str], directory: Path = APPS
) -> AsyncIterator[Family]:
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            it = Family(run_dir, nursery, app, directory)
            try:
                yield it
            finally:
                for process in it.processes:
                    process.signal(signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


async def until_gone(pid: int) -> None:
    while alive(pid):  # noqa: ASYNC110 - nobody tells
        await trio.sleep(0.01)


@KINDS
async def test_one_import_and_a_life_of_its_own_for_every_worker(
    tmp_path: Path, app: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = tmp_path / "imported"
    monkeypatch.setenv("IMPORTED_FILE", str(imported))
    listener = Listener(tmp_path)
    async with family(tmp_path, app) as it:
        peers: list[GatewayPeer] = []
        threads = 1 + (4 if app[0] == "preloaded:wsgi" else 0)
        for number in (1, 2, 3):
            worker = await it.fork(number)
            assert (await it.heard(number, WorkerReady)).pid == worker.pid
            # One more, which waits for the supervisor's end; the zygote itself has none.
            assert len(os.listdir(f"/proc/{worker.pid}/task")) == threads + 1
            assert len(os.listdir(f"/proc/{it.zygote.pid}/task")) == 1
            peers.append(await trio.to_thread.run_sync(listener.accept))
        assert imported.read_text() == f"{it.zygote.pid}\n"
        found = [await trio.to_thread.run_sync(peer.get, "/") for peer in peers]
        about = [call.json for call in found]
        assert {each["parent"] for each in about} == {it.zygote.pid}
        assert sorted(peer.hello[6]["id"] for peer in peers) == [1, 2, 3]
        assert len({each["random"] for each in about}) == 3
        for each, peer in zip(about, peers, strict=True):
            assert each["pid"] == peer.hello[6]["pid"]
            expected = [each["pid"]] if app[0] == "preloaded:asgi" else []
            assert each["lifespans"] == expected
        # Sockets: its channel and its link; nothing of its siblings or of the zygote.
        sockets = [{fd for fd in each["fds"] if fd.startswith("socket:")} for each in about]
        assert sockets[0] & sockets[1] == sockets[1] & sockets[2] == sockets[0] & sockets[2]
        assert not any("pidfd" in fd for each in about for fd in each["fds"])
        assert (await it.heard(1, Vitals)).rss > 1_000_000
        for peer in peers:
            peer.sock.close()
        listener.close()


@KINDS
async def test_signals_and_return_codes(tmp_path: Path, app: tuple[str, ...]) -> None:
    async with family(tmp_path, app) as it:
        drained, killed, left = [await it.fork(number) for number in (1, 2, 3)]
        for number in (1, 2, 3):
            await it.heard(number, WorkerReady)
        drained.signal(signal.SIGTERM)
        assert await it.code(1) == 0
        killed.signal(signal.SIGKILL)
        assert await it.code(2) == -signal.SIGKILL
        drained.signal(signal.SIGKILL)  # it is over: nobody gets it
        assert alive(left.pid)
        assert alive(it.zygote.pid)
        for each in (left, it.zygote):
            each.signal(signal.SIGQUIT)
            each.signal(signal.SIGHUP)
        again = await it.fork(4)
        await it.heard(4, WorkerReady)
        it.zygote.stop()
        assert not it.zygote.usable
        with pytest.raises(PreloadFailed, match="told to end"):
            await it.fork(5)
        left.signal(signal.SIGTERM)
        assert await it.code(3) == 0
        assert alive(it.zygote.pid)
        again.signal(signal.SIGTERM)
        assert await it.code(4) == 0
        assert await it.code("zygote") == 0


async def test_a_signal_right_behind_the_fork_is_not_lost(tmp_path: Path) -> None:
    async with family(tmp_path, ["preloaded:asgi"]) as it:
        for number in range(20):
            worker = await it.fork(number)
            worker.signal(signal.SIGTERM)
            assert await it.code(number) in (0, -signal.SIGTERM)


@KINDS
async def test_at_once_is_said_on_a_forked_workers_channel(
    tmp_path: Path, app: tuple[str, ...]
) -> None:
    """A second SIGTERM does not mean it: the gateway here lets nobody go."""
    listener = Listener(tmp_path)
    async with family(tmp_path, app) as it:
        worker = await it.fork(1)
        await it.heard(1, WorkerReady)
        peer = await trio.to_thread.run_sync(listener.accept)
        for _ in range(3):
            worker.signal(signal.SIGTERM)
            call = await trio.to_thread.run_sync(peer.get, "/")
            assert call.status == 200
        worker.order(ExitNow())
        assert await it.code(1) == 0
        peer.sock.close()
        listener.close()


async def test_where_the_kernel_has_no_pidfds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PIDFDS", "1")
    async with family(tmp_path, ["preloaded:asgi"]) as it:
        first, second = [await it.fork(number) for number in (1, 2)]
        for number in (1, 2):
            await it.heard(number, WorkerReady)
        first.signal(signal.SIGTERM)
        assert await it.code(1) == 0
        first.signal(signal.SIGTERM)
        second.signal(signal.SIGKILL)
        assert await it.code(2) == -signal.SIGKILL


async def test_an_app_that_cannot_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPORT_FAILS", "1")
    async with family(tmp_path, ["preloaded:asgi"]) as it:
        with pytest.raises(PreloadFailed, match="raised LookupError: no settings") as caught:
            await it.fork(1)
        assert 'raise LookupError("no settings")' in caught.value.detail
        assert (await it.code("zygote")) == 3
        assert isinstance(it.said["zygote"][0], WorkerFailed)


async def test_a_worker_whose_own_start_fails_says_so_itself(tmp_path: Path) -> None:
    async with family(tmp_path, ["lifespans:says_failed"]) as it:
        await it.fork(1)
        report = await it.heard(1, WorkerFailed)
        assert report.error == "the app's start-up failed: no database"
        assert await it.code(1) == 3
        await it.fork(2)
        await it.heard(2, WorkerFailed)


async def test_forks_that_are_asked_for_at_once(tmp_path: Path) -> None:
    async with family(tmp_path, ["preloaded:wsgi"]) as it:
        workers: list[ForkedWorker] = []

        async def one(number: int) -> None:
            workers.append(await it.fork(number))

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(one, number)
        for number in range(8):
            assert (await it.heard(number, WorkerReady)).pid in {worker.pid for worker in workers}
        assert len({worker.pid for worker in workers}) == 8


async def test_threads_of_an_import_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IMPORT_THREADS", "1")
    async with family(tmp_path, ["preloaded:asgi"]) as it:
        await it.fork(1)
        await it.heard(1, WorkerReady)
    assert "no worker will have them: poller;" in capfd.readouterr().err


# -- unexpected ends ---------------------------------------------------------------------------


async def test_a_zygote_that_is_killed_leaves_its_workers_alone(tmp_path: Path) -> None:
    async with family(tmp_path, ["preloaded:asgi"]) as it:
        worker = await it.fork(1)
        await it.heard(1, WorkerReady)
        it.zygote.signal(signal.SIGKILL)
        assert await it.code("zygote") == -signal.SIGKILL
        with pytest.raises(PreloadFailed, match="the preloading process was killed by SIGKILL"):
            await it.fork(2)
        before = len(it.said[1])
        while len(it.said[1]) < before + 2:
            await it.news()
        assert alive(worker.pid)
        worker.signal(signal.SIGTERM)
        assert await it.code(1) == UNKNOWN_END
        assert not alive(worker.pid)


async def test_without_a_supervisor_all_of_them_end(tmp_path: Path) -> None:
    with trio.fail_after(TIMEOUT):
        async with family(tmp_path, ["preloaded:asgi"]) as it:
            worker = await it.fork(1)
            await it.heard(1, WorkerReady)
            pids = (worker.pid, it.zygote.pid)
            # As the kernel does it for a supervisor that was killed.
            worker._sock.shutdown(2)
            it.zygote._sock.shutdown(2)
            for pid in pids:
                await until_gone(pid)


# -- memory ------------------------------------------------------------------------------------


def pss(pid: int) -> int:
    """Bytes, with what is shared divided by how many share it (proc(5), smaps_rollup)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no Pss")


@pytest.mark.slow
async def test_memory_is_shared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = ["django_project.wsgi:application"]
    listener = Listener(tmp_path)
    async with family(tmp_path, app, APPS.parent.parent / "apps") as it:
        forked = [await it.fork(number) for number in range(4)]
        alone = [spawn(it.launch(), it.nursery) for _ in range(4)]
        for number, process in enumerate(alone):
            it.tend(f"alone {number}", process)
        for number in range(4):
            await it.heard(number, WorkerReady)
            await it.heard(f"alone {number}", WorkerReady)
        for _ in range(8):
            peer = await trio.to_thread.run_sync(listener.accept)
            for _ in range(20):  # what is written to is not shared any more
                assert (await trio.to_thread.run_sync(peer.get, "/json")).status == 200
            peer.sock.close()
        listener.close()
        shared = sum(pss(each.pid) for each in (*forked, it.zygote))
        separate = sum(pss(each.pid) for each in alone)
        with capsys.disabled():
            print(
                f"\n4 Django workers after 20 requests each: {separate / 2**20:.0f} MB apart, "
                f"{shared / 2**20:.0f} MB with --preload (PSS, the zygote included)"
            )
        assert shared < 0.8 * separate
