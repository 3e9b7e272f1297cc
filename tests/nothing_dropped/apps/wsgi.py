"""The app for WSGI servers: the same paths but for the WebSocket."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import parse_qs

from . import code, size

MOMENT = 0.003
AT_WORK = threading.BoundedSemaphore(8)
IMPORT_TO_READY = 1.0
"""Seconds: WSGI does not tell an app when it is ready."""

Environ = dict[str, object]
Start = Callable[[str, list[tuple[str, str]]], object]


def quick(environ: Environ) -> bytes:
    time.sleep(2 * MOMENT)
    return argument(environ).encode()


def work(environ: Environ) -> bytes:
    with AT_WORK:
        time.sleep(0.2)
    return argument(environ).encode()


def record(environ: Environ) -> bytes:
    identity = b"".join(pieces(environ))
    time.sleep(MOMENT)
    code.record(identity.decode())
    time.sleep(MOMENT)
    return identity


def upload(environ: Environ) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces(environ):
        digest.update(piece)
    return digest.hexdigest().encode()


def download(environ: Environ) -> Iterator[bytes]:
    return map(size.block, range(size.BLOCKS))


def events(environ: Environ) -> Iterator[bytes]:
    count, number = int(argument(environ)), 0
    while not count or number < count:
        yield b"data: %d\n\n" % number
        number += 1
        time.sleep(0.05)


ROUTES: dict[str, Callable[[Environ], bytes | Iterator[bytes]]] = {
    "/quick": quick,
    "/work": work,
    "/record": record,
    "/upload": upload,
    "/download": download,
    "/events": events,
}


def argument(environ: Environ, name: str = "n") -> str:
    return parse_qs(str(environ.get("QUERY_STRING", ""))).get(name, [""])[0]


def pieces(environ: Environ) -> Iterator[bytes]:
    """The body. Every contestant ends its input where the body ends."""
    body = environ["wsgi.input"]
    while piece := body.read(65_536):  # type: ignore[attr-defined]
        yield piece


def app(environ: Environ, start: Start) -> Iterable[bytes]:
    headers = code.headers()
    if code.FAULT == "500":
        start("500 Internal Server Error", [*headers, ("content-length", "0")])
        return []
    answer = ROUTES[str(environ["PATH_INFO"])](environ)
    if isinstance(answer, bytes):
        start("200 OK", [*headers, ("content-length", str(len(answer)))])
        return [answer]
    if environ["PATH_INFO"] == "/download" and "length" in str(environ["QUERY_STRING"]):
        headers.append(("content-length", str(size.BLOCK * size.BLOCKS)))
    start("200 OK", headers)
    return answer


code.started(IMPORT_TO_READY)
