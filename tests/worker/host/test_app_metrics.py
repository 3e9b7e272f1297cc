import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..gateway_peer import GatewayPeer, WorkerProcess, running, scope
from ..metrics_peer import MetricsListener, MetricsPeer

HOSTS = pytest.mark.parametrize(
    ("app", "options"),
    [
        pytest.param("app", ("--loop", "asyncio"), marks=pytest.mark.slow),
        ("app", ("--loop", "uvloop")),
        pytest.param("app", ("--loop", "trio"), marks=pytest.mark.slow),
        ("application", ("--threads", "1")),
    ],
    ids=["asyncio", "uvloop", "trio", "threads"],
)


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def ends(worker: WorkerProcess, gateway: GatewayPeer) -> None:
    """The worker is told to stop, and does."""
    worker.process.terminate()
    gateway.until(lambda: gateway.drained)
    gateway.link.drain("it may go")
    gateway.flush()
    assert worker.wait() == 0


@contextmanager
def asked(
    run_dir: Path, app: str = "metrics_apps:app", *options: str
) -> Iterator[tuple[WorkerProcess, GatewayPeer, MetricsPeer]]:
    """A worker that serves, and whose metrics can be asked for."""
    with (
        MetricsListener(run_dir) as listener,
        running(app, run_dir, *options) as (worker, gateway),
    ):
        yield worker, gateway, listener.accept()


@HOSTS
def test_a_worker_s_whole_life(run_dir: Path, app: str, options: tuple[str, ...]) -> None:
    with running(f"metrics_apps:{app}", run_dir, *options, "--worker-id=3") as (worker, gateway):
        gateway.get("/one")
        before = threads(worker.process.pid)
        # The socket comes later, as a supervisor does that is started with an admin listener.
        with MetricsListener(run_dir) as listener:
            peer = listener.accept()
            assert threads(worker.process.pid) == before + 1
            assert (peer.who.pool, peer.who.worker) == ("default", 3)
            assert (peer.who.pid, peer.who.generation) == (worker.process.pid, 1)
            assert peer.ask()["calls_total", "path", "/one"] == 1
            gateway.get("/one")
            gateway.get("/two")
            found = peer.ask()
            assert found["calls_total", "path", "/one"] == 2
            assert found["calls_total", "path", "/two"] == 1
        # A supervisor replaces its code: the connection ends, and the socket is another.
        with MetricsListener(run_dir) as listener:
            again = listener.accept()
            assert again.who == peer.who
            assert again.ask()["calls_total", "path", "/two"] == 1
            # It is about to end, and says what it has counted to the end.
            gateway.get("/two")
            ends(worker, gateway)
            number, last = again.hear()
            assert (number, last["calls_total", "path", "/two"]) == (0, 2)


@HOSTS
def test_a_worker_that_hangs_answers(run_dir: Path, app: str, options: tuple[str, ...]) -> None:
    with asked(run_dir, f"metrics_apps:{app}", *options) as (_, gateway, peer):
        gateway.open(scope(path=b"/block"))
        gateway.flush()
        path = ("calls_total", "path", "/block")
        while peer.ask().get(path) != 1:
            pass
        assert peer.ask()[path] == 1


def test_a_collector_that_hangs_holds_nothing_else_up(run_dir: Path) -> None:
    with asked(run_dir) as (worker, gateway, peer), MetricsListener(run_dir, "1") as other:
        assert other.accept().ask()
        gateway.get("/hang")
        peer.sock.sendall(b"\x00\x00\x00\x02Q7")
        assert gateway.get("/").body == b"counted"
        peer.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            peer.sock.recv(1)
        ends(worker, gateway)


def test_difficult_registries(run_dir: Path) -> None:
    with asked(run_dir) as (worker, gateway, peer):
        gateway.get("/raise")
        assert ("level",) in peer.ask()
        assert peer.left_out == {"failed": 1}
        gateway.get("/many")
        found = peer.ask()
        assert ("level",) in found
        assert ("calls_total", "path", "/raise") not in found
        assert peer.left_out == {"failed": 1, "too_many": 1}
        peer.ask()
        log = worker.errors
        assert log.count("left out (failed): Difficult, which has raised RuntimeError: no ") == 1
        assert log.count("left out (too_many): calls") == 1


def test_an_app_that_does_not_count(run_dir: Path) -> None:
    with asked(run_dir, "asgi_apps:app") as (_, _, peer):
        assert peer.ask() == {}


def test_a_child_that_the_app_forks_does_not_hold_the_connection(run_dir: Path) -> None:
    with asked(run_dir) as (worker, gateway, peer):
        child = int(gateway.get("/fork").body)
        try:
            worker.process.kill()
            peer.sock.settimeout(10)
            assert peer.sock.recv(1) == b""
            os.kill(child, 0)
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [b"\xff\xff\xff\xff", b"\0\0\0\2Qx"])
def test_a_supervisor_that_speaks_nonsense_is_dialled_again(run_dir: Path, sent: bytes) -> None:
    with MetricsListener(run_dir) as listener, running("metrics_apps:app", run_dir):
        peer = listener.accept()
        peer.sock.sendall(sent)
        assert listener.accept().who == peer.who


def test_an_app_that_gevent_has_patched(run_dir: Path) -> None:
    pytest.importorskip("gevent")
    patched = "from gevent import monkey; monkey.patch_all()\nfrom metrics_apps import *\n"
    (run_dir / "patched.py").write_text(patched)
    (run_dir / "metrics_apps.py").write_text(
        (Path(__file__).parent.parent / "apps/metrics_apps.py").read_text()
    )
    options = ("--app-dir", str(run_dir), "--threads", "2")
    with asked(run_dir, "patched:application", *options) as (_, gateway, peer):
        gateway.get("/one")
        assert peer.ask()["calls_total", "path", "/one"] == 1
