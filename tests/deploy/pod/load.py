"""The clients of a Service: those of `tests.nothing_dropped`, fewer of each."""

import asyncio

from websockets.exceptions import ConnectionClosed

from ...compare.strict_client import Failed, Response
from ...nothing_dropped.clients import KeepAlive, NewConnections, NewPosts, Posts
from ...nothing_dropped.streams import Echoes, Events, Uploads
from ...nothing_dropped.tally import Tally
from ...nothing_dropped.trial import Client, steadily
from ...nothing_dropped.variants import Allowed
from .service import Service, ServiceScene
from .timeline import Timeline

FINISH = 9.0
"""Seconds that clients have at the end for what they are at."""


class PodScene(ServiceScene):
    """Tells a pod's time line what its clients saw."""

    watched: Timeline | None = None
    pids: frozenset[int] = frozenset()
    """The processes of the watched pod."""

    def watch(self, timeline: Timeline, pids: frozenset[int]) -> None:
        self.watched, self.pids = timeline, pids

    def heard(self, response: Response) -> None:
        super().heard(response)
        if self.watched is not None and int(response.headers.get("x-pid", 0)) in self.pids:
            self.watched.saw("clients", "response of this pod")


class EndingEvents(Events):
    """Streams that end by themselves."""

    async def once(self) -> None:
        self.count += 1 - (self.count + self.number) % 2
        await super().once()


class EndlessEvents(Events):
    kind = "endless events"

    async def once(self) -> None:
        self.count += (self.count + self.number) % 2
        await super().once()


class WatchedEchoes(Echoes):
    scene: PodScene

    def closed(self, closed: ConnectionClosed, born: float) -> None:
        super().closed(closed, born)
        if self.scene.watched is not None:
            self.scene.watched.say("clients", "a WebSocket is closed with 1012")


AT_DEADLINE = Allowed(
    what="truncated", clients=("endless events",), at_deadline=True, why="at the deadline"
)


def new_scene(service: Service, graceful: float) -> PodScene:
    """A stream without end must end some time: no failure once it had the graceful timeout."""

    def allows(client: str, failure: Failed) -> str | None:
        return AT_DEADLINE.why if AT_DEADLINE.covers(client, failure, graceful, ()) else None

    scene = PodScene(("", 0), Tally(allows))
    scene.service = service
    return scene


CASTS: dict[str, list[tuple[type, int]]] = {
    "short": [(NewConnections, 2), (KeepAlive, 4), (Posts, 2), (NewPosts, 1)],
    "all": [
        (NewConnections, 3), (KeepAlive, 6), (Posts, 2), (NewPosts, 2),
        (Uploads, 2), (EndingEvents, 2), (WatchedEchoes, 3),
    ],
    "endless": [
        (NewConnections, 2), (KeepAlive, 4), (Posts, 2), (NewPosts, 1),
        (EndlessEvents, 2), (WatchedEchoes, 2),
    ],
    "WSGI": [
        (NewConnections, 3), (KeepAlive, 6), (Posts, 2), (NewPosts, 2),
        (Uploads, 2), (EndingEvents, 2),
    ],
}  # fmt: skip


class Load:
    def __init__(self, scene: PodScene, cast: str) -> None:
        clients: list[Client] = [
            kind(scene, f"{kind.__name__}{number}")
            for kind, count in CASTS[cast]
            for number in range(count)
        ]
        self.scene = scene
        self.tasks = [asyncio.ensure_future(steadily(scene, client)) for client in clients]

    async def end(self) -> None:
        """Lets each client finish what it is at."""
        self.scene.ending.set()
        _, late = await asyncio.wait(self.tasks, timeout=FINISH)
        for task in late:
            task.cancel()
            self.scene.tally.note("clients cancelled at the end")
        await asyncio.gather(*self.tasks, return_exceptions=True)
