"""What a worker tells its supervisor while it serves."""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from propylon.protocol.hello import Greeting
from propylon.protocol.messages import CLIENT_GONE, TIMED_OUT
from propylon.protocol.supervision.messages import (
    RecycleWish,
    Vitals,
    WorkerFailed,
    WorkerReady,
)
from propylon.worker.host.abandoned_calls import GRACE
from propylon.worker.host.vitals import LagMeter
from propylon.worker.process.orphan_guard import EXIT_OUTLIVED
from propylon.worker.process.supervisor_channel import SupervisorChannel

from ..gateway_peer import TIMEOUT, running, scope

ASGI = ("asgi_apps:app", "--loop", "asyncio")
UVLOOP = ("asgi_apps:app", "--loop", "uvloop")
TRIO = ("asgi_apps:app", "--loop", "trio")
WSGI = ("wsgi_apps:application",)
SLOW = pytest.mark.slow
HOSTS = pytest.mark.parametrize(
    "host",
    [ASGI, pytest.param(UVLOOP, marks=SLOW), pytest.param(TRIO, marks=SLOW), WSGI],
    ids=["asyncio", "uvloop", "trio", "threads"],
)
Host = tuple[str, ...]


@HOSTS
def test_it_says_how_it_is_about_once_a_second(run_dir: Path, host: Host) -> None:
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        first = worker.reports("vitals")
        assert first["rss"] > 5_000_000
        for _ in range(3):
            peer.get("/hello")
        call = peer.open(scope(path=b"/naps"))
        peer.flush()
        busy = worker.reports("vitals", lambda report: report["calls"])
        assert (busy["calls"], busy["queued"], busy["stuck"]) == (1, 0, 0)
        assert 0 <= busy["oldest_call"] < 5
        assert busy["requests"] == 4
        peer.until(lambda: call.ended)
        assert worker.reports("vitals", lambda report: not report["calls"])["oldest_call"] == 0


@HOSTS
def test_a_hung_loop_says_nothing(run_dir: Path, host: Host) -> None:
    """A WSGI app that hangs does not hold up the thread that speaks, but its call grows old."""
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        worker.reports("vitals")
        call = peer.open(scope(path=b"/sleeps_3_s"))
        peer.flush()
        if host is WSGI:
            assert worker.reports("vitals", lambda report: report["oldest_call"] > 1.5)
        else:
            begun = time.monotonic()
            worker.reports("vitals", lambda report: report["lag"] > 2)
            assert time.monotonic() - begun > 2
        peer.until(lambda: call.ended)


@HOSTS
@pytest.mark.slow
def test_sigquit_shows_the_stacks_of_all_threads_and_it_goes_on(run_dir: Path, host: Host) -> None:
    """Also of a loop that hangs."""
    with running(host[0], run_dir, *host[1:]) as (worker, peer):
        assert peer.get("/hello").body == b"hello"
        call = peer.open(scope(path=b"/sleeps_3_s"))
        peer.flush()
        deadline = time.monotonic() + TIMEOUT
        asked = 0
        while "in sleeps_3_s" not in worker.errors:
            assert time.monotonic() < deadline
            if worker.errors.count("(most recent call first)") >= asked:
                worker.process.send_signal(signal.SIGQUIT)
                asked += 1
            time.sleep(0.02)
        assert not call.ended
        assert worker.errors.count("hread 0x") >= (5 if host is WSGI else 1)
        assert "in main" in worker.errors
        peer.until(lambda: call.ended)
        assert peer.get("/hello").body == b"hello"


def test_sigquit_is_heard_in_a_c_call_that_holds_the_lock(run_dir: Path) -> None:
    with running(*ASGI[:1], run_dir) as (worker, peer):
        peer.open(scope(path=b"/holds_the_lock"))
        peer.flush()
        deadline = time.monotonic() + TIMEOUT
        while "in holds_the_lock" not in worker.errors:
            assert time.monotonic() < deadline
            worker.process.send_signal(signal.SIGQUIT)
            time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("host", [ASGI, WSGI], ids=["asyncio", "threads"])
