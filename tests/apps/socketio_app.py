"""Socket.IO, with events both ways."""

import socketio

asgi_server = socketio.AsyncServer(async_mode="asgi", ping_interval=1, ping_timeout=3)


@asgi_server.event
async def connect(sid: str, environ: dict) -> None:
    print(f"connected {sid}", flush=True)


@asgi_server.event
async def disconnect(sid: str, reason: str) -> None:
    print(f"disconnected {sid}", flush=True)


@asgi_server.on("echo")
async def echo(sid: str, data: object) -> object:
    return data


@asgi_server.on("leave")
async def leave(sid: str) -> None:
    asgi_server.start_background_task(asgi_server.disconnect, sid)


@asgi_server.on("ask back")
async def ask_back(sid: str, data: object) -> object:
    return await asgi_server.call("question", data, to=sid)


asgi = socketio.ASGIApp(asgi_server)
