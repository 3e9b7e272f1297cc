"""A worker's life: dialling, draining, signals, the channel; on all three kinds of host."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from propylon.protocol.hello import Greeting
from propylon.protocol.messages import (
    BYE_NORMAL,
    BYE_PROTOCOL,
    CLIENT_GONE,
    CONFIRM_START,
    TIMED_OUT,
)
from propylon.worker.host.abandoned_calls import GRACE
from propylon.worker.run import EXIT_NOT_READY

from ..gateway_peer import GatewayPeer, Listener, WorkerProcess, by_hand, running, scope

ASGI = ("asgi_apps:app", "--loop", "asyncio")
TRIO = ("asgi_apps:app", "--loop", "trio")
WSGI = ("wsgi_apps:application",)
ON_TRIO = pytest.param(TRIO, marks=pytest.mark.slow)  # the rules are the same on every loop
HOSTS = pytest.mark.parametrize("host", [ASGI, ON_TRIO, WSGI], ids=["asyncio", "trio", "threads"])
Host = tuple[str, ...]


def release(peer: GatewayPeer) -> None:
    peer.link.drain("go")
    peer.flush()
    peer.until(lambda: peer.bye)


# -- dialling ----------------------------------------------------------------------------------


@HOSTS
def test_it_greets_and_says_what_it_is(run_dir: Path, host: Host) -> None:
    options = ("--worker-id", "7", "--generation", "3", "--limit-concurrency", "11")
    with running(host[0], run_dir, *host[1:], *options) as (worker, peer):
        who = peer.hello[6]
        assert (who["pool"], who["worker"], who["generation"]) == ("default", 7, 3)
        assert who["pid"] == worker.process.pid
        assert who["interface"] == peer.ready["interface"]
        assert peer.ready["app"] == host[0]
        assert peer.slots == 11


@HOSTS
def test_it_serves_several_gateways_and_finds_new_ones(run_dir: Path, host: Host) -> None:
    with running(host[0], run_dir, *host[1:]) as (_, first):
        listener = Listener(run_dir, name="2")
        second = listener.accept()
        assert first.get("/hello").body == second.get("/hello").body == b"hello"
        second.sock.close()
        again = listener.accept()  # a link that ends is dialled again
        assert again.get("/hello").body == b"hello"
        listener.close()
        again.sock.close()
        assert first.get("/hello").body == b"hello"


def test_it_waits_for_a_gateway_that_is_not_there_yet(run_dir: Path) -> None:
    worker = WorkerProcess("asgi_apps:app", run_dir, "--pool", "late")
    assert worker.report()["event"] == "ready"
    listener = Listener(run_dir, "late")
    peer = listener.accept()
    assert peer.hello[6]["pool"] == "late"
    worker.close()
    listener.close()
    peer.sock.close()


@HOSTS
def test_a_gateway_that_breaks_the_protocol_is_told_and_left(run_dir: Path, host: Host) -> None:
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        peer.sock.sendall(b"\x91\x63")  # a message of kind 99
        peer.until(lambda: peer.bye)
        assert peer.bye is not None
        assert peer.bye[0] == BYE_PROTOCOL
        assert "the gateway broke the protocol: unknown message" in worker.errors


def test_an_open_without_a_scope_breaks_the_protocol(run_dir: Path) -> None:
    with running("asgi_apps:app", run_dir) as (_, peer):
        peer.open(("http", 5))  # type: ignore[arg-type]
        peer.flush()
        peer.until(lambda: peer.bye)
        assert peer.bye is not None
        assert "OPEN of call 1 has no scope" in peer.bye[1]


# -- draining ----------------------------------------------------------------------------------


@HOSTS
def test_the_gateways_drain_ends_the_link_after_its_calls(run_dir: Path, host: Host) -> None:
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        call = peer.open(scope(path=b"/slow"))
        peer.flush()
        peer.quiet(0.05)
        release(peer)
        assert call.ended
        assert call.body == b"slow"
        assert peer.bye == (BYE_NORMAL, "drained")
        assert worker.process.poll() is None


@HOSTS
def test_sigterm_asks_to_drain_and_serves_until_it_is_let_go(run_dir: Path, host: Host) -> None:
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        running_call = peer.open(scope(path=b"/slow"))
        peer.flush()
        worker.process.terminate()
        peer.until(lambda: peer.drained)
        late = peer.call(scope(path=b"/hello"))
        assert late.body == b"hello"
        release(peer)
        assert running_call.body == b"slow"
        assert worker.wait() == 0


@HOSTS
def test_sigterm_means_a_drain_however_often_it_comes(run_dir: Path, host: Host) -> None:
    """To a whole group it comes from others too, beside the supervisor's own."""
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        running_call = peer.open(scope(path=b"/naps"))
        peer.flush()
        worker.process.terminate()
        peer.until(lambda: peer.drained)
        for _ in range(3):
            worker.process.terminate()
            assert peer.get("/hello").body == b"hello"
        peer.until(lambda: running_call.ended)
        assert (running_call.body, running_call.reset) == (b"rested", None)
        release(peer)
        assert worker.wait() == 0
        assert "is cancelled" not in worker.errors


