"""A pod that runs: started, asked as a kubelet asks, replaced in parts, ended in its order."""

import asyncio
import json
import os
import select
import signal
import time
from pathlib import Path
from typing import Any

import yaml

from ...end_to_end.server import DEADLINE
from ..images import LoadImages
from ..probes import readiness, status, until, until_linked
from ..render import pod_spec, render
from .machine import PREFIX, Podman
from .manifest import Plan, Ports, end_of, playable, values


class Pod:
    def __init__(
        self,
        podman: Podman,
        images: LoadImages,
        plan: Plan,
        name: str,
        ports: Ports,
        state: Path,
    ) -> None:
        """`state` is a directory that its app's container gets; whoever may write there."""
        self.podman, self.shape, self.ports = podman, plan.shape, ports
        self.name = f"{PREFIX}-{name}"
        spec = pod_spec(render(values(images, plan, ports, str(state))))
        self.manifest: dict[str, Any] = playable(spec, self.name)
        self.ends = {f"{self.name}-{each}": end for each, end in end_of(spec).items()}
        self.folder = state.parent
        self._app = "app"
        self._apps = 1

    @property
    def grace(self) -> int:
        """Seconds that a kubelet would wait before SIGKILL."""
        return int(self.manifest["spec"]["terminationGracePeriodSeconds"])

    @property
    def app(self) -> str:
        """The container that runs the app now."""
        return f"{self.name}-{self._app}"

    @property
    def gateway(self) -> str:
        """The container that clients are connected to."""
        return self.app if self.shape == "all-in-one" else f"{self.name}-gateway"

    # -- as a kubelet --------------------------------------------------------------------------

    async def start(self) -> float:
        """Plays the manifest, and waits until the pod is ready. Returns the seconds it took."""
        file = self.folder / f"{self.name}.yaml"
        file.write_text(yaml.safe_dump(self.manifest))
        began = time.monotonic()
        await self.podman("kube", "play", "--replace", str(file))
        await self.until_ready()
        return time.monotonic() - began

    async def until_ready(self) -> None:
        """Until /readyz of every container answers 200."""
        admins = {self.ports.admin} | (
            set() if self.shape == "all-in-one" else {self.ports.app_admin}
        )
        for port in admins:
            await until(port, 200, self.logs)

    async def is_ready(self) -> bool:
        return await asyncio.to_thread(readiness, self.ports.admin) == 200

    async def end(self) -> dict[str, int]:
        """Ends the pod in Kubernetes' order, in its grace period. Returns the exit codes.

        preStop hooks come first, all at once. Then every container gets SIGTERM at the same time,
        but native sidecars only when all others have ended (KEP-753).
        """
        hooks = [
            self.podman("exec", container, *end.hook)
            for container, end in self.ends.items()
            if end.hook
        ]
        await asyncio.gather(*hooks)
        for native in (False, True):
            stops = [
                self.podman("stop", "-t", str(self.grace), container)
                for container, end in self.ends.items()
                if end.native == native
            ]
            await asyncio.gather(*stops)
        return {each: await self.exit_code(each) for each in self.ends}

    async def remove(self) -> None:
        # First its containers: the pod's own removal has podman start those anew that it kills.
        await self.podman("stop", "-i", "-t", "0", *{self.app, self.gateway}, check=False)
        await self.podman("pod", "rm", "-f", "-t", "0", self.name, check=False)

    # -- a container of it ---------------------------------------------------------------------

    async def restart(self, container: str) -> int:
        """As after a liveness probe that failed: SIGTERM, its end, a start in its place. Returns
        the exit code."""
        code = await self.stop(container)
        await self.podman("start", container)
        return code

    async def kill(self, container: str) -> int:
        """SIGKILL for its first process, as the OOM killer does, and with it for all others. podman
        restarts the container. Returns when no process of it runs any more, with the first's pid:
        the kernel ends the first one last (pid_namespaces(7))."""
        pid = await self.first_process(container)
        process = os.pidfd_open(pid)
        try:
            os.kill(pid, signal.SIGKILL)
            assert await asyncio.to_thread(select.select, [process], [], [], DEADLINE)
        finally:
            os.close(process)
        return pid

    async def first_process(self, container: str) -> int:
        """Its pid; 0 if the container does not run."""
        return int(await self.podman("inspect", "-f", "{{.State.Pid}}", container))

    async def until_restarted(self, container: str, pid: int) -> None:
        """`pid`: its first process before."""
        end = time.monotonic() + DEADLINE
        while await self.first_process(container) in (0, pid):
            if time.monotonic() > end:
                raise RuntimeError(f"{container} is not restarted\n{await self.logs()}")
            await asyncio.sleep(0.05)

    async def add_app(self) -> str:
        """A second container of the app beside the first, on the same volumes. Waits until its
        workers are linked, and returns the first one's name."""
        old = self.app
        self._apps += 1
        self._app = f"app-{self._apps}"
        inspected = json.loads(await self.podman("inspect", old))[0]
        env = [
            word
            for pair in inspected["Config"]["Env"]
            if pair.startswith(("PROPYLON_RUN_DIR=", "NOTHING_DROPPED"))
            for word in ("-e", pair)
        ]
        (spec,) = [each for each in self.manifest["spec"]["containers"] if each["name"] == "app"]
        await self.podman(
            "run", "-d", "--pod", self.name, "--name", self.app, "--volumes-from", old,
            "--user", inspected["Config"]["User"], "--read-only", "--cap-drop", "all",
            "--security-opt", "no-new-privileges", "--no-healthcheck", *env,
            "-e", f"PROPYLON_ADMIN_BIND=unix:/tmp/{self._app}.sock", spec["image"], *spec["args"],
        )  # fmt: skip
        await self.until_linked(2 * spec_workers(spec["args"]))
        return old

    async def until_linked(self, workers: int) -> None:
        await until_linked(self.ports.admin, workers)

    async def until_one_gateway(self) -> None:
        """Until the gateway process that was replaced has ended."""
        end = time.monotonic() + DEADLINE
        while (running := len((await asyncio.to_thread(status, self.ports.admin))["gateways"])) > 1:
            if time.monotonic() > end:
                raise RuntimeError(f"{running} gateway processes are there\n{await self.logs()}")
            await asyncio.sleep(0.05)

    async def stop(self, container: str) -> int:
        """Its exit code."""
        await self.podman("stop", "-t", str(self.grace), container)
        return await self.exit_code(container)

    async def exit_code(self, container: str) -> int:
        return int(await self.podman("inspect", "-f", "{{.State.ExitCode}}", container))

    async def logs(self) -> str:
        names = {self.app, self.gateway}
        texts = [await self.podman("logs", each, check=False) for each in sorted(names)]
        return "\n".join(texts)


def spec_workers(args: list[str]) -> int:
    (said,) = [word for word in args if word.startswith("--workers=")]
    return int(said.partition("=")[2])
