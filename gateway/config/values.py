"""Values of options: how a text is read, other servers' words for our values, and what a fault says
was expected.
"""

import os
import re
from collections.abc import Iterable
from typing import Any, Final, Literal, get_args, get_origin
from urllib.parse import unquote

from msgspec import inspect

from ..listen.address import TcpAddress, UnixAddress, parse_address
from ..observe.formats import compile_format
from ..peers import PeerSet
from ..settings import MOST_WORKER_LABELS
from .app_name import meant_by_path

INTERFACES: Final = {"asgi3": "asgi", "asginl": "asgi"}
LEVEL_ALIASES: Final = {"trace": "debug", "notset": "debug", "warn": "warning", "fatal": "critical"}
LOOPS: Final = {"none": "asyncio", "rloop": "auto", "winloop": "auto"}
"""Loops of uvicorn and granian -> ours."""
H2C: Final = {"both": "prior-knowledge"}
"""gunicorn's --http2-cleartext -> ours. `both` has Upgrade as well, whose clients get HTTP/1.1."""
NOT_HERE: Final = {
    ("h2c", "upgrade"): "RFC 9113 has no Upgrade to HTTP/2: say prior-knowledge",
    ("interface", "rsgi"): "RSGI is granian's own: name the app's ASGI or WSGI side",
}
"""(Option, value) that another server has and we do not -> what to do instead."""
WEBSOCKETS: Final = {"websockets": "auto", "websockets-sansio": "auto", "wsproto": "auto"}
"""uvicorn's implementations of WebSockets -> ours; there is only one here."""
TRUTH: Final = {"yes": "true", "on": "true", "no": "false", "off": "false"}

FORWARDED_FIELDS: Final = ("for", "proto", "host", "port", "prefix", "real-ip", "forwarded")
"""X-Forwarded-For and so on, X-Real-IP, and RFC 7239's Forwarded."""

FIELD_NAME_TEXT: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""A field for request ids. Underscores do not reach a WSGI app unambiguously."""
TAKEN_FIELDS: Final = frozenset({
    "accept", "accept-encoding", "authorization", "connection", "cookie", "date", "expect",
    "forwarded", "host", "keep-alive", "origin", "proxy", "range", "referer", "server",
    "set-cookie", "te", "traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade",
    "user-agent", "via", "x-real-ip",
})  # fmt: skip

WORKER_CLASSES: Final = {
    "asyncio": ("auto", "asyncio"),
    "uvloop": ("auto", "uvloop"),
    "trio": ("auto", "trio"),
    "auto": ("auto", "auto"),
    "sync": ("wsgi", "auto"),
    "gthread": ("wsgi", "auto"),
    "gevent": ("wsgi", "auto"),
    "eventlet": ("wsgi", "auto"),
    "asgi": ("asgi", "auto"),
    "uvicorn.workers.uvicornworker": ("asgi", "auto"),
    "uvicorn_worker.uvicornworker": ("asgi", "auto"),
    "uvicorn.workers.uvicornh11worker": ("asgi", "asyncio"),
    "uvicorn_worker.uvicornh11worker": ("asgi", "asyncio"),
}
"""Lower-case worker class of gunicorn or hypercorn -> (interface, loop)."""

WORKER_CLASS_PATHS: Final = {
    "gunicorn.workers.sync.syncworker": "sync",
    "gunicorn.workers.gthread.threadworker": "gthread",
    "gunicorn.workers.gasgi.asgiworker": "asgi",
    "gunicorn.workers.ggevent.geventworker": "gevent",
    "gunicorn.workers.ggevent.geventpywsgiworker": "gevent",
    "gunicorn.workers.geventlet.eventletworker": "eventlet",
    "gevent_wsgi": "gevent",
    "gevent_pywsgi": "gevent",
}
"""The longer names of gunicorn's worker classes."""

GREENLETS: Final = ("gevent", "eventlet")
GREENLET_THREADS: Final = 32
"""Threads of a worker that stands for one with greenlets. Each thread costs some kilobytes."""

CERT_REQS_ALIASES: Final = {
    "0": "none", "cert_none": "none", "1": "optional", "cert_optional": "optional",
    "2": "required", "cert_required": "required",
}  # fmt: skip
"""Values of --ssl-cert-reqs elsewhere -> ours. uvicorn and gunicorn take the numbers of Python's
ssl module, hypercorn its names."""

LEAST_MEMORY: Final = 1_048_576
"""Bytes. No Python process is as small, so a smaller limit was meant in another unit."""

_POOL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,39}")


MOST_FIELDS: Final = 4_000
MOST_BYTES: Final = 262_144
"""Bytes of a request line, and of a field, if the operator wants no limit. A head has to fit into
one message of a link."""


