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
IMAGES = Path(__file__).with_name("browser_images.html")


async def page(request: Request) -> Response:
    return FileResponse(PAGE)


async def images(request: Request) -> Response:
    return FileResponse(IMAGES)


async def image(request: Request) -> Response:
    """One more pixel wide than its number."""
    width = request.path_params["number"] + 1
    size = f'width="{width}" height="9"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><!--{"x" * 9_000}--></svg>'
    return Response(svg, media_type="image/svg+xml")


async def count(request: Request) -> Response:
    return Response(str(len(await request.body())))


async def found(request: Request) -> Response:
    mark(str(FINDINGS / request.path_params["step"]), (await request.body()).decode())
    return Response(status_code=204)


app = Starlette(
    routes=[
        Route("/", page),
        Route("/images", images),
        Route("/image/{number:int}", image),
        Route("/count", count, methods=["POST"]),
        Route("/found/{step}", found, methods=["POST"]),
        WebSocketRoute("/ws", ws),
    ]
)
