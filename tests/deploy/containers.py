"""Single containers of our images, run by podman for a test: with whatever limits it names."""

import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.end_to_end.server import DEADLINE, wait_for

from .images import LIMITS, built_images

PREFIX = "propylon-limits-"
RUN = ["podman", "--runtime", "runc", "run", "--detach", "--network", "host"]
RUN += [*LIMITS, "--no-healthcheck"]


class Container:
    """A container that runs, or has ended."""

    def __init__(self, name: str) -> None:
        self.name = name

    def podman(self, verb: str, *words: str) -> str:
        """What `podman VERB NAME` wrote."""
        command = ["podman", verb, *words, self.name]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=True
        ).stdout.strip()

    def propylon(self, *words: str) -> str:
        """What a command of Propylon wrote that ran inside; "" if it failed."""
        command = ["podman", "exec", self.name, "propylon", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout

    def log(self) -> str:
        """All that it has written, of both streams."""
        command = ["podman", "logs", self.name]
        ran = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
        )
        return ran.stdout

    def says(self, text: str) -> None:
        """Waits until its log has a text. Fails if it has ended without."""

        def look() -> bool:
            running = self.podman("inspect", "--format", "{{.State.Running}}") == "true"
            found = text in self.log()
            assert found or running, f"it ended without {text!r}:\n{self.log()}"
            return found

        wait_for(look, text)

    def status(self) -> dict[str, Any]:
        return json.loads(self.propylon("status", "--json") or "{}")

    def exit_code(self) -> int:
        return int(self.podman("wait"))

    def stop(self) -> int:
        self.podman("stop", "--time", str(int(DEADLINE)))
        return self.exit_code()


@contextmanager
def containers() -> Iterator["Containers"]:
    """Starts containers, and removes them at the end. Skips the test where there is no podman."""
    with ExitStack() as stack:
        yield Containers(built_images(), stack)


class Containers:
    def __init__(self, images: dict[str, str], stack: ExitStack) -> None:
        self._images, self._stack = images, stack

    def start(self, target: str, folder: Path, *words: str, options: str = "") -> Container:
        """A container of the image for a target, with `folder` as /app, and `words` for its
        entry point. `options` are podman's, with spaces between them."""
        folder.chmod(0o755)
        name = PREFIX + secrets.token_hex(4)
        listeners = ["--env=PROPYLON_BIND=127.0.0.1:0", "--env=PROPYLON_ADMIN_BIND=127.0.0.1:0"]
        command = [*RUN, "--name", name, f"--volume={folder}:/app:ro", *listeners]
        command += [*options.split(), self._images[target], *words]
        self._stack.callback(_remove, name)
        # Where podman is started its monitor writes a file `oom` when the kernel kills.
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder)
        assert ran.returncode == 0, ran.stderr
        return Container(name)


def _remove(name: str) -> None:
    command = ["podman", "rm", "--force", "--time", "0", "--volumes", name]
    subprocess.run(command, capture_output=True, timeout=60)
