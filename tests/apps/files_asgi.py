"""ASGI apps that answer with the file that their path names, each by its framework's own means."""

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


async def raw(scope, receive, send):
    """The events of the extensions, as they are."""
    if scope["type"] == "lifespan":
        return
    path = FOLDER / scope["path"].lstrip("/")
    query = scope["query_string"].decode()
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
