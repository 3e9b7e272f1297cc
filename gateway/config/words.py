"""The words of values: other tools' words for ours, and what a value is expected to be."""

import re
from collections.abc import Iterable
from typing import Any, Final, Literal, get_args, get_origin

from msgspec import inspect

from ..listen.address import parse_address
from ..observe.formats import compile_format
from ..peers import PeerSet

INTERFACES: Final = {"asgi3": "asgi", "asginl": "asgi"}
LEVELS: Final = {"trace": "debug", "warn": "warning", "fatal": "critical"}
TRUTH: Final = {"yes": "true", "on": "true", "no": "false", "off": "false"}

FORWARDED_FIELDS: Final = ("for", "proto", "host", "port", "prefix", "real-ip", "forwarded")
"""X-Forwarded-For and so on, X-Real-IP, and RFC 7239's Forwarded."""

WORKER_CLASSES: Final = {
    "asyncio": ("auto", "asyncio"),
    "uvloop": ("auto", "uvloop"),
    "trio": ("auto", "trio"),
    "auto": ("auto", "auto"),
    "sync": ("wsgi", "auto"),
    "gthread": ("wsgi", "auto"),
    "uvicorn.workers.uvicornworker": ("asgi", "auto"),
    "uvicorn_worker.uvicornworker": ("asgi", "auto"),
    "uvicorn.workers.uvicornh11worker": ("asgi", "asyncio"),
    "uvicorn_worker.uvicornh11worker": ("asgi", "asyncio"),
}
"""Lower-case worker class of gunicorn or hypercorn -> (interface, loop)."""

CERT_REQS: Final = {
    "0": "none", "cert_none": "none", "1": "optional", "cert_optional": "optional",
    "2": "required", "cert_required": "required",
}  # fmt: skip
"""uvicorn and gunicorn have the numbers of Python's ssl, hypercorn its names."""

LEAST_MEMORY: Final = 1_048_576
"""Bytes: no Python process is as small."""

_POOL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,39}")


def read_app(text: str) -> str:
    """A shape check only: what the module holds is the worker's to find out."""
    if text and (text.endswith(".py") or "/" in text or not all(text.split(":"))):
        raise ValueError("an app is written module:attribute, as in main:app")
    return text


def read_bind(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        parse_address(text)
    return texts


def read_peers(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Commas separate as repeating does; "" is nobody."""
    peers = tuple(
        "unix" if word in ("unix:", "unix") else word
        for text in texts
        for word in map(str.strip, text.split(","))
        if word
    )
    PeerSet(peers)
    return peers


def read_forwarded_fields(texts: tuple[str, ...]) -> tuple[str, ...]:
    fields = tuple(
        word.lower().removeprefix("x-forwarded-").removeprefix("x-")
        for text in texts
        for word in map(str.strip, text.split(","))
        if word
    )
    if not set(fields) <= set(FORWARDED_FIELDS):
        raise ValueError(f"the fields are {', '.join(FORWARDED_FIELDS)}")
    return fields


def read_prefix(text: str) -> str:
    """ "/api/" and "/api" are the same prefix; "/" and "" are none."""
    if text and not text.startswith("/"):
        raise ValueError(f"a prefix begins with a slash: /{text}")
    if any(not "!" <= letter <= "~" for letter in text) or "?" in text or "#" in text:
        raise ValueError("a prefix is a path: no blanks, query or fragment")
    return text.rstrip("/")


def read_warm_up(paths: tuple[str, ...]) -> tuple[str, ...]:
    for path in paths:
        if not path.startswith("/"):
            raise ValueError(f"a path begins with a slash: /{path}")
        if "#" in path or any(not "!" <= letter <= "~" for letter in path):
            raise ValueError("a path is written as in a URL: blanks and the like as %20")
    return paths


def read_host(text: str) -> str:
    """ "*" and "" are every host; a name is compared in lower case, without its port."""
    host = "" if text == "*" else text.lower().rstrip(".")
    star = host.removeprefix("*.")
    if "*" in star or "/" in host or re.search(r"\s", host):
        raise ValueError("a host is written example.com, *.example.com or *")
    if re.search(r"[^:]:[0-9]*$", host) and not host.startswith("["):
        raise ValueError("a route's host has no port")
    return host


def read_pool_name(text: str) -> str:
    """A pool's name is also a directory's."""
    if not _POOL_NAME.fullmatch(text):
        raise ValueError("a pool's name is up to 40 letters, digits, dots, dashes and underscores")
    return text


def read_umask(value: str | int) -> int:
    mask = value
    if isinstance(mask, str):
        digits = mask.lower().removeprefix("0o")
        if not re.fullmatch(r"[0-7]{1,4}", digits):
            raise ValueError("a umask is written in octal, as in 027")
        mask = int(digits, 8)
    if not 0 <= mask <= 0o777:
        raise ValueError("a umask is from 0 to 0o777")
    return mask


def read_memory(value: int | str) -> int:
    """Bytes; K, M and G are powers of 1024."""
    found = re.fullmatch(r"([0-9]{1,15})([KMG]?)(?:i?B)?", str(value).strip(), re.IGNORECASE)
    if not found:
        raise ValueError("memory is written in bytes or as in 512M; the units are K, M and G")
    size = int(found[1]) * 1024 ** " KMG".index(found[2].upper() or " ")
    if 0 < size < LEAST_MEMORY:
        # granian counts in megabytes.
        raise ValueError(f"that is {size} bytes, less than any worker has; megabytes have an M")
    return size


def read_logformat(text: str) -> str:
    compile_format(text)
    return text


def read_worker_class(text: str) -> str:
    name = text.lower()
    if name in WORKER_CLASSES:
        return name
    if name.split(".")[-1].startswith(("gevent", "eventlet", "geventwsgi")):
        raise ValueError(
            "there are no greenlet workers; a WSGI app runs in --threads, an ASGI app on --loop"
        )
    raise ValueError(
        "the worker classes known here are asyncio, uvloop, trio, sync, gthread and "
        "uvicorn.workers.UvicornWorker"
    )


def expected(kind: Any) -> str:
    """What a type lets through, in words."""
    return one_of(choices(kind)) if choices(kind) else _words(inspect.type_info(kind))


def _words(info: inspect.Type) -> str:
    match info:
        case inspect.IntType():
            return f"a whole number {_range(info)}".rstrip()
        case inspect.FloatType():
            return f"a number of seconds {_range(info)}".rstrip()
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType(values=values):
            return one_of(values)
        case inspect.VarTupleType():
            return "a list of texts"
        case inspect.UnionType(types=types):
            return " or ".join(_words(t) for t in types if not isinstance(t, inspect.NoneType))
        case _:
            return "a text"


def _range(info: inspect.IntType | inspect.FloatType) -> str:
    if info.gt is not None:
        return f"above {info.gt:.0f} and up to {info.le:.0f}"
    return f"from {info.ge:.0f} to {info.le:.0f}" if info.ge is not None else ""


def one_of(values: Iterable[object]) -> str:
    words = [str(value) for value in values]
    return "".join(words) if len(words) < 2 else f"one of {', '.join(words[:-1])} or {words[-1]}"


def choices(kind: Any) -> tuple[str, ...]:
    """The words of a type that is nothing but words, in the table's order; else ()."""
    return get_args(kind) if get_origin(kind) is Literal else ()


def is_many(kind: Any) -> bool:
    return isinstance(inspect.type_info(kind), inspect.VarTupleType)


def is_switch(kind: Any) -> bool:
    """Whether it is on or off, or perhaps neither."""
    return isinstance(inspect.type_info(kind), inspect.BoolType) or kind == bool | None
