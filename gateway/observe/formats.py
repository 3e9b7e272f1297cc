"""Formats of the access log: gunicorn's atoms, or JSON. Pure.

What a client sent must not forge a line or control a terminal. So controls, quotes, backslashes and
bytes over 0x7e are escaped, and a path is never decoded.

A line is made while its exchange ends, so it is made quickly: what many lines share (the second, a
client's address, a host) is rendered once, and bytes that need no escaping are not touched.
"""

import json
import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Final, cast

from ..exchange.end_codes import OK, code_of, has_failed
from ..exchange.exchange import Account, Exchange, Request

Entry = tuple[Exchange, float, float]
"""An exchange that has ended, its duration in seconds, and its end in seconds since the epoch."""
Format = Callable[[Entry], bytes]
"""Makes a line of an entry, without the newline."""

_UNSAFE: Final = re.compile(r'[\x00-\x1f"\\\x7f-\xff]')
_ATOM: Final = re.compile(r"%\(([^)]+)\)s|%%")
_REQUEST_FIELD: Final = re.compile(r"\{([^}]+)\}i")
_TLS_VERSIONS: Final[dict[object, str]] = {0x0303: "TLSv1.2", 0x0304: "TLSv1.3"}
"""The numbers of ASGI's `tls` extension (RFC 8446 section 4.2.1) -> OpenSSL's names."""
_RESPONSE_FIELD: Final = re.compile(r"\{([^}]+)\}o")


def escaped(data: bytes) -> str:
    """Bytes that a client sent, as printable ASCII."""
    text = data.decode("latin-1")
    if _UNSAFE.search(text) is None:
        return text
    return _UNSAFE.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


MOST_SHARED: Final = 512
"""Bytes of a client's field whose rendering is kept for the lines that follow. A longer one is
rare, and a client could fill the memory with such."""
_shared_field: Final = lru_cache(maxsize=256)(escaped)
"""A client sends most fields again with its next request, so results are kept."""


def _escaped_field(value: bytes) -> str:
    return _shared_field(value) if len(value) <= MOST_SHARED else escaped(value)


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


_PROTOCOLS: Final = {"1.1": "HTTP/1.1", "1.0": "HTTP/1.0", "2": "HTTP/2.0", "": "-"}
"""Version -> the protocol as a request line has it. HTTP/2 has no such line; nginx and Apache write
2.0, and so programs that read logs expect it."""


def _protocol_of(version: str) -> str:
    return _PROTOCOLS.get(version) or f"HTTP/{version}"


def _protocol(entry: Entry) -> str:
    return _protocol_of(entry[0].request.http_version)


def _request_line(entry: Entry) -> str:
    request = entry[0].request
    if not request.http_version:  # the request was refused before its line could be taken apart
        return escaped(request.target) or "-"
    version = request.http_version
    protocol = _PROTOCOLS.get(version) or _protocol_of(version)
    return f"{request.method} {escaped(request.target)} {protocol}"


def _target_parts(entry: Entry) -> tuple[str, str]:
    request = entry[0].request
    if not request.http_version:
        return "-", ""
    path, _, query = request.target.partition(b"?")
    return escaped(path), escaped(query)


def _account(entry: Entry) -> Account | None:
    source = entry[0].source
    return None if source is None else source.account()


def _seconds_in_app(exchange: Exchange) -> str:
    """Seconds from the hand-over to a worker to the response's head, or to the end without one; ""
    if no worker had it."""
    if not exchange.started:
        return ""
    return f"{(exchange.first_byte or exchange.ended) - exchange.started:.6f}"


def _tls(exchange: Exchange) -> str:
    """The version of TLS on this connection; "" if it is plain. What a proxy in front speaks with
    its client is not known."""
    facts = (exchange.extensions or {}).get("tls")
    return _TLS_VERSIONS.get(cast("dict[str, object]", facts)["tls_version"], "") if facts else ""


def _pool(entry: Entry) -> str:
    account = _account(entry)
    return account.pool if account else "-"


def _worker(entry: Entry) -> str:
    account = _account(entry)
    return "-" if account is None else _shown(account.worker)


def _shown(worker: int | str | None) -> str:
    return "-" if worker is None else _safe(str(worker))


def _generation(entry: Entry) -> str:
    account = _account(entry)
    return "-" if account is None or account.generation is None else str(account.generation)


def _queued(entry: Entry) -> str:
    account = _account(entry)
    return f"{account.queued:.6f}" if account else "-"


def _attempts(entry: Entry) -> str:
    account = _account(entry)
    return str(account.attempts) if account else "-"


def _why(entry: Entry) -> str:
    """Why the gateway and not the app has answered, or who has cut the response; "" if the app's
    response went out whole."""
    exchange = entry[0]
    if not exchange.reason and not has_failed(exchange):
        return ""
    why = f' reason="{_safe(exchange.reason)}"' if exchange.reason else ""
    account = _account(entry)
    if account is not None:
        why += (
            f" pool={account.pool} worker={_shown(account.worker)} "
            f"queued={account.queued:.3f} attempts={account.attempts}"
        )
    if exchange.end_code:
        why += f" end={exchange.end_code}"
    return f"{why} id={_safe(exchange.request_id)}" if exchange.request_id else why


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


