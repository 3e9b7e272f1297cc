"""Bodies that are kept for real frameworks, over TLS: two threads, and forty slow clients. Without
it both threads would wait for the first two of them, and nobody would be answered."""

import hashlib
import socket
import ssl
from contextlib import ExitStack
from pathlib import Path

import pytest

from ..gateway.tls.issued import issue, trusting
from .server import DEADLINE, Propylon
from .test_buffering import answer, framed, head

FLASK = """
import hashlib

from flask import Flask, Response, request

app = Flask(__name__)

@app.route("/up", methods=["POST"])
def up():
    return hashlib.sha256(request.get_data()).hexdigest()

@app.route("/down")
def down():
    return Response((b"d" * 50_000 for _ in range(80)), headers={"Content-Length": "4000000"})

@app.route("/")
def index():
    return "here"
"""
DJANGO = """
import hashlib

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, USE_TZ=True,
    DATA_UPLOAD_MAX_MEMORY_SIZE=10_000_000,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)

def up(request):
    return HttpResponse(hashlib.sha256(request.body).hexdigest())

def down(request):
    pieces = (b"d" * 50_000 for _ in range(80))
    return StreamingHttpResponse(pieces, headers={"Content-Length": "4000000"})

def index(request):
    return HttpResponse("here")

urlpatterns = [path("up", up), path("down", down), path("", index)]
app = get_wsgi_application()
"""
UPLOAD = bytes(range(256)) * 1_200
DOWNLOAD = b"d" * 4_000_000
SLOW = 20


@pytest.mark.slow
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("module", "text"), [("flask", FLASK), ("django", DJANGO)])
def test_slow_clients_hold_no_thread_of_a_framework(
    tmp_path: Path, module: str, text: str, chunked: bool
) -> None:
    pytest.importorskip(module, reason=f"{module} is not installed (the extra `apps` has it)")
    (tmp_path / "bodies.py").write_text(text)
    issued = issue(tmp_path, "localhost")
    flags = ("bodies:app", "--no-access-log", "--threads", "2", *issued.flags)
    said = hashlib.sha256(UPLOAD).hexdigest().encode()
    with Propylon(*flags, cwd=tmp_path) as server, ExitStack() as stack:
        context = trusting()

        def connect(small: bool = False) -> ssl.SSLSocket:
            sock = socket.socket()
            if small:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            sock.settimeout(DEADLINE)
            sock.connect(server.address)
            return stack.enter_context(context.wrap_socket(sock, server_hostname="localhost"))

        ups, downs = ([connect(small=at == 1) for _ in range(SLOW)] for at in (0, 1))
        post = head(chunked=chunked, size=len(UPLOAD)).replace(b"POST / ", b"POST /up ")
        for up, down in zip(ups, downs, strict=True):
            up.sendall(post + framed(UPLOAD[:-9], chunked=chunked))
            down.sendall(b"GET /down HTTP/1.1\r\nHost: test\r\n\r\n")
        fast = connect()

        def ask() -> None:
            for _ in range(20):
                fast.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                assert answer(fast).endswith(b"here")

        ask()
        for down in downs[::2]:
            assert answer(down).endswith(DOWNLOAD)
        for up in ups:
            up.sendall(framed(UPLOAD[-9:], chunked=chunked, last=True))
        for up in ups:
            assert answer(up).endswith(said)
        ask()
