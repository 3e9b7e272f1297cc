"""The clients that take their time: slow upload, slow download, server-sent events, WebSocket."""

import asyncio
import hashlib
import time
from collections import deque
from functools import cache

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from ..compare.strict_client import PATIENCE, ClosedIdle, Connection, Failed
from .apps.size import BLOCK, BLOCKS, block
from .clients import pause
from .scene import Scene

UPLOAD_SECONDS, UPLOAD_PIECES, UPLOAD_PIECE = 3.0, 40, 8_192
DOWNLOAD_SECONDS = 5.0
"""What 50 MB take: less than any graceful timeout here, so that no reload may cut it."""
EVENTS = 80
"""Of a stream that ends by itself: 4 seconds."""
WINDOW = 4
"""WebSocket messages that are sent without waiting for their echoes."""


@cache
def download_digest() -> str:
    digest = hashlib.sha256()
    for number in range(BLOCKS):
        digest.update(block(number))
    return digest.hexdigest()


class Stream:
    """A client with one long exchange per connection."""

    kind = "stream"

    def __init__(self, scene: Scene, name: str) -> None:
        self.scene, self.name, self.count = scene, name, 0

    async def once(self) -> None:
        self.count += 1
        connection = await Connection.open(self.scene.address, self.buffer)
        try:
            if await self.exchange(connection):
                self.scene.tally.answer(self.kind)
            else:
                self.scene.tally.note(f"{self.kind}: given up at the end of the trial")
        except ClosedIdle:
            raise connection.failed("closed without an answer", "before the request") from None
        finally:
            connection.close()

    buffer = 0

    async def exchange(self, connection: Connection) -> bool:
        """False if the client itself gave up."""
        raise NotImplementedError


class Uploads(Stream):
    """(5) A body that takes seconds, with its length or chunked; the answer is its hash."""

    kind = "slow upload"

    async def exchange(self, connection: Connection) -> bool:
        chunked = self.count % 2 == 0
        size = UPLOAD_PIECES * UPLOAD_PIECE
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        await connection.ask(f"POST /upload HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n".encode())
        digest = hashlib.sha256()
        for number in range(UPLOAD_PIECES):
            piece = f"{self.name}-{self.count}-{number} ".encode().ljust(UPLOAD_PIECE, b".")
            digest.update(piece)
            await asyncio.sleep(UPLOAD_SECONDS * self.scene.pace / UPLOAD_PIECES)
            if self.scene.ending.is_set() and number < UPLOAD_PIECES // 2:
                return False
            if connection.peek() is not None:
                break  # an answer (or the end) before the body was complete
            data = b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
            await connection.go_on(data)
        else:
            if chunked:
                await connection.go_on(b"0\r\n\r\n")
        response = await connection.head("POST")
        self.scene.heard(response)
        text = (await connection.read()).decode("latin-1")
        if response.status != 200:
            raise connection.failed(response.what, text[:100])
        if text != digest.hexdigest():
            raise connection.failed("wrong answer", "another hash than that of what was sent")
        return True