ATOMS: Final[dict[str, Callable[[Entry], str]]] = {
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
    "tls": lambda entry: _tls(entry[0]) or "-",
    "received": lambda entry: str(entry[0].body_received),
    "route": lambda entry: entry[0].route or "-",
    "pool": _pool,
    "worker": _worker,
    "generation": _generation,
    "attempts": _attempts,
    "queued": _queued,
    "app": lambda entry: _seconds_in_app(entry[0]) or "-",
    "end": lambda entry: code_of(entry[0]),
    "reason": lambda entry: _safe(entry[0].reason) or "-",
    "request_id": lambda entry: _safe(entry[0].request_id) or "-",
    "trace_id": lambda entry: entry[0].trace_id or "-",
    "why": _why,
}
"""gunicorn's atoms and, from `target` on, our own. docs/LOGS.md says what each means. `why` is the
end of a line, with a space in front, that says what became of an exchange which the app has not
answered; it is empty if the app has."""
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
    if name in ATOMS:
        return ATOMS[name]
    if match := _REQUEST_FIELD.fullmatch(name):
        wanted = match[1].lower().encode()
        return lambda entry: _field(entry[0].request.headers, wanted)
    if match := _RESPONSE_FIELD.fullmatch(name):
        sent = match[1].lower().encode()
        return lambda entry: _sent_field(entry[0].response_headers, sent)
    known = " ".join(ATOMS)
    raise ValueError(
        f"it has the unknown atom %({name})s; known are {known} "
        "and {name}i, {name}o for fields of the request and the response"
    )


def _json_line(entry: Entry) -> bytes:
    """A line with every key. What is not known is null, or "-" where a client should have sent it.

    To write each key of each line anew would take a tenth of a small request's time. So keys that
    vary together stand together, and such a part is kept for the lines that follow."""
    exchange, seconds, ended = entry
    request, client, source = exchange.request, exchange.client, exchange.source
    address = client[0] if client else None
    tls = _tls(exchange) if exchange.extensions else ""
    account = None if source is None else source.account()
    if account is None:
        served = _json_worker(None, None, None, 0, exchange.route)
        queued = "null"
    else:
        pool, worker, waited, attempts, generation = account
        served = _json_worker(pool, worker, generation, attempts, exchange.route)
        queued = f"{waited:.6f}" if waited else "0.000000"
    end, reason = exchange.end_code, exchange.reason
    request_id, trace_id = exchange.request_id, exchange.trace_id  # which need no escaping
    quoted_id = f'"{request_id}"' if request_id else "null"
    quoted_trace = f'"{trace_id}"' if trace_id else "null"
    fields = dict(reversed(request.headers))  # of a repeated field the first counts
    referer, agent = fields.get(b"referer", b"-"), fields.get(b"user-agent", b"-")
    agent_part = _json_agent
    if len(referer) + len(agent) > MOST_SHARED:
        agent_part = _json_agent.__wrapped__
    method, host, target, version = (
        request.method,
        request.host,
        request.target,
        request.http_version,
    )
    request_part = _json_request
    if len(host) + len(method) > MOST_SHARED:
        request_part = _json_request.__wrapped__
    return (
        f'{{"time":"{_json_time(int(ended * 1_000))}",'
        f"{request_part(address, exchange.scheme, method, host, version, tls)}"
        f"{_json_target(target) if version and len(target) < SHARED else _json_target_of(request)}"
        f'"status":{exchange.status},"bytes":{exchange.body_sent},'
        f'"received":{exchange.body_received},"duration":{seconds:.6f},"queued":{queued},'
        f'"app":{_seconds_in_app(exchange) or "null"},{served}'
        f"{_json_end(end, reason) if end or reason else _WHOLE}"
        f'"request_id":{quoted_id},'
        f'"trace_id":{quoted_trace},'
        f"{agent_part(referer, agent)}}}"
    ).encode()


SHARED: Final = 128
"""Bytes of a target that is kept for the lines that follow. A longer one is unlikely to come again,
and a client could fill the memory with it."""
_WHOLE: Final = '"end":"ok","reason":null,'


@lru_cache(maxsize=8)
def _json_time(milliseconds: int) -> str:
    """The time in ISO 8601, with milliseconds and the zone."""
    until, zone = _iso_second(milliseconds // 1_000)
    return f"{until}.{milliseconds % 1_000:03}{zone}"


@lru_cache(maxsize=1_024)
def _json_request(
    client: str | None, scheme: str, method: str, host: str, version: str, tls: str
) -> str:
    return _part(
        client=client,
        scheme=scheme,
        method=method,
        host=host,
        protocol=_protocol_of(version),
        tls=tls or None,
    )


@lru_cache(maxsize=1_024)
def _json_target(target: bytes) -> str:
    path, _, query = escaped(target).replace("\\", "\\\\").partition("?")
    return f'"path":"{path}","query":"{query}","request":null,'


def _json_target_of(request: Request) -> str:
    """The same for any request, also for one whose line could not be taken apart."""
    if request.http_version:
        return _json_target.__wrapped__(request.target)
    return _part(path="-", query="", request=escaped(request.target))


@lru_cache(maxsize=1_024)
def _json_worker(
    pool: str | None,
    worker: int | str | None,
    generation: int | None,
    attempts: int,
    route: str,
) -> str:
    return _part(
        pool=pool, worker=worker, generation=generation, attempts=attempts, route=route or None
    )


@lru_cache(maxsize=256)
def _json_end(end: str, reason: str) -> str:
    return _part(end=end or OK, reason=reason or None)


@lru_cache(maxsize=256)
def _json_agent(referer: bytes, user_agent: bytes) -> str:
    return _part(referer=escaped(referer), user_agent=escaped(user_agent))[:-1]


def _part(**keys: object) -> str:
    """Keys and values as they stand in an object, each with a comma behind."""
    known = {
        key: value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
        for key, value in keys.items()
    }
    return json.dumps(known, separators=(",", ":"))[1:-1] + ","


@lru_cache(maxsize=8)
def _iso_second(second: int) -> tuple[str, str]:
    """The second in ISO 8601, and the zone, which stands behind the fraction of the second."""
    text = _local(second).isoformat()
    return text[:19], text[19:]
