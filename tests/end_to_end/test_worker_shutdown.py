"""Workers that are replaced while they serve long streams."""

import os
import signal

import pytest

from .server import Propylon, wait_for

GOODBYE = "data: hello\n\nevent: goodbye\ndata:\n\n"


@pytest.mark.parametrize(
    "app",
    [
        ("long_streams:app", "--loop", "uvloop"),
        ("long_streams:app", "--loop", "asyncio"),
        ("long_streams:app", "--loop", "trio"),
        ("long_streams:application",),
    ],
    ids=["uvloop", "asyncio", "trio", "threads"],
)
def test_a_stream_says_goodbye_when_its_worker_is_replaced(app: tuple[str, ...]) -> None:
    with Propylon(*app, "-w", "2") as server, server.client() as client:
        old = set(server.pids("worker"))
        with client.stream("GET", "/") as response:
            lines = response.iter_text()
            text = next(lines)
            assert text == "data: hello\n\n"
            os.kill(server.process.pid, signal.SIGHUP)
            assert text + "".join(lines) == GOODBYE
        wait_for(lambda: not old & set(server.pids("worker")), "the old workers are gone")
        assert "cancelled" not in server.stderr.text


def test_sigterm_for_a_worker_alone_drops_nothing() -> None:
    """As an orchestrator does it that stops the app's container first."""
    with Propylon("asgi_raw:app") as server, server.client() as client:
        (worker,) = server.pids("worker")
        os.kill(worker, signal.SIGTERM)
        count = 0
        while worker in server.pids("worker") or count < 100:
            assert client.get("/").status_code == 200
            count += 1
