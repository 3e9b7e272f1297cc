"""A page for a real browser, which goes through its steps by itself and posts what it found; the
environment's FINDINGS is the folder where that is written to."""

import os
from pathlib import Path

from asgi_raw import mark
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette_app import ws

FINDINGS = Path(os.environ["FINDINGS"])
PAGE = Path(__file__).with_name("browser_page.html")


async def page(request: Request) -> Response:
    return FileResponse(PAGE)


async def found(request: Request) -> Response:
    mark(str(FINDINGS / request.path_params["step"]), (await request.body()).decode())
    return Response(status_code=204)


app = Starlette(
    routes=[
        Route("/", page),
        Route("/found/{step}", found, methods=["POST"]),
        WebSocketRoute("/ws", ws),
    ]
)
