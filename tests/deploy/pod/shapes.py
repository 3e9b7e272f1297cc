"""The three shapes in which `deploy/` runs Propylon, as containers of a simulated pod."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import trustme

from ... import nothing_dropped
from ...end_to_end.other_proxies import free_port
from ...end_to_end.server import command, environment
from .container import Container
from .kubelet import Pod

HERE = Path(nothing_dropped.__file__).parent
MARGIN = 4.0
"""Seconds beyond the graceful timeout that a pod's containers get. The page says 20, of which an
app that is slow to shut down would take 12; the one here is not."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What the chart's values say, as far as the end of a pod depends on it."""

    shape: str = "all-in-one"
    """`all-in-one`, `native-sidecar` or `classic-sidecar`."""
    delay: float = 1.5
    """`drain.delay`."""
    graceful: float = 8.0
    """`drain.graceful`."""
    workers: int = 2
    gateways: int = 1
    app: str = "apps.asgi:app"
    grace: float | None = None
    """`terminationGracePeriodSeconds`; None: computed."""
    options: Sequence[str] = ()
    """More of the gateway's."""
    pre_stop: Sequence[str] = ()
    """A verb of `propylon`, for the container that faces clients."""
    late: str = ""
    """The container whose SIGTERM comes late, and `late_by` how many seconds."""
    late_by: float = 0.0
    ignores_sigterm: bool = False
    """The app's container does."""
    liveness: bool = False
    tls: bool = False

    @property
    def grace_period(self) -> float:
        """The rule of docs/KUBERNETES-DRAIN.md."""
        if self.grace is not None:
            return self.grace
        return self.graceful + self.late_by + MARGIN


class Ground:
    """The folder of a case: the app's code, its record, and a folder for each pod."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.record = folder / "record"
        (folder / "code").write_text(json.dumps({"version": 1, "fault": None}))
        self._pods = 0

    @cached_property
    def authority(self) -> trustme.CA:
        return trustme.CA()

    @cached_property
    def tls_options(self) -> list[str]:
        chain, key = self.folder / "chain.pem", self.folder / "key.pem"
        issued = self.authority.issue_cert("127.0.0.1")
        key.write_bytes(issued.private_key_pem.bytes())
        chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        return ["--certfile", str(chain), "--keyfile", str(key)]

    @property
    def environment(self) -> dict[str, str]:
        return environment(
            NOTHING_DROPPED_CODE=str(self.folder / "code"),
            NOTHING_DROPPED_RECORD=str(self.record),
        )

    def pod(self, manifest: Manifest) -> Pod:
        self._pods += 1
        name = f"pod-{self._pods}"
        folder = self.folder / name
        folder.mkdir()
        port = free_port()
        containers = [
            replace(each, sigterm_after=manifest.late_by if each.name == manifest.late else 0.0)
            for each in SHAPES[manifest.shape](self, folder, port, manifest)
        ]
        return Pod(name, containers, port, manifest.grace_period, probes_liveness=manifest.liveness)

    def logs(self) -> str:
        return "\n".join(
            f"--- {log.relative_to(self.folder)}\n{log.read_text('utf-8', 'replace')}"
            for log in sorted(self.folder.glob("pod-*/*.log"))
        )


def _container(ground: Ground, folder: Path, name: str, words: Sequence[str]) -> Container:
    return Container(
        name=name,
        command=command(*words, "--run-dir", str(folder / "run")),
        environment=ground.environment,
        folder=HERE,
        log=folder / f"{name}.log",
    )


def _facing_clients(ground: Ground, port: int, manifest: Manifest) -> tuple[list[str], int]:
    """Its options, and the admin listener's port."""
    admin = free_port()
    words = [
        "-b", f"127.0.0.1:{port}", "--admin-bind", f"127.0.0.1:{admin}", "--no-access-log",
        "--drain-delay", f"{manifest.delay}", "--gateways", f"{manifest.gateways}",
        "--timeout-graceful-shutdown", f"{manifest.graceful}", *manifest.options,
    ]  # fmt: skip
    return [*words, *(ground.tls_options if manifest.tls else [])], admin


def all_in_one(ground: Ground, folder: Path, port: int, manifest: Manifest) -> list[Container]:
    words, admin = _facing_clients(ground, port, manifest)
    workers = ["--workers", f"{manifest.workers}"]
    app = _container(ground, folder, "app", ["serve", manifest.app, *workers, *words])
    return [replace(app, admin=admin)]


def _split(ground: Ground, folder: Path, port: int, manifest: Manifest) -> list[Container]:
    words, admin = _facing_clients(ground, port, manifest)
    gateway = _container(ground, folder, "gateway", ["gateway", *words])
    working = ["worker", manifest.app, "--workers", f"{manifest.workers}"]
    graceful = ["--timeout-graceful-shutdown", f"{manifest.graceful}"]
    app = _container(ground, folder, "app", [*working, *graceful])
    if manifest.ignores_sigterm:
        app = replace(app, command=[*DEAF, *app.command])
    hook = command(*manifest.pre_stop, "--run-dir", str(folder / "run"))
    return [replace(gateway, admin=admin, pre_stop=hook if manifest.pre_stop else ()), app]


DEAF = (
    sys.executable, "-c",
    "import signal, subprocess, sys\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "sys.exit(subprocess.Popen(sys.argv[1:], preexec_fn=lambda: signal.signal("
    "signal.SIGTERM, signal.SIG_DFL)).wait())",
)  # fmt: skip
"""A first process that passes no SIGTERM on, as a shell does."""


def native_sidecar(ground: Ground, folder: Path, port: int, manifest: Manifest) -> list[Container]:
    gateway, app = _split(ground, folder, port, manifest)
    return [replace(gateway, sidecar=True), app]


SHAPES: dict[str, Callable[[Ground, Path, int, Manifest], list[Container]]] = {
    "all-in-one": all_in_one,
    "native-sidecar": native_sidecar,
    "classic-sidecar": _split,
}