CONFIGURATION: Final = (".toml", ".ini", ".conf.py", ".yaml", ".yml")


def read_app(text: str) -> str:
    """Checks the shape of an app's name only. The worker finds out what the module holds."""
    module, _, attribute = text.partition(":")
    if text.endswith(CONFIGURATION):
        raise ValueError(f"an app is written module:attribute; a configuration file: -c {text}")
    if module.endswith(".py") or "/" in module:
        raise ValueError(f"an app is written module:attribute; {meant_by_path(text)}")
    if text and not all(text.split(":")):
        raise ValueError("an app is written module:attribute, as in main:app")
    if "(" in attribute and not attribute.endswith("()"):
        raise ValueError(
            "a factory is called without arguments: write a function that calls it with them, and "
            "name that, with --factory"
        )
    return text


def read_limit(size: int) -> int:
    return size or MOST_BYTES


def read_field_limit(number: int) -> int:
    return number or MOST_FIELDS


def read_words(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Several values: the option is given several times, or its values are separated by commas."""
    return tuple(word for text in texts for word in map(str.strip, text.split(",")) if word)


def read_variables(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        name, equals, _ = text.partition("=")
        if not equals or not name or "\0" in text:
            raise ValueError("a variable is written NAME=VALUE")
    return texts


_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?=[ -~]{0,63}")


def read_labels(texts: tuple[str, ...]) -> tuple[str, ...]:
    """A few short labels, of the form that Kubernetes' have."""
    for text in texts:
        if not _LABEL.fullmatch(text):
            raise ValueError(
                "a label is written NAME=VALUE, as in zone=a; the name is up to 63 letters, "
                "digits, dots, dashes, slashes and underscores, the value 63 characters of ASCII"
            )
    if len(texts) > MOST_WORKER_LABELS:
        raise ValueError(f"there are at most {MOST_WORKER_LABELS} labels")
    return texts


_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*[\t -~\x80-\xff]*")
OWN_FIELDS: Final = frozenset({
    "connection", "content-length", "date", "keep-alive", "te", "trailer", "transfer-encoding",
    "upgrade",
})  # fmt: skip
"""Fields that describe one response. The same text for all responses would be wrong."""


def read_headers(texts: tuple[str, ...]) -> tuple[str, ...]:
    """RFC 9110 section 5: a name is a token, a value has no control characters."""
    for text in texts:
        if not _HEADER.fullmatch(text):
            raise ValueError("a field is written NAME:VALUE, as in X-Frame-Options:DENY")
        name = text.partition(":")[0].lower()
        if name in OWN_FIELDS:
            raise ValueError(f"the field {name} is each response's own")
    return texts


def read_bind(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        parse_address(text)
    return texts


def read_admin_bind(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        if not isinstance(parse_address(text), TcpAddress | UnixAddress):
            raise ValueError("the admin listener's address is HOST:PORT or unix:PATH")
    return texts


def read_peers(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Peers, given several times or separated by commas; "" stands for nobody."""
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


def read_root_path(text: str) -> str:
    """A prefix as apps and routes see it: "/caf%C3%A9/" and "/caf\u00e9" are the same."""
    if any(letter.isspace() or not letter.isprintable() for letter in text):
        raise ValueError("a prefix is a path: no blanks, query or fragment")
    read_prefix("".join(letter for letter in text if letter.isascii()))
    plain = unquote(text)
    if not plain.isprintable() or "\ufffd" in plain:
        raise ValueError("a prefix is a path: what is percent-encoded is printable UTF-8")
    return plain.rstrip("/")


def read_static(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        prefix, equals, folder = text.partition("=")
        if not equals or not folder:
            raise ValueError("a folder of files is written PREFIX=DIR, as in /assets=dist/assets")
        read_root_path(prefix)
    return texts


def read_internal_files(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The folders with absolute paths."""
    made: list[str] = []
    for text in read_static(texts):
        prefix, _, folder = text.partition("=")
        read_prefix(prefix)  # an app's field names it as it is written
        if not os.path.isdir(folder):
            raise ValueError(f"{folder!r} is no directory")
        made.append(f"{prefix}={os.path.abspath(folder)}")
    return tuple(made)


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


def read_concurrency(value: int | str) -> int | str:
    """A number, or `auto`."""
    text = str(value).strip().lower()
    if text == "auto":
        return text
    if not text.isdecimal() or int(text) > 1_000_000:
        raise ValueError("expected auto or a whole number from 0 to 1000000")
    return int(text)


def read_route_limit(value: int | str) -> int | str:
    """A number, or a percentage as its text."""
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]?%|100%", value):
        return value
    if isinstance(value, int) and 0 <= value <= 1_000_000:
        return value
    raise ValueError('a share is written 8, or "50%" of the pool\'s slots; 0 is no limit')


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


def read_name(value: str | int) -> str:
    """A user's or a group's name, or its number as a text."""
    name = str(value)
    if not name or ":" in name or "/" in name or name.startswith("-"):
        raise ValueError("a user or a group is a name, as www-data, or a number")
    return name


def read_id_header(value: str) -> str:
    """The name of the field of request ids, in lower case."""
    name = value.lower()
    if FIELD_NAME_TEXT.fullmatch(name) is None:
        raise ValueError("the name of a header field is written as in X-Request-ID")
    if name in TAKEN_FIELDS or name.startswith(("x-forwarded-", "sec-", "if-", "content-")):
        raise ValueError(f"{value} has a meaning of its own: request ids need another field")
    return name


def read_memory(value: int | str) -> int | str:
    """Bytes; K, M and G are powers of 1024. `auto` and a percentage stay texts: what they mean
    depends on all pools (see `memory_share`)."""
    word = str(value).strip().lower()
    if word == "auto" or re.fullmatch(r"([1-9][0-9]?|100)%", word):
        return word
    found = re.fullmatch(r"([0-9]{1,15})([KMG]?)(?:i?B)?", str(value).strip(), re.IGNORECASE)
    if not found:
        raise ValueError(
            "memory is written in bytes or as in 512M; the units are K, M and G; auto and 80% are "
            "parts of the container's limit"
        )
    size = int(found[1]) * 1024 ** " KMG".index(found[2].upper() or " ")
    if 0 < size < LEAST_MEMORY:
        # granian counts in megabytes.
        raise ValueError(f"that is {size} bytes, less than any worker has; megabytes have an M")
    return size


MOST_OF_A_POOL: Final = 4_096
_RANGE: Final = re.compile(r"([0-9]+|auto)(?:\.\.([0-9]+|auto))?", re.ASCII)


def read_workers(value: int | str) -> int | str:
    """A number, `auto`, or a range of them. `auto` stays a text: it depends on the machine (see
    `cpus.workers_of`)."""
    text = str(value).strip().lower()
    found = _RANGE.fullmatch(text)
    numbers = [int(word) for word in found.groups() if word and word != "auto"] if found else [0]
    if not all(1 <= number <= MOST_OF_A_POOL for number in numbers):
        raise ValueError(
            f"expected auto or a whole number from 1 to {MOST_OF_A_POOL}, or a range as in 2..8"
        )
    if len(numbers) > 1 and numbers[0] > numbers[1]:
        raise ValueError(f"the least comes first: {numbers[1]}..{numbers[0]}")
    return int(text) if text.isdecimal() else text


def read_logformat(text: str) -> str:
    compile_format(text)
    return text


def read_worker_class(text: str) -> str:
    name = text.lower().removeprefix("egg:gunicorn#")
    name = WORKER_CLASS_PATHS.get(name, name)
    if name in WORKER_CLASSES:
        return name
    if name.startswith(("tornado", "gunicorn.workers.gtornado")):
        raise ValueError(
            "a tornado app speaks neither ASGI nor WSGI, and runs by itself; to serve a WSGI app, "
            "leave it out"
        )
    if "aiohttp" in name:
        raise ValueError(
            "an aiohttp app speaks neither ASGI nor WSGI: it runs by itself, aiohttp.web.run_app"
        )
    if "websocket" in name:
        raise ValueError(
            "WebSockets of a WSGI app need greenlets, which are not here; an ASGI app has them "
            "(python-socketio: socketio.ASGIApp)"
        )
    if "." in name:
        raise ValueError(
            "worker classes are not loaded: what yours sets is an option here, as --loop, --http, "
            "--lifespan and --ws; see propylon serve --help"
        )
    raise ValueError(
        "the worker classes known here are asyncio, uvloop, trio, sync, gthread, gevent, eventlet, "
        "asgi and uvicorn.workers.UvicornWorker"
    )


def expected(kind: Any) -> str:
    """What a type allows, as the end of the sentence "expected ..."."""
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
    """The values of a Literal type, in their order; () for any other type."""
    return get_args(kind) if get_origin(kind) is Literal else ()


def is_many(kind: Any) -> bool:
    return isinstance(inspect.type_info(kind), inspect.VarTupleType)


def is_switch(kind: Any) -> bool:
    """Whether the type is a boolean, perhaps with None for a switch that was not given."""
    return isinstance(inspect.type_info(kind), inspect.BoolType) or kind == bool | None
