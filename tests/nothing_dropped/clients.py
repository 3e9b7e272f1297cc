"""The clients with short requests: new connections, keep-alive, pipelining, POSTs that count."""

import asyncio
import random
import time

from ..compare.strict_client import ClosedIdle, Connection, Failed, Response
from .scene import Scene

PAUSES = (0.0, 0.0, 0.005, 0.02, 0.05, 0.1, 0.3, 1.0, 2.5)
"""Seconds between two requests of a connection: long ones let a server's close cross."""
BURST = 6
"""Requests that are pipelined."""


def get(target: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: h", *fields, "", ""]).encode()


def post(target: str, body: bytes, *fields: str) -> bytes:
    lines = [f"POST {target} HTTP/1.1", "Host: h", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


async def answered(scene: Scene, connection: Connection, expected: str, method: str) -> Response:
    """Reads a whole short answer. Raises Failed unless it is the expected one."""
    response = await connection.head(method)
    text = (await connection.read()).decode("latin-1")
    scene.heard(response)
    if response.status != 200:
        raise connection.failed(response.what, text[:100])
    if not response.delimited and text != expected:
        raise connection.failed("truncated invisibly", f"{text[:50]!r} of {expected!r}, no length")
    if text != expected:
        raise connection.failed("wrong answer", f"{text[:50]!r} instead of {expected!r}")
    return response


async def pause(scene: Scene, seconds: float) -> None:
    """Sleeps, but not beyond the end."""
    try:
        async with asyncio.timeout(seconds):
            await scene.ending.wait()
    except TimeoutError:
        pass


class NewConnections:
    """(1) A connection for each request; half of them say that it is the last, half just close."""

    kind = "new connection"
    path = "/quick"

    def __init__(self, scene: Scene, name: str) -> None:
        self.scene, self.name, self.count = scene, name, 0

    async def once(self) -> None:
        self.count += 1
        connection = await Connection.open(self.scene.address)
        try:
            number = f"{self.name}-{self.count}"
            fields = ["Connection: close"] if self.count % 2 else []
            await connection.ask(get(f"{self.path}?n={number}", *fields))
            await answered(self.scene, connection, number, "GET")
        except ClosedIdle:
            raise connection.failed("closed without an answer", "before the request") from None
        finally:
            connection.close()
        self.scene.tally.answer(self.kind, time.monotonic() - connection.born)
        await pause(self.scene, 0.03)


class KeepAlive:
    """(2) One connection for as long as the server keeps it, with pauses of every length."""

    kind = "keep-alive"

    def __init__(self, scene: Scene, name: str) -> None:
        self.scene, self.name, self.count = scene, name, 0
        self.random = random.Random(name)

    async def once(self) -> None:
        connection = await Connection.open(self.scene.address)
        try:
            while not self.scene.ending.is_set():
                response = await self.exchange(connection)
                self.scene.tally.answer(self.kind, time.monotonic() - connection.sent_at)
                if response.closes:
                    return
                await pause(self.scene, self.random.choice(PAUSES))
        except ClosedIdle:
            self.scene.tally.note("idle connection closed by the server")
        finally:
            connection.close()

    async def exchange(self, connection: Connection) -> Response:
        self.count += 1
        number = f"{self.name}-{self.count}"
        await connection.ask(get(f"/quick?n={number}"))
        return await answered(self.scene, connection, number, "GET")


class Posts(KeepAlive):
    """(7) POSTs with unique ids, on connections that are kept. None is ever sent twice."""

    kind = "post"

    async def exchange(self, connection: Connection) -> Response:
        self.count += 1
        identity = f"{self.name}-{self.count}"
        try:
            await connection.ask(post("/record", identity.encode()))
        except ClosedIdle:
            self.count -= 1  # was not sent
            raise
        posted = self.scene.posted
        posted[identity] = ""
        try:
            response = await answered(self.scene, connection, identity, "POST")
        except Failed as failure:
            if failure.what.startswith("status"):
                posted[identity] = failure.what
            raise
        posted[identity] = "status 200"
        return response


class NewPosts(Posts):
    """(7) The same with a connection for each."""

    async def once(self) -> None:
        connection = await Connection.open(self.scene.address)
        try:
            await self.exchange(connection)
        except ClosedIdle:
            raise connection.failed("closed without an answer", "before the request") from None
        finally:
            connection.close()
        self.scene.tally.answer(self.kind, time.monotonic() - connection.born)
        await pause(self.scene, 0.06)


class Pipelining:
    """(3) Several GETs at once, whose answers say which is which. What stands behind an answer
    with `Connection: close` was not processed and is asked for again."""

    kind = "pipelining"

    def __init__(self, scene: Scene, name: str) -> None:
        self.scene, self.name, self.count = scene, name, 0

    async def once(self) -> None:
        connection = await Connection.open(self.scene.address)
        try:
            while not self.scene.ending.is_set() and await self.burst(connection):
                await pause(self.scene, 0.1)
        except ClosedIdle:
            self.scene.tally.note("idle connection closed by the server")
        finally:
            connection.close()

    async def burst(self, connection: Connection) -> bool:
        """Whether the connection is still good."""
        numbers = [f"{self.name}-{self.count + i}" for i in range(BURST)]
        await connection.ask(b"".join(get(f"/quick?n={number}") for number in numbers))
        for number in numbers:
            response = await answered(self.scene, connection, number, "GET")
            self.scene.tally.answer(self.kind, time.monotonic() - connection.sent_at)
            self.count += 1
            if response.closes:
                left = len(numbers) - numbers.index(number) - 1
                self.scene.tally.note("pipelined behind the last answer, sent again", left)
                return False
        return True


class Crowd(NewConnections):
    """Callers of the app's slow work, far more than it can do. One of them comes every so often
    whether the last has been answered or not; `trial` sends them."""

    kind = "crowd"
    path = "/work"
