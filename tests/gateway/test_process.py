"""What a gateway process says to its supervisor, and hears from it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from propylon.gateway.metrics.snapshot import from_wire
from propylon.gateway.process import EXIT_OUTLIVED, SupervisorChannel
from propylon.gateway.settings import (
    GatewaySettings,
    ListenerSettings,
    LogSettings,
    PoolSettings,
    RouteSettings,
    ServeSettings,
)
from propylon.protocol.supervision.messages import (
    GatewayAlive,
    GatewayDraining,
    GatewayFailed,
    LinkedWorker,
    Listening,
    PoolWorkers,
)

from .gateway_process import GatewayProcess

FAILS = """
import sys, trio
from propylon.gateway import process
from propylon.protocol.supervision.messages import Listening

async def fail():
    raise OSError("the disk is gone")

async def run_gateway(settings, report, wait_for_stop, *_):
    if STARTED:
        report(Listening())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail)

process.run_gateway = run_gateway
sys.exit(process.main())
"""


HANGS = """
import sys, time
from propylon.gateway import process
from propylon.protocol.supervision.messages import Listening

async def run_gateway(settings, report, wait_for_stop, *_):
    report(Listening())
    time.sleep(60)

process.run_gateway = run_gateway
process.OUTLIVE = 0.3
sys.exit(process.main())
"""


def run(
    code: str, settings: GatewaySettings, channel: str = "--channel-fd"
) -> tuple[int, list[dict[str, object]], str]:
    """Exit code, what was said on the channel, and the log."""
    read, write = os.pipe()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.write(write, msgspec.json.encode(settings))
        os.close(write)
        fds = (f"--settings-fd={read}", f"{channel}={theirs.fileno()}")
        ended = subprocess.run(
            [sys.executable, "-c", code, *fds],
            pass_fds=(read, theirs.fileno()),
            stderr=subprocess.PIPE,
            text=True,
            timeout=20,
        )
        os.close(read)
        theirs.close()
        with ours.makefile() as lines:
            return ended.returncode, [json.loads(line) for line in lines], ended.stderr


def settings(run_dir: Path, access_log: str = "") -> GatewaySettings:
    (run_dir / "default").mkdir()
    return GatewaySettings(
        gateway=1,
        run_dir=str(run_dir),
        listeners=(),
        pools=(PoolSettings(),),
        routes=(),
        log=LogSettings(access_log=access_log),
    )


@pytest.mark.parametrize("started", [False, True])
def test_a_failure(tmp_path: Path, started: bool) -> None:
    code, said, log = run(f"STARTED = {started}\n{FAILS}", settings(tmp_path))
    assert code == 1
    if started:
        assert said == [{"event": "listening"}]
        assert "the gateway failed" in log
        assert "Traceback" in log
        assert "OSError: the disk is gone" in log
    else:
        assert said == [{"event": "failed", "error": "the disk is gone"}]
        assert log == ""


def test_a_supervisor_of_the_version_before_can_start_it(tmp_path: Path) -> None:
    code, said, _ = run(f"STARTED = True\n{FAILS}", settings(tmp_path), "--leash-fd")
    assert (code, said) == (1, [{"event": "listening"}])


@pytest.mark.slow
def test_a_gateway_that_hangs_does_not_outlive_its_supervisor_for_long(tmp_path: Path) -> None:
    told = replace(settings(tmp_path), serve=ServeSettings(graceful_timeout=0.5))
    one = GatewayProcess(told, tmp_path / "log", (), ("-c", HANGS))
    one.event("listening")
    with pytest.raises(subprocess.TimeoutExpired):
        one.process.wait(1.5)
    begun = time.monotonic()
    one.channel.close()
    assert one.process.wait(20) == EXIT_OUTLIVED
    assert time.monotonic() - begun > 0.7
    assert "hangs and has no supervisor" in one.log.read_text()
    assert "in run_gateway" in one.log.read_text()


@contextmanager
def narrow() -> Iterator[tuple[SupervisorChannel, socket.socket]]:
    """A channel that is soon full, and the supervisor's end."""
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    ours.settimeout(20)
    channel = SupervisorChannel(theirs.detach())
    with ours, channel.sock:
        yield channel, ours


