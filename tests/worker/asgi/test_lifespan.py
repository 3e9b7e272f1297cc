"""The lifespan, on asyncio and trio."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio
from propylon.worker.app.load import AppLoadError
from propylon.worker.asgi.lifespan import Lifespan
from propylon.worker.asgi.loop_kind import LoopKind

from ...cases import some_slow
from ..gateway_peer import Listener, WorkerProcess, running

LOOPS = pytest.mark.parametrize("loop", ["uvloop", "trio"])
# How an app ends its lifespan is the same code on every loop.
MOSTLY_UVLOOP = pytest.mark.parametrize(
    "loop", ["uvloop", pytest.param("trio", marks=pytest.mark.slow)]
)


@LOOPS
@pytest.mark.parametrize(
    ("app", "said"),
    some_slow(
        4,
        [
            ("unsupported", ""),
            ("answers_as_if_http", ""),
            ("returns", ""),
            ("returns_after_receive", ""),
            ("raises_after_receive", "LookupError: no database at db.internal"),
            ("raises_odd_before", ""),
            ("raises_odd_after", "Odd: neither an Exception nor a cancellation"),
            ("raises_anything", "LookupError: "),
        ],
    ),
)
def test_who_does_not_say_that_its_start_up_failed_is_served(
    run_dir: Path, loop: str, app: str, said: str
) -> None:
    """ASGI: "the server must continue but not send any lifespan events". What an app raises on
    `lifespan.startup` is said once, as it may have meant something."""
    with running(f"lifespans:{app}", run_dir, "--loop", loop) as (worker, peer):
        assert peer.get("/").body.startswith(b"served{}")
        assert "Traceback" not in worker.errors
        assert ("served without lifespan" in worker.errors) == bool(said)
        assert said in worker.errors
        peer.link.drain("go")
        peer.flush()
        worker.process.terminate()
        assert worker.wait() == 0


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
    some_slow(
        3,
        [
            (
                "raises_after_receive",
                "the app's start-up raised LookupError: no database at db.internal",
                'raise LookupError("no database at db.internal")',
            ),
            (
                "raises_odd_after",
                "the app's start-up raised lifespans.Odd: neither an Exception nor a cancellation",
                "raise Odd(",
            ),
            ("says_failed", "the app's start-up failed: no database", "Traceback:\n  no database"),
            (
                "says_failed_and_raises",
                "the app's start-up failed: no database",
                'raise LookupError("no database at db.internal")',
            ),
            ("exits", "the app's start-up raised SystemExit: no database", "sys.exit("),
            ("exits_before_receive", "the app's start-up raised SystemExit: 3", "sys.exit("),
        ],
    ),
)
def test_a_failed_start_is_reported_and_ends_the_worker(
    run_dir: Path, loop: str, app: str, error: str, detail: str
) -> None:
    """By the app's own word, by its exit, or where the operator wants a lifespan."""
    listener = Listener(run_dir)
    by_itself = app.startswith(("says", "exits"))
    mode = ("--lifespan", "auto" if by_itself else "on")
    worker = WorkerProcess(f"lifespans:{app}", run_dir, *mode, "--loop", loop)
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
    assert "Traceback" not in worker.errors  # it is on the channel; nobody wants it twice
    worker.close()
    listener.close()


@LOOPS
def test_a_failed_start_is_reported_whatever_its_text(run_dir: Path, loop: str) -> None:
    listener = Listener(run_dir)
    mode = ("--lifespan", "on")
    worker = WorkerProcess("lifespans:raises_anything", run_dir, *mode, "--loop", loop)
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


STARTED = "lifespan.startup.complete"
STOPPED = "lifespan.shutdown.complete"


@pytest.mark.parametrize("library", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([STARTED, STARTED], "answers lifespan.startup, which was answered already"),
        ([STARTED, "lifespan.startup.failed"], "answers lifespan.startup, which was answered"),
        ([STARTED, STOPPED], "answers lifespan.shutdown, which has not come"),
        ([STARTED, "lifespan.shutdown.failed"], "answers lifespan.shutdown, which has not come"),
        ([STARTED, "receive", STOPPED, STOPPED], "lifespan.shutdown, which was answered already"),
        ([STARTED, "receive", STARTED], "answers lifespan.startup, which was answered already"),
        (["lifespan.ready"], "has only startup.complete"),
        (["http.response.start"], "has only startup.complete"),
        ([None], "an event is a dict with a type"),
    ],
)
def test_a_wrong_order_is_an_error_that_names_the_rule(
    library: str, events: list[str | None], words: str
) -> None:
    raised: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            for event in events:
                if event == "receive":
                    await receive()
                else:
                    await send({"type": event} if event else {})
        except RuntimeError as error:
            raised.append(str(error))

    async def run(loop: LoopKind) -> None:
        async with anyio.create_task_group() as tasks:
            lifespan = Lifespan(app, "on", loop)
            tasks.start_soon(lifespan.run)
            with contextlib.suppress(AppLoadError):
                await lifespan.startup()
            await lifespan.shutdown()
            tasks.cancel_scope.cancel()

    kind = {
        "asyncio": LoopKind(asyncio.Event, (asyncio.CancelledError,), asyncio.sleep, asyncio.Lock),
        "trio": LoopKind(trio.Event, (trio.Cancelled,), trio.sleep, trio.Lock),
    }
    anyio.run(run, kind[library], backend=library)
    (sentence,) = raised
    assert words in sentence


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
