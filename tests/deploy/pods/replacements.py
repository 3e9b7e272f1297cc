"""What is replaced under load, and what it may cost: nothing, but for the two crashes.

Each kind is a function of a `Stage`; its docstring is the table's row. The clients are those of
`tests.nothing_dropped`: new connections, keep-alive, pipelining, POSTs with unique ids, uploads,
downloads, event streams and WebSockets, 37 in all. They reach the pods through a proxy that plays
the Service, and judge as strictly as there: a WebSocket that ends otherwise than with 1012 is a
failure. A stream without end may be cut when its graceful timeout has passed, and never earlier.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...compare.strict_client import Failed
from ...end_to_end.other_proxies import free_port
from ...nothing_dropped.scene import Scene
from ...nothing_dropped.servers import Ground
from ...nothing_dropped.tally import Tally
from ...nothing_dropped.trial import FINISH, cast, records, steadily
from ...nothing_dropped.variants import DEAD_WORKER, DEADLINE, Allowed, Settings, Variant
from .images import Images
from .machine import Podman
from .manifest import Drain, Ports
from .pod import Pod
from .service import Service

BEFORE, AFTER = 2.0, 1.0
"""Seconds of load before the replacement and after it."""


@dataclass
class Stage:
    """A pod that serves behind the Service, room for a second one, and who is connected."""

    first: Pod
    second: Pod
    service: Service
    scene: Scene
    exits: dict[str, int] = field(default_factory=dict)
    """Container -> exit code, of those that were told to end."""

    async def both(self) -> None:
        await self.second.start()
        await self.service.until_up({0, 1})

    async def one_by_one(self, restart: Callable[[Pod], Awaitable[None]]) -> None:
        """Does it to both pods, as a rolling update would: the next when the last is ready."""
        await self.both()
        for pod in (self.first, self.second):
            await restart(pod)
            await pod.until_ready()
            await self.service.until_up({0, 1})


@dataclass(frozen=True)
class Kind:
    shape: str
    does: Callable[[Stage], Awaitable[None]]
    allowed: Sequence[Allowed] = DEADLINE

    @property
    def says(self) -> str:
        return (self.does.__doc__ or "").partition(".")[0].partition("\n")[0]


async def app_beside(stage: Stage) -> None:
    """the app's container: a new one joins the gateway, then the old one ends"""
    old = await stage.first.add_app()
    stage.exits[old] = await stage.first.stop(old)
    await stage.first.until_linked(2)


async def app_in_place(stage: Stage) -> None:
    """the app's container in its place, one of two pods after the other"""
    await stage.one_by_one(lambda pod: pod.restart(pod.app))


async def app_killed(stage: Stage) -> None:
    """the app's container is SIGKILLed, and started again, beside another pod"""
    await stage.both()
    stage.scene.cuts.append(time.monotonic() + KILL_TAKES)
    await stage.first.kill(stage.first.app)
    await stage.first.until_ready()
    await stage.service.until_up({0, 1})


async def gateway_in_place(stage: Stage) -> None:
    """the gateway's container in its place, one of two pods after the other"""
    await stage.one_by_one(lambda pod: pod.restart(pod.gateway))


async def gateway_upgraded(stage: Stage) -> None:
    """the gateway's processes by `propylon upgrade` in its container, which stays"""
    await stage.first.podman("exec", stage.first.gateway, "propylon", "upgrade")
    await stage.first.until_ready()
    await stage.first.until_one_gateway()


async def gateway_killed(stage: Stage) -> None:
    """the gateway's container is SIGKILLed, and started again, beside another pod"""
    await stage.both()
    stage.scene.cuts.append(time.monotonic() + KILL_TAKES)
    await stage.first.kill(stage.first.gateway)
    await stage.first.until_ready()
    await stage.service.until_up({0, 1})


async def whole_pod(stage: Stage) -> None:
    """the whole pod: the new one is ready, then the old one is told to end"""
    await stage.both()
    stage.exits |= await stage.first.end()


