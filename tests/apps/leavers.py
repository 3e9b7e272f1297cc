"""Apps whose clients leave in the middle, one factory per framework. Each answers

| path | |
|---|---|
| `/silent` | a piece, then nothing for ever: a model that thinks, a queue that is empty |
| `/busy` | a piece every 10 ms, for ever |
| `/file` | 64 MB of a file (where the framework has such a response) |
| `POST /job` | waits for `/go` |
| `/ws/listens`, `/ws/tells` | WebSockets whose handlers catch nothing |
| `/seen` | JSON: what has ended or begun of all this, in order |

What ends by itself, is cleaned up, or runs behind a response says so in `seen`.
"""

import asyncio
import gc
import json
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

seen: list[str] = []
going = asyncio.Event()


@contextmanager
def noted(name: str):
    """Says when it ends; a traceback is no end."""
    try:
        yield
    finally:
        seen.append(name)


async def silent() -> AsyncIterator[bytes]:
    with noted("silent"):
        yield b"data: hello\n\n"
        await sleep(3600)


async def busy() -> AsyncIterator[bytes]:
    with noted("busy"):
        while True:
            yield b"data: hello\n\n"
            await sleep(0.01)


async def sleep(seconds: float) -> None:
    import sniffio

    if sniffio.current_async_library() == "trio":
        import trio

        await trio.sleep(seconds)
    else:
        await asyncio.sleep(seconds)


async def job() -> None:
    seen.append("job: begun")
    try:
        await going.wait()
    except BaseException:
        seen.append("job: cut")
        raise
    seen.append("job: done")


def go() -> str:
    going.set()
    return ""


def large_file() -> str:
    file, path = tempfile.mkstemp(dir=os.environ["LEAVERS_DIR"])
    os.truncate(file, 64 << 20)
    os.close(file)
    return path


def remove(path: str) -> None:
    os.unlink(path)
    seen.append("file")


def starlette() -> Any:
    """With FastAPI's, a middleware's and sse-starlette's below it, as they share its loop."""
    from fastapi import FastAPI
    from sse_starlette import EventSourceResponse
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, StreamingResponse
    from starlette.routing import Mount, Route, WebSocketRoute

    def behind(name: str) -> BackgroundTask:
        return BackgroundTask(seen.append, f"behind {name}")

    async def a_silent(request):
        return StreamingResponse(silent(), background=behind("silent"))

    async def a_busy(request):
        return StreamingResponse(busy(), background=behind("busy"))

    async def a_file(request):
        path = large_file()
        return FileResponse(path, background=BackgroundTask(remove, path))

    async def a_job(request):
        await job()
        return PlainTextResponse("")

    async def an_upload(request):
        seen.append("upload: begun")
        with noted("upload"):
            return PlainTextResponse(str(len(await request.body())))

    async def passes(request, call_next):
        return await call_next(request)

    async def is_seen(request):
        # A generator that is left at its `yield` ends when it is collected as garbage. That comes
        # with what is allocated, which is little here.
        gc.collect()
        return JSONResponse(seen)

    async def is_gone(request):
        return PlainTextResponse(go())

    async def listens(websocket):
        await websocket.accept()
        with noted("websocket"):
            while True:
                await websocket.send_text(await websocket.receive_text())

    async def tells(websocket):
        await websocket.accept()
        with noted("websocket"):
            while True:
                await websocket.send_text("tick")
                await sleep(0.01)

    def reported(request, error):
        seen.append(f"reported: {error!r}")
        return PlainTextResponse("", 500)

    routes = [
        Route("/silent", a_silent),
        Route("/busy", a_busy),
        Route("/file", a_file),
        Route("/job", a_job, methods=["POST"]),
        Route("/upload", an_upload, methods=["POST"]),
    ]
    fastapi = FastAPI()
    fastapi.get("/silent")(lambda: StreamingResponse(silent(), background=behind("silent")))
    fastapi.get("/busy")(lambda: StreamingResponse(busy(), background=behind("busy")))
    events = [
        Route("/silent", lambda r: EventSourceResponse(silent(), background=behind("silent"))),
        Route("/busy", lambda r: EventSourceResponse(busy(), background=behind("busy"))),
    ]
    layers = [Middleware(BaseHTTPMiddleware, dispatch=passes)] * 2
    return Starlette(
        routes=[
            Route("/seen", is_seen),
            Route("/go", is_gone),
            WebSocketRoute("/ws/listens", listens),
            WebSocketRoute("/ws/tells", tells),
            Mount("/plain", routes=routes),
            Mount("/fastapi", fastapi),
            Mount("/sse", routes=events),
            Mount("/middleware", Starlette(routes=routes, middleware=layers)),
        ],
        exception_handlers={Exception: reported},
    )


