"""The app for ASGI servers, in Starlette."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from . import code, size

MOMENT = 0.003
"""Seconds that a small request takes twice, so that there is always something under way."""
AT_WORK = asyncio.Semaphore(8)
"""What this process can do at once: its capacity is 40 requests to /work per second."""


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    if code.FAULT == "startup":
        raise RuntimeError("this code is broken: it fails in lifespan's startup")
    code.started()
    yield


async def quick(request: Request) -> Response:
    await asyncio.sleep(2 * MOMENT)
    return text(request.query_params.get("n", ""))


async def work(request: Request) -> Response:
    async with AT_WORK:
        await asyncio.sleep(0.2)
    return text(request.query_params.get("n", ""))


async def record(request: Request) -> Response:
    """Done, and then answered: a process that ends between the two has done it."""
    identity = (await request.body()).decode()
    await asyncio.sleep(MOMENT)
    code.record(identity)
    await asyncio.sleep(MOMENT)
    return text(identity)


async def upload(request: Request) -> Response:
    digest = hashlib.sha256()
    async for piece in request.stream():
        digest.update(piece)
    return text(digest.hexdigest())


async def download(request: Request) -> Response:
    async def blocks() -> AsyncIterator[bytes]:
        for number in range(size.BLOCKS):
            yield size.block(number)

    headers = dict(code.headers())
    if "length" in request.query_params:
        headers["content-length"] = str(size.BLOCK * size.BLOCKS)
    return StreamingResponse(blocks(), 200, headers, "application/octet-stream")


async def events(request: Request) -> Response:
    """So many server-sent events; 0: without end."""
    count = int(request.query_params["n"])

    async def numbers() -> AsyncIterator[bytes]:
        number = 0
        while not count or number < count:
            yield b"data: %d\n\n" % number
            number += 1
            await asyncio.sleep(0.05)

    return StreamingResponse(numbers(), 200, dict(code.headers()), "text/event-stream")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept(
        headers=[(name.encode(), value.encode()) for name, value in code.headers()]
    )
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass


def text(content: str, status: int = 200) -> Response:
    return PlainTextResponse(content, status, dict(code.headers()))


routes = [
    Route("/quick", quick),
    Route("/work", work),
    Route("/record", record, methods=["POST"]),
    Route("/upload", upload, methods=["POST"]),
    Route("/download", download),
    Route("/events", events),
    WebSocketRoute("/echo", echo),
]
starlette = Starlette(routes=routes, lifespan=lifespan)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if code.FAULT == "500" and scope["type"] == "http":
        await text("this code is broken", 500)(scope, receive, send)
    elif code.FAULT == "500" and scope["type"] == "websocket":
        raise RuntimeError("this code is broken")
    else:
        await starlette(scope, receive, send)
