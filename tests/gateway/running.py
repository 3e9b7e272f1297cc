"""`propylon` as a real process, with its log read line by line."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

COMMAND = (sys.executable, "-c", "from propylon.gateway.cli import main; main()")
PATIENCE = 20.0
"""Seconds that anything may take on a busy machine; nothing waits so long when all is well."""


class Propylon:
    """A running `propylon serve`, or another verb."""

    def __init__(self, process: trio.Process, temporary: Path) -> None:
        self.process = process
        self.temporary = temporary
        """Where it makes its run directory, if it was given none."""
        self.log = ""
        self._more = trio.Event()

    @property
    def pid(self) -> int:
        return self.process.pid

    async def read_log(self) -> None:
        assert self.process.stderr is not None
        async for data in self.process.stderr:
            self.log += data.decode()
            self._wake()
        self.log += "\n(end of log)\n"
        self._wake()

    def _wake(self) -> None:
        self._more.set()
        self._more = trio.Event()

    async def said(self, pattern: str, times: int = 1) -> re.Match[str]:
        """The match of the log's line, as soon as it is there (so often)."""
        with trio.move_on_after(PATIENCE):
            while True:
                found = list(re.finditer(pattern, self.log))
                if len(found) >= times:
                    return found[times - 1]
                assert "(end of log)" not in self.log, f"{pattern!r} is not in\n{self.log}"
                await self._more.wait()
        raise AssertionError(f"{pattern!r} did not come in\n{self.log}")

    async def port(self) -> int:
        return int((await self.said(r"Serving on http://[^ ]*:(\d+)"))[1])

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        with trio.fail_after(PATIENCE):
            return await self.process.wait()

    def children(self) -> dict[str, int]:
        """ "gateway 1", "worker 2" -> pid, as the operating system has them."""
        found: dict[str, int] = {}
        for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            if "propylon.gateway.process" in words:
                found[f"gateway {sum('gateway' in name for name in found) + 1}"] = int(pid)
            numbers = [word.removeprefix("--worker-id=") for word in words if "worker-id" in word]
            if numbers:
                found[f"worker {numbers[0]}"] = int(pid)
        return found


@asynccontextmanager
async def propylon(
    *arguments: str | Path, cwd: Path, pass_fds: Sequence[int] = ()
) -> AsyncIterator[Propylon]:
    """Runs it in `cwd`; stopped, if it has not ended, when the block ends."""
    with tempfile.TemporaryDirectory(prefix="p") as temporary:  # a socket's path is to be short
        process = await trio.lowlevel.open_process(
            [*COMMAND, *map(str, arguments)],
            cwd=cwd,
            stderr=subprocess.PIPE,
            pass_fds=pass_fds,
            env=os.environ | {"XDG_RUNTIME_DIR": "", "TMPDIR": temporary},
        )
        async with _tended(Propylon(process, Path(temporary))) as running:
            yield running


@asynccontextmanager
async def _tended(running: Propylon) -> AsyncIterator[Propylon]:
    process = running.process
    async with trio.open_nursery() as nursery:
        nursery.start_soon(running.read_log)
        try:
            yield running
        finally:
            with trio.CancelScope(shield=True):
                if process.poll() is None:
                    process.terminate()
                    with trio.move_on_after(PATIENCE) as late:
                        await process.wait()
                    if late.cancelled_caught:
                        process.kill()
                        await process.wait()
            nursery.cancel_scope.cancel()
    assert process.stderr is not None
    await process.stderr.aclose()


async def get(port: int, path: str = "/") -> str:
    """The whole response to one GET."""
    with trio.fail_after(PATIENCE):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            request = f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
            await stream.send_all(request.encode())
            data = b""
            async for part in stream:
                data += part
    return data.decode()


async def gone(pid: int) -> None:
    """Returns when the process has ended, reaped or not."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with trio.fail_after(PATIENCE):
            await trio.lowlevel.wait_readable(pidfd)
    finally:
        os.close(pidfd)
