"""A file, as Starlette and Flask send one: /big of the folder in FILES_FOLDER."""

import os

from flask import Flask, Response, send_file
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

PATH = os.path.join(os.environ["FILES_FOLDER"], "big")


async def big(request: Request) -> FileResponse:
    return FileResponse(PATH)


asgi = Starlette(routes=[Route("/big", big)])
wsgi = Flask(__name__)


@wsgi.get("/big")
def of_flask() -> Response:
    return send_file(PATH)
