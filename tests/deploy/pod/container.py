"""A container: one command with all that it starts, which can be signalled, killed and begun again.

Its first process stands for PID 1 of a pid namespace: when that has ended, nothing of it is left.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from ...compare.processes import die_with_parent
from ...end_to_end.server import descendants, start_time, with_no_such
from .timeline import Timeline, until


@dataclass(kw_only=True)
class Container:
    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    """The working directory."""
    log: Path
    sidecar: bool = False
    """Whether it is native: an init container with `restartPolicy: Always`."""
    pre_stop: Sequence[str] = ()
    """The hook's command; none if empty."""
    sigterm_after: float = 0.0
    """Seconds that the runtime takes until SIGTERM is delivered: main containers have no order."""
    admin: int | None = None
    """The port of its admin listener, which the probes ask; None if it has no probes."""
    starts: int = 0
    exit_code: int | None = None
    """Of its last run; None while it runs."""
    process: subprocess.Popen[bytes] | None = None
    stopped: bool = False
    """Whether kubelet is ending it for good: it is not started anew."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it has ended for good."""

    def start(self, timeline: Timeline) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, env=dict(self.environment), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, preexec_fn=die_with_parent,
            )  # fmt: skip
        self.starts += 1
        self.exit_code = None
        timeline.say(self.name, "starts" if self.starts == 1 else "starts again")

    def signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def family(self) -> dict[int, str]:
        """Pid -> start time of all that is in it."""
        return {} if self.process is None else descendants(self.process.pid)

    def kill(self) -> None:
        """SIGKILL for the first process, and so for all."""
        family = self.family()
        self.signal(signal.SIGKILL)
        for pid, started in family.items():
            if start_time(pid) == started:
                with_no_such(os.kill, pid, signal.SIGKILL)

    async def end_now(self) -> None:
        """The same, and waits until nothing of it is left, as the runtime does."""
        family = self.family()
        self.kill()
        await self.wait()
        await until(
            lambda: all(start_time(pid) != started for pid, started in family.items()),
            f"the end of all that {self.name} has started",
        )

    async def wait(self, seconds: float | None = None) -> bool:
        """Whether its first process has ended within that time."""
        process = self.process
        assert process is not None
        try:
            await until(lambda: process.poll() is not None, f"the end of {self.name}", seconds)
        except TimeoutError:
            return False
        self.exit_code = process.returncode
        return True

    async def asks(self, client: httpx.AsyncClient, path: str) -> bool:
        """Whether a probe is answered well."""
        try:
            return (await client.get(f"http://127.0.0.1:{self.admin}{path}")).status_code == 200
        except httpx.HTTPError:
            return False
