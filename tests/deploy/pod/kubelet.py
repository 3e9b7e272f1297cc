"""Kubelet: starts a pod's containers, probes them, starts them anew, and ends them in its order."""

import asyncio
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from .container import Container
from .timeline import Timeline, until

MINIMUM_GRACE = 2.0
"""Seconds that every container has between SIGTERM and SIGKILL (kubelet's
`minimumGracePeriodInSeconds`)."""
PROBE_EVERY = 0.1
PROBE_TIMEOUT = 1.0
LIVENESS_FAILURES = 3
LIVENESS_EVERY = 0.5
RESTART_AFTER = 0.1
"""Seconds; kubelet's first restart is at once, the next after 10 seconds."""


@dataclass(eq=False)
class Pod:
    name: str
    containers: Sequence[Container]
    """In the order of the manifest: native sidecars, which are init containers, first."""
    port: int
    """Where it serves."""
    grace: float
    """`terminationGracePeriodSeconds`."""
    timeline: Timeline = field(default_factory=Timeline)
    ready: bool = False
    terminating: bool = False
    probes_liveness: bool = False
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def container(self, name: str) -> Container:
        return next(each for each in self.containers if each.name == name)

    # -- its life ----------------------------------------------------------------------------

    async def start(self) -> None:
        """Native sidecars one after the other, each up to its startup probe; then the others."""
        self.watch_readiness()
        for container in self.containers:
            container.start(self.timeline)
            self._tasks.append(asyncio.ensure_future(self._keep(container)))
            if self.probes_liveness and container.admin is not None:
                self._tasks.append(asyncio.ensure_future(self._probe_liveness(container)))
            if container.sidecar:
                await self._started(container)

    def watch_readiness(self) -> None:
        self._tasks.append(asyncio.ensure_future(self._probe_readiness()))

    async def until_ready(self) -> None:
        await until(lambda: self.ready, f"{self.name} is ready")

    async def _started(self, container: Container) -> None:
        """A sidecar's startup probe. It asks for life: readiness would need the workers, whose
        container is started only afterwards."""
        async with httpx.AsyncClient(trust_env=False) as client:
            await until(lambda: container.asks(client, "/livez"), f"{container.name} has started")
        self.timeline.say(container.name, "startup probe succeeds")

    async def _keep(self, container: Container) -> None:
        """`restartPolicy: Always`."""
        while await container.wait():
            if container.stopped or self.terminating:
                return
            self.timeline.say(container.name, f"exits with {container.exit_code}")
            await asyncio.sleep(RESTART_AFTER)
            if not self.terminating:
                container.start(self.timeline)

    async def _probe_readiness(self) -> None:
        probed = [each for each in self.containers if each.admin is not None]
        async with httpx.AsyncClient(timeout=PROBE_TIMEOUT, trust_env=False) as client:
            while True:
                answers = [await each.asks(client, "/readyz") for each in probed]
                ready = all(answers)
                if ready != self.ready:
                    self.ready = ready
                    self.timeline.say("pod", "is ready" if ready else "is not ready")
                await asyncio.sleep(PROBE_EVERY)

    async def _probe_liveness(self, container: Container) -> None:
        failures = 0
        async with httpx.AsyncClient(timeout=PROBE_TIMEOUT, trust_env=False) as client:
            while not self.terminating:
                await asyncio.sleep(LIVENESS_EVERY)
                alive = await container.asks(client, "/livez")
                failures = 0 if alive else failures + 1
                if failures == LIVENESS_FAILURES and not self.terminating:
                    self.timeline.say(container.name, "liveness probe has failed")
                    await self._stop(container, self.grace)
                    failures = 0

    # -- its end -----------------------------------------------------------------------------

    async def terminate(self) -> None:
        """Returns when every container has ended."""
        self.timeline.begin()
        self.terminating = True
        self.timeline.say("pod", "is deleted")
        await asyncio.gather(*map(self._kill, self.containers))
        self.timeline.say("pod", "is gone")
        await self.forget()

    async def forget(self) -> None:
        """No more probes and restarts."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def destroy(self) -> None:
        """At once, whatever state it is in."""
        for container in self.containers:
            container.kill()
            if container.process is not None:
                container.process.wait(10)

    async def _kill(self, container: Container) -> None:
        """The numbers are those of the package's page."""
        container.stopped = True
        grace = self.grace
        if container.pre_stop:  # 1
            grace -= await self._pre_stop(container, grace)
        if container.sidecar and grace > 0:  # 2
            grace -= int(await self._turn(container, grace))
        await asyncio.sleep(container.sigterm_after)
        await self._stop(container, grace)
        container.ended.set()

    async def _pre_stop(self, container: Container, most: float) -> float:
        """Runs the hook. Returns the seconds that it took."""
        self.timeline.say(container.name, "preStop begins")
        began = time.monotonic()
        hook = await asyncio.create_subprocess_exec(
            *container.pre_stop, env=dict(container.environment), cwd=container.folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(most):
                await hook.wait()
        except TimeoutError:
            hook.kill()
            await hook.wait()
        self.timeline.say(container.name, "preStop ends")
        return time.monotonic() - began

    async def _turn(self, container: Container, most: float) -> float:
        """Waits for a native sidecar's turn. Returns the seconds that it took."""
        later = self.containers[self.containers.index(container) + 1 :]
        before = [each for each in self.containers if not each.sidecar or each in later]
        began = time.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(most):
                for each in before:
                    await each.ended.wait()
        return time.monotonic() - began

    async def _stop(self, container: Container, grace: float) -> None:
        if container.process is None or container.process.poll() is not None:
            return
        self.timeline.say(container.name, "gets SIGTERM")
        container.signal(15)
        if not await container.wait(max(grace, MINIMUM_GRACE)):  # 3, 4
            self.timeline.say(container.name, "gets SIGKILL")
            await container.end_now()
        self.timeline.say(container.name, f"exits with {container.exit_code}")
