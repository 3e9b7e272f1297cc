"""A contestant's processes: started, found, signalled, and ended without a rest."""

import asyncio
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from ..compare import ground as grounds
from ..compare import server as servers
from ..compare.processes import end_all, reap
from ..compare.strict_client import ClosedIdle, Connection, Failed
from ..end_to_end.server import command_line, descendants, environment, stat, with_no_such
from .clients import get
from .variants import Settings

HERE = Path(__file__).parent
BOOT = 30.0
"""Seconds to the first answer."""
MARGIN = 8.0
"""Seconds beyond the graceful timeout in which a stopped server must have ended."""
LEFT = 3.0
"""Seconds that its other processes may take to follow."""


@dataclass(kw_only=True)
class Ground(grounds.Ground):
    settings: Settings
    version: int = 0

    @property
    def record(self) -> Path:
        return self.folder / "record"

    def deploy(self, fault: str | None = None) -> int:
        """New code: the next version. Written beside and moved: nobody reads half of it."""
        self.version += 1
        new = self.folder / "code.new"
        new.write_text(json.dumps({"version": self.version, "fault": fault}))
        new.replace(self.folder / "code")
        return self.version

    @property
    def environment(self) -> dict[str, str]:
        return environment(
            NOTHING_DROPPED_CODE=str(self.folder / "code"),
            NOTHING_DROPPED_RECORD=str(self.record),
        )


class Server(servers.Server):
    ground: Ground

    def __init__(self, commands: list[list[str]], ground: Ground, stop_signals: list[int]) -> None:
        super().__init__(ground)
        self.commands, self.stop_signals = commands, stop_signals
        self.main = 0
        """The pid that takes signals; an upgrade may change it."""

    async def start(self) -> None:
        """Once more, if it was stopped. Raises DidNotStart."""
        self.processes = []
        for command in self.commands:
            self.spawn(command, HERE, self.ground.environment)
        self.main = self.processes[0].pid
        end = time.monotonic() + BOOT
        while (fault := await trouble(self.ground.address)) is not None:
            self.check_start(fault, time.monotonic() > end)
            await asyncio.sleep(0.05)

    def append_to_log(self, words: bytes) -> None:
        with self.ground.log.open("ab") as log:
            log.write(words)

    def signal(self, number: int) -> None:
        """To the supervisor."""
        with_no_such(os.kill, self.main, number)

    def family(self) -> list[int]:
        """Pids of all its processes. There is one contestant at a time."""
        return list(descendants(os.getpid()))

    def find(self, words: str) -> list[int]:
        return [pid for pid in self.family() if words in command_line(pid)]

    async def stop(self) -> None:
        """Gracefully, whoever faces the clients first. Raises Failed if it ends badly, or never."""
        for process, number in reversed(list(zip(self.processes, self.stop_signals, strict=True))):
            if process is self.processes[0]:
                self.signal(number)
                await self._gone(process, self.main)
            else:
                process.send_signal(number)
                await self._gone(process, process.pid)

    async def _gone(self, process: subprocess.Popen[bytes], pid: int) -> None:
        began = time.monotonic()
        while process.poll() is None or stat(pid):
            if pid != process.pid:
                reap([pid])
            if time.monotonic() > began + self.ground.settings.graceful + MARGIN:
                raise Failed("does not stop", f"{process.args}\n{self.log_end()}")
            await asyncio.sleep(0.02)
        if pid == process.pid and process.returncode not in (0, -signal.SIGTERM):
            raise Failed("stopped badly", f"exit code {process.returncode}\n{self.log_end()}")

    async def lose_supervisor(self) -> None:
        """SIGKILL for it alone. Raises Failed if its children go on without it."""
        self.signal(signal.SIGKILL)
        self.processes[0].wait()
        await self.all_gone(self.ground.settings.graceful + MARGIN)

    async def all_gone(self, within: float = LEFT) -> None:
        """Raises Failed if processes outlive the server."""
        end = time.monotonic() + within
        while left := self.family():
            if time.monotonic() > end:
                raise Failed("processes left after the stop", "; ".join(map(command_line, left)))
            await asyncio.sleep(0.05)

    def end(self) -> list[str]:
        """At once, whatever state it is in. Returns the command lines of what was left."""
        lines = end_all()
        for process in self.processes:
            process.wait(5)
        return lines


async def trouble(address: tuple[str, int]) -> str | None:
    """What is wrong with an answer on a new connection; None: nothing."""
    try:
        connection = await Connection.open(address)
        try:
            await connection.ask(get("/quick?n=first", "Connection: close"))
            response = await connection.head()
            await connection.read()
        finally:
            connection.close()
    except (Failed, ClosedIdle) as error:
        return repr(error)
    return None if response.status == 200 else response.what
