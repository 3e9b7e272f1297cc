"""The rows of the table: an app, the load, and who is compared under it by default."""

from dataclasses import dataclass
from typing import Final
from zlib import crc32

from .closed_loop import Requests
from .contestants import CONTESTANTS
from .idle import Idle
from .load import Load
from .open_loop import AtShare
from .websockets import Broadcasts, Echoes

KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True)
class Row:
    title: str
    app: str
    loads: dict[str, Load]
    """By what is added to a contestant's name where there are several."""
    contestants: tuple[str, ...]
    tls: bool = False
    anew: bool = False
    """Contestants are started for each round."""

    @property
    def needs(self) -> set[str]:
        """What a contestant must be capable of."""
        needs = {"wsgi" if self.app.endswith(":wsgi") else "asgi"}
        if self.tls:
            needs.add("tls")
        if any(isinstance(load, Echoes | Broadcasts) for load in self.loads.values()):
            needs.add("websocket")
        return needs

    @property
    def figure(self) -> str:
        return next(iter(self.loads.values())).figure

    @property
    def unit(self) -> str:
        return next(iter(self.loads.values())).unit


OURS: Final = ("propylon", "propylon-2-gateways")
PROXIED: Final = (
    "nginx-uvicorn", "nginx-gunicorn-asgi", "nginx-granian", "haproxy-uvicorn", "caddy-uvicorn",
)  # fmt: skip
BARE: Final = (
    "uvicorn", "uvicorn-2-workers", "granian", "granian-2-workers", "hypercorn-asyncio",
    "hypercorn-trio", "gunicorn-asgi", "daphne",
)  # fmt: skip
ALL_ASGI: Final = (*OURS, "propylon-h11", "propylon-2-gateways-h11", *PROXIED, *BARE)
ALL_WSGI: Final = (
    *OURS, "nginx-gunicorn-gthread", "nginx-granian", "uwsgi", "granian", "gunicorn-gthread",
)  # fmt: skip
PROCESSES: Final = (
    "propylon-2-workers", "uvicorn-3-workers", "granian-3-workers",
)  # fmt: skip
"""Three processes that serve, each: ours are a gateway and two workers."""
SOME: Final = ("propylon", "nginx-uvicorn", "haproxy-uvicorn", "caddy-uvicorn", "uvicorn")
WEBSOCKETS: Final = (*SOME, "nginx-granian", "granian", "hypercorn-asyncio")
ALL_TLS: Final = (*OURS, *PROXIED, "uvicorn", "granian", "hypercorn-asyncio")
PATHS: Final = tuple(f"/r{number}/" for number in range(64))

ITEM: Final = b'{"id":5,"name":"x","price":1.5,"tags":["a","b"]}'
FASTAPI: Final = Requests(path="/items/5?q=x", expected=ITEM)
FASTAPI_POST: Final = Requests(
    path="/items", body=ITEM, media_type="application/json", expected=ITEM
)


