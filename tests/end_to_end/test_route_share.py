"""One slow endpoint and its share, with real threads."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from .operating import status
from .server import APPS, DEADLINE, Propylon, wait_for

CONFIG = """
app = "wsgi_raw:app"
threads = 4
gateways = 2
[[routes]]
prefix = ""
[[routes]]
prefix = "/slow"
limit_concurrency = 2
"""


@pytest.mark.slow
def test_the_others_go_on_while_an_endpoint_is_swamped(tmp_path: Path) -> None:
    (tmp_path / "propylon.toml").write_text(CONFIG)
    flags = ("-c", "propylon.toml", "--app-dir", str(APPS), "-b", "127.0.0.1:0")
    with Propylon(*flags, cwd=tmp_path) as propylon, ThreadPoolExecutor(8) as threads:

        def get(path: str) -> int:
            url = propylon.url + path
            return httpx.get(url, timeout=DEADLINE, trust_env=False).status_code

        marks = [tmp_path / str(n) for n in range(8)]
        slow = [threads.submit(get, f"/slow/slow?s=0.6&file={mark}") for mark in marks]
        wait_for(lambda: any(mark.exists() for mark in marks), "the first slow one")
        (share,) = wait_for(lambda: status(propylon)["traffic"][0]["shares"], "the route's share")
        assert (share["route"], share["limit"]) == ("/slow/", 2)
        assert 1 <= share["running"] <= 2
        began, most = time.monotonic(), 0.0
        while not all(one.done() for one in slow):
            before = time.monotonic()
            assert get("/") == 200
            most = max(most, time.monotonic() - before)
        assert [one.result() for one in slow] == [200] * 8
        took = time.monotonic() - began
        assert took > 1.2, "they were served few at a time"
        assert most < took / 4, "the others did not wait for them"
