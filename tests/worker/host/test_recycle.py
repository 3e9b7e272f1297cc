"""A worker that has served enough says so, once, and serves on until it is asked to leave."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from propylon.worker.host.recycle import LOOKS, RecyclePlan
from propylon.worker.settings import WorkerSettings

from ..gateway_peer import GatewayPeer, Listener, WorkerProcess, running

ASGI = ("asgi_apps:app", "--loop", "asyncio")
TRIO = ("asgi_apps:app", "--loop", "trio")
WSGI = ("wsgi_apps:application",)
HOSTS = pytest.mark.parametrize(
    "host",
    [ASGI, pytest.param(TRIO, marks=pytest.mark.slow), WSGI],
    ids=["asyncio", "trio", "threads"],
)
Host = tuple[str, ...]


def plan(now: float = 0.0, **options: Any) -> RecyclePlan:
    return RecyclePlan(WorkerSettings(app="x", run_dir="r", **options), now)


def release(peer: GatewayPeer) -> None:
    peer.link.drain("go")
    peer.flush()
    peer.until(lambda: peer.bye)


# -- when --------------------------------------------------------------------------------------


def test_nothing_is_due_without_options() -> None:
    assert plan().due(10**9, 1e9) == ""
    assert plan().grown(2**50) == ""


def test_requests() -> None:
    assert plan(max_requests=10).due(9, 0) == ""
    one = plan(max_requests=10)
    assert (one.due(10, 0), one.kind) == ("served 10 requests", "max_requests")


def test_jitter_adds_requests_by_chance() -> None:
    found = Counter[int]()
    for _ in range(300):
        one = plan(max_requests=10, max_requests_jitter=3)
        found[next(n for n in range(20) if one.due(n, 0))] += 1
    assert sorted(found) == [10, 11, 12, 13]
    assert plan(max_requests_jitter=3).due(100, 0) == ""


def test_a_lifetime_is_never_exceeded_and_not_the_same_for_all() -> None:
    ends = {
        next(t for t in range(1000, 1101) if plan(1000, workers_lifetime=100).due(0, t))
        for _ in range(200)
    }
    assert ends <= set(range(1090, 1101))
    assert len(ends) > 3
    one = plan(1000, workers_lifetime=100)
    assert (one.due(0, 1100), one.kind) == ("lived 100 s", "lifetime")


def test_memory_has_to_be_too_much_several_times_in_a_row() -> None:
    one = plan(workers_max_rss=100 * 2**20)
    large, small = 128 * 2**20, 100 * 2**20
    assert [one.grown(large) for _ in range(LOOKS - 1)] == [""] * (LOOKS - 1)
    assert one.grown(small) == ""
    assert [one.grown(large) for _ in range(LOOKS)] == [
        *[""] * (LOOKS - 1),
        "uses 128 MB of memory, allowed are 100 MB",
    ]


# -- real workers ------------------------------------------------------------------------------


@HOSTS
def test_it_asks_once_and_serves_on(run_dir: Path, host: Host) -> None:
    with running(host[0], run_dir, *host[1:], "--max-requests", "5") as (worker, peer):
        for _ in range(10):
            assert peer.get("/hello").body == b"hello"
        first = worker.report()
        while first["event"] == "vitals":
            assert first["requests"] < 10
            first = worker.report()
        assert first["event"] == "recycle"
        assert first["why"].startswith("served ")
        assert not peer.drained
        for _ in range(10):
            assert peer.get("/hello").body == b"hello"
        worker.reports("vitals")
        assert [worker.report()["event"] for _ in range(2)] == ["vitals"] * 2
        worker.process.terminate()
        peer.until(lambda: peer.drained)
        release(peer)
        assert worker.wait() == 0


@pytest.mark.parametrize(
    ("options", "why"),
    [(("--workers-max-rss", "1000000"), "uses "), (("--workers-lifetime", "0.5"), "lived ")],
    ids=["memory", "lifetime"],
)
def test_other_reasons(run_dir: Path, options: Host, why: str) -> None:
    with running(*ASGI[:1], run_dir, *options) as (worker, peer):
        assert worker.reports("recycle")["why"].startswith(why)
        assert peer.get("/hello").body == b"hello"


@HOSTS
def test_by_hand_it_leaves_by_itself(run_dir: Path, host: Host) -> None:
    """There is nobody whom it could ask. It drains, as it does for a SIGTERM."""
    listener = Listener(run_dir)
    worker = WorkerProcess(host[0], run_dir, *host[1:], "--max-requests", "3", channel=False)
    peer = listener.accept()
    count = 0
    deadline = time.monotonic() + 10
    while not peer.drained:
        assert peer.get("/hello").body == b"hello"
        count += 1
        assert time.monotonic() < deadline
    assert count >= 3
    assert peer.get("/hello").body == b"hello"
    release(peer)
    assert worker.wait() == 0
    assert "stopping: this worker served" in worker.errors
    worker.close()
    listener.close()
    peer.sock.close()
