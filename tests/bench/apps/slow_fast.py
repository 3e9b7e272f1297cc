"""FastAPI with a view that computes for the milliseconds that its path says, and so blocks the
event loop: no worker can do more than one at a time. Another view only waits for as long."""

import asyncio
import time

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def index() -> str:
    return "ok"


@app.get("/sleep/{milliseconds}")
async def sleep(milliseconds: int) -> str:
    await asyncio.sleep(milliseconds / 1e3)
    return "ok"


@app.get("/wait/{milliseconds}")
async def wait(milliseconds: int) -> str:
    until = time.thread_time() + milliseconds / 1e3
    while time.thread_time() < until:
        pass
    return "ok"
