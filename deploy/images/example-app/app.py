"""A small app to try the images with: an answer, a stream and a WebSocket."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

app = FastAPI()


@app.get("/")
async def hello() -> dict[str, str]:
    return {"hello": "world"}


@app.get("/sleep")
async def sleep(seconds: float = 1.0) -> dict[str, float]:
    await asyncio.sleep(min(seconds, 60.0))
    return {"slept": seconds}


@app.get("/stream")
async def stream(pieces: int = 10, every: float = 0.1) -> StreamingResponse:
    async def made() -> AsyncIterator[str]:
        for number in range(min(pieces, 10_000)):
            yield f"{number}\n"
            await asyncio.sleep(min(every, 10.0))

    return StreamingResponse(made(), media_type="text/plain")


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        pass
