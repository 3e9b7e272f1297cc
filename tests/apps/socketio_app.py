"""Socket.IO as ASGI and as WSGI, with the same events."""

import flask
import socketio

asgi_server = socketio.AsyncServer(async_mode="asgi", ping_interval=1)


@asgi_server.event
async def connect(sid: str, environ: dict) -> None:
    print(f"connected {sid}", flush=True)


@asgi_server.event
async def disconnect(sid: str, reason: str) -> None:
    print(f"disconnected {sid}", flush=True)


@asgi_server.on("echo")
async def echo(sid: str, data: object) -> object:
    return data


@asgi_server.on("ask back")
async def ask_back(sid: str, data: object) -> object:
    return await asgi_server.call("question", data, to=sid)


asgi = socketio.ASGIApp(asgi_server)

wsgi_server = socketio.Server(async_mode="threading", ping_interval=1)


@wsgi_server.on("echo")
def echo_in_thread(sid: str, data: object) -> object:
    return data


@wsgi_server.on("disconnect")
def left(sid: str, reason: str) -> None:
    print(f"disconnected {sid}", flush=True)


wsgi = socketio.WSGIApp(wsgi_server, flask.Flask(__name__))
