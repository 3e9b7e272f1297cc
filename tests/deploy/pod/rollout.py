"""One step of a rolling update under load: a pod is replaced by another, and all is counted."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ...end_to_end.server import start_time
from ...nothing_dropped.trial import records
from .kubelet import Pod
from .load import Load, PodScene, new_scene
from .service import Service
from .shapes import Ground, Manifest

WARM = 1.0
"""Seconds of load before something happens, and after it."""


@dataclass(repr=False)
class Outcome:
    scene: PodScene
    pod: Pod
    """The one that was ended."""
    left: list[int] = field(default_factory=list)
    """Pids of what outlived it."""
    seconds: float = 0.0
    """From its deletion to its end."""
    logs: str = ""

    @property
    def failures(self) -> dict[tuple[str, str], int]:
        return dict(self.scene.tally.failures)

    @property
    def answers(self) -> int:
        return self.scene.tally.answers.total()

    @property
    def exit_codes(self) -> dict[str, int | None]:
        return {each.name: each.exit_code for each in self.pod.containers}

    def __repr__(self) -> str:
        tally = self.scene.tally
        seen = "\n".join(map(str, tally.seen))
        return (
            f"{self.failures}\n{seen}\nnotes: {dict(tally.notes)}\nallowed: {dict(tally.allowed)}\n"
            f"{self.pod.timeline}\n{self.logs}"
        )


@asynccontextmanager
async def cluster(
    folder: Path, *pods: Manifest, lag: float
) -> AsyncIterator[tuple[Ground, Service]]:
    """A Service with pods that are ready. Ends all that was started."""
    ground, service = Ground(folder), Service(lag)
    running = asyncio.ensure_future(service.run())
    try:
        for manifest in pods:
            service.pods.append(ground.pod(manifest))
        await asyncio.gather(*(pod.start() for pod in service.pods))
        await service.until(len(pods))
        yield ground, service
    finally:
        running.cancel()
        for pod in service.pods:
            await pod.forget()
            pod.destroy()


def family(pod: Pod) -> dict[int, str]:
    """Pid -> start time of all its processes."""
    return {pid: at for each in pod.containers for pid, at in each.family().items()}


def left_of(processes: dict[int, str]) -> list[int]:
    return [pid for pid, started in processes.items() if start_time(pid) == started]


async def replace_pod(
    folder: Path, manifest: Manifest, *, lag: float, cast: str, warm: float = WARM
) -> Outcome:
    """Deletes one of two pods, while clients are at work; for `warm` seconds before and after it
    they are only at work."""
    async with cluster(folder, manifest, manifest, lag=lag) as (ground, service):
        scene = new_scene(service, manifest.graceful)
        scene.trusted = ssl.create_default_context()
        ground.authority.configure_trust(scene.trusted)
        load = Load(scene, cast)
        await asyncio.sleep(warm)
        pod = service.pods[0]
        processes = family(pod)
        scene.watch(pod.timeline, frozenset(processes))
        await pod.terminate()
        outcome = Outcome(scene, pod, left_of(processes), pod.timeline.when("pod", "is gone"))
        await asyncio.sleep(warm)
        await load.end()
        records(scene, ground)
        outcome.logs = ground.logs()
        return outcome
