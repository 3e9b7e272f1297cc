"""The worker asks its own app before anybody else may."""

import re
import signal
import time
from pathlib import Path

import pytest
from propylon.worker.host.warm_up import WarmUp

from ..gateway_peer import TIMEOUT, Listener, WorkerProcess, running

UVLOOP = ("warm_up_apps:asgi", "--loop", "uvloop")
ASGI = ("warm_up_apps:asgi", "--loop", "asyncio")
TRIO = ("warm_up_apps:asgi", "--loop", "trio")
WSGI = ("warm_up_apps:wsgi",)
SLOW = pytest.mark.slow
HOSTS = pytest.mark.parametrize(
    "host",
    [pytest.param(ASGI, marks=SLOW), UVLOOP, pytest.param(TRIO, marks=SLOW), WSGI],
    ids=["asyncio", "uvloop", "trio", "threads"],
)
Host = tuple[str, ...]


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for the signal (proc(5), SigCgt)."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = re.search(r"^SigCgt:\s*([0-9a-f]+)", status, re.M)
    assert mask
    return bool(int(mask[1], 16) >> (number - 1) & 1)


@HOSTS
def test_the_app_is_asked_before_the_worker_is_ready(run_dir: Path, host: Host) -> None:
    paths = ("--warm-up", "/a?b=c", "--warm-up", "/404", "--warm-up", "/streams")
    with running(host[0], run_dir, *host[1:], *paths) as (worker, peer):
        asked = peer.get("/later").json
        assert [each[:3] for each in asked] == [
            ["/a", "propylon-warm-up", "b=c"],
            ["/404", "propylon-warm-up", ""],
            ["/streams", "propylon-warm-up", ""],
            ["/later", "", ""],
        ]
        assert {each[3] for each in asked} == {worker.process.pid}
        # They are nobody's requests, and their link is gone.
        assert worker.reports("vitals", lambda report: report["requests"])["requests"] == 1
        worker.process.terminate()
        peer.until(lambda: peer.drained)
        peer.link.drain("go")
        peer.flush()
        assert worker.wait() == 0


@HOSTS
@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/500", "the app answered GET /500 at the warm-up with 500"),
        ("/503", "the app answered GET /503 at the warm-up with 503"),
        ("/raises", "GET /raises at the warm-up: LookupError: no such table"),
        ("/nothing", "GET /nothing at the warm-up: the app returned without "),
        (
            "/hangs",
            "there was no response to GET /hangs at the warm-up before the startup timeout ran out",
        ),
    ],
)
def test_an_app_that_fails_is_not_ready(run_dir: Path, host: Host, path: str, error: str) -> None:
    listener = Listener(run_dir)
    options = ("--warm-up", "/fine", "--warm-up", path, "--startup-timeout", "2")
    worker = WorkerProcess(host[0], run_dir, *host[1:], *options)
    report = worker.report()
    assert (report["event"], report["step"]) == ("not_ready", "warm-up"), report
    assert report["error"].startswith(error)
    peer = listener.accept(ready=False)
    peer.until(lambda: peer.bye)
    assert peer.not_ready[:2] == ("warm-up", report["error"])
    peer.sock.close()
    assert worker.wait() == 3
    assert ("Traceback" in worker.errors) == (path == "/raises")
    if host is not WSGI:
        assert "shutdown seen" in worker.errors
    worker.close()
    listener.close()


@HOSTS
def test_a_worker_can_be_stopped_while_it_warms_up(run_dir: Path, host: Host) -> None:
    worker = WorkerProcess(host[0], run_dir, *host[1:], "--warm-up", "/hangs")
    deadline = time.monotonic() + TIMEOUT
    while not catches(worker.process.pid, signal.SIGTERM):
        assert time.monotonic() < deadline
    worker.process.terminate()
    assert worker.wait() == 0
    worker.close()


@pytest.mark.parametrize("asked", [False, True], ids=["before the request", "behind it"])
def test_a_link_that_is_lost_is_a_failure(asked: bool) -> None:
    warm_up = WarmUp(["/"], time.monotonic() + TIMEOUT)
    if asked:
        warm_up.step(time.monotonic())
    warm_up.sock.close()  # with what it was sent unread: that resets the link
    warm_up.step(time.monotonic())
    assert warm_up.failure.startswith("the warm-up lost its link to the app: ")
    warm_up.close()