@HOSTS
@pytest.mark.parametrize("drains", [True, False], ids=["draining", "serving"])
def test_at_once_is_said_on_the_channel(run_dir: Path, host: Host, drains: bool) -> None:
    path = b"/slow" if host is WSGI else b"/stubborn"
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        peer.open(scope(path=path))
        peer.flush()
        peer.quiet(0.05)
        if drains:
            worker.process.terminate()
            peer.until(lambda: peer.drained)
        begun = time.monotonic()
        worker.channel.sendall(b"now\n")
        assert worker.wait() == 0
        assert time.monotonic() - begun < 1.5
        assert "a call is cancelled: we end at once" in worker.errors
        assert "graceful timeout" not in worker.errors


@HOSTS
def test_without_a_channel_a_second_sigterm_means_now(run_dir: Path, host: Host) -> None:
    path = b"/slow" if host is WSGI else b"/stubborn"
    with by_hand(host[0], run_dir, *host[1:]) as (worker, peer):
        peer.open(scope(path=path))
        peer.flush()
        peer.quiet(0.05)
        worker.process.terminate()
        peer.until(lambda: peer.drained)
        begun = time.monotonic()
        worker.process.terminate()
        assert worker.wait() == 0
        assert time.monotonic() - begun < 1.5


@HOSTS
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=["ctrl_c", "hang_up"])
def test_the_terminal_is_the_supervisors_business(
    run_dir: Path, host: Host, number: signal.Signals
) -> None:
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        worker.process.send_signal(number)
        peer.quiet(0.15)
        assert not peer.drained
        assert peer.get("/hello").body == b"hello"


@HOSTS
def test_a_cut_channel_is_a_sigterm(run_dir: Path, host: Host) -> None:
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        worker.channel.close()
        peer.until(lambda: peer.drained)
        release(peer)
        assert worker.wait() == 0


@HOSTS
def test_without_a_channel_ctrl_c_stops_it(run_dir: Path, host: Host) -> None:
    with by_hand(host[0], run_dir, *host[1:]) as (worker, peer):
        worker.process.send_signal(signal.SIGINT)
        peer.until(lambda: peer.drained)
        release(peer)
        assert worker.wait() == 0


@pytest.mark.parametrize("host", [ASGI, ON_TRIO], ids=["asyncio", "trio"])
def test_what_is_raised_beside_a_cancellation_stays_in_its_call(run_dir: Path, host: Host) -> None:
    """One group of both, as a nursery of the app's makes it."""
    options = (*host[1:], "--graceful-timeout", "0.3")
    with running(host[0], run_dir, *options) as (worker, peer):
        call = peer.open(scope(path=b"/raises_odd_group"))
        peer.flush()
        peer.quiet(0.05)
        worker.process.terminate()
        peer.until(lambda: call.ended)
        assert worker.wait() == 0
        assert "Odd: while it was cancelled" in worker.errors
        assert "shutdown seen" in worker.errors


# -- disconnects -------------------------------------------------------------------------------


def test_a_lost_link_disconnects_its_calls(run_dir: Path) -> None:
    with running("asgi_apps:app", run_dir) as (_, peer):
        other = Listener(run_dir, name="2")
        witness = other.accept()
        for _ in range(3):
            peer.open(scope(path=b"/waits_for_disconnect"))
        peer.flush()
        peer.quiet(0.05)
        peer.sock.close()
        deadline = time.monotonic() + 5
        while witness.get("/stats").json["disconnects"] < 3:
            assert time.monotonic() < deadline
        while witness.ping()["calls"]:
            assert time.monotonic() < deadline
        other.close()
        witness.sock.close()


