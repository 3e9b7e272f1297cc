"""Flask, as its documentation shows it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from flask import Flask, Response, jsonify, redirect, request

app = Flask(__name__)


@app.get("/json")
def json() -> Response:
    return jsonify(hello="world")


@app.get("/query")
def query() -> Response:
    return Response(request.args["name"], mimetype="text/plain")


@app.post("/form")
def form() -> Response:
    return jsonify(request.form)


@app.post("/upload")
def upload() -> Response:
    file = request.files["file"]
    data = file.read()
    digest = hashlib.sha256(data).hexdigest()
    return jsonify(name=file.filename, size=len(data), sha256=digest)


@app.get("/stream")
def stream() -> Response:
    left = int(request.args["n"])

    def pieces() -> Iterator[bytes]:
        for start in range(0, left, 10_000):
            yield b"x" * min(10_000, left - start)

    return Response(pieces(), mimetype="application/octet-stream")


@app.get("/events")
def events() -> Response:
    return Response((f"data: {number}\n\n" for number in range(3)), mimetype="text/event-stream")


@app.post("/background")
def background() -> Response:
    """Flask has no background tasks; what comes nearest is the response's close."""
    response = Response("accepted", status=202)
    file = Path(request.args["file"])
    response.call_on_close(lambda: file.write_text("done"))
    return response


@app.get("/cookies")
def cookies() -> Response:
    response = jsonify(request.cookies)
    response.set_cookie("seen", "yes")
    response.set_cookie("second", "too")
    return response


@app.get("/redirect")
def to_json() -> Response:
    return redirect("/json")


@app.get("/boom")
def boom() -> Response:
    raise RuntimeError("boom")


@app.get("/client")
def client() -> Response:
    return jsonify(
        scheme=request.scheme,
        client=request.remote_addr,
        method=request.method,
        path=request.root_path + request.path,
        root_path=request.root_path,
        interface="wsgi",
    )
