"""Formats of the access log: gunicorn's atoms, or JSON. Pure.

What a client sent must not forge a line or control a terminal. So controls, quotes, backslashes and
bytes over 0x7e are escaped, and a path is never decoded.

A line is made while its exchange ends, so it is made quickly: what many lines share (the second, a
client's address, a host) is rendered once, and bytes that need no escaping are not touched.
"""

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Final

import msgspec

from ..exchange.end_codes import code_of
from ..exchange.exchange import Account, Exchange

Entry = tuple[Exchange, float, float]
"""An exchange that has ended, its duration in seconds, and its end in seconds since the epoch."""
Format = Callable[[Entry], bytes]
"""Makes a line of an entry, without the newline."""

_UNSAFE: Final = re.compile(r'[\x00-\x1f"\\\x7f-\xff]')
_ATOM: Final = re.compile(r"%\(([^)]+)\)s|%%")
_REQUEST_FIELD: Final = re.compile(r"\{([^}]+)\}i")
_RESPONSE_FIELD: Final = re.compile(r"\{([^}]+)\}o")


def escaped(data: bytes) -> str:
    """Bytes that a client sent, as printable ASCII."""
    text = data.decode("latin-1")
    if _UNSAFE.search(text) is None:
        return text
    return _UNSAFE.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


_escaped_field: Final = lru_cache(maxsize=256)(escaped)
"""A client sends most fields again with its next request, so results are kept."""


def _field(headers: tuple[tuple[bytes, bytes], ...], name: bytes) -> str:
    """A field of the request, escaped; "-" if there is none. Its names are in lower case."""
    for key, value in headers:
        if key == name:
            return _escaped_field(value)
    return "-"


def _sent_field(headers: tuple[tuple[bytes, bytes], ...], name: bytes) -> str:
    """A field of the response, escaped; "-" if there is none. Its names are as the app wrote
    them."""
    for key, value in headers:
        if key.lower() == name:
            return _escaped_field(value)
    return "-"


def _host(entry: Entry) -> str:
    client = entry[0].client
    return client[0] if client else "-"


def _protocol(entry: Entry) -> str:
    version = entry[0].request.http_version
    return f"HTTP/{version}" if version else "-"


def _request_line(entry: Entry) -> str:
    request = entry[0].request
    if not request.http_version:  # the request was refused before its line could be taken apart
        return escaped(request.target) or "-"
    return f"{request.method} {escaped(request.target)} HTTP/{request.http_version}"


def _target_parts(entry: Entry) -> tuple[str, str]:
    request = entry[0].request
    if not request.http_version:
        return "-", ""
    path, _, query = request.target.partition(b"?")
    return escaped(path), escaped(query)


def _account(entry: Entry) -> Account | None:
    source = entry[0].source
    return None if source is None else source.account()


def _pool(entry: Entry) -> str:
    account = _account(entry)
    return account.pool if account else "-"


def _worker(entry: Entry) -> str:
    account = _account(entry)
    return "-" if account is None or account.worker is None else _safe(str(account.worker))


def _queued(entry: Entry) -> str:
    account = _account(entry)
    return f"{account.queued:.6f}" if account else "-"


def _attempts(entry: Entry) -> str:
    account = _account(entry)
    return str(account.attempts) if account else "-"


def _why(entry: Entry) -> str:
    """Why the gateway and not the app has answered, and where the exchange had got to; "" if the
    app has answered."""
    reason = entry[0].reason
    if not reason:
        return ""
    why = f' reason="{_safe(reason)}"'
    account = _account(entry)
    if account is None:
        return why
    return (
        f"{why} pool={account.pool} worker={_worker(entry)} "
        f"queued={account.queued:.3f} attempts={account.attempts}"
    )


def _safe(text: str) -> str:
    """A text that may come from a worker, as printable ASCII."""
    return escaped(text.encode("utf-8", "backslashreplace"))


def _ended_at(entry: Entry) -> str:
    return _second(int(entry[2]))


