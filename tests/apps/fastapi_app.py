"""FastAPI, as its documentation shows it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import sniffio
from asgi_raw import mark
from fastapi import (
    BackgroundTasks,
    Cookie,
    FastAPI,
    File,
    Form,
    HTTPException,
    Request,
    Response,
    UploadFile,
    WebSocket,
)
from fastapi.responses import PlainTextResponse, RedirectResponse, StreamingResponse


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
    yield {"greeting": "world"}


app = FastAPI(lifespan=lifespan)


@app.get("/json")
async def json(request: Request) -> dict[str, str]:
    return {"hello": request.state.greeting}


@app.get("/query", response_class=PlainTextResponse)
def query(name: str) -> str:  # in a thread of AnyIO's
    return name


@app.post("/form")
async def form(name: Annotated[str, Form()], colour: Annotated[str, Form()]) -> dict[str, str]:
    return {"name": name, "colour": colour}


@app.post("/upload")
async def upload(file: Annotated[UploadFile, File()]) -> dict[str, object]:
    data = await file.read()
    digest = hashlib.sha256(data).hexdigest()
    return {"name": file.filename, "size": len(data), "sha256": digest}


@app.get("/stream")
async def stream(n: int) -> StreamingResponse:
    async def pieces() -> AsyncIterator[bytes]:
        left = n
        while left:
            size = min(left, 10_000)
            left -= size
            yield b"x" * size

    return StreamingResponse(pieces(), media_type="application/octet-stream")


@app.get("/events")
async def events() -> StreamingResponse:
    async def three() -> AsyncIterator[str]:
        for number in range(3):
            yield f"data: {number}\n\n"

    return StreamingResponse(three(), media_type="text/event-stream")


@app.post("/background", status_code=202)
async def background(file: str, tasks: BackgroundTasks) -> str:
    tasks.add_task(Path(file).write_text, "done")
    return "accepted"


@app.get("/cookies")
async def cookies(
    request: Request, response: Response, seen: Annotated[str | None, Cookie()] = None
) -> dict[str, str]:
    response.set_cookie("seen", "yes")
    response.set_cookie("second", "too")
    return request.cookies


@app.get("/redirect")
async def redirect() -> RedirectResponse:
    return RedirectResponse("/json", status_code=302)


@app.get("/boom")
async def boom() -> None:
    raise RuntimeError("boom")


@app.get("/client")
async def client(request: Request) -> dict[str, object]:
    library = sniffio.current_async_library()
    if library == "asyncio":
        library = type(asyncio.get_running_loop()).__module__.split(".")[0]
    return {
        "scheme": request.url.scheme,
        "client": request.client.host if request.client else None,
        "method": request.method,
        "path": request.scope["path"],
        "root_path": request.scope["root_path"],
        "interface": library,
    }


@app.websocket("/ws")
async def ws(websocket: WebSocket, refuse: bool = False, file: str | None = None) -> None:
    if refuse:
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
    if file is not None:
        mark(file, str(message["code"]))
