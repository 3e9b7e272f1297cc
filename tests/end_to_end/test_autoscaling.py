"""A pool with a range of workers, real requests that wait, and an operator who overrides it."""

from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from .asking import UntilOver
from .operating import done, settled, status
from .server import DEADLINE, Propylon, wait_for

APP = """
import time

def app(environ, start_response):
    time.sleep(0.1)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


class Crowd(UntilOver):
    """Clients that ask one after the other, each as soon as it has its answer."""

    def __init__(self, port: int, clients: int) -> None:
        super().__init__(*[partial(self._ask, port)] * clients)
        self.statuses: list[int] = []

    def _ask(self, port: int) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        while not self.over.is_set():
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            self.statuses.append(response.status)
        connection.close()


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
