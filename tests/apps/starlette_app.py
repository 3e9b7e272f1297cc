"""Starlette, as its documentation shows it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import sniffio
from asgi_raw import mark
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
    yield {"greeting": "world"}


async def json(request: Request) -> Response:
    return JSONResponse({"hello": request.state.greeting})


def query(request: Request) -> Response:  # in a thread of AnyIO's
    return PlainTextResponse(request.query_params["name"])


async def form(request: Request) -> Response:
    async with request.form() as fields:
        return JSONResponse(dict(fields))


async def upload(request: Request) -> Response:
    async with request.form() as fields:
        file = fields["file"]
        data = await file.read()
    digest = hashlib.sha256(data).hexdigest()
    return JSONResponse({"name": file.filename, "size": len(data), "sha256": digest})


async def stream(request: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        left = int(request.query_params["n"])
        while left:
            size = min(left, 10_000)
            left -= size
            yield b"x" * size

    return StreamingResponse(pieces(), media_type="application/octet-stream")


async def events(request: Request) -> Response:
    async def three() -> AsyncIterator[str]:
        for number in range(3):
            yield f"data: {number}\n\n"

    return StreamingResponse(three(), media_type="text/event-stream")


async def background(request: Request) -> Response:
    task = BackgroundTask(Path(request.query_params["file"]).write_text, "done")
    return PlainTextResponse("accepted", status_code=202, background=task)


async def cookies(request: Request) -> Response:
    response = JSONResponse(request.cookies)
    response.set_cookie("seen", "yes")
    response.set_cookie("second", "too")
    return response


async def redirect(request: Request) -> Response:
    return RedirectResponse("/json", status_code=302)


async def boom(request: Request) -> Response:
    raise RuntimeError("boom")


async def client(request: Request) -> Response:
    library = sniffio.current_async_library()
    if library == "asyncio":
        library = type(asyncio.get_running_loop()).__module__.split(".")[0]
    return JSONResponse(
        {
            "scheme": request.url.scheme,
            "client": request.client.host if request.client else None,
            "method": request.method,
            "path": request.scope["path"],
            "root_path": request.scope["root_path"],
            "interface": library,
        }
    )


async def ws(websocket: WebSocket) -> None:
    if "refuse" in websocket.query_params:
        raise HTTPException(401)
    offered = websocket.scope["subprotocols"]
    await websocket.accept(subprotocol=offered[0] if offered else None)
    while (message := await websocket.receive())["type"] == "websocket.receive":
        text = message.get("text")
        if text == "close":
            await websocket.close(4000, "as asked")
            return
        elif text == "crash":
            raise RuntimeError("crashed as asked")
        elif text == "where":
            await websocket.send_json([websocket.url.scheme, websocket.url.path])
        elif text is not None:
            await websocket.send_text(text)
        else:
            await websocket.send_bytes(message["bytes"])
    if "file" in websocket.query_params:
        mark(websocket.query_params["file"], str(message["code"]))


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/json", json),
        Route("/query", query),
        Route("/form", form, methods=["POST"]),
        Route("/upload", upload, methods=["POST"]),
        Route("/stream", stream),
        Route("/events", events),
        Route("/background", background, methods=["POST"]),
        Route("/cookies", cookies),
        Route("/redirect", redirect),
        Route("/boom", boom),
        Route("/client", client),
        WebSocketRoute("/ws", ws),
    ],
)
