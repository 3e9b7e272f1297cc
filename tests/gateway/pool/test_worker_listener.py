"""A pool's socket whose name goes, or for which there is no descriptor. Real directories."""

import gc
import os
import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest
import trio
import trio.testing
from propylon.gateway.directories import remove_socket
from propylon.gateway.pool.pool import Pool
from propylon.gateway.pool.worker_listener import WorkerListener, bind
from propylon.gateway.pool.workers_report import Workers
from propylon.gateway.settings import PoolSettings
from propylon.gateway.transport.poller import Poller
from propylon.protocol.supervision.problems import REMEDIES

PATIENCE = 10.0


class Owner:
    def ready_changed(self, pool: str, ready: int) -> None: ...
    def workers_changed(self, pool: str, workers: Workers) -> None: ...
    def leaving_changed(self, pool: str, leaving: bool) -> None: ...
    def send_idle_away(self, pool: str) -> None: ...


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[WorkerListener]:
    (tmp_path / "web").mkdir()
    one = WorkerListener(str(tmp_path / "web" / "1.sock"), "web")
    yield one
    one.close()


def said(listener: WorkerListener, now: float = 0.0) -> list[str]:
    return [one.what for one in listener.problems(now)]


async def holds(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - no event of trio's
        await trio.sleep(0.01)


def connects(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(path) == 0


def test_a_name_that_was_removed_is_made_anew_with_its_directory(
    listener: WorkerListener, caplog: pytest.LogCaptureFixture
) -> None:
    os.unlink(listener.path)
    os.rmdir(os.path.dirname(listener.path))
    listener.look()
    assert said(listener) == []
    assert connects(listener.path)
    listener.look()
    assert caplog.messages == [
        f"pool web: {listener.path} was removed by somebody, and is made anew"
    ]


def test_what_hinders_that_is_a_problem_until_it_has_gone(
    listener: WorkerListener, tmp_path: Path
) -> None:
    folder, away = tmp_path / "web", tmp_path / "away"
    folder.rename(away)
    folder.write_text("a file, where the directory should be")
    for _ in range(2):
        listener.look()
        assert said(listener) == [
            f"pool web: {listener.path} is gone, and not made anew: Not a directory"
        ]
    (one,) = listener.problems(0.0)
    assert (one.kind, one.remedy) == ("pool socket", REMEDIES["pool socket"])
    folder.unlink()
    listener.look()
    assert said(listener) == []
    assert connects(listener.path)


def test_a_socket_that_another_gateway_took_over_is_left_to_it(listener: WorkerListener) -> None:
    other = bind(listener.path)
    listener.look()
    (one,) = listener.problems(0.0)
    assert one.what == f"pool web: {listener.path} is another process's now"
    assert one.remedy.startswith("end the other gateway")
    listener.close()
    assert connects(listener.path), "the other one's"
    other.close()
    remove_socket(listener.path)


def test_it_comes_back_when_the_other_gateway_was_killed(listener: WorkerListener) -> None:
    """What is killed leaves its socket's name behind."""
    bind(listener.path).close()
    listener.look()
    assert said(listener) == []
    assert connects(listener.path)


def test_it_comes_back_when_the_other_gateway_has_gone(listener: WorkerListener) -> None:
    other = bind(listener.path)
    listener.look()
    other.close()
    remove_socket(listener.path)
    listener.look()
    assert said(listener) == []
    assert connects(listener.path)


def test_a_worker_for_whom_there_is_no_descriptor_waits(
    listener: WorkerListener, caplog: pytest.LogCaptureFixture
) -> None:
    pool = Pool(PoolSettings(name="web"), 0.0, Owner())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def main() -> None:
        poller = Poller()
        worker = socket.socket(socket.AF_UNIX)
        with worker, trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(poller.run)
                nursery.start_soon(listener.welcome, pool, 1, poller)
                await trio.testing.wait_all_tasks_blocked()
                gc.collect()  # what tests before have left would free a descriptor meanwhile
                free = os.dup(0)
                os.close(free)
                resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
                try:
                    worker.connect(listener.path)
                    await holds(lambda: said(listener, monotonic()))
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                assert said(listener, monotonic()) == [
                    "pool web cannot take a worker in: Too many open files"
                ]
                await holds(lambda: pool.members)
                worker.close()
                await holds(lambda: not pool.members)
                nursery.cancel_scope.cancel()
        assert said(listener, monotonic() + 5.0) == []

    trio.run(main)
    assert caplog.messages == [], "the supervisor says it, and not ten times a second"
