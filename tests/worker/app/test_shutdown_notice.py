"""SIGTERM asks to drain: what a worker does until it is let go, and at the deadline."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from propylon.protocol.messages import APP_FAILED, BYE_NORMAL, SHUTDOWN

from ..gateway_peer import TIMEOUT, GatewayPeer, Listener, PeerCall, WorkerProcess, running, scope

ASGI = ("asgi_apps:app", "--loop", "asyncio")
TRIO = ("asgi_apps:app", "--loop", "trio")
WSGI = ("wsgi_apps:application",)
UVLOOP = ("asgi_apps:app", "--loop", "uvloop")
# The worker's own rules are the same on every loop; each of them has its day in the slow tests.
ON_TRIO = pytest.param(TRIO, marks=pytest.mark.slow)
HOSTS = pytest.mark.parametrize("host", [ASGI, ON_TRIO, WSGI], ids=["asyncio", "trio", "threads"])
EVERY_LOOP = pytest.mark.parametrize(
    "host", [ASGI, UVLOOP, ON_TRIO, WSGI], ids=["asyncio", "uvloop", "trio", "threads"]
)
ASYNC_HOSTS = pytest.mark.parametrize("host", [ASGI, ON_TRIO], ids=["asyncio", "trio"])
Host = tuple[str, ...]


def release(peer: GatewayPeer) -> None:
    peer.link.drain("go")
    peer.flush()
    peer.until(lambda: peer.bye)


# -- until it is let go ------------------------------------------------------------------------


@pytest.mark.slow
@HOSTS
def test_it_serves_on_while_the_gateway_keeps_it(run_dir: Path, host: Host) -> None:
    """Idle or not: it may be the last that the gateway has."""
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        worker.process.terminate()
        peer.until(lambda: peer.drained)
        for _ in range(3):
            peer.quiet(1)
            assert peer.call(scope("POST", b"/echo"), b"late").body == b"late"
        release(peer)
        assert peer.bye == (BYE_NORMAL, "drained")
        assert worker.wait() == 0


@HOSTS
def test_it_waits_for_every_gateway(run_dir: Path, host: Host) -> None:
    second = Listener(run_dir, name="2")
    with running(host[0], run_dir, *host[1:]) as (worker, first):
        other = second.accept()
        worker.process.terminate()
        other.until(lambda: other.drained)
        first.until(lambda: first.drained)
        release(first)
        for _ in range(5):
            assert other.get("/hello").body == b"hello"
        assert worker.process.poll() is None
        release(other)
        assert worker.wait() == 0
        other.sock.close()
    second.close()


@HOSTS
def test_new_gateways_are_not_dialled_any_more(run_dir: Path, host: Host) -> None:
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        worker.process.terminate()
        peer.until(lambda: peer.drained)
        new = Listener(run_dir, name="2")
        with pytest.raises(TimeoutError):
            new.accept(timeout=1)
        release(peer)
        assert worker.wait() == 0
        new.close()


@HOSTS
def test_a_gateway_that_is_gone_is_not_waited_for(run_dir: Path, host: Host) -> None:
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        peer.sock.close()
        worker.process.terminate()
        assert worker.wait() == 0


@pytest.mark.slow
def test_a_gateway_that_never_took_the_link_is_not_waited_for_long(run_dir: Path) -> None:
    listener = Listener(run_dir)
    with WorkerRunning(run_dir) as worker:
        listener.sock.settimeout(TIMEOUT)
        silent, _ = listener.sock.accept()
        assert silent.recv(1)
        worker.process.terminate()
        assert worker.wait(TIMEOUT) == 0
        silent.close()
    listener.close()


@HOSTS
def test_what_the_gateway_has_not_read_yet_is_not_lost(run_dir: Path, host: Host) -> None:
    """The calls have left the app, but their responses wait in front of a full socket."""
    threads = ("--threads", "20")
    with running(host[0], run_dir, *host[1:], *threads) as (worker, peer):
        other = Listener(run_dir, name="2")
        witness = other.accept()
        calls = [peer.open(scope(path=b"/fits_the_window")) for _ in range(12)]
        peer.flush()
        deadline = time.monotonic() + TIMEOUT
        while witness.get("/stats").json["sent"] < 12:
            assert time.monotonic() < deadline
        worker.process.terminate()
        witness.until(lambda: witness.drained)
        release(witness)
        peer.link.drain("go")
        peer.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            worker.wait(0.5)
        peer.until(lambda: all(call.ended for call in calls) and peer.bye)
        assert {len(call.body) for call in calls} == {250_000}
        assert worker.wait() == 0
        other.close()
        witness.sock.close()


# -- what the app hears of it ------------------------------------------------------------------


def listening(peer: GatewayPeer) -> list[PeerCall]:
    """Streams that go on until the app hears of the shutdown."""
    calls = [peer.open(scope(path=b"/listens")) for _ in range(3)]
    peer.flush()
    peer.until(lambda: all(call.body == b"open;" for call in calls))
    return calls


def end_by_themselves(peer: GatewayPeer, calls: Sequence[PeerCall]) -> None:
    peer.until(lambda: all(call.ended for call in calls))
    assert {(call.body, call.complete, call.reset) for call in calls} == {
        (b"open;goodbye", True, None)
    }


@EVERY_LOOP
def test_a_stream_hears_of_it_when_the_gateway_lets_go_and_ends_by_itself(
    run_dir: Path, host: Host
) -> None:
    """Not before: its client would come back here."""
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        early = listening(peer)
        worker.process.terminate()
        peer.until(lambda: peer.drained)
        late = peer.open(scope(path=b"/listens"))
        peer.flush()
        peer.until(lambda: late.body)
        peer.quiet(0.3)
        assert {call.body for call in (*early, late)} == {b"open;"}
        peer.link.drain("go")
        peer.flush()
        end_by_themselves(peer, (*early, late))
        assert worker.wait() == 0


@HOSTS
def test_it_is_enough_that_one_of_its_gateways_lets_go(run_dir: Path, host: Host) -> None:
    second = Listener(run_dir, name="2")
    with running(host[0], run_dir, *host[1:]) as (worker, first):
        other = second.accept()
        calls = listening(first)
        worker.process.terminate()
        other.until(lambda: other.drained)
        release(other)
        end_by_themselves(first, calls)
        # Who comes later hears of it too.
        assert first.call(scope(path=b"/listens")).body == b"open;goodbye"
        release(first)
        assert worker.wait() == 0
        other.sock.close()
    second.close()


@HOSTS
@pytest.mark.parametrize("first", ["the worker", "the gateway"])
def test_a_gateway_that_ends_too_says_when_it_has_no_new_clients(
    run_dir: Path, host: Host, first: str
) -> None:
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        calls = listening(peer)
        if first == "the worker":
            worker.process.terminate()
            peer.until(lambda: peer.drained)
        for call in calls:
            peer.link.event(call, {"type": "propylon.wind_down"})
        peer.flush()
        if first == "the gateway":
            peer.quiet(0.3)
            assert {call.body for call in calls} == {b"open;"}, "the worker goes on"
            worker.process.terminate()
        end_by_themselves(peer, calls)
        release(peer)
        assert worker.wait() == 0


@HOSTS
def test_a_stream_hears_of_it_when_half_of_the_time_is_over(run_dir: Path, host: Host) -> None:
    options = (*host[1:], "--graceful-timeout", "3")
    with running(host[0], run_dir, *options) as (worker, peer):
        calls = listening(peer)
        begun = time.monotonic()
        worker.process.terminate()
        end_by_themselves(peer, calls)
        assert time.monotonic() - begun > 1.4
        release(peer)
        assert worker.wait() == 0


@ASYNC_HOSTS
def test_a_websocket_hears_of_it(run_dir: Path, host: Host) -> None:
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        call = peer.open(scope(path=b"/ws_listens", kind="websocket"))
        peer.flush()
        peer.until(lambda: call.events)
        worker.process.terminate()
        peer.until(lambda: peer.drained)
        release(peer)
        assert call.events[-1] == {
            "type": "websocket.close",
            "code": 3999,
            "reason": "come back",
        }
        assert worker.wait() == 0


@ASYNC_HOSTS
def test_the_lifespan_ends_after_the_last_call(run_dir: Path, host: Host) -> None:
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        call = peer.open(scope(path=b"/listens"))
        peer.flush()
        peer.until(lambda: call.body)
        worker.process.terminate()
        peer.until(lambda: peer.drained)
        release(peer)
        assert call.body == b"open;goodbye"
        assert worker.wait() == 0
        assert worker.errors.index("the stream ends") < worker.errors.index("shutdown seen")


@ASYNC_HOSTS
def test_extensions_of_the_gateway_and_of_the_worker_stand_together(
    run_dir: Path, host: Host
) -> None:
    with running(host[0], run_dir, *host[1:]) as (_, peer):
        about = scope(path=b"/extensions")
        with_tls = (*about[:-1], {"tls": {"tls_version": 0x0304}})
        usual = set(peer.call(about).json)
        assert {"propylon.shutdown", host[2]} <= usual
        assert set(peer.call(with_tls).json) == usual | {"tls"}
        # What one app puts there, no other call sees.
        assert set(peer.call(about).json) == usual


# -- the deadline ------------------------------------------------------------------------------


@ASYNC_HOSTS
def test_the_deadline_cancels_what_still_runs(run_dir: Path, host: Host) -> None:
    options = (*host[1:], "--graceful-timeout", "0.3")
    with running(host[0], run_dir, *options) as (worker, peer):
        call = peer.open(scope(path=b"/stubborn"))
        peer.flush()
        peer.quiet(0.05)
        worker.process.terminate()
        peer.until(lambda: call.ended)
        assert call.reset == (SHUTDOWN, "the worker stops")
        assert worker.wait() == 0
        assert "outlived the graceful timeout" in worker.errors
        assert "shutdown seen" in worker.errors


@HOSTS
def test_a_stream_that_does_not_listen_is_cut_visibly(run_dir: Path, host: Host) -> None:
    options = (*host[1:], "--graceful-timeout", "0.3")
    with running(host[0], run_dir, *options) as (worker, peer):
        call = peer.open(scope(path=b"/streams"))
        peer.flush()
        peer.until(lambda: call.body)
        worker.process.terminate()
        peer.until(lambda: call.ended)
        assert call.reset == (SHUTDOWN, "the worker stops")
        assert not call.complete
        assert worker.wait() == 0


@ASYNC_HOSTS
def test_a_websocket_is_closed_with_1012(run_dir: Path, host: Host) -> None:
    options = (*host[1:], "--graceful-timeout", "0.3")
    with running(host[0], run_dir, *options) as (worker, peer):
        call = peer.open(scope(path=b"/ws_echo", kind="websocket"))
        peer.flush()
        peer.until(lambda: call.events)
        worker.process.terminate()
        peer.until(lambda: call.ended)
        assert call.events[-1]["type"] == "websocket.close"
        assert call.events[-1]["code"] == 1012
        assert call.reset is None
        assert worker.wait() == 0


@ASYNC_HOSTS
def test_a_websocket_that_was_never_accepted_is_given_up(run_dir: Path, host: Host) -> None:
    options = (*host[1:], "--graceful-timeout", "0.3")
    with running(host[0], run_dir, *options) as (worker, peer):
        call = peer.open(scope(path=b"/stubborn", kind="websocket"))
        peer.flush()
        peer.quiet(0.05)
        worker.process.terminate()
        peer.until(lambda: call.ended)
        assert call.reset is not None
        assert call.reset[0] == SHUTDOWN != APP_FAILED
        assert worker.wait() == 0


@HOSTS
def test_the_graceful_timeout_counts_from_the_signal(run_dir: Path, host: Host) -> None:
    """Whether or not the gateway lets go."""
    options = (*host[1:], "--graceful-timeout", "0.4")
    with running(host[0], run_dir, *options) as (worker, peer):
        call = peer.open(scope(path=b"/streams"))
        peer.flush()
        begun = time.monotonic()
        worker.process.terminate()
        peer.until(lambda: call.ended)
        assert time.monotonic() - begun > 0.4
        assert call.reset
        assert worker.wait() == 0


class WorkerRunning:
    """Ready, and linked to nobody that the test knows."""

    def __init__(self, run_dir: Path) -> None:
        self._worker = WorkerProcess("asgi_apps:app", run_dir)

    def __enter__(self) -> WorkerProcess:
        assert self._worker.report()["event"] == "ready"
        return self._worker

    def __exit__(self, *_: object) -> None:
        self._worker.close()