def test_a_call_that_nothing_ends_is_stuck(run_dir: Path, host: Host) -> None:
    """Given up by the gateway; on asyncio it also has to ignore its cancellation."""
    with running(host[0], run_dir, *host[1:], "--heartbeat-timeout", "0.5") as (worker, peer):
        call = peer.open(scope(path=b"/clings_on"))
        waiting = [peer.open(scope(path=b"/clings_on")) for _ in range(5)] if host is WSGI else []
        peer.flush()
        worker.reports("vitals", lambda report: report["calls"])
        for each in (call, *waiting):
            peer.link.reset(each, TIMED_OUT, "too slow")
        peer.flush()
        report = worker.reports("vitals", lambda report: report["stuck"])
        # Those that never got a thread are not stuck themselves.
        assert (report["stuck"], report["calls"]) == ((4, 4) if waiting else (1, 1))


@pytest.mark.slow
@pytest.mark.parametrize("other", [b"", b"/naps", b"/sleeps_3_s"], ids=["idle", "short", "long"])
def test_threads_that_cling_to_lost_calls_are_not_stuck_while_another_serves(
    run_dir: Path, other: bytes
) -> None:
    """Any client could have a worker replaced otherwise: it asks for what is slow, and leaves."""
    flags = ("--heartbeat-timeout", "0.3", "--threads", "3")
    greeting = Greeting(who={}, request_timeout=0.1)
    with running(*WSGI, run_dir, *flags, greeting=greeting) as (worker, peer):
        calls = [peer.open(scope(path=b"/clings_on")) for _ in range(2)]
        busy = peer.open(scope(path=other)) if other else None
        peer.flush()
        worker.reports("vitals", lambda report: report["calls"] == (3 if other else 2))
        for call in calls:
            peer.link.reset(call, CLIENT_GONE, "gone")
        peer.flush()
        for _ in range(2):
            assert worker.reports("vitals", lambda report: report["calls"] >= 2)["stuck"] == 0
        if busy is not None:
            peer.until(lambda: busy.ended)
        last = peer.open(scope(path=b"/clings_on"))
        peer.flush()
        worker.reports("vitals", lambda report: report["calls"] == 3)
        peer.link.reset(last, TIMED_OUT, "too slow")
        peer.flush()
        assert worker.reports("vitals", lambda report: report["stuck"])["stuck"] == 3


@pytest.mark.slow
def test_threads_whose_clients_have_left_are_not_stuck_before_a_deadline(run_dir: Path) -> None:
    """They may be in the middle of something: the worker is not replaced for them."""
    flags = ("--heartbeat-timeout", "0.3", "--threads", "2")
    with running(*WSGI, run_dir, *flags) as (worker, peer):
        calls = [peer.open(scope(path=b"/clings_on")) for _ in range(2)]
        peer.flush()
        worker.reports("vitals", lambda report: report["calls"] == 2)
        for call in calls:
            peer.link.reset(call, CLIENT_GONE, "gone")
        peer.flush()
        end = time.monotonic() + GRACE + 2
        while time.monotonic() < end:
            assert worker.reports("vitals")["stuck"] == 0


@pytest.mark.parametrize("host", [ASGI, TRIO, WSGI], ids=["asyncio", "trio", "threads"])
def test_the_childs_number_travels_in_hello(run_dir: Path, host: Host) -> None:
    with running(host[0], run_dir, *host[1:], "--child-id", "17") as (_, peer):
        assert peer.hello[6]["id"] == 17


def test_without_a_number_hello_has_none(run_dir: Path) -> None:
    with running(*ASGI[:1], run_dir) as (_, peer):
        assert "id" not in peer.hello[6]


HANGS = """
import sys
from propylon.worker import run

run.OUTLIVE = 0.3
sys.exit(run.main())
"""


