"""Apps that count in prometheus_client's registry, and can be told to be difficult."""

import os
import threading
import time

from prometheus_client import REGISTRY, Counter, Gauge

CALLS = Counter("calls", "Calls of the app.", ["path"])
MODE = Gauge("level", "The last level.", multiprocess_mode="livemax")


class Difficult:
    def __init__(self, path):
        self._path = path

    def describe(self):
        return []

    def collect(self):
        if self._path == "/raise":
            raise RuntimeError("no metrics today")
        if self._path == "/hang":
            threading.Event().wait()
        return []


def answer(path):
    CALLS.labels(path).inc()
    if path == "/block":
        time.sleep(1_000)
    elif path == "/fork":
        pid = os.fork()
        if not pid:
            time.sleep(1_000)
        return str(pid).encode()
    elif path in ("/raise", "/hang"):
        REGISTRY.register(Difficult(path))
    elif path == "/many":
        for number in range(100_000):
            CALLS.labels(str(number))
    return b"counted"


async def app(scope, receive, send):
    assert scope["type"] == "http"
    body = answer(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def application(environ, start_response):
    body = answer(environ["PATH_INFO"])
    start_response("200 OK", [])
    return [body]
