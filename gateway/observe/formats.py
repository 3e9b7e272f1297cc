"""Formats of the access log: gunicorn's atoms, or JSON. Pure.

What a client sent is written so that it can't forge a line or speak to a terminal: controls,
quotes, backslashes and bytes over 0x7e are escaped, and a path is never decoded.
"""

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Final

import msgspec

from ..exchange import Exchange

Entry = tuple[Exchange, float, float]
"""An ended exchange, how long it took, in seconds, and when it ended, as seconds of the epoch."""

_UNSAFE: Final = re.compile(r'[\x00-\x1f"\\\x7f-\xff]')
_ATOM: Final = re.compile(r"%\(([^)]+)\)s|%%")
_REQUEST_FIELD: Final = re.compile(r"\{([^}]+)\}i")
_RESPONSE_FIELD: Final = re.compile(r"\{([^}]+)\}o")


def escaped(data: bytes) -> str:
    """Bytes of a client's as printable ASCII."""
    text = data.decode("latin-1")
    return _UNSAFE.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def _field(headers: tuple[tuple[bytes, bytes], ...], name: bytes) -> str:
    for key, value in headers:
        if key == name:
            return escaped(value)
    return "-"


def _host(entry: Entry) -> str:
    client = entry[0].client
    return client[0] if client else "-"


def _protocol(entry: Entry) -> str:
    return f"HTTP/{entry[0].request.http_version}"


def _request_line(entry: Entry) -> str:
    request = entry[0].request
    return f"{request.method} {escaped(request.target)} {_protocol(entry)}"


def _target_parts(entry: Entry) -> tuple[str, str]:
    path, _, query = entry[0].request.target.partition(b"?")
    return escaped(path), escaped(query)


def _ended_at(entry: Entry) -> str:
    return _second(int(entry[2]))


@lru_cache(maxsize=8)  # one for all that end in the same second
def _second(second: int) -> str:
    return _local(second).strftime("[%d/%b/%Y:%H:%M:%S %z]")


def _local(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds).astimezone()


_ATOMS: Final[dict[str, Callable[[Entry], str]]] = {
    "h": _host,
    "l": lambda _: "-",
    "u": lambda _: "-",
    "t": _ended_at,
    "r": _request_line,
    "m": lambda entry: entry[0].request.method,
    "U": lambda entry: _target_parts(entry)[0],
    "q": lambda entry: _target_parts(entry)[1],
    "H": _protocol,
    "s": lambda entry: str(entry[0].status),
    "B": lambda entry: str(entry[0].body_sent),
    "b": lambda entry: str(entry[0].body_sent) if entry[0].body_sent else "-",
    "f": lambda entry: _field(entry[0].request.headers, b"referer"),
    "a": lambda entry: _field(entry[0].request.headers, b"user-agent"),
    "T": lambda entry: str(int(entry[1])),
    "M": lambda entry: str(int(entry[1] * 1_000)),
    "D": lambda entry: str(int(entry[1] * 1_000_000)),
    "L": lambda entry: f"{entry[1]:.6f}",
    "p": lambda _: "-",
}
"""gunicorn's atoms. The user is the app's to know and the process differs from request to
request, so `u` and `p` are "-"."""


def compile_format(logformat: str) -> Callable[[Entry], str]:
    """A function that formats one entry. Raises ValueError naming an unknown atom."""
    if logformat == "json":
        return _json_line
    parts: list[Callable[[Entry], str]] = []
    end = 0
    for match in _ATOM.finditer(logformat):
        parts.append(_literal(logformat[end : match.start()]))
        parts.append(_atom(match[1]) if match[1] else _literal("%"))
        end = match.end()
    parts.append(_literal(logformat[end:]))
    return lambda entry: "".join([part(entry) for part in parts])


def _literal(text: str) -> Callable[[Entry], str]:
    return lambda _: text


def _atom(name: str) -> Callable[[Entry], str]:
    if name in _ATOMS:
        return _ATOMS[name]
    if match := _REQUEST_FIELD.fullmatch(name):
        wanted = match[1].lower().encode()
        return lambda entry: _field(entry[0].request.headers, wanted)
    if match := _RESPONSE_FIELD.fullmatch(name):
        sent = match[1].lower().encode()
        return lambda entry: _field(entry[0].response_headers, sent)
    known = " ".join(_ATOMS)
    raise ValueError(
        f"it has the unknown atom %({name})s; known are {known} "
        "and {name}i, {name}o for fields of the request and the response"
    )


def _json_line(entry: Entry) -> str:
    exchange, seconds, ended = entry
    request = exchange.request
    path, query = _target_parts(entry)
    return msgspec.json.encode({
        "time": _local(ended).isoformat(timespec="milliseconds"),
        "client": exchange.client[0] if exchange.client else None,
        "method": request.method,
        "scheme": exchange.scheme,
        "host": request.host,
        "path": path,
        "query": query,
        "protocol": _protocol(entry),
        "status": exchange.status,
        "bytes": exchange.body_sent,
        "duration": round(seconds, 6),
        "referer": _field(request.headers, b"referer"),
        "user_agent": _field(request.headers, b"user-agent"),
    }).decode()  # fmt: skip
