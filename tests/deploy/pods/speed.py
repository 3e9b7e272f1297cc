"""What containers cost: a pod's two containers, beside the same two programs without containers.

Both sides are one gateway and one worker that meet in a directory of sockets, and both run the same
files: those of the images. On one side podman runs them as it runs every pod here, with an overlay
file system, namespaces, a control group, seccomp and a volume for the sockets. On the other side
each is started in a copy of its image's files by chroot(8), as the same user, with the same
arguments and variables, and finds /proc, /dev and the sockets by bind mounts; nothing else of a
container is there.

All is up at the same time and only one side has load, in turn, each round beginning with the other.
So whatever else the machine does meets both, and the ratio of a round says more than its rates.
But it does not meet both alike: the scheduler gives all containers together what it gives to one
process outside. Measure on a machine that does nothing else.
"""

import asyncio
import json
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...bench.closed_loop import HELLO, Requests
from ...bench.servers import Ground, Server
from ...compare.processes import die_with_parent
from ...end_to_end.server import DEADLINE
from ..images import LoadImages
from ..load import new_ground
from .machine import Podman, run
from .manifest import Plan
from .pod import Pod
from .replacements import free_ports

CONNECTIONS = 32
APPS = {
    "hello": ("hello:app", HELLO),
    "FastAPI": ("app:app", b'{"hello":"world"}'),
}
"""Name -> module:attribute in the app's image, and what it answers to /."""
ENTER = (
    'for each in proc dev; do mount --rbind /$each "$1/$each"; done; '
    'mount --bind "$2" "$1/run/propylon"; root="$1"; shift 2; '
    'exec chroot --userspec=65532:65532 "$root" env -i -C /app "$@"'
)
"""Becomes a program in a root directory of its own: ROOT, the directory of sockets, variables and
a command."""


def missing() -> str:
    """What is not installed, and the command that brings it; "" if all is here."""
    return "" if shutil.which("wrk") else "needs wrk: apt-get install wrk"


@dataclass
class Comparison:
    app: str
    plain: list[float] = field(default_factory=list)
    """Requests per second without containers, of each round."""
    contained: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """In containers, of what it is without them."""
        return [one / other for one, other in zip(self.contained, self.plain, strict=True)]

    @property
    def row(self) -> str:
        plain, contained, ratio = map(statistics.median, (self.plain, self.contained, self.ratios))
        return (
            f"| {self.app} | {plain:.0f} | {contained:.0f} | {ratio:.3f} |"
            f" {min(self.ratios):.3f} to {max(self.ratios):.3f} |"
        )


HEAD = """\
| app | without containers, requests/s | in two containers | ratio | of single rounds |
|---|---|---|---|---|"""


def compare(
    app: str, podman: Podman, images: LoadImages, folder: Path, *, rounds: int, seconds: int
) -> Comparison:
    """Medians are over so many rounds of so many seconds for each side. The folder is empty.
    Raises `Wrong` if a response is not the expected one."""
    module, expected = APPS[app]
    load = Requests(connections=CONNECTIONS, expected=expected)
    state = new_ground(folder / "state").folder
    plan = Plan("native-sidecar", module, workers=1)
    pods = [Pod(podman, images, plan, name, free_ports(), state) for name in ("in", "out")]
    servers = [Server(Ground(folder=folder, app=app, port=pod.ports.http)) for pod in pods]
    found = Comparison(app)
    sides = list(zip((found.contained, found.plain), servers, strict=True))
    try:
        asyncio.run(pods[0].start())
        with without_containers(pods[1], folder):
            for _, server in sides:
                load.warm_up(server, 1)
            for number in range(rounds):
                for rates, server in sides if number % 2 else reversed(sides):
                    rates.append(load.measure(server, seconds)["rate"])
    finally:
        asyncio.run(pods[0].remove())
    return found


@contextmanager
def without_containers(pod: Pod, folder: Path) -> Iterator[None]:
    """Runs what the pod's manifest says, as long as the block runs."""
    sockets = folder / "sockets"
    sockets.mkdir()
    shutil.chown(sockets, 65532, 65532)
    processes = []
    log = folder / "log"
    try:
        for container in pod.manifest["spec"]["containers"]:
            root = folder / container["name"]
            _copy_files(container["image"], root)
            image = json.loads(run("podman", "image", "inspect", container["image"]).stdout)[0]
            with log.open("ab") as output:
                processes.append(_start(container, image["Config"], root, sockets, output))
        _until_ready(pod, processes, log)
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(DEADLINE)


def _start(
    container: dict[str, Any], image: dict[str, Any], root: Path, sockets: Path, output: Any
) -> subprocess.Popen[bytes]:
    variables = [*image["Env"], *(f"{each['name']}={each['value']}" for each in container["env"])]
    command = [*variables, *image["Entrypoint"], *container["args"]]
    return subprocess.Popen(
        ["unshare", "--mount", "sh", "-euc", ENTER, "sh", root, sockets, *command],
        stdout=output, stderr=output, preexec_fn=die_with_parent,
    )  # fmt: skip


def _until_ready(pod: Pod, processes: list[subprocess.Popen[bytes]], log: Path) -> None:
    end = time.monotonic() + DEADLINE
    while not asyncio.run(pod.is_ready()):
        ended = [each for each in processes if each.poll() is not None]
        if ended or time.monotonic() > end:
            raise RuntimeError(f"it is not ready\n{log.read_text()}")
        time.sleep(0.05)


def _copy_files(image: str, root: Path) -> None:
    """The files of an image, with their owners and modes."""
    root.mkdir()
    root.chmod(0o755)
    container = run("podman", "create", image).stdout.strip()
    archive = root.with_suffix(".tar")
    try:
        run("podman", "export", "-o", str(archive), container)
        run("tar", "--same-owner", "-xpf", str(archive), "-C", str(root))
    finally:
        archive.unlink(missing_ok=True)
        run("podman", "rm", "-v", container, check=False)
