"""A contestant's processes, as far as both comparisons treat them alike."""

import subprocess
from pathlib import Path

from ..end_to_end.server import descendants
from .ground import Ground
from .processes import die_with_parent


class DidNotStart(Exception):
    """With the end of its log."""


class Server:
    """A contestant that runs. Its first process takes the signals, its last faces the clients."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.processes: list[subprocess.Popen[bytes]] = []

    def spawn(self, command: list[str], cwd: Path, environment: dict[str, str]) -> None:
        """Starts one more of its processes."""
        with self.ground.log.open("ab") as log:
            self.processes.append(
                subprocess.Popen(
                    command,
                    cwd=cwd,
                    env=environment,
                    stdout=log,
                    stderr=log,
                    preexec_fn=die_with_parent,
                )
            )

    def check_start(self, fault: str, late: bool) -> None:
        """Raises DidNotStart if it will not answer any more: one of its processes has ended, or it
        is too `late`. `fault`: what is wrong with its answer."""
        if late or any(process.poll() is not None for process in self.processes):
            raise DidNotStart(f"does not answer: {fault}\n{self.log_end()}")

    def log_end(self, lines: int = 12) -> str:
        text = self.ground.log.read_text("utf-8", "replace")
        return "\n".join(text.splitlines()[-lines:])

    def pids(self) -> list[int]:
        """Of its processes, and of all that they have started."""
        own = [process.pid for process in self.processes]
        return [*own, *(pid for one in own for pid in descendants(one))]