@pytest.mark.slow
@pytest.mark.parametrize("host", [ASGI, ON_TRIO], ids=["asyncio", "trio"])
def test_work_behind_a_response_outlives_the_client(run_dir: Path, host: Host) -> None:
    with running(host[0], run_dir, *host[1:]) as (_, peer):
        call = peer.open(scope(path=b"/goes_on"))
        peer.flush()
        peer.until(lambda: call.complete)
        peer.link.reset(call, CLIENT_GONE, "gone")
        peer.flush()
        peer.quiet(GRACE + 1)
        peer.get("/go")
        peer.until(lambda: call.ended)
        assert peer.get("/stats").json["errors"] == ["http.disconnect", "went on"]


@pytest.mark.slow
@pytest.mark.parametrize("host", [ASGI, ON_TRIO], ids=["asyncio", "trio"])
@pytest.mark.parametrize(
    ("code", "limit", "after"),
    [(TIMED_OUT, 0.0, 5), (CLIENT_GONE, 1.0, 5), (CLIENT_GONE, 7.0, 7)],
    ids=["deadline", "client, then deadline", "client, then later deadline"],
)
def test_a_call_that_ignores_its_disconnect_is_cancelled_at_its_deadline(
    run_dir: Path, host: Host, code: int, limit: float, after: float
) -> None:
    """Its gateway's, which is said in HELLO; 5 s after the disconnect at the earliest."""
    greeting = Greeting(who={}, request_timeout=limit)
    with running(host[0], run_dir, *host[1:], greeting=greeting) as (worker, peer):
        call = peer.open(scope(path=b"/stubborn"))
        peer.flush()
        peer.quiet(0.05)
        begun = time.monotonic()
        peer.link.reset(call, code, "given up")
        peer.flush()
        peer.until(lambda: call.ended, timeout=after + 3)
        assert after - 0.5 < time.monotonic() - begun < after + 1
        assert peer.get("/stats").json["cancelled"] == 1
        assert "GET /stubborn is cancelled: nobody waits for it any more" in worker.errors


@pytest.mark.slow
@pytest.mark.parametrize("host", [ASGI, ON_TRIO], ids=["asyncio", "trio"])
@pytest.mark.parametrize("path", [b"/stubborn", b"/answers_and_goes_on"])
def test_a_client_s_leaving_cancels_nothing_by_itself(
    run_dir: Path, host: Host, path: bytes
) -> None:
    """Without a deadline; nor does one end what has been answered, though nobody heard it."""
    limit = 0.0 if path == b"/stubborn" else 0.5
    greeting = Greeting(who={}, request_timeout=limit)
    with running(host[0], run_dir, *host[1:], greeting=greeting) as (_, peer):
        call = peer.open(scope(path=path))
        peer.flush()
        peer.quiet(0.05)
        peer.link.reset(call, CLIENT_GONE, "gone")
        peer.flush()
        peer.quiet(GRACE + 1)
        assert not call.ended
        assert peer.ping()["calls"] == 1


@pytest.mark.parametrize("host", [ASGI, ON_TRIO], ids=["asyncio", "trio"])
@pytest.mark.parametrize("path", [b"/sends_for_ever", b"/receives_for_ever"])
def test_who_never_waits_lets_others_run_when_its_client_has_left(
    run_dir: Path, host: Host, path: bytes
) -> None:
    """Its `send` does nothing, its `receive` always has the same to say. A stop ends it soon."""
    flags = ("--graceful-timeout", "0.5" if b"receives" in path else "60")
    with running(host[0], run_dir, *host[1:], *flags) as (worker, peer):
        call = peer.open(scope(path=path))
        peer.flush()
        peer.until(lambda: call.body)
        peer.link.reset(call, CLIENT_GONE, "gone")
        peer.flush()
        for _ in range(10):
            assert peer.get("/hello").body == b"hello"
        assert not call.ended
        worker.process.terminate()
        peer.until(lambda: peer.drained)
        release(peer)
        assert worker.wait() == 0
        assert f"GET {path.decode()} is cancelled" in worker.errors or b"receives" in path


# -- a socket that is full ---------------------------------------------------------------------


