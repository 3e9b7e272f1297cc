"""A WSGI app with the same knobs as asgi_raw, as far as WSGI has them."""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
ZEROS = bytes(1 << 20)


def answer(start: StartResponse, data: bytes, status: str = "200 OK") -> Iterable[bytes]:
    start(status, [("Content-Length", str(len(data)))])
    return [data]


def hello(environ: Environ, start: StartResponse, knobs: dict[str, str]) -> Iterable[bytes]:
    return answer(start, b"hello")


def echo(environ: Environ, start: StartResponse, knobs: dict[str, str]) -> Iterable[bytes]:
    start("200 OK", [])
    return iter(lambda: environ["wsgi.input"].read(65_536), b"")


def swallow(environ: Environ, start: StartResponse, knobs: dict[str, str]) -> Iterable[bytes]:
    count = 0
    while data := environ["wsgi.input"].read(65_536):
        count += len(data)
    return answer(start, b"%d" % count)


def stream(environ: Environ, start: StartResponse, knobs: dict[str, str]) -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "application/octet-stream")])
    left, piece = int(knobs["n"]), int(knobs.get("piece", 65_536))
    while left:
        size = min(left, piece)
        left -= size
        yield ZEROS[:size]


def write(environ: Environ, start: StartResponse, knobs: dict[str, str]) -> Iterable[bytes]:
    write = start("200 OK", [])
    write(b"written, ")
    write(b"then ")
    return [b"returned"]


def slow(environ: Environ, start: StartResponse, knobs: dict[str, str]) -> Iterable[bytes]:
    if "file" in knobs:
        Path(knobs["file"]).write_text(str(os.getpid()))
    time.sleep(float(knobs["s"]))
    return answer(start, b"slept")


def crash(environ: Environ, start: StartResponse, knobs: dict[str, str]) -> Iterable[bytes]:
    if "after" in knobs:
        start("200 OK", [])
        yield b"x" * int(knobs["after"])
    raise RuntimeError("crashed as asked")


def parrot(environ: Environ, start: StartResponse, knobs: dict[str, str]) -> Iterable[bytes]:
    """Raises what the client says, decoded from JSON."""
    raise ValueError(json.loads(environ["wsgi.input"].read()))


class ReadsLate:
    """A response whose `close` reads the request."""

    def __init__(self, environ: Environ) -> None:
        self._input = environ["wsgi.input"]

    def __iter__(self) -> Iterator[bytes]:
        yield b"hello"

    def close(self) -> None:
        self._input.read()


def late(environ: Environ, start: StartResponse, knobs: dict[str, str]) -> Iterable[bytes]:
    start("200 OK", [("Content-Length", "5")])
    return ReadsLate(environ)


def exit_now(environ: Environ, start: StartResponse, knobs: dict[str, str]) -> Iterable[bytes]:
    os._exit(7)


class Closing:
    """An iterable whose `close` leaves a mark."""

    def __init__(self, file: str) -> None:
        self._file = Path(file)

    def __iter__(self) -> Iterator[bytes]:
        yield b"accepted"

    def close(self) -> None:
        self._file.write_text("done")


def background(environ: Environ, start: StartResponse, knobs: dict[str, str]) -> Iterable[bytes]:
    start("202 Accepted", [])
    return Closing(knobs["file"])


def facts(environ: Environ, start: StartResponse, knobs: dict[str, str]) -> Iterable[bytes]:
    lines = [f"{name}={environ[name]}" for name in sorted(environ) if name.isupper()]
    lines += [f"scheme={environ['wsgi.url_scheme']}", f"pid={os.getpid()}"]
    return answer(start, "\n".join(lines).encode("latin-1"))


KNOBS = {
    "/echo": echo,
    "/swallow": swallow,
    "/stream": stream,
    "/write": write,
    "/slow": slow,
    "/crash": crash,
    "/parrot": parrot,
    "/late": late,
    "/exit": exit_now,
    "/background": background,
    "/facts": facts,
}


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    knobs = dict(parse_qsl(environ["QUERY_STRING"]))
    return KNOBS.get(environ["PATH_INFO"], hello)(environ, start_response, knobs)
