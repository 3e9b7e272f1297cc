"""Workers that are replaced while they serve long streams."""

import os
import signal
import time

import pytest

from .server import DEADLINE, Propylon, wait_for

GOODBYE = "data: hello\n\nevent: goodbye\ndata:\n\n"


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("app", ["long_streams:app", "long_streams:application"])
def test_a_stream_says_goodbye_when_the_drain_delay_is_over(app: str) -> None:
    """Before that its client would come back to where it was."""
    with (
        Propylon(app, "--drain-delay", "2") as server,
        server.client() as client,
        client.stream("GET", "/") as response,
    ):
        lines = response.iter_text()
        text = next(lines)
        os.kill(server.process.pid, signal.SIGTERM)
        began = time.monotonic()
        assert text + "".join(lines) == GOODBYE
        assert time.monotonic() - began > 1.9
        assert server.process.wait(DEADLINE) == 0
        assert "cancelled" not in server.stderr.text


@pytest.mark.slow
def test_a_stop_of_the_whole_group_ends_no_stream_early() -> None:
    """As `kill -TERM -PGID` and systemd's KillMode=control-group do it."""
    with (
        Propylon("long_streams:app", "--drain-delay", "2") as server,
        server.client() as client,
        client.stream("GET", "/") as response,
    ):
        lines = response.iter_text()
        text = next(lines)
        began = time.monotonic()
        for pid in (*server.pids("worker"), *server.pids("gateway"), server.process.pid):
            os.kill(pid, signal.SIGTERM)
        assert text + "".join(lines) == GOODBYE
        assert time.monotonic() - began > 1.9
        assert server.process.wait(DEADLINE) == 0


def test_sigterm_for_a_worker_alone_drops_nothing() -> None:
    """As an orchestrator does it that stops the app's container first."""
    with Propylon("asgi_raw:app") as server, server.client() as client:
        (worker,) = server.pids("worker")
        os.kill(worker, signal.SIGTERM)
        count = 0
        while worker in server.pids("worker") or count < 100:
            assert client.get("/").status_code == 200
            count += 1
