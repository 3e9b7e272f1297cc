"""Early hints and trailers as real apps send them and as real clients see them."""

import http.client
import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h11
import pytest

from ..gateway.tls.issued import issue, trusting
from .other_proxies import haproxy, needs_haproxy, needs_nginx, nginx
from .server import DEADLINE, Propylon

STARLETTE = """
import hashlib
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route

class Digested(StreamingResponse):
    async def stream_response(self, send):
        digest = hashlib.sha256()
        headers = [*self.raw_headers, (b"trailer", b"x-sha256")]
        start = {"type": "http.response.start", "status": 200, "headers": headers}
        await send({**start, "trailers": True})
        async for piece in self.body_iterator:
            digest.update(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        fields = [(b"x-sha256", digest.hexdigest().encode())]
        await send({"type": "http.response.trailers", "headers": fields})

async def pieces(count):
    for number in range(count):
        yield b"%06d" % number

async def hinted(request):
    await request.send_early_hints("</style.css>; rel=preload; as=style", "</a.js>; rel=preload")
    return PlainTextResponse("page")

async def digested(request):
    return Digested(pieces(int(request.query_params.get("n", 3))))

async def extensions(request):
    return JSONResponse(sorted(request.scope["extensions"]))

app = Starlette(routes=[
    Route("/hinted", hinted), Route("/digested", digested), Route("/extensions", extensions),
])
"""
FLASK = """
from flask import Flask, request

app = Flask(__name__)

@app.get("/hinted")
def hinted():
    hint = request.environ.get("wsgi.early_hints")
    if hint is not None:
        hint([("Link", "</style.css>; rel=preload; as=style"), ("Link", "</a.js>; rel=preload")])
    return "page"
"""
DJANGO = """
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x")

def hinted(request):
    if hint := request.META.get("wsgi.early_hints"):
        hint([("Link", "</style.css>; rel=preload; as=style"), ("Link", "</a.js>; rel=preload")])
    return HttpResponse("page")

urlpatterns = [path("hinted", hinted)]
app = get_wsgi_application()
"""
APPS = {"starlette": STARLETTE, "flask": FLASK, "django": DJANGO}
WANTS_TRAILERS = ("te", "trailers")
LINKS = ["</style.css>; rel=preload; as=style", "</a.js>; rel=preload"]


@contextmanager
def serving(folder: Path, app: str, *flags: str) -> Iterator[Propylon]:
    (folder / f"{app}_around.py").write_text(APPS[app])
    with Propylon(f"{app}_around:app", *flags, cwd=folder) as server:
        yield server


def curl(*arguments: str) -> str:
    """What curl shows of what it receives: "< " and the line of a head."""
    ran = subprocess.run(
        ["curl", "-sv", "--max-time", "20", *arguments],
        capture_output=True,
        check=True,
        timeout=DEADLINE,
    )
    shown = ran.stderr.decode("latin-1").replace("\r", "") + ran.stdout.decode("latin-1")
    return "\n".join(line[2:] for line in shown.splitlines() if line.startswith("< ")) + shown


def asked(server: Propylon, path: str, *fields: tuple[str, str], method: str = "GET"):
    """What h11, which checks all of it, hears: interim responses, response, body, trailers."""
    client = h11.Connection(h11.CLIENT)
    head = h11.Request(method=method, target=path, headers=[("host", "h"), *fields])
    interim, response, body = [], None, b""
    with socket.create_connection(server.address, DEADLINE) as sock:
        sock.sendall(client.send(head) + client.send(h11.EndOfMessage()))
        while True:
            event = client.next_event()
            if event is h11.NEED_DATA:
                client.receive_data(sock.recv(65_536))
            elif isinstance(event, h11.InformationalResponse):
                interim.append(event)
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                assert isinstance(event, h11.EndOfMessage)
                assert response is not None
                return interim, response, body, dict(event.headers)


def test_a_starlette_app_s_hints_and_trailers(tmp_path: Path) -> None:
    flags = ("--early-hints", "all", "--access-logformat", "%(r)s|%(s)s|%(B)s")
    with serving(tmp_path, "starlette", *flags) as server:
        interim, response, body, _ = asked(server, "/hinted")
        assert [one.status_code for one in interim] == [103]
        assert [value.decode() for _, value in interim[0].headers] == LINKS
        assert (response.status_code, body) == (200, b"page")
        _, response, body, trailers = asked(server, "/digested", WANTS_TRAILERS)
        assert body == b"000000000001000002"
        assert set(trailers) == {b"x-sha256"}
        assert asked(server, "/digested")[2:] == (body, {})
        # Neither interim responses nor trailers count as body.
        server.stdout.find(r"^GET /hinted HTTP/1\.1\|200\|4$")
        server.stdout.find(r"^GET /digested HTTP/1\.1\|200\|18$")


