"""Apps that gevent has patched at their import, as apps for `gunicorn -k gevent` are."""

from gevent import monkey

monkey.patch_all()

import socket  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402


def sleeps() -> bytes:
    time.sleep(0.3)
    return b"slept"


def starts_a_thread() -> bytes:
    done: list[bytes] = []
    thread = threading.Thread(target=lambda: done.append(sleeps()))
    thread.start()
    thread.join()
    return done[0]


def uses_sockets() -> bytes:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"hi")
        return theirs.recv(10)


TASKS = {"/sleeps": sleeps, "/thread": starts_a_thread, "/sockets": uses_sockets}


def application(environ, start_response):
    if environ["PATH_INFO"] == "/length":
        body = str(len(environ["wsgi.input"].read())).encode()
    elif environ["PATH_INFO"] == "/big":
        start_response("200 OK", [])
        return (b"x" * 65_536 for _ in range(50))
    else:
        body = TASKS[environ["PATH_INFO"]]()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