@lru_cache(maxsize=8)  # all exchanges that end in the same second share it
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
    "target": lambda entry: escaped(entry[0].request.target),
    "version": lambda entry: entry[0].request.http_version,
    "end": lambda entry: code_of(entry[0]),
    "reason": lambda entry: _safe(entry[0].reason) or "-",
    "pool": _pool,
    "worker": _worker,
    "queued": _queued,
    "attempts": _attempts,
    "why": _why,
}
"""gunicorn's atoms and our own. Ours are: the `target` and `version` of the request line; the
`pool` that was asked, its last `worker`, the seconds that the exchange was `queued`, the `attempts`
(how many workers had it); the `reason`, if the gateway and not the app has answered. `why` is the
end of a line, with a space in front, that names all of these; it is empty if the app has answered.
`end` is the end code (see `exchange.end_codes`)."""
_NEVER_KNOWN: Final = ("l", "u", "p")
"""Atoms that are "-" in every line: only the app knows the user, and no single process serves a
request."""


def compile_format(logformat: str) -> Format:
    """Returns the function that makes a line. Raises ValueError, which names an unknown atom."""
    if logformat == "json":
        return _json_line
    template = ""
    atoms: list[Callable[[Entry], str]] = []
    end = 0
    for match in _ATOM.finditer(logformat):
        template += logformat[end : match.start()].replace("%", "%%")
        name: str | None = match[1]
        if name is None:
            template += "%%"
        elif name in _NEVER_KNOWN:
            template += "-"
        else:
            template += "%s"
            atoms.append(_atom(name))
        end = match.end()
    template += logformat[end:].replace("%", "%%")
    return lambda entry: (template % tuple([atom(entry) for atom in atoms])).encode()


def _atom(name: str) -> Callable[[Entry], str]:
    if name in _ATOMS:
        return _ATOMS[name]
    if match := _REQUEST_FIELD.fullmatch(name):
        wanted = match[1].lower().encode()
        return lambda entry: _field(entry[0].request.headers, wanted)
    if match := _RESPONSE_FIELD.fullmatch(name):
        sent = match[1].lower().encode()
        return lambda entry: _sent_field(entry[0].response_headers, sent)
    known = " ".join(_ATOMS)
    raise ValueError(
        f"it has the unknown atom %({name})s; known are {known} "
        "and {name}i, {name}o for fields of the request and the response"
    )


def _json_line(entry: Entry) -> bytes:
    exchange, seconds, ended = entry
    request, client = exchange.request, exchange.client
    second = int(ended)
    until, zone = _iso_second(second)
    target = escaped(request.target) if request.http_version else "-"
    path, _, query = target.replace("\\", "\\\\").partition("?")
    fields = dict(reversed(request.headers))  # of a repeated field the first counts
    return (
        f'{{"time":"{until}.{int((ended - second) * 1_000):03}{zone}",'
        f'"client":{_json(client[0]) if client else "null"},"method":{_json(request.method)},'
        f'"scheme":"{exchange.scheme}","host":{_json(request.host)},"path":"{path}",'
        f'"query":"{query}","protocol":"{_protocol(entry)}","status":{exchange.status},'
        f'"bytes":{exchange.body_sent},"duration":{seconds:.6f},"end":"{code_of(exchange)}",'
        f'"referer":{_json_field(fields.get(b"referer", b"-"))},'
        f'"user_agent":{_json_field(fields.get(b"user-agent", b"-"))}'
        f"{_json_why(entry) if exchange.reason else ''}}}"
    ).encode()


def _json_why(entry: Entry) -> str:
    """Further keys for an exchange that the app has not answered. What is not known is null."""
    exchange, account = entry[0], _account(entry)
    why: dict[str, object] = {"reason": exchange.reason}
    if account is not None:
        why |= account._asdict() | {"queued": round(account.queued, 6)}
    if not exchange.request.http_version:
        why["request"] = escaped(exchange.request.target)
    return "," + msgspec.json.encode(why)[1:-1].decode()


@lru_cache(maxsize=8)
def _iso_second(second: int) -> tuple[str, str]:
    """The second in ISO 8601, and the zone, which stands behind the fraction of the second."""
    text = _local(second).isoformat()
    return text[:19], text[19:]


@lru_cache(maxsize=1_024)
def _json(text: str) -> str:
    """A text that many lines share (a client's address, a host, a method), as JSON."""
    return msgspec.json.encode(text).decode()


@lru_cache(maxsize=256)
def _json_field(value: bytes) -> str:
    return _json(escaped(value))
