"""What is replaced under load, and what it may cost: nothing, but for the two crashes.

Each kind is a function of a `Stage`; its docstring is the table's row. The clients are those of
`tests.deploy.load`. They reach the pods through a proxy that plays the Service.

**What a kill may cost.** The kernel ends what the dead processes held, and nobody can give it back:

- of the app's container: what its workers had begun. What is sent when they are dead waits in the
  gateway for their successors, so it must not fail;
- of the gateway's container: the connections that it held. Then the Service goes on to send it new
  ones until it has looked twice, as kube-proxy does until the endpoint is withdrawn; those are
  closed without an answer. From then on nothing may fail.

The test knows both moments: when the last process was dead, and when HAProxy says that the pod is
down (or it is ready again, if that comes first).
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...end_to_end.other_proxies import free_port
from ...nothing_dropped.tally import Allows, Tally
from ...nothing_dropped.trial import records
from ...nothing_dropped.variants import DEAD_GATEWAY, DEAD_WORKER, Allowed, Settings, Variant
from ..images import LoadImages
from ..load import LoadScene, failures, new_ground, new_scene, under_load
from .machine import PATIENCE, Podman
from .manifest import Plan, Ports
from .pod import Pod
from .service import Service


@dataclass
class Stage:
    """A pod that serves behind the Service, room for a second one, and who is connected."""

    first: Pod
    second: Pod
    service: Service
    scene: LoadScene
    exits: dict[str, int] = field(default_factory=dict)
    """Container -> exit code, of those that were told to end."""
    unnoticed: list[float] = field(default_factory=list)
    """Until when the Service sent new connections to a pod that had been killed: endless while it
    does."""

    async def both(self) -> None:
        await self.second.start()
        await self.service.until_up({0, 1})

    async def restart(self, containers: Sequence[str]) -> None:
        """A container of each pod, as a rolling update would: the next when the last is ready."""
        await self.both()
        for pod, container in zip((self.first, self.second), containers, strict=True):
            self.scene.tell()
            self.exits[container] = await pod.restart(container)
            await pod.until_ready()
            await self.service.until_up({0, 1})

    async def kill(self, container: str) -> None:
        """SIGKILL for a container of the first pod, beside the second. Returns when it serves
        again."""
        await self.both()
        downs = self.service.times_down(0)
        cuts, unnoticed = self.scene.cuts, self.unnoticed
        cuts.append(math.inf)
        unnoticed.append(math.inf)
        pid = await self.first.kill(container)
        cuts[-1] = time.monotonic()
        end = time.monotonic() + PATIENCE
        while self.service.times_down(0) == downs and not await self.first.is_ready():
            if time.monotonic() > end:
                raise RuntimeError("the Service does not notice that a pod is dead")
            await asyncio.sleep(0.01)
        unnoticed[-1] = time.monotonic()
        await self.first.until_restarted(container, pid)
        await self.first.until_ready()
        await self.service.until_up({0, 1})


@dataclass(frozen=True)
class Kind:
    shape: str
    does: Callable[[Stage], Awaitable[None]]
    allowed: Sequence[Allowed] = ()
    """By the moment of a kill."""
    unnoticed: Sequence[Allowed] = ()
    """By the moment at which the Service has noticed it."""

    @property
    def says(self) -> str:
        return (self.does.__doc__ or "").partition(".")[0].partition("\n")[0]


async def app_beside(stage: Stage) -> None:
    """the app's container: a new one joins the gateway, then the old one ends"""
    old = await stage.first.add_app()
    stage.scene.tell()
    stage.exits[old] = await stage.first.stop(old)
    await stage.first.until_linked(2)


async def app_in_place(stage: Stage) -> None:
    """the app's container in its place, one of two pods after the other"""
    await stage.restart([stage.first.app, stage.second.app])


async def app_killed(stage: Stage) -> None:
    """the app's container is SIGKILLed, and started again, beside another pod"""
    await stage.kill(stage.first.app)