def read(supervisor: socket.socket, until: str) -> list[dict[str, Any]]:
    """Whole lines, up to the event."""
    data = b""
    while f'"{until}"'.encode() not in data or not data.endswith(b"\n"):
        more = supervisor.recv(65_536)
        assert more, "the event did not come"
        data += more
    return [json.loads(line) for line in data.splitlines()]


async def test_a_supervisor_that_does_not_read_for_a_while_misses_nothing_that_counts() -> None:
    """Nor is a line torn; of workers it gets the latest, and signs of life are not kept."""
    with narrow() as (channel, supervisor):
        channel.report(Listening())
        for number in range(300):
            for pool in ("api", "site"):
                channel.report(PoolWorkers(pool, (LinkedWorker("x" * 700, number),) * 8))
            channel.report(GatewayAlive())
        assert channel._channel.waiting_size < 30_000
        channel.report(GatewayDraining())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(channel.write)
            with trio.fail_after(20):
                said = await trio.to_thread.run_sync(read, supervisor, "draining")
            nursery.cancel_scope.cancel()
        assert said[0] == {"event": "listening"}
        assert said[-1] == {"event": "draining"}
        for pool in ("api", "site"):
            reports = [each["workers"] for each in said if each.get("pool") == pool]
            numbers = [workers[0]["worker"] for workers in reports]
            assert numbers == sorted(set(numbers))
            assert numbers[-1] == 299
            assert len(numbers) < 100
        assert sum(each["event"] == "alive" for each in said) < 100
        channel.report(GatewayAlive())
        assert read(supervisor, "alive") == [{"event": "alive"}]


def test_the_last_words_are_waited_for() -> None:
    with narrow() as (channel, supervisor), ThreadPoolExecutor(1) as reader:
        channel.report(PoolWorkers("api", (LinkedWorker("x" * 700),) * 1_000))
        channel.report(GatewayFailed("the disk is gone"))
        assert not channel._channel.all_said
        said = reader.submit(read, supervisor, "failed")
        channel.flush_before_exit()
        assert said.result(20)[-1] == {"event": "failed", "error": "the disk is gone"}


# -- a gateway that runs ---------------------------------------------------------------------------


