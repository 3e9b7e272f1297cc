"""A pool with a range of workers, real requests that wait, and an operator who overrides it."""

import os
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from .asking import Crowd
from .operating import done, settled, status
from .server import DEADLINE, Propylon, wait_for

APP = """
import time

def app(environ, start_response):
    time.sleep(0.1)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""

BLOCKS = """
import time

async def app(scope, receive, send):
    assert scope["type"] == "http"
    time.sleep(0.02)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""
"""Its event loop is late as that of an app that computes, and needs no CPU for it."""


def pool_of(server: Propylon) -> dict[str, Any]:
    (pool,) = status(server)["pools"]
    return pool


@pytest.mark.slow
def test_a_pool_grows_by_what_waits_is_overridden_and_shrinks(tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(APP)
    options = ("-w", "1..3", "--threads", "1", "--workers-idle-time", "1")
    with Propylon("work:app", *options, cwd=tmp_path) as server:
        assert pool_of(server)["wanted"] == 1
        port = urlsplit(server.url).port
        assert port is not None
        with Crowd(port, 6) as crowd:
            settled(server, 3, "three workers for six clients")
        assert set(crowd.statuses) == {200}
        assert "requests have waited" in pool_of(server)["scaler"]["move"]["why"]
        server.stderr.find("1 before: requests have waited")
        done(server, "scale", "2")
        assert pool_of(server)["scaler"]["state"] == "scaled"
        done(server, "scale", "auto")
        # Ten times what a start takes, which a busy machine makes long.
        wait_for(lambda: pool_of(server)["wanted"] == 1, "one worker again", 6 * DEADLINE)
        assert "nobody waited" in pool_of(server)["scaler"]["move"]["why"]


@pytest.mark.slow
def test_what_waits_for_its_route_s_share_brings_no_worker(tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text(APP)
    config = 'app = "work:app"\nworkers = "1..3"\nthreads = 1\n[[routes]]\nlimit_concurrency = 1\n'
    (tmp_path / "propylon.toml").write_text(config)
    with Propylon("-c", "propylon.toml", "-b", "127.0.0.1:0", cwd=tmp_path) as server:
        port = urlsplit(server.url).port
        assert port is not None
        with Crowd(port, 6) as crowd:
            wait_for(lambda: len(crowd.statuses) >= 50, "five looks of waiting for half a second")
            (share,) = status(server)["traffic"][0]["shares"]
            assert share["queued"] >= 4
        assert set(crowd.statuses) == {200}
        assert pool_of(server)["scaler"]["move"] is None
        assert pool_of(server)["wanted"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("more", [("--preload",), ("--gateways", "2")])
def test_it_grows_with_every_shape_of_an_instance(tmp_path: Path, more: tuple[str, ...]) -> None:
    (tmp_path / "work.py").write_text(APP)
    with Propylon("work:app", "-w", "1..2", "--threads", "1", *more, cwd=tmp_path) as server:
        port = urlsplit(server.url).port
        assert port is not None
        with Crowd(port, 5) as crowd:
            settled(server, 2, "two workers for five clients")
            assert done(server, "reload")
            assert pool_of(server)["wanted"] == 2
        assert set(crowd.statuses) == {200}
        if not more[0].startswith("--preload"):
            done(server, "upgrade")
            scaler = pool_of(server)["scaler"]
            assert scaler["move"]["workers"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("gateways", ["1", "2"])
def test_workers_that_seek_their_limit_come_and_go_and_lose_nothing(
    tmp_path: Path, gateways: str
) -> None:
    (tmp_path / "blocks.py").write_text(BLOCKS)
    options = ("-w", "1..3", "--limit-concurrency", "auto", "--gateways", gateways)
    idle = ("--workers-idle-time", "1")
    with Propylon("blocks:app", *options, *idle, cwd=tmp_path) as server:
        port = urlsplit(server.url).port
        assert port is not None
        with Crowd(port, 2) as few:
            with Crowd(port, 30) as crowd:
                wait_for(lambda: pool_of(server)["wanted"] == 3, "three workers", 3 * DEADLINE)
                settled(server, 3)
                (pid, *_) = server.pids("worker")
                os.kill(pid, signal.SIGKILL)
                settled(server, 3, "another in the place of the one that died")
                done(server, "reload")
            wait_for(lambda: pool_of(server)["wanted"] < 3, "fewer workers", 6 * DEADLINE)
            settled(server, pool_of(server)["wanted"])
        assert set(crowd.statuses) | set(few.statuses) == {200}