async def gateway_in_place(stage: Stage) -> None:
    """the gateway's container in its place, one of two pods after the other"""
    await stage.restart([stage.first.gateway, stage.second.gateway])


async def gateway_upgraded(stage: Stage) -> None:
    """the gateway's processes by `propylon upgrade` in its container, which stays"""
    stage.scene.tell()
    await stage.first.podman("exec", stage.first.gateway, "propylon", "upgrade")
    await stage.first.until_ready()
    await stage.first.until_one_gateway()


async def gateway_killed(stage: Stage) -> None:
    """the gateway's container is SIGKILLed, and started again, beside another pod"""
    await stage.kill(stage.first.gateway)


async def whole_pod(stage: Stage) -> None:
    """the whole pod: the new one is ready, then the old one is told to end"""
    await stage.both()
    stage.scene.tell()
    stage.exits |= await stage.first.end()


KILLED_APP = (
    *(replace(each, under_way=True) for each in DEAD_WORKER),
    # All workers of the pod died: whom a second one should have answered, lost that one as well.
    Allowed(what="status 502", under_way=True, why="all workers of its pod died at once"),
)
TO_A_DEAD_GATEWAY = tuple(
    Allowed(what=what, by_cut=True, why="sent to a killed gateway by the Service")
    for what in ("reset*", "closed without an answer")
)

KINDS: dict[str, Kind] = {
    "app beside": Kind("native-sidecar", app_beside),
    "app in place": Kind("native-sidecar", app_in_place),
    "gateway in place": Kind("native-sidecar", gateway_in_place),
    "gateway upgraded": Kind("native-sidecar", gateway_upgraded),
    "pod native": Kind("native-sidecar", whole_pod),
    "pod classic": Kind("classic-sidecar", whole_pod),
    "pod all-in-one": Kind("all-in-one", whole_pod),
    "app killed": Kind("native-sidecar", app_killed, KILLED_APP),
    "gateway killed": Kind("native-sidecar", gateway_killed, DEAD_GATEWAY, TO_A_DEAD_GATEWAY),
}


@dataclass
class Counts:
    kind: str
    shape: str
    says: str
    seconds: float
    tally: Tally
    exits: dict[str, int]
    logs: str

    @property
    def answers(self) -> int:
        return self.tally.answers.total()

    @property
    def failures(self) -> str:
        return failures(self.tally)


async def play(kind: str, podman: Podman, images: LoadImages, folder: Path) -> Counts:
    """Plays one kind. The folder is empty. Raises RuntimeError if a pod is not ready in time."""
    what = KINDS[kind]
    ground = new_ground(folder / "state")
    pods = [
        Pod(podman, images, Plan(what.shape), name, free_ports(), ground.folder)
        for name in ("one", "two")
    ]
    service = Service(folder, ground.port, [(pod.ports.http, pod.ports.admin) for pod in pods])
    scene = new_scene(ground)
    stage = Stage(*pods, service, scene)
    scene.tally.allows = _allows(what, stage, ground.settings)
    try:
        await stage.first.start()
        service.start()
        await service.until_up({0})
        seconds = await under_load(scene, lambda: what.does(stage))
        logs = "".join([service.log.read_text(), *[await pod.logs() for pod in pods]])
    finally:
        service.end()
        await asyncio.gather(*[pod.remove() for pod in pods])
    records(scene, ground)
    return Counts(kind, what.shape, what.says, seconds, scene.tally, stage.exits, logs)


def _allows(what: Kind, stage: Stage, settings: Settings) -> Allows:
    """What is always allowed, and what a kill may cost."""

    def among(allowed: Sequence[Allowed], moments: Sequence[float]) -> Allows:
        return Variant(says="", action="", allowed=allowed, settings=settings).allows(moments)

    always = stage.scene.tally.allows
    killed = among(what.allowed, stage.scene.cuts)
    unnoticed = among(what.unnoticed, stage.unnoticed)
    return lambda client, failure: (
        always(client, failure) or killed(client, failure) or unnoticed(client, failure)
    )


def free_ports() -> Ports:
    return Ports(free_port(), free_port(), free_port())
