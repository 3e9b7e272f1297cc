"""A contestant under load: started for one app, watched, ended without a rest."""

import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from ..compare import ground as grounds
from ..compare import server as servers
from ..compare.ground import Commands
from ..compare.processes import cpu_seconds, end, memory, role
from ..end_to_end.server import environment, stat

APPS = Path(__file__).parent / "apps"
BOOT = 40.0
"""Seconds to answer the first request; sixty-four pools take a while."""
GRACE = 10.0
"""Seconds that a stop may take before it is a kill: the load has ended by then."""


@dataclass(kw_only=True)
class Ground(grounds.Ground):
    app: str
    """module:attribute, below `apps`."""

    @property
    def wsgi(self) -> bool:
        return self.app.endswith(":wsgi")


class Server(servers.Server):
    """A contestant that runs."""

    ground: Ground

    @property
    def url(self) -> str:
        return self.ground.url

    def cpu(self) -> dict[int, float]:
        """Seconds used so far by each process."""
        return {pid: cpu_seconds(pid) for pid in self.pids()}

    def resident(self) -> int:
        return sum(memory(pid) for pid in self.pids())

    def trouble(self, path: str) -> str:
        """What is wrong with an answer to that path; "": nothing."""
        context = ssl._create_unverified_context() if self.ground.tls else None
        try:
            with urlopen(self.url + path, context=context, timeout=5):
                return ""
        except OSError as error:
            return str(error)

    def wait_for_answer(self, path: str) -> None:
        """Raises DidNotStart."""
        until = time.monotonic() + BOOT
        while fault := self.trouble(path):
            self.check_start(fault, time.monotonic() > until)
            time.sleep(0.05)

    def stop(self) -> None:
        """Whoever faces the clients first, and then whatever is left."""
        family = self.pids()
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        until = time.monotonic() + GRACE
        while any(map(stat, family)) and time.monotonic() < until:
            time.sleep(0.02)
        end(family)


@contextmanager
def running(
    commands: Commands, app: str, tls: bool = False, ready: tuple[str, ...] = ("/",)
) -> Iterator[Server]:
    """It, once these paths are answered with 200. Raises Absent and DidNotStart."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        folder.chmod(0o755)  # nginx's workers are another user
        ground = Ground(app=app, tls=tls, folder=folder)
        server = Server(ground)
        stack.callback(server.stop)
        env = environment(XDG_CONFIG_HOME=str(folder), XDG_DATA_HOME=str(folder))
        for command in commands(ground):
            server.spawn(command, APPS, env)
        for path in ready:
            server.wait_for_answer(path)
        yield server


def cpu_by_role(before: dict[int, float], after: dict[int, float]) -> dict[str, float]:
    """Seconds used meanwhile, of each kind of process that used any."""
    used: dict[str, float] = {}
    for pid, seconds in after.items():
        name = role(pid)
        used[name] = used.get(name, 0.0) + seconds - before.get(pid, 0.0)
    return {name: seconds for name, seconds in used.items() if seconds}