def litestar() -> Any:
    from litestar import Litestar, WebSocket, get, post, websocket
    from litestar.background_tasks import BackgroundTask
    from litestar.response import ServerSentEvent, Stream

    def behind(name: str) -> BackgroundTask:
        return BackgroundTask(seen.append, f"behind {name}")

    @get("/silent")
    async def a_silent() -> Stream:
        return Stream(silent(), background=behind("silent"))

    @get("/busy")
    async def a_busy() -> Stream:
        return Stream(busy(), background=behind("busy"))

    @get("/sse/silent")
    async def sse_silent() -> ServerSentEvent:
        return ServerSentEvent(silent(), background=behind("silent"))

    @websocket("/ws/listens")
    async def listens(socket: WebSocket) -> None:
        await socket.accept()
        with noted("websocket"):
            while True:
                await socket.send_text(await socket.receive_text())

    @websocket("/ws/tells")
    async def tells(socket: WebSocket) -> None:
        await socket.accept()
        with noted("websocket"):
            while True:
                await socket.send_text("tick")
                await sleep(0.01)

    @post("/job")
    async def a_job() -> str:
        await job()
        return ""

    @get("/go")
    async def is_gone() -> str:
        return go()

    @get("/seen")
    async def is_seen() -> list[str]:
        return seen

    return Litestar([a_silent, a_busy, sse_silent, listens, tells, a_job, is_gone, is_seen])


def quart() -> Any:
    from quart import Quart, Response, jsonify, send_file
    from quart.wrappers.response import FileBody

    class RemovedFile(FileBody):
        """Goes with its response. (A background task of Quart's runs at once: it may be before the
        file is opened.)"""

        async def __aexit__(self, *error: Any) -> None:
            try:
                await super().__aexit__(*error)
            finally:
                remove(str(self.file_path))

    app = Quart(__name__)
    app.config["RESPONSE_TIMEOUT"] = None

    @app.get("/silent")
    async def a_silent() -> Response:
        return Response(silent(), mimetype="text/event-stream")

    @app.get("/busy")
    async def a_busy() -> Response:
        return Response(busy(), mimetype="text/event-stream")

    @app.get("/file")
    async def a_file() -> Response:
        path = large_file()
        response = await send_file(path)
        response.response = RemovedFile(path)
        return response

    @app.get("/go")
    async def is_gone() -> str:
        return go()

    @app.get("/seen")
    async def is_seen() -> Response:
        return jsonify(seen)

    return app


def django() -> Any:
    from django import setup
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
    from django.urls import path

    async def a_silent(request):
        return StreamingHttpResponse(silent())

    async def a_busy(request):
        return StreamingHttpResponse(busy())

    def a_file(request):
        name = large_file()
        response = FileResponse(Path(name).open("rb"))  # noqa: SIM115 - Django closes it
        response._resource_closers.append(lambda: remove(name))
        return response

    async def is_gone(request):
        return HttpResponse(go())

    async def is_seen(request):
        return JsonResponse(seen, safe=False)

    urls = [
        path("silent", a_silent),
        path("busy", a_busy),
        path("file", a_file),
        path("go", is_gone),
        path("seen", is_seen),
    ]
    settings.configure(ROOT_URLCONF=tuple(urls), ALLOWED_HOSTS=["*"], SECRET_KEY="for tests only")
    setup()
    return get_asgi_application()


def raw() -> Any:
    """Listens to nothing."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        path = scope["path"]
        body = json.dumps(seen).encode() if path == "/seen" else b""
        if path == "/go":
            go()
        if path == "/job":
            await job()
        start = {"type": "http.response.start", "status": 200, "headers": []}
        if path == "/file":
            start["headers"] = [(b"content-length", b"%d" % (64 << 20))]
        await send(start)
        while path == "/busy":
            await send({"type": "http.response.body", "body": b"tick", "more_body": True})
            await sleep(0.01)
        for _ in range(1024 if path == "/file" else 0):
            piece = {"type": "http.response.body", "body": bytes(65_536), "more_body": True}
            await send(piece)
        await send({"type": "http.response.body", "body": body})
        if path == "/file":
            seen.append("file")

    return app


def wsgi() -> Any:
    import time

    def ticks():
        with noted("busy"):
            while True:
                yield b"data: hello\n\n"
                time.sleep(0.01)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/busy":
            return ticks()
        if environ["PATH_INFO"] == "/job":
            seen.append("job: begun")
            while not going.is_set():
                time.sleep(0.01)
            seen.append("job: done")
            return []
        return [json.dumps(seen).encode() if environ["PATH_INFO"] == "/seen" else go().encode()]

    return application
