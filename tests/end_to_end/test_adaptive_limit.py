"""--limit-concurrency auto under load, with a real app that computes: what status and metrics say,
and where the next worker begins."""

import threading
from pathlib import Path

import httpx
import pytest

from .operating import ask, status
from .server import DEADLINE, Propylon, wait_for

APP = """
import time


async def app(scope, receive, send):
    assert scope["type"] == "http"
    until = time.thread_time() + 0.01
    while time.thread_time() < until:
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})
"""
CLIENTS = 40


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_busy_loop_takes_fewer_calls_and_the_next_worker_begins_there(
    tmp_path: Path, loop: str
) -> None:
    (tmp_path / "computes.py").write_text(APP)
    flags = ("computes:app", "--limit-concurrency", "auto", "--loop", loop, "--queue-target", "0")
    with Propylon(*flags, cwd=tmp_path) as server:
        over = threading.Event()
        statuses: set[int] = set()

        def ask_until_it_is_over() -> None:
            with httpx.Client(timeout=DEADLINE, trust_env=False) as client:
                while not over.is_set():
                    statuses.add(client.get(server.url).status_code)

        threads = [threading.Thread(target=ask_until_it_is_over) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            found = wait_for(lambda: cut_by_lag(server), "a limit below the one it began with")
            assert "its event loop was late by" in found["limit_why"]
            assert "LIMIT" in ask(server, "status").out
            assert ask(server, "reload").code == 0
            worker = wait_for(lambda: alone(server), "the worker before to be gone")
            assert worker["pid"] != found["pid"]
            assert worker["limit"] < 32, "it did not begin anew"
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert statuses == {200}


def alone(server: Propylon):
    """The only worker; None while another one is about to leave."""
    workers = status(server)["pools"][0]["workers"]
    return workers[0] if len(workers) == 1 else None


def cut_by_lag(server: Propylon):
    """The worker, once its loop is late with fewer calls than it began with (32): where the first
    look comes before any call has ended, the limit rises first."""
    (worker,) = status(server)["pools"][0]["workers"]
    return worker if worker["limit_verdict"] == "lag" and worker["limit"] < 32 else None
