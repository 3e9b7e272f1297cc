"""A gateway process that fails says so: to the supervisor at its start, in the log later."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from propylon.gateway.process import Leash
from propylon.gateway.settings import GatewaySettings, LogSettings, PoolSettings

FAILS = """
import sys, trio
from propylon.gateway import process

async def fail():
    raise OSError("the disk is gone")

async def run_gateway(settings, report, wait_for_stop):
    if STARTED:
        report({"event": "listening"})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail)

process.run_gateway = run_gateway
sys.exit(process.main())
"""


def run(code: str, settings: GatewaySettings) -> tuple[int, list[dict[str, object]], str]:
    """Exit code, what was said on the leash, and the log."""
    read, write = os.pipe()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        os.write(write, msgspec.json.encode(settings))
        os.close(write)
        fds = (f"--settings-fd={read}", f"--leash-fd={theirs.fileno()}")
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


def test_a_report_that_does_not_fit_is_not_torn() -> None:
    """A supervisor that does not read for a while misses lines; what it reads is whole."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        theirs.setblocking(False)
        ours.setblocking(False)
        leash = Leash(theirs.fileno())
        data = b""
        for number in range(300):
            leash.report({"event": "workers", "number": number, "workers": ["x" * 700] * 8})
            if number % 20 == 19:
                while True:
                    try:
                        data += ours.recv(65_536)
                    except BlockingIOError:
                        break
        *lines, _ = data.split(b"\n")
        numbers = [json.loads(line)["number"] for line in lines]
    assert numbers == sorted(set(numbers))
    assert 15 <= len(numbers) < 300
