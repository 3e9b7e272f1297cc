"""The clients of a Service: those of `tests.nothing_dropped`, fewer of each."""

import asyncio
import ssl
from contextlib import suppress

from websockets.exceptions import ConnectionClosed

from ...compare.strict_client import PATIENCE, ClosedIdle, Connection, Failed, Response
from ...nothing_dropped.clients import KeepAlive, NewConnections, NewPosts, Posts, get, pause
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

    trusted: ssl.SSLContext | None = None
    """For clients that speak TLS."""
    watched: Timeline | None = None
    pids: frozenset[int] = frozenset()
    """The processes of the watched pod."""

    def watch(self, timeline: Timeline, pids: frozenset[int]) -> None:
        self.watched, self.pids = timeline, pids

    def heard(self, response: Response) -> None:
        super().heard(response)
        if self.watched is not None and int(response.headers.get("x-pid", 0)) in self.pids:
            self.watched.saw("clients", "response of this pod")


class IdleForLong(KeepAlive):
    """Connections that are idle for about a second between two requests."""

    async def once(self) -> None:
        connection = await Connection.open(self.scene.address)
        try:
            while not self.scene.ending.is_set():
                response = await self.exchange(connection)
                self.scene.tally.answer(self.kind)
                if response.closes:
                    return
                await pause(self.scene, 0.9 + 0.2 * int(self.name[-1]))
        except ClosedIdle:
            self.scene.tally.note("idle connection closed by the server")
        finally:
            connection.close()


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


class TlsRequests:
    """Requests over TLS, on a connection that is used until the server says that it closes, or for
    one request. (The strict client speaks plain text.)"""

    kind = "TLS"

    def __init__(self, scene: PodScene, name: str) -> None:
        self.scene, self.name, self.count = scene, name, 0
        self.most = 1 if int(name[-1]) % 2 else 50

    async def once(self) -> None:
        host, port = self.scene.address
        try:
            reader, writer = await asyncio.open_connection(host, port, ssl=self.scene.trusted)
        except OSError as error:
            refused = isinstance(error, ConnectionRefusedError)
            raise Failed("refused" if refused else "no connection", repr(error)) from None
        try:
            for number in range(self.most):
                await pause(self.scene, 0.02)
                if self.scene.ending.is_set() or (number and reader.at_eof()):
                    return
                if await self.exchange(reader, writer):
                    return
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the response says that it is the connection's last."""
        self.count += 1
        body = f"{self.name}-{self.count}".encode()
        try:
            async with asyncio.timeout(PATIENCE):
                writer.write(get(f"/quick?n={body.decode()}"))
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                answer = await reader.readexactly(len(body))
        except (OSError, EOFError, TimeoutError) as error:
            raise Failed("closed without an answer", repr(error)) from None
        if not head.startswith(b"http/1.1 200 ") or answer != body:
            raise Failed("wrong answer", f"{head!r} {answer!r}")
        self.scene.tally.answer(self.kind)
        return b"connection: close" in head


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
    "short": [(NewConnections, 2), (KeepAlive, 2), (IdleForLong, 4), (Posts, 2), (NewPosts, 1)],
    "all": [
        (NewConnections, 3), (KeepAlive, 6), (Posts, 2), (NewPosts, 2),
        (Uploads, 2), (EndingEvents, 2), (WatchedEchoes, 3),
    ],
    "endless": [
        (NewConnections, 2), (KeepAlive, 4), (Posts, 2), (NewPosts, 1),
        (EndlessEvents, 2), (WatchedEchoes, 2),
    ],
    "TLS": [(TlsRequests, 8)],
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
