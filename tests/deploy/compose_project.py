"""A project of deploy/compose that podman-compose runs, for a machine without networks of its own.

What a second file changes, as an operator would: the host's network and ports of it, the app's
state, a short graceful timeout, no access log, and limits that a container may have whose host is a
container.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import yaml

from ..end_to_end.other_proxies import free_port
from ..nothing_dropped.servers import Ground
from .images import LoadImages
from .load import DELAY, ENVIRONMENT, GRACEFUL, STATE
from .pods.machine import Podman

FOLDER = Path(__file__).parents[2] / "deploy/compose"
PODMAN_COMPOSE = shutil.which("podman-compose", path=Path(sys.executable).parent) or shutil.which(
    "podman-compose"
)
LIMITS = {"nofile": 20_000, "nproc": 4_000}


class Project:
    """Its app is that of tests/nothing_dropped, with two workers."""

    def __init__(self, podman: Podman, images: LoadImages, file: str, ground: Ground) -> None:
        """`file` is a name in deploy/compose. The ground has the app's state and the port."""
        self.podman, self.name = podman, f"propylon-compose-{os.getpid()}"
        self.admin = free_port()
        services = yaml.safe_load((FOLDER / file).read_text())["services"]
        # Where clients are received: the only service, or the gateway's.
        self.front = "gateway" if "gateway" in services else "propylon"
        changes = {name: self._changes(name, ground) for name in services}
        second = ground.folder.parent / "second.compose.yaml"
        second.write_text(yaml.safe_dump({"services": changes}))
        self._command = (PODMAN_COMPOSE or "podman-compose", "-p", self.name)
        self._command += ("-f", str(FOLDER / file), "-f", str(second))
        self._variables = {
            "PROPYLON_IMAGE": images.all_in_one,
            "PROPYLON_GATEWAY_IMAGE": images.gateway,
            "PROPYLON_APP_IMAGE": images.app,
            "PROPYLON_APP": "apps.asgi:app",
            "PROPYLON_WORKERS": "2",
        }

    def _changes(self, service: str, ground: Ground) -> dict[str, object]:
        environment = {"PROPYLON_TIMEOUT_GRACEFUL_SHUTDOWN": str(DELAY + GRACEFUL)}
        changes: dict[str, object] = {"network_mode": "host", "ulimits": LIMITS}
        if service == self.front:
            environment["PROPYLON_ACCESS_LOG"] = "false"
            environment["PROPYLON_BIND"] = f"127.0.0.1:{ground.port}"
            environment["PROPYLON_ADMIN_BIND"] = f"127.0.0.1:{self.admin}"
        if service != "gateway":
            environment |= ENVIRONMENT
            changes["volumes"] = [f"{ground.folder}:{STATE}"]
        return changes | {"environment": environment}

    async def __call__(self, *words: str) -> str:
        """What `podman-compose WORDS` wrote. Raises RuntimeError if it fails."""
        return await self.podman.run(*self._command, *words, **self._variables)

    async def containers(self, service: str = "") -> list[str]:
        """Names of those of a service, or of all, the oldest first; also of those that ended."""
        label = f"label=io.podman.compose.project={self.name}"
        listed = await self.podman(
            "ps", "-a", "--sort", "created", "--format", "json", "--filter", label
        )
        return [
            each["Names"][0]
            for each in json.loads(listed or "[]")
            if service in ("", each["Labels"]["com.docker.compose.service"])
        ]

    async def is_healthy(self, container: str) -> bool:
        """What its own health check says now; podman without systemd runs none by itself."""
        try:
            await self.podman("healthcheck", "run", container)
        except RuntimeError:
            return False
        return True

    async def exit_code(self, container: str) -> int:
        return int(await self.podman("inspect", "-f", "{{.State.ExitCode}}", container))

    async def logs(self) -> str:
        return "\n".join([await self.podman("logs", each) for each in await self.containers()])

    async def remove(self) -> None:
        """All of it, whatever state it is in."""
        containers = await self.containers()
        if containers:
            await self.podman("stop", "-t", "0", *containers, check=False)
            await self.podman("rm", "-f", "-v", *containers, check=False)
        await self.podman("pod", "rm", "-f", f"pod_{self.name}", check=False)
        listing = ("volume", "ls", "-q", "--filter", f"name={self.name}_")
        for volume in (await self.podman(*listing)).split():
            await self.podman("volume", "rm", "-f", volume, check=False)