@contextmanager
def gateway(told: GatewaySettings) -> Iterator[tuple[GatewayProcess, int]]:
    """One that accepts, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        told = replace(
            told,
            listeners=(ListenerSettings(fd=listener.fileno(), address="test"),),
            routes=(RouteSettings(pool="default"),),
        )
        one = GatewayProcess(told, Path(told.run_dir, "log"), (listener.fileno(),))
    try:
        one.event("listening")
        yield one, port
    finally:
        one.channel.close()
        one.process.kill()
        one.process.wait()


def waits(port: int) -> socket.socket:
    """A client whose request waits: there is no worker."""
    client = socket.create_connection(("127.0.0.1", port), 20)
    client.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    return client


@pytest.mark.slow
def test_it_says_that_it_is_alive(tmp_path: Path) -> None:
    with gateway(settings(tmp_path)) as (one, _):
        one.event("alive")
        begun = time.monotonic()
        for _ in range(2):
            one.event("alive")
        assert time.monotonic() - begun > 1.0
        one.process.send_signal(signal.SIGSTOP)
        one.channel.settimeout(2.5)
        with pytest.raises(TimeoutError):
            one.event("never")


def test_sigquit_shows_its_stacks_and_it_goes_on(tmp_path: Path) -> None:
    with gateway(settings(tmp_path)) as (one, _):
        one.process.send_signal(signal.SIGQUIT)
        deadline = time.monotonic() + 20
        while "(most recent call first)" not in one.log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        one.event("alive")
        one.event("alive")


@pytest.mark.slow
def test_sigterm_means_a_drain_however_often_it_comes(tmp_path: Path) -> None:
    with gateway(settings(tmp_path)) as (one, port), waits(port) as client:
        one.event("alive")
        one.process.terminate()
        one.event("draining")
        for _ in range(3):
            one.process.terminate()
            one.event("alive")
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)


@pytest.mark.parametrize("drains", [True, False], ids=["draining", "serving"])
def test_at_once_is_said_on_the_channel(tmp_path: Path, drains: bool) -> None:
    with gateway(settings(tmp_path)) as (one, port), waits(port):
        if drains:
            one.process.terminate()
            one.event("draining")
        one.channel.sendall(b"no")
        one.event("alive")
        one.channel.sendall(b"w\n")
        assert one.process.wait(20) == 0


def test_logs_are_opened_again(tmp_path: Path) -> None:
    names = ("access", "error")
    paths = [tmp_path / name for name in names]
    told = replace(
        settings(tmp_path),
        log=LogSettings(
            access_log=str(paths[0]), error_log=str(paths[1]), access_logformat="%(U)s"
        ),
    )

    def refused(port: int, path: str) -> None:
        with socket.create_connection(("127.0.0.1", port), 20) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n".encode())
            while client.recv(1_000):
                pass

    with gateway(told) as (one, port):
        refused(port, "/before")
        for path in paths:
            path.rename(path.with_suffix(".1"))
        one.channel.sendall(b"reopen\nconfirm 7\n")
        done = one.event("reopened")
        assert (done["token"], done["problem"]) == (7, "")
        assert paths[0].with_suffix(".1").read_text().count("\n") == 1
        assert all(path.exists() for path in paths)
        refused(port, "/after")
        one.process.terminate()
        assert one.process.wait(20) == 0
    assert paths[0].with_suffix(".1").read_text().count("\n") == 1
    assert paths[0].read_text().count("\n") == 1


# -- what it has counted ---------------------------------------------------------------------------


def counted(event: dict[str, Any], family: str) -> dict[tuple[str, ...], Any]:
    return from_wire(event["snapshot"])[f"propylon_{family}"]


def malformed(port: int) -> None:
    """A request that is refused, to the end of its connection."""
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(b"GET /secret?token=1 HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n")
        while client.recv(1_000):
            pass


def test_it_answers_with_what_it_has_counted(tmp_path: Path) -> None:
    with gateway(settings(tmp_path)) as (one, port), waits(port):
        malformed(port)
        one.channel.sendall(b"metrics 17\nmetrics\nmetrics x\nmetrics 18\n")
        first, second = one.event("metrics"), one.event("metrics")
        assert (first["token"], second["token"]) == (17, 18)
        [(labels, count)] = counted(first, "requests_total").items()
        assert (labels[:4], count) == (("", "", "GET", "400"), 1)
        assert counted(first, "connections_accepted_total") == {(): 2}
        assert counted(first, "connections")["http/1.1",] >= 1
        assert counted(first, "pool_queue_length") == {("default",): 1}
        assert counted(first, "pool_queue_oldest_seconds")["default",] > 0
        assert counted(first, "gateway_cpu_seconds_total")["1",] > 0
        assert first["failed"] == []


def test_it_may_be_told_to_count_no_requests(tmp_path: Path) -> None:
    with gateway(replace(settings(tmp_path), metrics=False)) as (one, port):
        malformed(port)
        one.channel.sendall(b"metrics 1\n")
        snapshot = one.event("metrics")["snapshot"]
        assert "propylon_requests_total" not in snapshot
        assert "propylon_pool_slots" in snapshot


@pytest.mark.parametrize("how", ["drain", "now"])
def test_its_last_word_has_everything(tmp_path: Path, how: str) -> None:
    """Also what it had counted since it was asked; and the clients that it fails at the end."""
    told = replace(settings(tmp_path), serve=ServeSettings(graceful_timeout=0.5))
    with gateway(told) as (one, port), waits(port) as client:
        malformed(port)
        one.channel.sendall(b"metrics 1\n")
        one.event("metrics")
        for _ in range(3):
            malformed(port)
        if how == "drain":
            one.process.terminate()
            assert client.recv(100).startswith(b"HTTP/1.1 503")
        else:
            one.channel.sendall(b"now\n")
        last = one.event("metrics")
        assert one.process.wait(20) == 0
        assert last["token"] == 0
        requests = counted(last, "requests_total")
        statuses = {labels[3]: count for labels, count in requests.items()}
        assert statuses == ({"400": 4, "503": 1} if how == "drain" else {"400": 4})
        failed = [(each["path"], each["status"], each["pool"]) for each in last["failed"]]
        assert failed == ([("/", 503, "default")] if how == "drain" else [])
        with pytest.raises(AssertionError):
            one.event("metrics")
