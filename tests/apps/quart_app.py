"""Quart, as its documentation shows it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

from asgi_raw import mark
from quart import Quart, Response, abort, jsonify, redirect, request, websocket

app = Quart(__name__)
greeting = {}


@app.before_serving
async def start() -> None:
    greeting["to"] = "world"


@app.get("/json")
async def json() -> Response:
    return jsonify(hello=greeting["to"])


@app.get("/query")
async def query() -> Response:
    return Response(request.args["name"], mimetype="text/plain")


@app.post("/form")
async def form() -> Response:
    return jsonify(await request.form)


@app.post("/upload")
async def upload() -> Response:
    file = (await request.files)["file"]
    data = file.read()
    digest = hashlib.sha256(data).hexdigest()
    return jsonify(name=file.filename, size=len(data), sha256=digest)


@app.get("/stream")
async def stream() -> Response:
    left = int(request.args["n"])

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, left, 10_000):
            yield b"x" * min(10_000, left - start)

    return Response(pieces(), mimetype="application/octet-stream")


@app.get("/events")
async def events() -> Response:
    async def three() -> AsyncIterator[bytes]:
        for number in range(3):
            yield f"data: {number}\n\n".encode()

    return Response(three(), mimetype="text/event-stream")


@app.post("/background")
async def background() -> Response:
    app.add_background_task(Path(request.args["file"]).write_text, "done")
    return Response("accepted", status=202)


@app.get("/cookies")
async def cookies() -> Response:
    response = jsonify(request.cookies)
    response.set_cookie("seen", "yes")
    response.set_cookie("second", "too")
    return response


@app.get("/redirect")
async def to_json() -> Response:
    return redirect("/json")


@app.get("/boom")
async def boom() -> Response:
    raise RuntimeError("boom")


@app.get("/client")
async def client() -> Response:
    return jsonify(
        scheme=request.scheme,
        client=request.remote_addr,
        method=request.method,
        path=request.scope["path"],
        root_path=request.root_path,
        interface=type(asyncio.get_running_loop()).__module__.split(".")[0],
    )


@app.websocket("/ws")
async def ws() -> None:
    if "refuse" in websocket.args:
        abort(401)
    offered = websocket.requested_subprotocols
    await websocket.accept(subprotocol=offered[0] if offered else None)
    try:
        while (message := await websocket.receive()) != "close":
            if message == "crash":
                raise RuntimeError("crashed as asked")
            if message == "where":
                path = websocket.root_path + websocket.path
                await websocket.send_json([websocket.scheme, path])
            else:
                await websocket.send(message)
        await websocket.close(4000, "as asked")
    except asyncio.CancelledError:  # so Quart says that the client is gone; it has no code to tell
        if "file" in websocket.args:
            mark(websocket.args["file"], "cancelled")
        raise
