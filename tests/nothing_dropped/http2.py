"""The client of HTTP/2: one connection, and fifty streams on it at once.

What is a failure (RFC 9113), and what is not:

- A server that goes away says GOAWAY first. Streams above the last one that it names were not
  processed: they are asked again on the next connection, and so is one that was reset with
  REFUSED_STREAM (section 8.7). Both are notes, and a POST that was refused must not have been done.
- All other streams are answered in full. One that is reset before its head, or ends without
  END_STREAM, is a failure, and so is a connection that ends with streams open.
- A connection that ends without a GOAWAY while no stream is open is a note, as it is in HTTP/1.1.
"""

import asyncio
import hashlib
import random
import time
from contextlib import suppress

from .. import http2_frames as frames
from ..compare import strict_client
from ..compare.strict_client import Failed, Response
from ..http2_client import Client, Reply
from .clients import pause
from .scene import Scene

STREAMS = 50
PAUSES = (0.0, 0.05, 0.1, 0.3, 1.0)
EVENTS = 20
"""Of a stream: one second."""
UPLOAD_PIECES, UPLOAD_PIECE, UPLOAD_PAUSE = 10, 4_096, 0.1


class Refused(Exception):
    """The server has certainly not processed a request."""


class Connection(Client):
    """One connection, read in a task of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__()
        self.reader, self.writer = reader, writer
        self.born = time.monotonic()
        self.changed = asyncio.Condition()
        self.ended = ""
        """How, in the words of the other clients."""
        self.fault: Exception | None = None
        """What was not HTTP/2."""
        self.send(frames.PREFACE + frames.settings())
        self.reading = asyncio.ensure_future(self._read())

    @classmethod
    async def connect(cls, address: tuple[str, int]) -> "Connection":
        born = time.monotonic()
        try:
            async with asyncio.timeout(strict_client.PATIENCE):
                return cls(*await asyncio.open_connection(*address))
        except ConnectionRefusedError:
            raise Failed("refused", born=born) from None
        except OSError as error:  # a TimeoutError, too
            raise Failed("no connection", repr(error), born=born) from None

    def send(self, data: bytes) -> None:
        with suppress(OSError):  # what was said before is still to be read
            self.writer.write(data)

    async def close(self) -> None:
        self.reading.cancel()
        self.writer.close()
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.wait([self.reading, asyncio.ensure_future(self.writer.wait_closed())])

    @property
    def usable(self) -> bool:
        """Whether another stream may be opened."""
        return not self.going_away and not self.ended

    def refused(self, stream: int) -> bool:
        reply = self.replies[stream]
        if reply.head:
            return False
        if reply.reset == frames.ErrorCode.REFUSED_STREAM:
            return True
        return bool(self.going_away) and stream > self.going_away[-1][0]

    async def takes_more(self, stream: int, size: int) -> bool:
        """Whether so much more of a body may be sent, once it is known. Raises Failed."""

        def known() -> bool:
            over = self.replies[stream].over or self.ended
            return bool(over) or self.room(stream) >= size

        try:
            async with asyncio.timeout(strict_client.PATIENCE), self.changed:
                await self.changed.wait_for(lambda: known() or self.refused(stream))
        except TimeoutError:
            raise Failed("takes nothing more", f"on stream {stream}", born=self.born) from None
        return not self.refused(stream) and not self.replies[stream].over and not self.ended

    async def until(self, stream: int, part: str) -> Reply:
        """The stream's reply, when its `head` has come, or when it is `over`. Raises Failed or
        Refused."""
        reply, sent = self.replies[stream], time.monotonic()

        def failed(what: str, detail: str = "") -> Failed:
            return Failed(what, detail, born=self.born, age=time.monotonic() - sent)

        def come() -> bool:
            return bool(reply.over or self.ended or self.refused(stream) or getattr(reply, part))

        try:
            async with asyncio.timeout(strict_client.PATIENCE), self.changed:
                await self.changed.wait_for(come)
        except TimeoutError:
            raise failed("silence", f"on stream {stream}") from None
        if self.refused(stream):
            raise Refused
        if self.fault is not None:
            raise failed("not HTTP", repr(self.fault))
        if getattr(reply, part) and reply.reset is None:
            return reply
        if reply.ended and reply.reset == frames.ErrorCode.NO_ERROR:
            return reply  # it is whole, and the server needs no more of the request (section 8.1)
        if reply.reset is not None:
            code = frames.ErrorCode(reply.reset).name
            raise failed("truncated" if reply.head else f"stream reset with {code}", code)
        raise failed("truncated" if reply.head else self.ended, f"{self.going_away}")

    async def _read(self) -> None:
        ended = "closed without an answer"
        try:
            while data := await self.reader.read(262_144):
                self.receive(data)
                await self._tell()
        except (ConnectionResetError, BrokenPipeError):
            ended = "reset"
        except Exception as error:
            self.fault, ended = error, "not HTTP"
        self.ended = ended
        await self._tell()

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()


class Multiplexing:
    """(9) Fifty callers on one connection, for as long as it is good."""

    kind = "http/2"

    def __init__(self, scene: Scene, name: str) -> None:
        self.scene, self.name, self.count = scene, name, 0
        self.random = random.Random(name)

    async def once(self) -> None:
        connection = await Connection.connect(self.scene.address)
        try:
            async with asyncio.TaskGroup() as callers:
                for number in range(STREAMS):
                    callers.create_task(self.calls(connection, number))
            if connection.ended and not connection.going_away:
                self.scene.tally.note("http/2: closed without GOAWAY")
        finally:
            await connection.close()

    async def calls(self, connection: Connection, number: int) -> None:
        """One caller."""
        ask = {0: self.upload, 1: self.events, 2: self.post, 3: self.post}.get(
            number % 10, self.quick
        )
        await pause(self.scene, number / 200)
        while connection.usable and not self.scene.ending.is_set():
            began = time.monotonic()
            kind = f"{self.kind} {ask.__name__}"
            self.count += 1
            try:
                await ask(connection, f"{self.name}-{self.count}")
            except Refused:
                self.scene.tally.note(f"{kind}: refused, and asked again")
            except Failed as failure:
                self.scene.fail(kind, failure)
            else:
                short = ask in (self.quick, self.post)
                self.scene.tally.answer(kind, time.monotonic() - began if short else 0.0)
            await pause(self.scene, self.random.choice(PAUSES))

    async def quick(self, connection: Connection, number: str) -> None:
        stream = connection.get(f"/quick?n={number}".encode())
        await self.answered(connection, stream, number)

    async def post(self, connection: Connection, identity: str) -> None:
        posted = self.scene.posted
        stream = connection.post(b"/record")
        connection.data(stream, identity.encode(), end=True)
        posted[identity] = ""
        try:
            await self.answered(connection, stream, identity)
        except Refused:
            posted[identity] = "status 503 (refused)"
            raise
        except Failed as failure:
            if failure.what.startswith("status"):
                posted[identity] = failure.what
            raise
        posted[identity] = "status 200"

    async def upload(self, connection: Connection, name: str) -> None:
        stream = connection.post(b"/upload")
        digest = hashlib.sha256()
        for number in range(UPLOAD_PIECES):
            piece = f"{name}-{number} ".encode().ljust(UPLOAD_PIECE, b".")
            if not await connection.takes_more(stream, len(piece)):
                break
            connection.data(stream, piece)
            digest.update(piece)
            await asyncio.sleep(UPLOAD_PAUSE * self.scene.pace)
        else:
            connection.data(stream, b"", end=True)
        await self.answered(connection, stream, digest.hexdigest())

    async def events(self, connection: Connection, _: str) -> None:
        stream = connection.get(f"/events?n={EVENTS}".encode())
        expected = "".join(f"data: {number}\n\n" for number in range(EVENTS))
        await self.answered(connection, stream, expected)

    async def answered(self, connection: Connection, stream: int, expected: str) -> None:
        """Raises Failed unless it is the expected answer, and Refused."""
        sent = time.monotonic()
        reply = await connection.until(stream, "head")
        headers = {name.decode(): value.decode("latin-1") for name, value in reply.head}
        response = Response(reply.status, headers, delimited=True, closes=False)
        self.scene.heard(response)
        reply = await connection.until(stream, "ended")
        text, age = reply.body.decode("latin-1"), time.monotonic() - sent
        del connection.replies[stream]
        if reply.status != 200:
            raise Failed(response.what, text[:100], born=connection.born, age=age)
        if text != expected:
            raise Failed("wrong answer", f"{text[:50]!r} instead of {expected[:50]!r}")