@HOSTS
def test_a_gateway_that_reads_nothing_holds_up_only_itself(run_dir: Path, host: Host) -> None:
    """And no app is called before its STARTED is on the wire."""
    with running(host[0], run_dir, *host[1:], "--threads", "12") as (_, peer):
        other = Listener(run_dir, name="2")
        witness = other.accept()
        large = [peer.open(scope(path=b"/large")) for _ in range(10)]
        peer.flush()  # 2.5 MB are on their way, far more than the socket's buffers take
        deadline = time.monotonic() + 5
        while witness.get("/stats").json["sent"] < 200_000:
            assert time.monotonic() < deadline
        waiting = peer.open(scope("POST", b"/go"), flags=CONFIRM_START)
        peer.flush()
        witness.quiet(0.1)
        assert witness.get("/hello").body == b"hello"
        assert "go" not in witness.get("/stats").json
        peer.until(lambda: waiting.ended and all(call.ended for call in large))
        assert {len(call.body) for call in large} == {5_000_000}
        assert witness.get("/stats").json["go"]
        other.close()
        witness.sock.close()


# -- the process -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "strangers"),
    [
        (ASGI, ("trio", "click", "msgspec", "propylon.gateway", "h11", "httptools")),
        (WSGI, ("trio", "asyncio", "uvloop", "click", "msgspec", "propylon.gateway", "h11")),
    ],
    ids=["asyncio", "threads"],
)
def test_it_loads_nothing_that_it_does_not_need(
    run_dir: Path, host: Host, strangers: tuple[str, ...]
) -> None:
    with running(host[0], run_dir, *host[1:]) as (_, peer):
        modules = set(peer.get("/modules").json)
        if host is ASGI:
            modules -= {"asyncio"}
        assert not modules & set(strangers)
        assert "propylon.protocol.worker_link" in modules


def test_an_app_that_configures_logging_does_not_silence_the_worker(run_dir: Path) -> None:
    with running("configures_logging:app", run_dir) as (worker, peer):
        peer.get("/raises_before")
        assert worker.errors.count("the app raised ValueError") == 1


def test_the_channel_is_not_inherited_by_the_apps_children(run_dir: Path) -> None:
    with running("spawns_child:app", run_dir) as (worker, peer):
        child = int(peer.get("/").body)
        worker.process.kill()
        worker.process.wait()
        worker.channel.settimeout(5)
        while worker.channel.recv(65_536):
            pass
        os.kill(child, signal.SIGTERM)


def test_wrong_settings_say_what_is_wrong(run_dir: Path) -> None:
    worker = WorkerProcess("x:y", run_dir, "--threads", "0", channel=False)
    assert worker.wait() == EXIT_NOT_READY
    assert worker.errors == "a worker's setting threads: 0 is less than 1\n"
    worker.close()
    worker = WorkerProcess("x:y", run_dir, "--loop", "twisted")
    report = worker.report()
    assert (report["event"], report["step"]) == ("not_ready", "settings")
    assert report["error"].startswith("a worker's setting loop is 'twisted', and not one of auto,")
    assert (worker.wait(), worker.errors) == (EXIT_NOT_READY, "")
    worker.close()


# As the version before wrote a worker's command line.
OLDER = ("x:y", "--pool=default", "--worker-id=1", "--child-id=5", "--generation=1", "--run-dir=r")


@pytest.mark.parametrize("flag", ["--leash-fd", "--channel-fd"])
def test_an_older_supervisor_that_starts_a_newer_zygote_is_told_so(flag: str) -> None:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-P", "-m", "propylon.worker", *OLDER]
    command += [f"{flag}={theirs.fileno()}", "--preload"]
    with ours, theirs:
        done = subprocess.run(command, pass_fds=[theirs.fileno()], check=False, capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (EXIT_NOT_READY, b"", b"")
        said = json.loads(ours.recv(65_536))
    assert said["event"] == "not_ready"
    assert said["error"] == (
        "the code on disk is newer than the supervisor that runs: `propylon upgrade` or a restart "
        "is needed"
    )


def test_who_starts_it_by_hand_is_told_what_to_use() -> None:
    command = [sys.executable, "-m", "propylon.worker", "x:y", "--run-dir", "r"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == EXIT_NOT_READY
    assert done.stderr.endswith("use `propylon worker`\n")