class Downloads(Stream):
    """(6) 50 MB, read as slowly as a modest line would, and hashed."""

    kind = "slow download"
    buffer = 131_072

    async def exchange(self, connection: Connection) -> bool:
        query = "?length=1" if self.count % 2 else ""
        await connection.ask(f"GET /download{query} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        response = await connection.head()
        self.scene.heard(response)
        if response.status != 200:
            raise connection.failed(response.what)
        started, count, digest = time.monotonic(), 0, hashlib.sha256()
        seconds = DOWNLOAD_SECONDS * self.scene.pace
        async for piece in connection.body():
            digest.update(piece)
            count += len(piece)
            if self.scene.ending.is_set() and count < BLOCK * BLOCKS // 2:
                return False
            early = started + count / (BLOCK * BLOCKS) * seconds - time.monotonic()
            if early > 0.02:
                await asyncio.sleep(early)
        if digest.hexdigest() != download_digest():
            raise connection.failed("truncated invisibly", f"{count} bytes that claim to be all")
        return True


class Events(Stream):
    """(8) Server-sent events, numbered. Every other stream is without end."""

    kind = "events"

    def __init__(self, scene: Scene, name: str) -> None:
        super().__init__(scene, name)
        self.number = int(name[-1])

    async def exchange(self, connection: Connection) -> bool:
        endless = (self.count + self.number) % 2
        wanted = 0 if endless else int(EVENTS * self.scene.pace)
        await connection.ask(f"GET /events?n={wanted} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        response = await connection.head()
        self.scene.heard(response)
        if response.status != 200:
            raise connection.failed(response.what)
        number, rest = 0, b""
        async for piece in connection.body():
            *events, rest = (rest + piece).split(b"\n\n")
            for event in events:
                if event != b"data: %d" % number:
                    raise connection.failed("wrong answer", f"{event!r} at {number}")
                number += 1
            if self.scene.ending.is_set():
                return False
        if rest or number < wanted or not response.delimited:
            raise connection.failed("truncated invisibly", f"at event {number} of {wanted}")
        if not wanted:
            self.scene.tally.note("events: ended by the app, cleanly")
        return True


class Echoes:
    """(4) A WebSocket, messages numbered. Only 1012 is a proper end; what was sent and not echoed
    by then is counted: the close frame says to whoever sent it that it may be lost."""

    kind = "websocket"

    def __init__(self, scene: Scene, name: str) -> None:
        self.scene, self.name, self.count = scene, name, 0
        self.waiting: deque[str] = deque()

    async def once(self) -> None:
        born = time.monotonic()
        host, port = self.scene.address
        try:
            websocket = await connect(
                f"ws://{host}:{port}/echo",
                proxy=None,
                ping_interval=None,
                open_timeout=PATIENCE,
                close_timeout=2,
            )
        except Exception as error:
            raise refusal(error, born) from None
        self.waiting.clear()
        try:
            await self.talk(websocket)
        except ConnectionClosed as closed:
            await self.echoes_before_the_end(websocket)
            self.closed(closed, born)
        except TimeoutError:
            raise Failed("silence", f"{len(self.waiting)} messages unanswered", born=born) from None
        finally:
            # The closing handshake of one that is cut would wait for nothing.
            await asyncio.wait([asyncio.ensure_future(websocket.close())], timeout=3)

    async def talk(self, websocket: ClientConnection) -> None:
        if websocket.response is not None and "x-pid" in websocket.response.headers:
            self.scene.serving[int(websocket.response.headers["x-pid"])] = time.monotonic()
        while not self.scene.ending.is_set():
            while len(self.waiting) < WINDOW:
                self.count += 1
                self.waiting.append(f"{self.name}-{self.count}")
                await websocket.send(self.waiting[-1])
            async with asyncio.timeout(PATIENCE):
                echo = await websocket.recv()
            if (expected := self.waiting.popleft()) != echo:
                raise Failed("wrong answer", f"{echo!r} instead of {expected!r}")
            self.scene.tally.answer(self.kind)
            await pause(self.scene, 0.02)

    async def echoes_before_the_end(self, websocket: ClientConnection) -> None:
        """What came before the close frame and was not read yet."""
        try:
            while True:
                if (echo := await websocket.recv()) != self.waiting.popleft():
                    raise Failed("wrong answer", f"{echo!r} before the end")
        except ConnectionClosed:
            pass

    def closed(self, closed: ConnectionClosed, born: float) -> None:
        if closed.rcvd is None:
            raise Failed("cut without a close frame", repr(closed.__cause__), born=born)
        if closed.rcvd.code != 1012:
            raise Failed(f"close code {closed.rcvd.code}", closed.rcvd.reason, born=born)
        self.scene.tally.note("websocket: closed with 1012")
        self.scene.tally.note("websocket: unanswered at 1012", len(self.waiting))


def refusal(error: Exception, born: float) -> Failed:
    """A WebSocket handshake that came to nothing, in the words of the other clients."""
    match error:
        case InvalidStatus(response=response):
            politely = " with Retry-After" if "Retry-After" in response.headers else ""
            what = f"status {response.status_code}{politely}"
        case ConnectionRefusedError():
            what = "refused"
        case ConnectionResetError() | BrokenPipeError():
            what = "reset"
        case TimeoutError():
            what = "silence"
        case InvalidHandshake() | EOFError():
            reset = isinstance(error.__cause__, ConnectionResetError)
            what = "reset" if reset else "closed without an answer"
        case _:
            what = type(error).__name__
    return Failed(what, f"in the handshake: {error!r} {error.__cause__!r}", born=born)
