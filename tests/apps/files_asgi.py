"""ASGI apps that answer with the file that their path names, each by its framework's own means."""

import asyncio
import os
from pathlib import Path

from litestar import Litestar, get
from litestar.response import File
from quart import Quart, Response, send_file
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

FOLDER = Path(os.environ.get("FILES_FOLDER", "."))


def _done() -> None:
    (FOLDER / "done").write_text("done")


async def _file(request: Request) -> FileResponse:
    return FileResponse(FOLDER / request.path_params["name"], background=BackgroundTask(_done))


starlette = Starlette(routes=[Route("/{name}", _file)])

quart = Quart(__name__)


@quart.get("/<name>")
async def of_quart(name: str) -> Response:
    return await send_file(FOLDER / name, conditional=True)


@get("/{name:str}")
async def of_litestar(name: str) -> File:
    return File(path=FOLDER / name)


litestar = Litestar([of_litestar])


_waiting: list[asyncio.Future[None]] = []


async def _meet() -> bool:
    """Waits for a second call. Both go on in one later turn of the loop, the first one first.
    Returns whether it is the first."""
    loop = asyncio.get_running_loop()
    mine = loop.create_future()
    _waiting.append(mine)
    if len(_waiting) == 2:
        loop.call_later(0.05, lambda: [each.set_result(None) for each in _waiting])
    await mine
    return mine is _waiting[0]


async def raw(scope, receive, send):
    """The events of the extensions, as they are."""
    if scope["type"] == "lifespan":
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                return
            await send({"type": "websocket.send", "text": event["text"]})
    path = FOLDER / scope["path"].lstrip("/")
    query = scope["query_string"].decode()
    if query == "together":
        runs_on = await _meet()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": str(path)})
        if runs_on:
            await asyncio.sleep(0.2)  # a background task
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if query == "zero-copy":
        with path.open("rb") as file:
            event = {"type": "http.response.zerocopysend", "file": file, "offset": 100}
            await send(event)
    elif query == "mixed":
        with path.open("rb") as file:
            event = {"type": "http.response.zerocopysend", "file": file, "more_body": True}
            await send({"type": "http.response.body", "body": b"head ", "more_body": True})
            await send(event | {"count": 10})
            await send({"type": "http.response.body", "body": b" between ", "more_body": True})
            await send(event | {"more_body": False})
    else:
        await send({"type": "http.response.pathsend", "path": str(path)})
