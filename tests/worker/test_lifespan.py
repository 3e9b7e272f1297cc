"""The lifespan, on asyncio and trio."""

from pathlib import Path

import pytest

from .gateway_peer import Listener, WorkerProcess, running

LOOPS = pytest.mark.parametrize("loop", ["uvloop", "trio"])
# How an app ends its lifespan is the same code on every loop.
MOSTLY_UVLOOP = pytest.mark.parametrize(
    "loop", ["uvloop", pytest.param("trio", marks=pytest.mark.slow)]
)


@LOOPS
@pytest.mark.parametrize("app", ["unsupported", "answers_as_if_http", "returns"])
def test_an_app_that_does_not_know_lifespan_is_served(run_dir: Path, loop: str, app: str) -> None:
    with running(f"lifespans:{app}", run_dir, "--loop", loop) as (worker, peer):
        assert peer.get("/").body == b"served{}"
        assert "Traceback" not in worker.errors


@LOOPS
def test_mode_on_makes_it_a_fault(run_dir: Path, loop: str) -> None:
    worker = WorkerProcess("lifespans:unsupported", run_dir, "--lifespan", "on", "--loop", loop)
    report = worker.report()
    assert (report["event"], report["step"]) == ("not_ready", "lifespan")
    assert report["error"] == "the app's start-up raised AssertionError"
    assert worker.wait() == 3
    worker.close()


def test_mode_off_never_asks(run_dir: Path) -> None:
    with running("lifespans:says_failed", run_dir, "--lifespan", "off") as (_, peer):
        assert peer.ready


@LOOPS
@pytest.mark.parametrize(
    ("app", "error", "detail"),
    [
        (
            "raises_after_receive",
            "the app's start-up raised LookupError: no database at db.internal",
            'raise LookupError("no database at db.internal")',
        ),
        ("says_failed", "the app's start-up failed: no database", "Traceback:\n  no database"),
    ],
)
def test_a_failed_start_is_reported_and_ends_the_worker(
    run_dir: Path, loop: str, app: str, error: str, detail: str
) -> None:
    listener = Listener(run_dir)
    worker = WorkerProcess(f"lifespans:{app}", run_dir, "--loop", loop)
    report = worker.report()
    assert (report["step"], report["error"]) == ("lifespan", error)
    assert detail in report["detail"]
    assert "lifespan.py" not in report["detail"]
    peer = listener.accept(ready=False)
    peer.until(lambda: peer.bye)
    assert peer.not_ready[:2] == ("lifespan", error)
    assert detail in peer.not_ready[2]
    peer.sock.close()
    assert worker.wait() == 3
    assert "Traceback" not in worker.errors  # it is on the leash; nobody wants it twice
    worker.close()
    listener.close()


@LOOPS
def test_a_failed_start_is_reported_whatever_its_text(run_dir: Path, loop: str) -> None:
    listener = Listener(run_dir)
    worker = WorkerProcess("lifespans:raises_anything", run_dir, "--loop", loop)
    assert worker.report()["step"] == "lifespan"
    peer = listener.accept(ready=False)
    peer.until(lambda: peer.bye)
    assert peer.not_ready[1].startswith("the app's start-up raised LookupError: \\ud800\\ud800")
    assert peer.not_ready[2].endswith(" the end\n")
    peer.sock.close()
    assert worker.wait() == 3
    assert worker.errors == ""
    worker.close()
    listener.close()


@MOSTLY_UVLOOP
@pytest.mark.parametrize(
    ("app", "words"),
    [
        ("asgi_apps:app", "shutdown seen"),
        ("lifespans:shutdown_fails", "the app's shutdown failed: could not say goodbye"),
        ("lifespans:shutdown_raises", "ValueError: at the very end"),
        ("lifespans:leaves_after_startup", "left early"),
    ],
)
def test_shutdown(run_dir: Path, loop: str, app: str, words: str) -> None:
    with running(app, run_dir, "--loop", loop) as (worker, peer):
        assert peer.get("/").status == 200
        worker.process.terminate()
        peer.until(lambda: peer.drained)
        peer.link.drain("go")
        peer.flush()
        peer.until(lambda: peer.bye)
        assert worker.wait() == 0
        assert words in worker.errors
