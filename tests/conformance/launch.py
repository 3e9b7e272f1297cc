"""One start of a server by its command, and its end."""

import os
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

from ..compare.ground import Ground
from ..compare.processes import die_with_parent
from ..end_to_end.server import descendants, environment, stat
from .target import Target

ROOT = Path(__file__).parents[2]
START, STOP = 20.0, 12.0
"""Seconds for either."""
Interface = Literal["asgi", "wsgi"]


class DidNotStart(Exception):
    """With the end of its log."""


class Launch:
    """A server that has been told to start. `command` and `tls` as in `servers.py`."""

    def __init__(
        self, folder: Path, interface: Interface, command: str, app: str = "", tls: str = ""
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ground = Ground(folder=folder, tls=bool(tls))
        self.interface: Interface = interface
        self.answered = False
        """Whether a request was answered."""
        self.address = self.ground.address
        self._app = app or f"tests.conformance.probe:{interface}"
        chain, key = self.ground.certificate if tls else ("", "")
        text = f"{command} {tls}".format(
            app=self._app, port=self.ground.port, folder=folder, python=sys.executable,
            chain=chain, key=key,
        )  # fmt: skip
        self.notes = folder / "notes"
        """A file that an app of a check of lifespans may write to."""
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        variables = environment(PYTHONPATH=paths, CONFORMANCE_NOTES=str(self.notes))
        with self.ground.log.open("ab") as log:
            self.process = subprocess.Popen(
                shlex.split(text), cwd=folder, env=variables, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, preexec_fn=die_with_parent,
            )  # fmt: skip

    def __enter__(self) -> "Launch":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def wait_for_port(self) -> None:
        """Until it accepts connections. Raises DidNotStart."""
        until = time.monotonic() + START
        while not self.accepts():
            if self.process.poll() is not None or time.monotonic() > until:
                raise DidNotStart(f"{self._app}: {self.log()[-1500:]}")
            time.sleep(0.02)

    def accepts(self) -> bool:
        try:
            socket.create_connection(self.address, 1.0).close()
        except OSError:
            return False
        return True

    def log(self) -> str:
        return self.ground.log.read_text("utf-8", "replace")

    def noted(self) -> list[str]:
        return self.notes.read_text().splitlines() if self.notes.exists() else []

    def target(self, *, faulty: bool = False) -> Target:
        context, certificate = None, ""
        if self.ground.tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            certificate = Path(self.ground.certificate[0]).read_text()
        return Target(self.address, self.interface, context, self.log, faulty, certificate)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = STOP) -> bool:
        """Whether it ends in time."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """Politely first, and then all that it has started."""
        family = [self.process.pid, *descendants(self.process.pid)]
        if self.process.poll() is None:
            self.terminate()
            self.wait(2.0)
        for pid in family:
            if stat(pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        self.process.wait()
