"""Flask with views that wait, as for a database: each takes the milliseconds that its path says."""

import time

from flask import Flask, Response, request

wsgi = Flask(__name__)


@wsgi.get("/")
def index():
    return "ok"


@wsgi.get("/wait/<int:milliseconds>")
def wait(milliseconds):
    time.sleep(milliseconds / 1e3)
    return "ok"


@wsgi.post("/up")
def up():
    size = 0
    while piece := request.stream.read(65_536):
        size += len(piece)
    return str(size)


@wsgi.get("/down/<int:size>")
def down(size):
    def pieces():
        for at in range(0, size, 65_536):
            yield bytes(min(65_536, size - at))

    return Response(pieces(), headers={"Content-Length": str(size)})