@pytest.mark.parametrize("host", [ASGI, pytest.param(TRIO, marks=SLOW)], ids=["asyncio", "trio"])
@pytest.mark.slow
def test_a_worker_that_hangs_does_not_outlive_its_supervisor_for_long(
    run_dir: Path, host: Host
) -> None:
    options = (*host[1:], "--graceful-timeout", "0.5")
    with running(host[0], run_dir, *options, code=("-c", HANGS)) as (worker, peer):
        peer.open(scope(path=b"/blocks"))
        peer.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            worker.wait(1.5)
        begun = time.monotonic()
        worker.channel.close()
        assert worker.wait() == EXIT_OUTLIVED
        assert time.monotonic() - begun > 0.7
        assert "hangs and has no supervisor" in worker.errors
        assert "in blocks" in worker.errors


# -- a supervisor that does not read ---------------------------------------------------------


def channel() -> tuple[SupervisorChannel, socket.socket]:
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    return SupervisorChannel(theirs.detach()), ours


def test_a_slow_reader_blocks_nobody_and_gets_what_counts() -> None:
    said, reader = channel()
    begun = time.monotonic()
    for number in range(5_000):
        said.say(Vitals(requests=number))
    said.say(RecycleWish("x" * 500_000))
    said.say(Vitals(requests=-1))
    assert time.monotonic() - begun < TIMEOUT / 2
    reader.settimeout(TIMEOUT)
    data = b""
    while b"recycle" not in data or not data.endswith(b"\n"):
        data += reader.recv(65_536)
        said.flush()
    *vitals, last = [json.loads(line) for line in data.splitlines()]
    assert last["event"] == "recycle"
    assert len(last["why"]) == 500_000
    numbers = [report["requests"] for report in vitals]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) < 5_000
    said.say(Vitals(requests=7))
    assert json.loads(reader.recv(65_536))["requests"] == 7
    reader.close()
    said.close()


def test_a_farewell_waits_until_all_is_said() -> None:
    said, reader = channel()
    said.say(WorkerFailed("no", detail="x" * 1_000_000))
    if (child := os.fork()) == 0:
        said.flush_before_exit()
        os._exit(0)
    said.close()
    reader.settimeout(TIMEOUT)
    data = b""
    while not data.endswith(b"\n"):
        data += reader.recv(65_536)
    assert len(json.loads(data)["detail"]) == 1_000_000
    os.waitpid(child, 0)
    reader.close()


def test_nobody_listens() -> None:
    said, reader = channel()
    reader.close()
    said.say(WorkerReady())
    said.say(Vitals())
    said.flush_before_exit()
    said.listen()
    assert said.cut
    said.close()
    alone = SupervisorChannel(None)
    alone.say(WorkerReady())
    alone.say(Vitals())
    alone.listen()
    assert not alone.cut


def test_only_the_line_now_is_an_order() -> None:
    heard, writer = channel()
    for said, hurried in ((b"", False), (b"later\nno", False), (b"w\n", True), (b"x\n", True)):
        writer.send(said)
        heard.listen()
        assert heard.hurried is hurried
    heard.close()
    writer.close()
    heard, writer = channel()
    for said in (b"now", b"here\n", b"x" * 9_000 + b"now\n"):
        writer.send(said)
        heard.listen()
        assert not heard.hurried
    writer.send(b"now\n")
    writer.close()
    heard.listen()
    assert (heard.hurried, heard.cut) == (True, True)
    heard.close()


# -- lag -------------------------------------------------------------------------------------


def test_the_lag_is_the_same_for_all_who_ask_and_is_forgotten() -> None:
    meter = LagMeter()
    meter.arrived(10.0)
    meter.expect(10.1)
    assert meter.read(10.3) == 0.2  # overdue now
    meter.arrived(10.6)
    assert meter.read(10.6) == meter.read(10.6) == 0.5
    for tenth in range(107, 130):
        meter.expect(tenth / 10)
        meter.arrived(tenth / 10)
    assert meter.read(12.9) == 0
