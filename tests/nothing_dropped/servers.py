"""A contestant's processes: started, found, signalled, and ended without a rest."""

import asyncio
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from ..bench.processes import die_with_parent, end_all, reap
from ..end_to_end.other_proxies import free_port
from ..end_to_end.server import command_line, descendants, environment, stat, with_no_such
from .clients import get
from .http_client import ClosedIdle, Connection
from .tally import Failed
from .variants import Settings

HERE = Path(__file__).parent
BOOT = 30.0
"""Seconds to the first answer."""
MARGIN = 8.0
"""Seconds beyond the graceful timeout in which a stopped server must have ended."""
LEFT = 3.0
"""Seconds that its other processes may take to follow."""


class DidNotStart(Exception):
    """With the end of its log."""


@dataclass
class Ground:
    """What one start of a contestant has to itself."""

    folder: Path
    settings: Settings
    port: int = field(default_factory=free_port)
    version: int = 0

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

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


class Server:
    """A contestant that runs. Its first process takes the signals, its last faces the clients."""

    def __init__(self, commands: list[list[str]], ground: Ground, stop_signals: list[int]) -> None:
        self.commands, self.ground, self.stop_signals = commands, ground, stop_signals
        self.processes: list[subprocess.Popen[bytes]] = []
        self.main = 0
        """The pid that takes signals; an upgrade may change it."""

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self.ground.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=HERE,
                env=self.ground.environment,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    async def start(self) -> None:
        """Raises DidNotStart."""
        self.processes = [self._spawn(command) for command in self.commands]
        self.main = self.processes[0].pid
        end = time.monotonic() + BOOT
        while (fault := await trouble(self.ground.address)) is not None:
            ended = [process for process in self.processes if process.poll() is not None]
            if ended or time.monotonic() > end:
                raise DidNotStart(f"{fault}\n{self.log()}")
            await asyncio.sleep(0.05)

    def log(self, lines: int = 12) -> str:
        text = (self.ground.folder / "log").read_text("utf-8", "replace")
        return "\n".join(text.splitlines()[-lines:])

    def append_to_log(self, words: bytes) -> None:
        with (self.ground.folder / "log").open("ab") as log:
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
                raise Failed("does not stop", f"{process.args}\n{self.log()}")
            await asyncio.sleep(0.02)
        if pid == process.pid and process.returncode not in (0, -signal.SIGTERM):
            raise Failed("stopped badly", f"exit code {process.returncode}\n{self.log()}")

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
