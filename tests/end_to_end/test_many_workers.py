"""A gateway with two hundred workers that is replaced, or dies: all of them come back, no herd, no
request is lost, and another pool does not notice."""

import json
import os
import signal
import statistics
import time
from collections import Counter
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from .asking import UntilOver
from .many_workers import ManyWorkers
from .operating import done
from .server import Propylon, wait_for

COUNT = 200
CONFIG = """
[[pools]]
name = "many"
[[pools]]
name = "few"
[[routes]]
pool = "many"
[[routes]]
prefix = "/few"
pool = "few"
"""


class Asking(UntilOver):
    """Clients with a new connection for each request, of one path each."""

    def __init__(self, port: int, *paths: str) -> None:
        super().__init__(*[partial(self._ask, port, path) for path in paths])
        self.heard: list[tuple[str, float, float, int]] = []
        """Path, when it was asked, how long it took, and the status: 0 for a cut connection."""

    def _ask(self, port: int, path: str) -> None:
        while not self.over.is_set():
            began, got = time.monotonic(), 0
            connection = HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.request("GET", path)
                got = connection.getresponse().status
            except (OSError, HTTPException):
                pass
            finally:
                connection.close()
            self.heard.append((path, began, time.monotonic() - began, got))
            self.over.wait(0.01)

    def statuses(self, since: float) -> Counter[int]:
        return Counter(got for _, began, _, got in self.heard if began >= since)

    def times(self, path: str, since: float) -> list[float]:
        return [took for asked, began, took, _ in self.heard if asked == path and began >= since]


@pytest.mark.slow
@pytest.mark.parametrize("together", [False, True])
def test_two_hundred_workers_come_back(tmp_path: Path, together: bool) -> None:
    (tmp_path / "two.toml").write_text(CONFIG)
    run_dir = tmp_path / "run"
    arguments = ("-c", "two.toml", "--run-dir", str(run_dir), "-b", "127.0.0.1:0")
    with (
        Gateway(*arguments, cwd=tmp_path) as server,
        ManyWorkers(run_dir / "many", COUNT, together=together) as many,
        ManyWorkers(run_dir / "few", 1) as few,
    ):
        wait_for(lambda: many.linked == COUNT and few.linked == 1, "all links")
        port = int(server.url.rpartition(":")[2])
        with Asking(port, "/", "/", "/few") as asking:
            calm = time.monotonic()
            wait_for(lambda: len(asking.times("/few", calm)) > 50, "requests")
            usual = statistics.median(asking.times("/few", calm))

            dials, began = len(many.dials), time.monotonic()
            done(server, "upgrade", "--run-dir", str(run_dir))
            wait_for(lambda: many.linked == COUNT, "all links to the new gateway")
            assert len(many.dials) - dials <= 2 * COUNT
            after = time.monotonic()
            wait_for(lambda: len(asking.times("/few", after)) > 50, "requests")
            assert set(asking.statuses(began)) == {200}
            assert statistics.median(asking.times("/few", began)) < 5 * usual + 0.01

            dials, killed = len(many.dials), time.monotonic()
            said = json.loads(done(server, "status", "--json", "--run-dir", str(run_dir)))
            os.kill(said["gateways"][0]["pid"], signal.SIGKILL)
            wait_for(lambda: len(many.dials) >= dials + COUNT, "all dial again")
            wait_for(lambda: many.linked == COUNT, "all links after a crash")
            assert len(many.dials) - dials <= 4 * COUNT
            after = time.monotonic()
            wait_for(lambda: len(asking.times("/few", after)) > 50, "requests")
            # One request of each client may have been under way.
            assert asking.statuses(killed).total() - asking.statuses(killed)[200] <= 3
            assert set(asking.statuses(after)) == {200}


@pytest.mark.slow
def test_workers_join_and_leave_at_any_time(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    arguments = ("--run-dir", str(run_dir), "-b", "127.0.0.1:0")
    with Gateway(*arguments, cwd=tmp_path) as server, ManyWorkers(run_dir / "default", 2) as base:
        wait_for(lambda: base.linked == 2, "links")
        with Asking(int(server.url.rpartition(":")[2]), "/", "/", "/") as asking:
            for _ in range(5):
                with ManyWorkers(run_dir / "default", 30) as more:
                    wait_for(lambda more=more: more.linked == 30, "more links")
                    more.leave()
                    wait_for(lambda more=more: more.linked == 0, "they are let go")
            since = asking.heard[0][1]
        assert set(asking.statuses(since)) == {200}
        assert not server.stderr.text.count("Traceback")


class Gateway(Propylon):
    """`propylon gateway`."""

    def __init__(self, *arguments: str, cwd: Path) -> None:
        super().__init__(*arguments, cwd=cwd)
        self._arguments[0] = "gateway"
