"""The load of `tests.nothing_dropped` on containers: its app's files, its clients, its judgement.

The clients are new connections, keep-alive, pipelining, POSTs with unique ids, uploads, downloads,
event streams and WebSockets, 37 in all. They judge as strictly as there: a WebSocket that ends
otherwise than with 1012 is a failure. A stream without end may be cut when the graceful timeout
has passed since something was told to end, and never earlier.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..compare.strict_client import Failed
from ..nothing_dropped.scene import Scene
from ..nothing_dropped.servers import Ground
from ..nothing_dropped.tally import Tally
from ..nothing_dropped.trial import FINISH, cast, steadily
from ..nothing_dropped.variants import DEADLINE, Settings, Variant

BEFORE, AFTER = 1.0, 1.0
"""Seconds of load before the replacement and after it."""
PACE = 0.5
"""Slow exchanges take 2.5 seconds at most, and so fit into `GRACEFUL`."""
DELAY, GRACEFUL = 2, 3
"""Seconds for which new connections are taken by who was told to end, and those that what began in
the last moment gets to finish. Both together are `--timeout-graceful-shutdown`."""
EARLY = 0.5
"""Seconds before the deadline: what is sent then may be lost on the way."""
STATE = "/state"
"""Where the app's container finds its code's version and writes what it has done."""
ENVIRONMENT = {
    "NOTHING_DROPPED_CODE": f"{STATE}/code",
    "NOTHING_DROPPED_RECORD": f"{STATE}/record",
}
"""What tells the app so."""


def new_ground(folder: Path) -> Ground:
    """A state for the app's container in a folder that is to be made: any user may write there."""
    folder.mkdir()
    folder.chmod(0o777)
    ground = Ground(folder=folder, settings=Settings(graceful=float(GRACEFUL)))
    ground.deploy()
    ground.record.touch()
    ground.record.chmod(0o666)
    return ground


@dataclass
class LoadScene(Scene):
    """`tell` is called when something is told to end."""

    told: list[float] = field(default_factory=list)

    def tell(self) -> None:
        self.told.append(time.monotonic())

    @property
    def is_deadline(self) -> bool:
        """Whether the graceful timeout of something has passed."""
        return any(time.monotonic() - at > DELAY + GRACEFUL - EARLY for at in self.told)


def new_scene(ground: Ground) -> LoadScene:
    """Nobody may fail; what the deadline cuts is no failure."""
    scene = LoadScene(ground.address, Tally(lambda client, failure: None), pace=PACE)
    variant = Variant(says="", action="", allowed=DEADLINE, settings=ground.settings)
    allows = variant.allows(scene.cuts)
    scene.tally.allows = lambda client, failure: (
        allows(client, failure) if scene.is_deadline else None
    )
    return scene


async def under_load(scene: Scene, does: Callable[[], Awaitable[None]]) -> float:
    """Does it while the clients are at work. Returns the seconds that it took."""
    scene.tally.began = time.monotonic()
    clients = [asyncio.ensure_future(steadily(scene, each)) for each in cast(scene, True)]
    try:
        await asyncio.sleep(BEFORE)
        began = time.monotonic()
        await does()
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


def failures(tally: Tally) -> str:
    """Each with its details; "" if there were none."""
    lines = [f"{client}: {what} {n}" for (client, what), n in tally.failures.items()]
    lines += [f"  {s.at:.2f} s {s.client}: {s.what}: {s.detail}" for s in tally.seen]
    return "\n".join(lines)
