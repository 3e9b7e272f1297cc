"""Whatever is wrong with one call, ours or the app's, its host goes on."""

import logging
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from propylon.worker.app.load import LoadedApp
from propylon.worker.asgi.trio_host import TrioHost
from propylon.worker.host.link_session import LinkSession
from propylon.worker.process.supervisor_channel import SupervisorChannel
from propylon.worker.settings import WorkerSettings
from propylon.worker.wsgi.thread_host import ThreadHost


class Broken(BaseException):
    pass


class BrokenCall:
    """One that raises, though no call should."""

    began = 0.0

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def entered(self, now: float) -> None:
        self.began = now

    def run(self, app: object) -> None:
        raise self.error

    def log_end(self) -> str:
        return " [request r-1]"

    def log_facts(self) -> dict[str, str]:
        return {"request_id": "r-1"}


class BrokenTrioCall(BrokenCall):
    async def run(self, app: object) -> None:  # type: ignore[override]
        raise self.error


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(logging.getLogger("propylon.worker"), "propagate", True)
    return caplog


def host_of(kind: Any, run_dir: Path) -> Any:
    def app() -> None: ...

    settings = WorkerSettings(app="x:app", run_dir=str(run_dir))
    return kind(settings, LoadedApp(app, "x:app", "wsgi"), SupervisorChannel(None))


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("leads", [False, True])
def test_a_thread_outlives_it(run_dir: Path, log: pytest.LogCaptureFixture, leads: bool) -> None:
    host = host_of(ThreadHost, run_dir)
    for error in (Broken("first"), SystemExit("second")):
        host._calls.put(BrokenCall(error))
    if leads:
        host._leadership.promote_next(time.monotonic())
    thread = threading.Thread(target=host._work, daemon=True)
    thread.start()
    until(lambda: log.text.count("a call has failed [request r-1]") == 2)
    until(lambda: host._leadership.leader == "main")
    with host.lock:
        host._calls.close()
    thread.join(5)
    assert not thread.is_alive()
    assert "Broken: first" in log.text


class BrokenLink(Exception):
    pass


class DeafSession(LinkSession):
    """A link that raises, though none should."""

    def readable(self) -> None:
        raise BrokenLink("hears")


class MuteSession(LinkSession):
    def flush(self) -> None:
        raise BrokenLink("sends")


def test_a_thread_outlives_links_that_are_broken(
    run_dir: Path, log: pytest.LogCaptureFixture
) -> None:
    """It leads, and has to hear one of them and to send on the other."""
    host = host_of(ThreadHost, run_dir)
    pairs = [socket.socketpair(), socket.socketpair()]
    deaf = DeafSession(pairs[0][0], "deaf", host)
    mute = MuteSession(pairs[1][0], "mute", host)
    for session in (deaf, mute):
        host.watch(session)
    pairs[0][1].send(b"anything")
    host._calls.put(BrokenCall(Broken("a call")))
    host._leadership.promote_next(time.monotonic())
    thread = threading.Thread(target=host._work, daemon=True)
    thread.start()
    until(lambda: deaf.closed and mute.closed and host._leadership.leader == "main")
    host._calls.put(BrokenCall(Broken("the next call")))
    with host.lock:
        host._calls.wake(1)
    until(lambda: "the next call" in log.text)
    assert "link deaf has failed" in log.text
    assert "link mute has failed" in log.text
    with host.lock:
        host._calls.close()
    thread.join(5)
    assert not thread.is_alive()
    for _, theirs in pairs:
        theirs.close()


@pytest.mark.parametrize(
    "error", [Broken("odd"), SystemExit("odd"), BaseExceptionGroup("both", [Broken("odd")])]
)
async def test_a_nursery_outlives_it(
    run_dir: Path, log: pytest.LogCaptureFixture, error: BaseException
) -> None:
    host = host_of(TrioHost, run_dir)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(host._run, BrokenTrioCall(error), trio.CancelScope())
    assert "odd" in log.text


async def test_a_cancellation_passes(run_dir: Path, log: pytest.LogCaptureFixture) -> None:
    """Alone or in a group with something else, which is logged."""
    host = host_of(TrioHost, run_dir)
    with trio.CancelScope() as outer:
        outer.cancel()
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            mixed = BaseExceptionGroup("both", [cancelled, Broken("odd")])
            await host._run(BrokenTrioCall(mixed), trio.CancelScope())
    assert outer.cancelled_caught
    assert "odd" in log.text


async def test_ctrl_c_passes(run_dir: Path) -> None:
    host = host_of(TrioHost, run_dir)
    with pytest.raises(KeyboardInterrupt):
        await host._run(BrokenTrioCall(KeyboardInterrupt()), trio.CancelScope())