@pytest.mark.slow
def test_curl_shows_a_103_and_httpx_reads_past_it(tmp_path: Path) -> None:
    with serving(tmp_path, "starlette", "--early-hints", "all") as server:
        shown = curl(f"{server.url}/hinted")
        assert re.match(
            r"HTTP/1\.1 103 Early Hints\nlink: </style\.css>; rel=preload; as=style\n"
            r"link: </a\.js>; rel=preload\n(\n)?HTTP/1\.1 200 OK\n",
            shown,
        ), shown
        assert "103" not in curl("-0", f"{server.url}/hinted")  # HTTP/1.0
        with server.client() as client:
            for _ in range(3):
                assert client.get("/hinted").text == "page"
            assert client.head("/hinted").status_code == 200
        assert asked(server, "/hinted", method="HEAD")[0][0].status_code == 103


def status_at(server: Propylon) -> int:
    connection = http.client.HTTPConnection(*server.address, timeout=DEADLINE)
    try:
        connection.request("GET", "/hinted", headers={"Sec-Fetch-Mode": "navigate"})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.slow
@needs_nginx
@needs_haproxy
def test_who_gets_hints_by_default_and_why(tmp_path: Path) -> None:
    """Nobody over HTTP/1.1. Python's http.client takes a 103 for the response (if it ever does not,
    another default may be right), and so does nginx before 1.29, which then waits for ever.
    HAProxy passes it on, which is what `all` is for."""
    with serving(tmp_path, "starlette") as server:
        assert asked(server, "/hinted")[0] == []
        assert "http.response.early_hint" not in json.loads(asked(server, "/extensions")[2])
        assert status_at(server) == 200
        location = "proxy_http_version 1.1; proxy_set_header Connection '';"
        with nginx(tmp_path / "nginx", server.url, location=location) as port:
            for _ in range(2):
                shown = curl(f"http://127.0.0.1:{port}/hinted", "-H", "Sec-Fetch-Mode: navigate")
                assert shown.startswith("HTTP/1.1 200 OK")
                shown = curl(f"http://127.0.0.1:{port}/digested", "-H", "TE: trailers")
                assert shown.endswith("000000000001000002")
    with serving(tmp_path, "starlette", "--early-hints", "all") as server:
        assert status_at(server) == 103
        to = "{}:{}".format(*server.address)
        with haproxy(tmp_path / "haproxy", to, mode="http") as port:
            shown = curl(f"http://127.0.0.1:{port}/hinted")
            assert shown.startswith("HTTP/1.1 103 Early Hints")
            assert shown.endswith("page")


@pytest.mark.slow
@pytest.mark.parametrize("app", ["flask", "django"])
def test_hints_of_wsgi_apps(tmp_path: Path, app: str) -> None:
    with serving(tmp_path, app, "--interface", "wsgi", "--early-hints", "all") as server:
        interim, response, body, _ = asked(server, "/hinted")
        assert [value.decode() for _, value in interim[0].headers] == LINKS
        assert (response.status_code, body) == (200, b"page")
        for method in ("HEAD", "GET"):
            interim, response, _, _ = asked(server, "/hinted", method=method)
            assert (len(interim), response.status_code) == (1, 200)


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("parser", ["h11", "httptools"])
def test_on_every_loop_and_parser(tmp_path: Path, loop: str, parser: str) -> None:
    flags = ("--loop", loop, "--http", parser, "--gateways", "2", "--early-hints", "all")
    with serving(tmp_path, "starlette", *flags) as server:
        for _ in range(4):
            assert asked(server, "/hinted")[0][0].status_code == 103
            trailers = asked(server, "/digested?n=30000", WANTS_TRAILERS)[3]
            assert set(trailers) == {b"x-sha256"}
        found = json.loads(asked(server, "/extensions", WANTS_TRAILERS)[2])
        assert {"http.response.early_hint", "http.response.trailers"} <= set(found)
        assert "http.response.debug" not in found


@pytest.mark.slow
def test_under_tls_with_buffers_and_through_a_reload(tmp_path: Path) -> None:
    issued = issue(tmp_path, "localhost", "127.0.0.1")
    flags = ["--ssl-certfile", str(issued.certfile), "--ssl-keyfile", str(issued.keyfile)]
    flags += ["--buffer-responses", "on", "--early-hints", "all", "--reload-observe", "0.1"]
    with serving(tmp_path, "starlette", *flags) as server:
        for generation in (2, 3):
            asks = ["-k", "--http1.1", "--raw", "-H", "TE: trailers"]
            assert curl(*asks, f"{server.url}/hinted").startswith("HTTP/1.1 103")
            shown = curl(*asks, f"{server.url}/digested?n=90000")
            assert re.search(r"\n0\r\nx-sha256: [0-9a-f]{64}\r\n", shown)
            with server.client(verify=trusting()) as client:
                assert client.get("/digested").content == b"000000000001000002"
            server.process.send_signal(signal.SIGHUP)
            server.stderr.find(f"Reloaded: generation {generation} serves", server.process)
