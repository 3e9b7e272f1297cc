"""Apps that change at their import what a server stands on: modules, threads, the logging."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from propylon.worker.process.own_imports import OF_OTHER_SERVERS, OF_THE_HOSTS, OF_TRIO

from ..gateway_peer import WorkerProcess, running, scope

HOSTS = pytest.mark.parametrize(
    ("app", "options"),
    [
        ("main:app", ("--loop", "asyncio")),
        pytest.param("main:app", ("--loop", "uvloop"), marks=pytest.mark.slow),
        ("main:app", ("--loop", "trio")),
        ("main:application", ()),
    ],
    ids=["asyncio", "uvloop", "trio", "threads"],
)

MAIN = """
import concurrent.futures, http.client, email.message, uuid
import code  # a name that no server needs
assert code.MINE
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
def application(environ, start_response):
    start_response("200 OK", [])
    return [concurrent.futures.ThreadPoolExecutor().submit(bytes, b"hello").result()]
"""

# -- modules -------------------------------------------------------------------------------------


@HOSTS
def test_modules_of_the_app_that_are_named_as_python_s_own(
    run_dir: Path, app: str, options: tuple[str, ...]
) -> None:
    names = OF_THE_HOSTS | OF_OTHER_SERVERS | (OF_TRIO if "trio" in options else frozenset())
    also = {"types", "json", "socket", "worker", "protocol", "propylon", "msgpack", "logging"}
    for name in names | also:
        (run_dir / f"{name}.py").write_text("raise RuntimeError('the wrong module')")
    (run_dir / "code.py").write_text("MINE = True")
    (run_dir / "main.py").write_text(MAIN)
    with running(app, run_dir, "--app-dir", str(run_dir), *options) as (_, peer):
        assert peer.get("/").body == b"hello"


IMPORTED = """
import json, sys
import propylon.worker.run
before = set(sys.modules)
import propylon.worker.wsgi.thread_host, propylon.worker.process.zygote
import propylon.worker.asgi.asyncio_host, uvloop, asyncio.subprocess
import concurrent.futures.thread, concurrent.futures.process, multiprocessing.context
asyncio_s = set(sys.modules)
import propylon.worker.asgi.trio_host
print(json.dumps([sorted({name.partition(".")[0] for name in more})
    for more in (asyncio_s - before, set(sys.modules) - asyncio_s)]))
"""


def test_all_that_a_host_imports_is_reserved() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", IMPORTED], capture_output=True, text=True, check=True
    )
    of_all, of_trio = (
        {name for name in names if not name.startswith("_")} - {*sys.builtin_module_names}
        for names in json.loads(done.stdout)
    )
    assert "asyncio" in of_all
    assert "trio" in of_trio
    assert of_all - {"propylon"} <= OF_THE_HOSTS
    assert of_trio - {"propylon"} <= OF_THE_HOSTS | OF_TRIO


# -- gevent --------------------------------------------------------------------------------------


def test_a_wsgi_app_that_gevent_has_patched(run_dir: Path) -> None:
    pytest.importorskip("gevent")
    with running("gevent_app:application", run_dir, "--threads", "4") as (worker, peer):
        calls = [peer.open(scope(path=b"/sleeps")) for _ in range(4)]
        peer.flush()
        peer.until(lambda: all(call.ended for call in calls))
        assert [call.body for call in calls] == [b"slept"] * 4
        assert peer.get("/thread").body == b"slept"
        assert peer.get("/sockets").body == b"hi"
        assert peer.call(scope("POST", b"/length"), b"x" * 5_000).body == b"5000"
        assert len(peer.get("/big").body) == 50 * 65_536
        assert [peer.get("/sockets").status for _ in range(50)] == [200] * 50
        worker.process.terminate()
        peer.until(lambda: peer.drained)
        peer.link.drain("it may go")
        peer.flush()
        assert worker.wait() == 0


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_an_asgi_app_that_gevent_has_patched(run_dir: Path, loop: str) -> None:
    pytest.importorskip("gevent")
    with running("gevent_app:app", run_dir, "--loop", loop) as (_, peer):
        assert [peer.get("/").body for _ in range(5)] == [b"hello"] * 5


def test_gevent_and_trio_do_not_go_together_and_that_is_said(run_dir: Path) -> None:
    pytest.importorskip("gevent")
    worker = WorkerProcess("gevent_app:app", run_dir, "--loop", "trio")
    assert "monkey.patch_all()" in worker.reports("not_ready")["error"]
    worker.close()


# -- logging -------------------------------------------------------------------------------------

CONFIGURES_LATE = """
import logging.config
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        logging.config.dictConfig({"version": 1})
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return await send({"type": "lifespan.shutdown.complete"})
    logging.config.dictConfig({"version": 1})
    raise ValueError("the app's own")
"""


def test_an_app_that_configures_logging_late_does_not_silence_its_tracebacks(run_dir: Path) -> None:
    (run_dir / "late.py").write_text(CONFIGURES_LATE)
    with running("late:app", run_dir, "--app-dir", str(run_dir)) as (worker, peer):
        for _ in range(2):
            peer.get("/")
        assert worker.errors.count("\nValueError: the app's own\n") == 2


def test_an_app_may_set_the_worker_s_logger_up_by_name(run_dir: Path) -> None:
    (run_dir / "late.py").write_text(
        CONFIGURES_LATE.replace(
            '{"version": 1}',
            '{"version": 1, "loggers": {"propylon.worker": {"level": "CRITICAL"}}}',
        )
    )
    with running("late:app", run_dir, "--app-dir", str(run_dir)) as (worker, peer):
        peer.get("/")
        assert "ValueError" not in worker.errors