def down(size: int, connections: int) -> dict[str, Load]:
    block = bytes(range(256)) * 64
    body = (block * (size // len(block) + 1))[:size]
    path = f"/down/{size}"
    return {"": Requests(path=path, expected=body, connections=connections)}


def up(size: int, connections: int) -> dict[str, Load]:
    body = bytes(range(256)) * (size // 256)
    checked = b"%d %d" % (size, crc32(body))
    return {
        "": Requests(
            path="/up", body=body, expected=b"%d 0" % size, connections=connections,
            check_path="/up?crc", check_expected=checked,
        )
    }  # fmt: skip


def view(title: str, app: str, expected: bytes) -> Row:
    load = Requests(path="/items/5?q=x", expected=expected)
    return Row(title, app, {"": load}, ALL_WSGI)


def at(*connections: int) -> dict[str, Load]:
    return {f"at {number:,}": Requests(connections=number) for number in connections}


CLOSE: Final = Requests(keep_alive=False)
EVENTS: Final = Requests(
    path="/events", expected=(b"data: " + b"e" * 92 + b"\n\n") * 100, each=100, unit="events/s",
    chunked=True,
)  # fmt: skip
HELLO: Final[dict[str, Load]] = {"": Requests()}
LOGS: Final = (
    "propylon", "propylon-access-log", "nginx-uvicorn", "nginx-uvicorn-access-log",
)  # fmt: skip

ROWS: Final[dict[str, Row]] = {
    "hello": Row("raw ASGI hello", "hello:app", HELLO, ALL_ASGI),
    "hello-wsgi": Row("raw WSGI hello", "hello:wsgi", HELLO, ALL_WSGI),
    "fastapi": Row("FastAPI, JSON out", "fast:app", {"": FASTAPI}, (*ALL_ASGI, *PROCESSES)),
    "fastapi-post": Row("FastAPI, JSON in and out", "fast:app", {"": FASTAPI_POST}, SOME),
    "django": view("Django", "django_view:wsgi", b'{"id": 5, "name": "x", "tags": ["a", "b"]}'),
    "flask": view("Flask", "flask_view:wsgi", b'{"id":5,"name":"x","tags":["a","b"]}\n'),
    "down-10k": Row("10 KiB down", "hello:app", down(10 * KIB, 64), (*SOME, "granian")),
    "down-1m": Row("1 MiB down", "hello:app", down(MIB, 16), (*SOME, "granian")),
    "up-10k": Row("10 KiB up", "hello:app", up(10 * KIB, 64), (*SOME, "granian")),
    "up-1m": Row("1 MiB up", "hello:app", up(MIB, 16), (*SOME, "granian")),
    "events": Row("server-sent events", "hello:app", {"": EVENTS}, (*SOME, "granian")),
    "websocket-128": Row("WebSocket echo, 128 B", "hello:app", {"": Echoes(128)}, WEBSOCKETS),
    "websocket-16k": Row("WebSocket echo, 16 KiB", "hello:app", {"": Echoes(16 * KIB)}, WEBSOCKETS),
    "broadcast": Row("WebSocket broadcast to 64", "hello:app", {"": Broadcasts()}, WEBSOCKETS),
    "tls": Row("TLS, kept alive", "hello:app", HELLO, ALL_TLS, tls=True),
    "tls-handshakes": Row("TLS handshakes", "hello:app", {"": CLOSE}, ALL_TLS, tls=True),
    "new-connections": Row("a connection per request", "hello:app", {"": CLOSE}, ALL_ASGI),
    "connections": Row(
        "connections", "hello:app", at(64, 500, 2_000, 5_000), ("propylon", "nginx-uvicorn")
    ),
    "routes": Row(
        "64 routes", "hello:app", {"": Requests(paths=PATHS)},
        ("propylon", "propylon-64-routes", "nginx-uvicorn", "nginx-uvicorn-64-locations"),
    ),
    "pools": Row(
        "64 pools", "hello:app", {"": Requests(paths=PATHS)},
        ("propylon", "propylon-8-pools", "propylon-64-pools"), anew=True,
    ),
    "idle": Row(
        "memory of an idle connection", "hello:app", {"": Idle()},
        ("propylon", "nginx-uvicorn", "uvicorn", "granian", "hypercorn-asyncio"), anew=True,
    ),
    "access-log": Row("access log, raw hello", "hello:app", HELLO, LOGS),
    "access-log-fastapi": Row("access log, FastAPI", "fast:app", {"": FASTAPI}, LOGS),
    "open-loop": Row(
        "70 % of the contestant's own capacity, FastAPI", "fast:app",
        {"": AtShare(FASTAPI, equal=False)}, ("propylon", "nginx-uvicorn", "uvicorn"),
    ),
    "open-loop-equal": Row(
        "70 % of the slowest one's capacity, FastAPI", "fast:app",
        {"": AtShare(FASTAPI, equal=True)}, ("propylon", "nginx-uvicorn"),
    ),
}  # fmt: skip


def entrants(row: Row, chosen: list[str]) -> list[str]:
    """The contestants of that row: those chosen that are capable of it, or its own."""
    names = chosen or list(row.contestants)
    return [name for name in names if row.needs <= CONTESTANTS[name].can]