KILL_TAKES = 1.5
"""Seconds until the Service has noticed a pod that died without a word: what connects to it by
then is refused, with every proxy that does not ask a second pod."""
KILLED_GATEWAY = tuple(
    Allowed(what=what, by_cut=True, why="held by a killed gateway, or sent to it by the Service")
    for what in ("reset*", "closed without an answer", "truncated", "cut without a close frame",
                 "refused")
)  # fmt: skip

KILLED_APP = (
    *DEAD_WORKER,
    # All workers of the pod died: whom a second one should have answered, lost that one as well.
    Allowed(what="status 502", by_cut=True, why="all workers of its pod died at once"),
)

KINDS: dict[str, Kind] = {
    "app beside": Kind("native-sidecar", app_beside),
    "app in place": Kind("native-sidecar", app_in_place),
    "gateway in place": Kind("native-sidecar", gateway_in_place),
    "gateway upgraded": Kind("native-sidecar", gateway_upgraded),
    "pod native": Kind("native-sidecar", whole_pod),
    "pod classic": Kind("classic-sidecar", whole_pod),
    "pod all-in-one": Kind("all-in-one", whole_pod),
    "app killed": Kind("native-sidecar", app_killed, (*DEADLINE, *KILLED_APP)),
    "gateway killed": Kind("native-sidecar", gateway_killed, (*DEADLINE, *KILLED_GATEWAY)),
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
        """Each with its details; "" if there were none."""
        lines = [f"{client}: {what} {n}" for (client, what), n in self.tally.failures.items()]
        lines += [f"  {s.at:.2f} s {s.client}: {s.what}: {s.detail}" for s in self.tally.seen]
        return "\n".join(lines)


async def replace(kind: str, podman: Podman, images: Images, folder: Path) -> Counts:
    """Plays one kind. The folder is empty. Raises RuntimeError if a pod is not ready in time."""
    what, drain = KINDS[kind], Drain()
    graceful = float(drain.graceful)
    variant = Variant(
        says="", action="", allowed=what.allowed, settings=Settings(graceful=graceful)
    )
    state = folder / "state"
    state.mkdir()
    state.chmod(0o777)  # the containers' user is another
    ground = Ground(folder=state, settings=variant.settings)
    ground.deploy()
    (state / "record").touch()
    (state / "record").chmod(0o666)
    pods = [
        Pod(podman, images, what.shape, name, _ports(), state, drain) for name in ("one", "two")
    ]
    service = Service(folder, ground.port, [(pod.ports.http, pod.ports.admin) for pod in pods])
    scene = Scene(ground.address, Tally(lambda client, failure: None))
    scene.tally.allows = variant.allows(scene.cuts)
    stage = Stage(*pods, service, scene)
    try:
        await stage.first.start()
        service.start()
        await service.until_up({0})
        seconds = await _under_load(stage, what)
        logs = "".join([service.log.read_text(), *[await pod.logs() for pod in pods]])
    finally:
        service.end()
        for pod in pods:
            await pod.remove()
    records(scene, ground)
    return Counts(kind, what.shape, what.says, seconds, scene.tally, stage.exits, logs)


def _ports() -> Ports:
    return Ports(free_port(), free_port(), free_port())


async def _under_load(stage: Stage, what: Kind) -> float:
    """The seconds that the replacement took."""
    scene = stage.scene
    scene.tally.began = time.monotonic()
    clients = [asyncio.ensure_future(steadily(scene, each)) for each in cast(scene, True)]
    try:
        await asyncio.sleep(BEFORE)
        began = time.monotonic()
        await what.does(stage)
        seconds = time.monotonic() - began
        await asyncio.sleep(AFTER)
        scene.tally.end_outage(for_good=True)
        scene.ending.set()
        _, late = await asyncio.wait(clients, timeout=FINISH)
        for client in late:
            scene.fail("client", Failed("does not end", str(client)))
        return seconds
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
